/*
 * cli_help.c
 *		The manual: a page for each command, with its options from the table.
 */
#include <stdio.h>
#include <string.h>

#include "client/cli_option.h"

#define WIDTH 79

static const char targets_help[] =
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
	"  milvus[s]://[USER:PASSWORD@]HOST[:PORT][/DATABASE]\n"
	"                       rows of collections, put and deleted by their "
	"keys\n"
	"  postgresql://[USER@]HOST[:PORT]/DATABASE\n"
	"                       tables that are kept equal, exactly once\n"
	"  ws://HOST:PORT       a WebSocket server and a page, for browsers\n"
	"\nSecrets:\n"
	"  Files of secrets must have mode 0600 or 0640, and are refused else: "
	"those of\n"
	"  --http-secret-file, --http-header-file, --http-key, "
	"--milvus-token-file,\n"
	"  --mqtt-key, --ws-token-file, and of -X ssl.key.location and "
	"sasl.kerberos.keytab.\n";

static const Manual manuals[] = {
	{
		.name = "stream",
		.command = IN_STREAM,
		.summary = "deliver a slot's changes to targets",
		.synopsis =
			"  pg_outflow stream -d CONNINFO -S SLOT --to URL [OPTION]...\n",
		.description =
			"Reads a logical replication slot of the plugin outflow and "
			"delivers each record to every target, at least once and in "
			"order. A transaction is confirmed to PostgreSQL once every "
			"target has acknowledged all of it, so whatever is killed, "
			"nothing is lost; what was not acknowledged comes again, with "
			"the same id.\n"
			"Servers and targets that are down and a slot in use are waited "
			"for. SIGTERM and SIGINT stop the stream when everything that was "
			"received is acknowledged.",
		.more = targets_help,
		.examples =
			"  pg_outflow stream -d dbname=shop -S orders --create-slot "
			"\\\n      --to file:///srv/changes\n"
			"  pg_outflow stream -c /etc/pg_outflow/orders.conf\n",
	},
	{
		.name = "replay",
		.command = IN_REPLAY,
		.summary = "send the records of a dead-letter file again",
		.synopsis = "  pg_outflow replay --to URL [OPTION]... FILE\n",
		.description =
			"Sends the records that a target had rejected, in the order of "
			"the file and with their ids. The file is not changed. A record "
			"that is rejected again follows --on-reject.",
		.more = targets_help,
		.examples =
			"  pg_outflow replay --to https://hooks.example.com/orders "
			"rejected.ndjson\n",
	},
	{
		.name = "export",
		.command = IN_EXPORT,
		.summary = "export tables, and watch it",
		.synopsis =
			"  pg_outflow export -d CONNINFO [OPTION]... SOURCE... "
			"DESTINATION\n"
			"  pg_outflow export -d CONNINFO --schema NAME [OPTION]... "
			"DESTINATION\n"
			"  pg_outflow export -d CONNINFO --publication NAME [OPTION]... "
			"DESTINATION\n"
			"  pg_outflow export -d CONNINFO --resume JOB\n",
		.description =
			"Calls outflow.export(), or of its relatives the one that takes "
			"many tables, a schema or a publication, and shows how far it is. "
			"The server writes the files; options have the names of the "
			"procedure's arguments, and those that are left out its "
			"defaults.\n"
			"SOURCE is a table, as SQL names it. DESTINATION is "
			"file:///DIRECTORY on the server, or SERVER:PREFIX of a foreign "
			"server.\n"
			"The first Ctrl-C (or SIGTERM) cancels the export and waits until "
			"its job has stopped; the job stays, and --resume goes on with "
			"it. The second leaves at once, and the server stops the job "
			"when it notices. The job's number is the only line on stdout; "
			"with --progress=json stdout has a JSON object a second instead, "
			"the last one with the final state.",
		.examples = "  pg_outflow export -d dbname=shop public.orders "
					"file:///srv/orders \\\n      --format parquet\n"
					"  pg_outflow export -d dbname=shop --resume 42\n",
	},
	{
		.name = "verify",
		.command = IN_VERIFY,
		.summary = "compare exported files with their manifest",
		.synopsis = "  pg_outflow verify [--references DIR] PATH\n"
					"  pg_outflow verify -d CONNINFO --job N\n",
		.description =
			"PATH is the directory of an export, or the _manifest.json in "
			"it; no server is needed. Every file is read and compared with "
			"the size and the checksum (xxh128 or sha256) that the manifest "
			"has for it. What is missing, what is left over, _SUCCESS and "
			"the manifests of an export of many tables are judged too. Each "
			"problem is a line on stdout: file, what is wrong, details.\n"
			"Nothing outside of PATH is read, whatever the manifest says, but "
			"for what lies beneath --references.\n"
			"With -d and --job the server compares its files with what it "
			"wrote, rows included.",
		.examples = "  pg_outflow verify /srv/orders\n"
					"  pg_outflow verify -d dbname=shop --job 42\n",
	},
	{
		.name = "check",
		.command = IN_CHECK,
		.summary = "say what is missing between server and targets",
		.synopsis = "  pg_outflow check -d CONNINFO [-S SLOT] [--to URL]... "
					"[OPTION]...\n",
		.description =
			"Looks at all that a stream needs, changes nothing, and prints a "
			"line for each: server, settings, plugin, role, replication "
			"connection, slot, publications (of -o publication_names), "
			"tables and targets. What is not ok has its fix below it.\n"
			"It takes all options of stream, so the configuration file of a "
			"stream can be checked before the stream is started.",
		.more = targets_help,
		.examples = "  pg_outflow check -c /etc/pg_outflow/orders.conf\n",
	},
};

