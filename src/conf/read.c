#include "conf/read.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "conf/compile.h"
#include "conf/options.h"
#include "conf/report.h"
#include "conf/scan.h"

#define FILE_SIZE_MAX (1 << 20)
#define VALUES_MAX 16384

/* Where each value was written; libconfuse does not keep that. */
static struct {
	struct report *report;
	const char *path; /* of the file in hand */
	unsigned file;	  /* its index */
	cfg_t *cfg;	  /* of the file in hand */
	unsigned n_values;
	struct {
		const cfg_opt_t *opt;
		unsigned line, file;
	} values[VALUES_MAX];
} reader;

static int find_value(const cfg_opt_t *opt)
{
	for (unsigned i = 0; i < reader.n_values; i++) {
		if (reader.values[i].opt == opt)
			return (int)i;
	}
	return -1;
}

static void note_place(const cfg_t *cfg, const cfg_opt_t *opt)
{
	if (reader.n_values == VALUES_MAX)
		return;
	reader.values[reader.n_values].opt = opt;
	reader.values[reader.n_values].line = (unsigned)cfg->line;
	reader.values[reader.n_values++].file = reader.file;
}

/* Called for each value; of a list the first one counts. */
static int on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	if (find_value(opt) < 0)
		note_place(cfg, opt);
	*(const char **)result = value;
	return 0;
}

/* A key of a block inside of this one is likely meant with the block around it. */
static bool suggest_block(const cfg_opt_t *opts, const char *unknown, struct text *message)
{
	for (const cfg_opt_t *opt = opts; opt != NULL && opt->name != NULL; opt++) {
		const cfg_opt_t *inner = opt->type == CFGT_SEC ? opt->subopts : NULL;

		for (; inner != NULL && inner->name != NULL; inner++) {
			if (strcmp(inner->name, unknown) != 0)
				continue;
			text_addf(message, "; it stands in a block %s { }", opt->name);
			return true;
		}
		if (opt->type == CFGT_SEC && suggest_block(opt->subopts, unknown, message))
			return true;
	}
	return false;
}

static void suggest(const cfg_t *cfg, const char *unknown, struct text *message)
{
	const char *best = NULL;
	/* more than two slips, or more than half of the word, is another word */
	size_t best_distance = strlen(unknown) / 2 < 2 ? strlen(unknown) / 2 + 1 : 3;

	if (suggest_block(cfg->opts, unknown, message))
		return;
	for (const cfg_opt_t *opt = cfg->opts; opt->name != NULL; opt++) {
		size_t distance = text_distance(unknown, opt->name);

		if (distance < best_distance) {
			best_distance = distance;
			best = opt->name;
		}
	}
	if (best != NULL)
		text_addf(message, "; did you mean %s?", best);
}

/* Where we are: a block does not know its service, but that is the last one so far. */
static void add_scope(cfg_t *cfg, struct text *message)
{
	unsigned n = cfg_size(reader.cfg, "service");

	if (cfg == reader.cfg)
		return;
	if (options_is_global(cfg->name) && cfg == cfg_getsec(reader.cfg, cfg->name)) {
		text_addf(message, "%s: ", cfg->name);
		return;
	}
	if (n == 0)
		return;
	text_addf(message,
		  "service \"%s\": ", cfg_title(cfg_getnsec(reader.cfg, "service", n - 1)));
	if (cfg->title == NULL)
		text_addf(message, "%s: ", options_block(cfg->name));
}

__attribute__((format(printf, 2, 0))) static void on_error(cfg_t *cfg, const char *format,
							   va_list args)
{
	static const char no_such[] = "no such option '";
	char raw[512], buf[640];
	struct text message = text_start(buf, sizeof(buf));

	vsnprintf(raw, sizeof(raw), format, args);
	/* libconfuse says so of each key, and takes it all the same */
	if ((cfg->flags & CFGF_KEYSTRVAL) != 0 && strncmp(raw, no_such, strlen(no_such)) == 0)
		return;
	if (strncmp(raw, no_such, strlen(no_such)) == 0) {
		char *name = raw + strlen(no_such);

		name[strcspn(name, "'")] = '\0';
		add_scope(cfg, &message);
		text_addf(&message, "unknown key %s", name);
		suggest(cfg, name, &message);
	} else {
		text_add(&message, raw);
	}
	report_add(reader.report, reader.path, (unsigned)cfg->line, "%s", buf);
}

static const char writable[] =
	"can be written by group or others, and preforkd runs as root (chmod go-w)";

