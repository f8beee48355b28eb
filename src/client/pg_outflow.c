/*
 * pg_outflow.c
 *		The client program: reads its command and runs it.
 */
#include <stdio.h>
#include <string.h>

#include "client/cli.h"
#include "client/log.h"
#include "client/replay.h"
#include "client/restart.h"
#include "client/run_check.h"
#include "client/run_export.h"
#include "client/run_stream.h"
#include "client/run_verify.h"

static const struct
{
	const char *name;
	ExitCode (*run)(const Settings *settings);
} commands[] = {
	{"stream", stream_run}, {"replay", replay_run}, {"export", export_run},
	{"verify", verify_run}, {"check", check_run},
};

int
main(int argc, char **argv)
{
	static Settings settings;
	const char	   *name = argc > 1 ? argv[1] : "";
	size_t			i;

	restart_remember(argv);
	if (strcmp(name, "--help") == 0 || strcmp(name, "help") == 0)
	{
		cli_help();
		return EXIT_OK;
	}
	if (strcmp(name, "--version") == 0)
	{
		puts("pg_outflow " OUTFLOW_VERSION);
		return EXIT_OK;
	}
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, name) == 0)
		{
			cli_read(&settings, name, argc - 2, argv + 2);
			return commands[i].run(&settings);
		}
	client_exit(EXIT_USAGE,
				"there is no command \"%s\"; \"pg_outflow --help\" lists them",
				name);
}