#define NMANUALS ((int) (sizeof(manuals) / sizeof(manuals[0])))

static const char exit_codes[] =
	"Exit codes:\n"
	"  0  done as told: all that was received is acknowledged, the export is\n"
	"     complete, what was looked at is right\n"
	"  1  the machine: memory, disk, or a bug\n"
	"  2  arguments or configuration\n"
	"  3  PostgreSQL refuses for good: login, rights, plugin, its options;\n"
	"     an export failed\n"
	"  4  the slot is gone or invalidated\n"
	"  5  another system, timeline, slot or history than last time\n"
	"  6  a target refuses for good: login, address, rights\n"
	"  7  a target rejected a record, and --on-reject is stop\n"
	"  8  stopped before it was done: a target did not acknowledge in time,\n"
	"     an export was interrupted and can be resumed\n"
	"  9  verify or check found what is not right\n";

static const char config_help[] =
	"Configuration file:\n"
	"  -c, --config=FILE\n"
	"          lines \"name = value\", with the long names from above; # "
	"starts a\n"
	"          comment. Arguments come before it; what may repeat may repeat "
	"there.\n"
	"          A file with a password in it should have mode 0600 or 0640\n";

/* Breaks lines at blanks; a newline begins a paragraph. */
static void
print_wrapped(const char *text, int indent)
{
	int room = WIDTH - indent;

	while (*text)
	{
		int length = strcspn(text, "\n");
		int end = length;

		if (length > room)
		{
			for (end = room; end > 0 && text[end] != ' '; end--)
				;
			if (end == 0)
				end = strcspn(text, " \n");
		}
		printf("%.*s\n", end, text);
		text += end;
		if (*text == '\n')
			puts("");
		if (*text)
			printf("%*s", indent, "");
		text += *text != '\0';
	}
}

static void
print_option(const ClientOption *option)
{
	if (option->letter)
		printf("  -%c, ", option->letter);
	else
		fputs("      ", stdout);
	printf("--%s%s%s\n          ", option->name, option->argument ? "=" : "",
		   option->argument ? option->argument : "");
	print_wrapped(option->help, 10);
	if (option->preset && strcmp(option->preset, "-1") != 0)
		printf("          (%s)\n", option->preset);
}

const Manual *
manual_find(const char *name)
{
	int i;

	for (i = 0; i < NMANUALS; i++)
		if (strcmp(manuals[i].name, name) == 0)
			return &manuals[i];
	return NULL;
}

void
manual_show(const Manual *manual)
{
	const char *section = "";
	int			i;

	printf("pg_outflow %s: %s\n\nUsage:\n%s\n", manual->name, manual->summary,
		   manual->synopsis);
	print_wrapped(manual->description, 0);
	if (manual->more)
		printf("\n%s", manual->more);
	for (i = 0; i < cli_noptions; i++)
	{
		const ClientOption *option = &cli_options[i];

		if (!cli_option_is_of(option, manual->command))
			continue;
		if (strcmp(section, option->section) != 0)
			printf("\n%s:\n", option->section);
		section = option->section;
		print_option(option);
	}
	printf("\n%s\nExamples:\n%s\n%s", config_help, manual->examples,
		   exit_codes);
}

void
cli_help(void)
{
	int i;

	puts(
		"pg_outflow delivers the changes of a PostgreSQL database and exports "
		"its\ntables.\n\nUsage:");
	for (i = 0; i < NMANUALS; i++)
		fputs(manuals[i].synopsis, stdout);
	puts("  pg_outflow COMMAND --help\n  pg_outflow --help | --version\n"
		 "\nCommands:");
	for (i = 0; i < NMANUALS; i++)
		printf("  %-8s %s\n", manuals[i].name, manuals[i].summary);
	printf("\n%s", exit_codes);
}
