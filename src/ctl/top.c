#include "ctl/top.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

#include "base/text.h"
#include "ctl/answer.h"
#include "ctl/master.h"
#include "ctl/show.h"
#include "ctl/usage.h"

#define EVERY_MS 1000
#define WAIT_MS 2000

/* ECMA-48, as every terminal of today has it. */
#define ENTER "\033[?1049h\033[?25l" /* a screen of our own, no cursor */
#define LEAVE "\033[?25h\033[?1049l"
#define HOME "\033[H"
#define END_OF_LINE "\033[K\r\n"
#define END_OF_SCREEN "\033[J"

static volatile sig_atomic_t ended;

static void on_signal(int signal)
{
	ended = signal;
}

static void catch_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	struct sigaction action = { .sa_handler = on_signal };

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		sigaction(signals[i], &action, NULL);
	/* the terminal would stay as it is */
	signal(SIGTSTP, SIG_IGN);
}

static bool enter(struct termios *before_r)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, before_r) < 0)
		return false;
	raw = *before_r;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) < 0)
		return false;
	fputs(ENTER, stdout);
	return true;
}

static void leave(const struct termios *before)
{
	fputs(LEAVE, stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSANOW, before);
}

/* One request and how it is shown; what is wrong stands in its place. */
static void add(const struct arguments *arguments, const char *line, FILE *out)
{
	char why[RUNTIME_PATH_MAX + 256];
	struct text error = text_start(why, sizeof(why));
	struct answer answer;

	if (master_ask(arguments, line, WAIT_MS, &answer, &error) != 0)
		fprintf(out, "%s\n", why);
	else if (answer.status != 0)
		fprintf(out, "%s\n", answer.text);
	else if (line[0] == 's')
		show_status(&answer, out);
	else
		show_workers(&answer, true, out);
	free(answer.buf);
}

/* As many lines as fit, as much of each as fits. */
static void paint(char *text)
{
	struct winsize window = { .ws_row = 24, .ws_col = 80 };
	char *rest = text;
	int row = 1;

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &window);
	if (window.ws_row == 0 || window.ws_col == 0)
		window = (struct winsize){ .ws_row = 24, .ws_col = 80 };
	fputs(HOME, stdout);
	for (char *line = strsep(&rest, "\n"); line != NULL && row < window.ws_row; row++) {
		printf("%.*s" END_OF_LINE, (int)window.ws_col, line);
		line = strsep(&rest, "\n");
	}
	fputs(END_OF_SCREEN, stdout);
	fflush(stdout);
}

static bool wants_to_quit(void)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	char key;

	if (poll(&input, 1, EVERY_MS) <= 0)
		return false;
	/* nothing to read is the end of the terminal */
	return read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q';
}

/* False without memory. */
static bool refresh(const struct arguments *arguments)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		return false;
	add(arguments, "status\n", out);
	putc('\n', out);
	add(arguments, "workers\n", out);
	if (fclose(out) == 0 && text != NULL)
		paint(text);
	free(text);
	return true;
}

int top_run(const struct arguments *arguments, int argc)
{
	struct termios before;

	if (argc > 1)
		usage_die(EX_USAGE, "top takes no words");
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
		fputs("preforkctl: top needs a terminal (status and workers do not)\n", stderr);
		return EX_USAGE;
	}
	catch_signals();
	if (!enter(&before)) {
		fprintf(stderr, "preforkctl: the terminal: %s\n", strerror(errno));
		return EX_IOERR;
	}
	while (ended == 0 && refresh(arguments) && !wants_to_quit())
		;
	leave(&before);
	return EX_OK;
}
