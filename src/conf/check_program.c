#include "conf/check_program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/compile.h"
#include "conf/root.h"
#include "conf/words.h"

#define WORDS_SIZE_MAX 1024 /* each %{word} becomes at most 128 bytes: see worker/invocation.c */
#define SCRIPT_LINE_MAX 256 /* what the kernel reads of it */

static bool is_in_group(const struct conf *conf, const struct conf_service *service, gid_t gid)
{
	const gid_t *groups = conf_groups(conf, service);

	for (unsigned i = 0; i < service->n_gids; i++) {
		if (groups[i] == gid)
			return true;
	}
	return service->gid == gid;
}

/* As the kernel will see it for the user of the workers, who is not us. */
static bool may_execute(const struct conf *conf, const struct conf_service *service,
			const struct stat *st)
{
	if (service->uid == 0)
		return (st->st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) != 0;
	if (st->st_uid == service->uid)
		return (st->st_mode & S_IXUSR) != 0;
	if (is_in_group(conf, service, st->st_gid))
		return (st->st_mode & S_IXGRP) != 0;
	return (st->st_mode & S_IXOTH) != 0;
}

/* What is wrong with the directories on the way; NULL: nothing. */
static const char *find_barrier(const struct conf *conf, const struct conf_service *service,
				const char *path)
{
	char directory[PATH_MAX];
	struct stat st;

	for (const char *slash = strchr(path + 1, '/'); slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		snprintf(directory, sizeof(directory), "%.*s", (int)(slash - path), path);
		if (root_stat(conf, service, directory, &st) < 0)
			continue;
		if (!may_execute(conf, service, &st))
			return "the user of the workers may not enter its directory "
			       "(chmod +x, run.user)";
		if ((st.st_mode & S_IWOTH) != 0 && (st.st_mode & S_ISVTX) == 0)
			return "everybody can write to its directory, or to one above "
			       "(chmod o-w)";
	}
	return NULL;
}

/* What is wrong with a file that shall be run; NULL: nothing. */
static const char *find_fault(const struct conf *conf, const struct conf_service *service,
			      const char *path)
{
	const char *barrier = find_barrier(conf, service, path);
	struct stat st;

	if (root_stat(conf, service, path, &st) < 0)
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "is not a regular file";
	if ((st.st_mode & S_IWOTH) != 0)
		return "can be written by everybody (chmod o-w)";
	if (service->no_new_privileges && (st.st_mode & (S_ISUID | S_ISGID)) != 0)
		return "is setuid or setgid, which has no effect here: workers get no new "
		       "privileges (run.no_new_privileges)";
	if (barrier != NULL)
		return barrier;
	if (!may_execute(conf, service, &st))
		return "cannot be executed by the user of the workers (chmod +x, run.user)";
	return NULL;
}

/* What loads an ELF program into buf, which is left empty if it needs nothing. */
static void find_loader(int fd, const ElfW(Ehdr) * head, char buf[SCRIPT_LINE_MAX])
{
	for (unsigned i = 0; i < head->e_phnum; i++) {
		off_t at = (off_t)(head->e_phoff + (size_t)i * head->e_phentsize);
		ElfW(Phdr) part;

		if (pread(fd, &part, sizeof(part), at) != (ssize_t)sizeof(part))
			return;
		if (part.p_type == PT_INTERP && part.p_filesz < SCRIPT_LINE_MAX &&
		    pread(fd, buf, part.p_filesz, (off_t)part.p_offset) > 0)
			return;
	}
}

/*
 * What the kernel runs such a file with into buf, which stays empty if nothing. false:
 * it is neither an ELF program nor a script.
 */
static bool find_interpreter(int fd, char buf[SCRIPT_LINE_MAX])
{
	union {
		ElfW(Ehdr) elf;
		char text[SCRIPT_LINE_MAX];
	} head = { .text = "" };
	ssize_t n = read(fd, &head, sizeof(head) - 1);

	if (n >= (ssize_t)sizeof(head.elf) && memcmp(head.elf.e_ident, ELFMAG, SELFMAG) == 0) {
		/* of another machine only that knows */
		if (head.elf.e_ident[EI_CLASS] == (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32))
			find_loader(fd, &head.elf, buf);
		return true;
	}
	return n > 2 && head.text[0] == '#' && head.text[1] == '!' &&
	       sscanf(head.text + 2, " %255s", buf) == 1;
}

static void check_file(struct compile *compile, const struct conf_service *service,
		       const char *path)
{
	char interpreter[SCRIPT_LINE_MAX] = "";
	const char *fault = find_fault(compile->conf, service, path);
	bool known;
	int fd;

	if (fault != NULL) {
		compile_error(compile, service, "command", "%s: %s", path, fault);
		return;
	}
	fd = root_open(compile->conf, service, path, O_RDONLY | O_NONBLOCK);
	if (fd < 0)
		return; /* to be executed is enough */
	known = find_interpreter(fd, interpreter);
	close(fd);
	if (!known)
		compile_warning(compile, service, "command",
				"%s: is neither an ELF program nor a script that begins with #!",
				path);
	if (interpreter[0] == '\0')
		return;
	fault = find_fault(compile->conf, service, interpreter);
	if (fault != NULL)
		compile_error(compile, service, "command", "%s: its interpreter %s: %s", path,
			      interpreter, fault);
}

static void check_words(struct compile *compile, const struct conf_service *service)
{
	size_t size = 0;

	for (unsigned i = 1; i < service->command.count; i++) {
		const char *argument = conf_list_string(compile->conf, service->command, i);
		char unknown[64];

		size += strchr(argument, '%') != NULL ? strlen(argument) : 0;
		if (!words_check(argument, unknown, sizeof(unknown)))
			compile_error(compile, service, "command",
				      "%%{%s} is no word that it knows; they are: " WORDS_LIST,
				      unknown);
	}
	if (size > WORDS_SIZE_MAX)
		compile_error(compile, service, "command",
			      "arguments with %% in them may have %d bytes together",
			      WORDS_SIZE_MAX);
}

void check_program(struct compile *compile, const struct conf_service *service)
{
	const char *path;

	if (service->command.count == 0) {
		compile_error(compile, service, "command", "is required by handler %s",
			      conf_string(compile->conf, service->handler));
		return;
	}
	if (service->kind == CONF_PERSISTENT && service->stderr_to == CONF_STDERR_CONNECTION)
		compile_error(compile, service, "stderr",
			      "a persistent program has no connection of its own: log or null");
	path = conf_list_string(compile->conf, service->command, 0);
	if (path[0] != '/')
		compile_error(compile, service, "command",
			      "\"%s\": must begin with an absolute path", path);
	else if (compile->here)
		check_file(compile, service, path);
	if (service->kind == CONF_EXEC)
		check_words(compile, service);
}
