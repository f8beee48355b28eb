/*
 * run_check.c
 *		The screen of check: the server's lines, then one for each target.
 *
 * A target whose URL or options are wrong ends the program, so each is tried in
 * a process of its own, whose last words are the reason.
 */
#include "client/run_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/check_server.h"
#include "client/memory.h"
#include "client/target.h"
#include "client/url.h"

#define PATIENCE_S 30 /* with one target */

static int wrong; /* lines */

static void
print_line(const char *text)
{
	for (; *text; text++)
		putchar((unsigned char) *text < 0x20 || *text == 0x7f ? ' ' : *text);
}

static void
tell_line(Verdict verdict, const char *item, const char *detail,
		  const char *fix)
{
	static const char *const marks[] = {"ok   ", "note ", "NOT  "};

	fputs(marks[verdict], stdout);
	print_line(item ? item : "");
	fputs(": ", stdout);
	print_line(detail ? detail : "");
	if (verdict != VERDICT_OK && fix && *fix)
	{
		fputs("\n     -> ", stdout);
		print_line(fix);
	}
	putchar('\n');
	wrong += verdict == VERDICT_NOT;
}

/* The child: says why not on stderr and ends with a code of its own. */
static void
try_target(const char *text, const Settings *settings)
{
	char *why = NULL;

	if (!target_can_probe(text))
		_exit(EXIT_UNFINISHED);
	if (!target_probe(text, settings, &why))
		client_exit(EXIT_TARGET, "%s", why);
	_exit(EXIT_OK);
}

static void
read_all(int fd, Bytes *said)
{
	char	buffer[1024];
	ssize_t got;

	while ((got = read(fd, buffer, sizeof(buffer))) > 0 ||
		   (got < 0 && errno == EINTR))
		if (got > 0)
			mem_append(said, buffer, got);
	close(fd);
}

static void
tell_target(const char *name, int status, const char *said)
{
	static const char prefix[] = "pg_outflow: error: ";
	char			 *item = client_format("target %s", name);

	if (strncmp(said, prefix, sizeof(prefix) - 1) == 0)
		said += sizeof(prefix) - 1;
	if (strncmp(said, name, strlen(name)) == 0 &&
		strncmp(said + strlen(name), ": ", 2) == 0)
		said += strlen(name) + 2;
	if (WIFSIGNALED(status))
		tell_line(VERDICT_NOT, item,
				  WTERMSIG(status) == SIGALRM ? "no answer within 30 seconds"
											  : strsignal(WTERMSIG(status)),
				  NULL);
	else if (WEXITSTATUS(status) == EXIT_OK)
		tell_line(VERDICT_OK, item, "it can be reached", NULL);
	else if (WEXITSTATUS(status) == EXIT_UNFINISHED)
		tell_line(VERDICT_NOTE, item, "it is not tried before the stream",
				  NULL);
	else
		tell_line(VERDICT_NOT, item, said, NULL);
	free(item);
}

static void
check_one_target(const char *text, const Settings *settings)
{
	Bytes said = {0};
	Url	 *url;
	int	  pipes[2];
	int	  status = 0;
	pid_t child;

	fflush(stdout);
	if (pipe(pipes) != 0 || (child = fork()) < 0)
		client_exit(EXIT_FAILED, "could not start a process: %s",
					strerror(errno));
	if (child == 0)
	{
		dup2(pipes[1], STDERR_FILENO);
		close(pipes[0]);
		close(pipes[1]);
		log_setup(LOG_ERROR, false);
		alarm(PATIENCE_S);
		try_target(text, settings);
	}
	close(pipes[1]);
	mem_add(&said, "");
	read_all(pipes[0], &said);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	url = url_parse(text);
	tell_target(url->display, status, said.data);
	url_free(url);
	mem_free(&said);
}

ExitCode
check_run(const Settings *settings)
{
	int i;

	check_server(settings, tell_line);
	for (i = 0; i < settings->ntargets; i++)
		check_one_target(settings->targets[i], settings);
	if (fflush(stdout) != 0)
		client_exit(EXIT_FAILED, "could not write what was found: %m");
	return wrong > 0 ? EXIT_WRONG : EXIT_OK;
}
