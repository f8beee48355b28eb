/*
 * cli_help.c
 *		What --help prints.
 */
#include <stdio.h>
#include <string.h>

#include "client/cli.h"
#include "client/cli_table.h"

static const char before_options[] =
	"pg_outflow delivers the changes of a PostgreSQL database.\n"
	"\n"
	"Usage:\n"
	"  pg_outflow stream -d CONNINFO -S SLOT --to URL [OPTION]...\n"
	"  pg_outflow replay --to URL [OPTION]... FILE\n"
	"  pg_outflow --help | --version\n"
	"\n"
	"stream reads a logical replication slot of the plugin outflow and "
	"delivers\n"
	"each record to every target, at least once and in order.  A transaction "
	"is\n"
	"confirmed to PostgreSQL once every target has acknowledged all of it, "
	"so\n"
	"whatever is killed, nothing is lost; what was not acknowledged comes "
	"again,\n"
	"with the same id.  replay sends a dead-letter file again.\n"
	"\n"
	"Targets:\n"
	"  stdout:              a record a line\n"
	"  file:///DIRECTORY    files that appear whole, each record exactly "
	"once\n"
	"  http[s]://HOST/PATH  POST requests, acknowledged by their status\n"
	"  kafka://HOST:PORT/PREFIX\n"
	"                       topics PREFIX.SCHEMA.TABLE; format debezium by "
	"default\n"
	"  mqtt[s]://HOST[:PORT]/PREFIX\n"
	"                       topics PREFIX/SCHEMA/TABLE, QoS 1 or 2\n"
	"  kinesis://REGION/STREAM\n"
	"                       records of a stream, the order of each key kept\n"
	"  ws://HOST:PORT       a WebSocket server and a page, for browsers\n";

static const char after_options[] =
	"\n"
	"Configuration file (-c, --config FILE): lines \"name = value\", with the "
	"long\n"
	"names from above; # starts a comment.  Arguments come before it; to, "
	"option\n"
	"and such may repeat.\n"
	"\n"
	"Exit codes:\n"
	"  0  stopped as told, everything received is acknowledged\n"
	"  1  the machine: memory, disk, or a bug\n"
	"  2  arguments or configuration\n"
	"  3  PostgreSQL refuses for good: login, rights, plugin, its options\n"
	"  4  the slot is gone or invalidated\n"
	"  5  another system, timeline or slot than last time\n"
	"  6  a target refuses for good: login, address, rights\n"
	"  7  a target rejected a record, and --on-reject is stop\n"
	"  8  stopped as told, but a target did not acknowledge in time\n"
	"All else is waited for: servers and targets that are down, a slot in "
	"use.\n";

/* Texts of the help, broken at blanks. */
static void
print_wrapped(const char *text, int indent)
{
	while (strlen(text) + indent > 79)
	{
		int end = 79 - indent;

		while (end > 0 && text[end] != ' ')
			end--;
		printf("%.*s\n%*s", end, text, indent, "");
		text += end + 1;
	}
	puts(text);
}

void
cli_help(void)
{
	const char *section = "";
	size_t		i;

	fputs(before_options, stdout);
	for (i = 0; i < cli_noptions; i++)
	{
		const ClientOption *option = &cli_table[i];

		if (strcmp(section, option->section) != 0)
			printf("\n%s:\n", option->section);
		section = option->section;
		if (option->letter)
			printf("  -%c, ", option->letter);
		else
			fputs("      ", stdout);
		printf("--%s%s%s\n          ", option->name,
			   option->argument ? "=" : "",
			   option->argument ? option->argument : "");
		print_wrapped(option->help, 10);
		if (option->preset && strcmp(option->preset, "-1") != 0)
			printf("          (%s)\n", option->preset);
	}
	fputs(after_options, stdout);
}