/* Non-blocking, so that a FIFO cannot hold us; a regular file does not care. */
static int open_config(const char *path, struct report *report, size_t *size_r)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	const char *wrong = NULL;

	if (fd < 0 || fstat(fd, &st) < 0) {
		report_add(report, path, 0, "cannot be read: %s", strerror(errno));
		return -1;
	}
	if (!S_ISREG(st.st_mode))
		wrong = "is not a regular file";
	else if (st.st_size > FILE_SIZE_MAX)
		wrong = "is larger than 1 MiB";
	else if (geteuid() == 0 && (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		wrong = writable;
	if (wrong != NULL) {
		report_add(report, path, 0, "%s", wrong);
		close(fd);
		return -1;
	}
	*size_r = (size_t)st.st_size;
	return fd;
}

/* The whole file in memory, NUL-terminated; a file that grows meanwhile is cut at its old size. */
static char *load_file(const char *path, struct report *report, size_t *size_r)
{
	int fd = open_config(path, report, size_r);
	size_t done = 0;
	ssize_t n = 1;
	char *text;

	if (fd < 0)
		return NULL;
	text = calloc(1, *size_r + 1);
	while (text != NULL && done < *size_r && n > 0) {
		n = read(fd, text + done, *size_r - done);
		done += n > 0 ? (size_t)n : 0;
	}
	if (text == NULL || n < 0) {
		report_add(report, path, 0, "cannot be read: %s", strerror(errno));
		text = NULL;
	}
	*size_r = done;
	close(fd);
	return text;
}

static void collect_services(cfg_t *cfg, const struct scan *scan, struct read_result *result)
{
	unsigned n = cfg_size(cfg, "service");

	for (unsigned i = 0; i < n; i++) {
		cfg_t *section = cfg_getnsec(cfg, "service", i);
		struct read_scope *scope;

		if (result->n_services == CONF_SERVICES_MAX) {
			report_add(reader.report, reader.path, 0, "more than %d services",
				   CONF_SERVICES_MAX);
			return;
		}
		scope = &result->services[result->n_services++];
		scope->cfg = section;
		scope->title = cfg_title(section);
		scope->where = (struct conf_origin){ reader.file, scan->block_line[i] };
	}
}

/* libconfuse separates blocks by |, where we have a dot. */
static cfg_opt_t *find_opt(const struct read_scope *scope, const struct option *option)
{
	char path[64];

	if (option->block == NULL)
		return cfg_getopt(scope->cfg, option->name);
	snprintf(path, sizeof(path), "%s|%s", option->block, option->name);
	for (char *dot = strchr(path, '.'); dot != NULL; dot = strchr(dot, '.'))
		*dot = '|';
	return cfg_getopt(scope->cfg, path);
}

/* Here stand services only. */
static void refuse_global_keys(cfg_t *cfg)
{
	const struct read_scope scope = { .cfg = cfg };
	char key[64];

	for (const struct option *row = options_global; row->name != NULL; row++) {
		int place = find_value(find_opt(&scope, row));

		if (place >= 0)
			report_add(reader.report, reader.path, reader.values[place].line,
				   "%s belongs into the main file (here stand services only)",
				   compile_key(row, key, sizeof(key)));
	}
}

static void read_one(char *path, struct report *report, struct read_result *result)
{
	static struct scan scan;
	size_t size;
	char *text;
	cfg_t *cfg;

	if (result->n_files == READ_FILES_MAX) {
		report_add(report, path, 0, "more than %d files", READ_FILES_MAX);
		free(path);
		return;
	}
	reader.path = path;
	reader.file = result->n_files;
	result->files[result->n_files++] = path;
	text = load_file(path, report, &size);
	if (text == NULL || scan_text(text, size, path, report, &scan) < 0)
		return;
	cfg = cfg_init(options_table(on_value), CFGF_NONE);
	reader.cfg = cfg;
	cfg_set_error_function(cfg, on_error);
	if (reader.file == 0) {
		result->global.cfg = cfg;
		result->global.where.file = 0;
	}
	/* on an error the parser stops, and what it said is in the report */
	if (cfg_parse_buf(cfg, text) != CFG_SUCCESS)
		return;
	collect_services(cfg, &scan, result);
	if (reader.file > 0)
		refuse_global_keys(cfg);
}

static int is_service_file(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return entry->d_name[0] != '.' && length > 5 &&
	       strcmp(entry->d_name + length - 5, ".conf") == 0;
}

static int in_c_order(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void read_services_d(const char *path, struct report *report, struct read_result *result)
{
	const char *slash = strrchr(path, '/');
	struct dirent **entries;
	struct stat st;
	char *directory;
	int n;

	if (asprintf(&directory, "%.*s/services.d", slash != NULL ? (int)(slash - path) : 1,
		     slash != NULL ? path : ".") < 0)
		abort();
	if (geteuid() == 0 && stat(directory, &st) == 0 && (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		report_add(report, directory, 0, "%s", writable);
	n = scandir(directory, &entries, is_service_file, in_c_order);
	if (n < 0 && errno != ENOENT)
		report_add(report, directory, 0, "cannot be read: %s", strerror(errno));
	for (int i = 0; i < n; i++) {
		char *file;

		if (asprintf(&file, "%s/%s", directory, entries[i]->d_name) < 0)
			abort();
		read_one(file, report, result);
	}
}

int read_config(const char *path, struct report *report, struct read_result *result_r)
{
	reader.report = report;
	read_one(strdup(path), report, result_r);
	if (result_r->global.cfg == NULL && access(path, R_OK) < 0)
		return EX_NOINPUT;
	read_services_d(path, report, result_r);
	return report->errors == 0 ? 0 : EX_CONFIG;
}

bool read_pair(const struct read_scope *scope, const struct option *option, unsigned index,
	       const char **name_r, const char **text_r)
{
	cfg_t *block = cfg_getsec(scope->cfg, option->name);
	cfg_opt_t *opt = block != NULL && index < cfg_num(block) ? cfg_getnopt(block, index) : NULL;

	if (opt == NULL)
		return false;
	*name_r = cfg_opt_name(opt);
	*text_r = cfg_opt_getnstr(opt, 0);
	return true;
}

bool read_value(const struct read_scope *scope, const struct option *option, unsigned *count_r,
		struct conf_origin *origin_r)
{
	cfg_opt_t *opt = find_opt(scope, option);
	int place = find_value(opt);

	if (place < 0 && (option->kind != OPTION_LIST || (opt->flags & CFGF_MODIFIED) == 0))
		return false;
	*count_r = cfg_opt_size(opt);
	/* of an empty list no line is known, only that it was written */
	*origin_r = scope->where;
	if (place < 0)
		return true;
	*origin_r = (struct conf_origin){ reader.values[place].file, reader.values[place].line };
	return true;
}

const char *read_string(const struct read_scope *scope, const struct option *option, unsigned index)
{
	return cfg_opt_getnstr(find_opt(scope, option), index);
}
