/*
 * cli.c
 *		The table of options: arguments, the lines of a configuration file and
 *		the help all come from it.  Most of the file is that table, which is the
 *		program's manual too.
 */
#include "client/cli.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/log.h"
#include "client/memory.h"

typedef enum OptionType
{
	OPTION_TEXT,
	OPTION_FLAG,
	OPTION_NUMBER,
	OPTION_BYTES, /* 64MB */
	OPTION_TIME,  /* 1500ms, 10s, 5min; stored as ms */
	OPTION_PAIR,  /* NAME=VALUE, repeatable */
	OPTION_TARGET,
} OptionType;

typedef struct ClientOption
{
	const char *section; /* the first of one starts it in the help */
	char		letter;	 /* 0: none */
	const char *name;
	const char *argument; /* in the help; NULL for a flag */
	OptionType	type;
	size_t		offset;
	const char *preset;	 /* NULL: none */
	const char *choices; /* |a|b|, or NULL */
	const char *help;
} ClientOption;

#define AT(member) offsetof(Settings, member)

static const ClientOption table[] = {
	{"Source", 'd', "dbname", "CONNINFO", OPTION_TEXT, AT(conninfo), NULL,
	 NULL,
	 "libpq connection string or URI of the database; passwords belong into "
	 "~/.pgpass or a service file"},
	{"Source", 'S', "slot", "NAME", OPTION_TEXT, AT(slot), NULL, NULL,
	 "the logical replication slot"},
	{"Source", 0, "create-slot", NULL, OPTION_FLAG, AT(create_slot), NULL,
	 NULL, "create the slot if it does not exist"},
	{"Source", 0, "failover", NULL, OPTION_FLAG, AT(failover), NULL, NULL,
	 "with --create-slot: a slot that standbys keep in step (PostgreSQL 17)"},
	{"Source", 'P', "plugin", "NAME", OPTION_TEXT, AT(plugin), "outflow", NULL,
	 "the slot's output plugin"},
	{"Source", 'o', "option", "NAME=VALUE", OPTION_PAIR, AT(options), NULL,
	 NULL, "an option of the output plugin; repeatable"},
	{"Source", 0, "after-job", "N", OPTION_NUMBER, AT(after_job), "0", NULL,
	 "pass over the transactions that export job N has exported"},
	{"Source", 0, "endpos", "LSN", OPTION_TEXT, AT(endpos_text), NULL, NULL,
	 "stop once everything up to there is delivered"},
	{"Source", 0, "state", "FILE", OPTION_TEXT, AT(state), NULL, NULL,
	 "remember system, timeline, slot and confirmed position there, and "
	 "refuse "
	 "another slot than last time"},
	{"Delivery", 0, "to", "URL", OPTION_TARGET, AT(targets), NULL, NULL,
	 "a target; repeatable. Confirmed is what all of them have"},
	{"Delivery", 0, "batch-bytes", "SIZE", OPTION_BYTES, AT(batch_bytes), "-1",
	 NULL, "records of about that size go together; 0: each one alone"},
	{"Delivery", 0, "linger", "TIME", OPTION_TIME, AT(linger_ms), "-1", NULL,
	 "wait that long for a batch to fill"},
	{"Delivery", 0, "queue-bytes", "SIZE", OPTION_BYTES, AT(queue_bytes),
	 "64MB", NULL,
	 "stop reading the slot while that much waits for acknowledgement"},
	{"Delivery", 0, "status-interval", "TIME", OPTION_TIME, AT(status_ms),
	 "10s", NULL,
	 "tell the server our position at least that often; a third of its "
	 "wal_sender_timeout if that is less"},
	{"Delivery", 0, "stop-timeout", "TIME", OPTION_TIME, AT(stop_ms), "30s",
	 NULL, "when told to stop, wait that long for acknowledgements"},
	{"Delivery", 0, "on-reject", "POLICY", OPTION_TEXT, AT(on_reject), "stop",
	 "|stop|dead-letter|",
	 "what becomes of a record that a target refuses: stop, or dead-letter"},
	{"Delivery", 0, "dead-letter", "FILE", OPTION_TEXT, AT(dead_letter), NULL,
	 NULL,
	 "the file of rejected records, with reason and id; pg_outflow replay "
	 "sends them again"},
	{"Files", 0, "file-rotate-bytes", "SIZE", OPTION_BYTES,
	 AT(file_rotate_bytes), "128MB", NULL,
	 "hand a file over once it is as large"},
	{"Files", 0, "file-rotate-age", "TIME", OPTION_TIME, AT(file_rotate_ms),
	 "5min", NULL, "hand a file over once it is as old; 0: never"},
	{"Files", 0, "file-compression", "METHOD", OPTION_TEXT,
	 AT(file_compression), "none", NULL, "none, zstd or zstd:LEVEL"},
	{"HTTP", 0, "http-profile", "NAME", OPTION_TEXT, AT(http_profile), "json",
	 "|json|ndjson|cloudevents|nifi|",
	 "the form of requests: json, ndjson, cloudevents or nifi"},
	{"HTTP", 0, "http-secret-file", "FILE", OPTION_TEXT, AT(http_secret_file),
	 NULL, NULL, "sign requests with the secret in the file's first line"},
	{"HTTP", 0, "http-header-file", "FILE", OPTION_TEXT, AT(http_header_file),
	 NULL, NULL,
	 "further header lines, such as \"Authorization: Bearer ...\""},
	{"HTTP", 0, "http-timeout", "TIME", OPTION_TIME, AT(http_timeout_ms),
	 "30s", NULL, "a request without an answer by then is sent again"},
	{"HTTP", 0, "http-ca", "FILE", OPTION_TEXT, AT(http_ca), NULL, NULL,
	 "certificates to trust instead of the system's"},
	{"HTTP", 0, "http-cert", "FILE", OPTION_TEXT, AT(http_cert), NULL, NULL,
	 "our certificate"},
	{"HTTP", 0, "http-key", "FILE", OPTION_TEXT, AT(http_key), NULL, NULL,
	 "its key"},
	{"Kafka", 0, "kafka-topic", "NAME", OPTION_TEXT, AT(kafka_topic), NULL,
	 NULL, "one topic for all, instead of PREFIX.SCHEMA.TABLE"},
	{"Kafka", 0, "kafka-tombstones", "on|off", OPTION_FLAG,
	 AT(kafka_tombstones), "on", NULL,
	 "after a delete, a message with its key and no value, for compaction"},
	{"Kafka", 0, "exactly-once", NULL, OPTION_FLAG, AT(kafka_exactly_once),
	 NULL, NULL,
	 "records and position in one Kafka transaction: readers of committed "
	 "messages see each record once"},
	{"Kafka", 0, "kafka-partitions", "N", OPTION_NUMBER, AT(kafka_partitions),
	 "0", NULL, "create topics that are missing, with so many; 0: don't"},
	{"Kafka", 0, "kafka-compact", NULL, OPTION_FLAG, AT(kafka_compact), NULL,
	 NULL, "create them compacted"},
	{"Kafka", 'X', "kafka-option", "NAME=VALUE", OPTION_PAIR,
	 AT(kafka_options), NULL, NULL,
	 "an option of librdkafka, such as security.protocol=ssl; repeatable"},
	{"MQTT", 0, "mqtt-topic", "TEMPLATE", OPTION_TEXT, AT(mqtt_topic),
	 "{prefix}/{schema}/{table}", NULL,
	 "topics, of {prefix}, {slot}, {op}, {schema}, {table} and {key}"},
	{"MQTT", 0, "mqtt-qos", "1|2", OPTION_NUMBER, AT(mqtt_qos), "1", NULL,
	 "quality of service"},
	{"MQTT", 0, "mqtt-inflight", "N", OPTION_NUMBER, AT(mqtt_inflight), "1000",
	 NULL,
	 "messages under way, at most; and never more than the broker takes"},
	{"MQTT", 0, "mqtt-client-id", "NAME", OPTION_TEXT, AT(mqtt_client_id),
	 NULL, NULL, "client identifier, instead of one of system and slot"},
	{"MQTT", 0, "mqtt-session-expiry", "TIME", OPTION_TIME,
	 AT(mqtt_session_ms), "1h", NULL,
	 "with QoS 2: the broker remembers that long what was under way when the "
	 "connection was lost, so that it is not doubled; 0: not at all"},
	{"MQTT", 0, "mqtt-rows", NULL, OPTION_FLAG, AT(mqtt_rows), NULL, NULL,
	 "keep the last state of each row as a retained message, in "
	 "PREFIX/SCHEMA/TABLE/row/KEY"},
	{"MQTT", 0, "mqtt-unmatched", "POLICY", OPTION_TEXT, AT(mqtt_unmatched),
	 "accept", "|accept|reject|",
	 "a message that nobody has subscribed to: accept it as delivered, or "
	 "reject it"},
	{"MQTT", 0, "mqtt-ca", "FILE", OPTION_TEXT, AT(mqtt_ca), NULL, NULL,
	 "certificates to trust instead of the system's"},
	{"MQTT", 0, "mqtt-cert", "FILE", OPTION_TEXT, AT(mqtt_cert), NULL, NULL,
	 "our certificate"},
	{"MQTT", 0, "mqtt-key", "FILE", OPTION_TEXT, AT(mqtt_key), NULL, NULL,
	 "its key"},
	{"Watching", 0, "metrics", "[HOST:]PORT", OPTION_TEXT, AT(metrics), NULL,
	 NULL,
	 "serve /metrics for Prometheus and /healthz; on 127.0.0.1 unless told "
	 "otherwise"},
	{"Watching", 0, "log-format", "FORMAT", OPTION_TEXT, AT(log_format),
	 "text", "|text|json|", "text or json"},
	{"Watching", 0, "log-level", "LEVEL", OPTION_TEXT, AT(log_level), "info",
	 "|debug|info|warning|error|", "debug, info, warning or error"},
};

#define NOPTIONS (sizeof(table) / sizeof(table[0]))

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
	"                       topics PREFIX/SCHEMA/TABLE, QoS 1 or 2\n";

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
	for (i = 0; i < NOPTIONS; i++)
	{
		const ClientOption *option = &table[i];

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

const char *
pairs_find(const Pairs *pairs, const char *name)
{
	int i;

	for (i = 0; i < pairs->count; i++)
		if (strcmp(pairs->names[i], name) == 0)
			return pairs->values[i];
	return NULL;
}

void
pairs_set(Pairs *pairs, const char *name, const char *value)
{
	if (pairs_find(pairs, name))
		client_exit(EXIT_USAGE, "\"%s\" is given twice", name);
	if (pairs->count == MAX_PAIRS)
		client_exit(EXIT_USAGE, "there are more than %d options like \"%s\"",
					MAX_PAIRS, name);
	pairs->names[pairs->count] = client_strdup(name);
	pairs->values[pairs->count++] = client_strdup(value);
}

typedef struct Unit
{
	const char *name;
	long long	factor;
} Unit;

static const Unit byte_units[] = {{"", 1},
								  {"B", 1},
								  {"kB", 1024},
								  {"MB", 1024 * 1024},
								  {"GB", 1024 * 1024 * 1024LL},
								  {NULL, 0}};
/* a number alone is of milliseconds, as PostgreSQL has it */
static const Unit time_units[] = {{"", 1},		  {"ms", 1},	  {"s", 1000},
								  {"min", 60000}, {"h", 3600000}, {NULL, 0}};
static const Unit no_units[] = {{"", 1}, {NULL, 0}};

static long long
read_number(const ClientOption *option, const char *text, const Unit *units)
{
	char	 *end;
	long long number;

	errno = 0;
	number = strtoll(text, &end, 10);
	if (end != text && errno == 0 && number >= 0)
	{
		while (*end == ' ')
			end++;
		for (; units->name; units++)
			if (strcmp(units->name, end) == 0 &&
				number <= LLONG_MAX / units->factor)
				return number * units->factor;
	}
	client_exit(EXIT_USAGE, "\"%s\" is no value of --%s=%s", text,
				option->name, option->argument);
}

static void
set_text(const ClientOption *option, char **field, const char *text)
{
	char *framed = client_format("|%s|", text);

	if (option->choices && !strstr(option->choices, framed))
		client_exit(EXIT_USAGE, "--%s is %s, not \"%s\"", option->name,
					option->help, text);
	*field = client_strdup(text);
	free(framed);
}

static void
set_pair(const ClientOption *option, Pairs *pairs, const char *text)
{
	const char *equals = strchr(text, '=');
	char	   *name;

	if (equals == NULL || equals == text)
		client_exit(EXIT_USAGE, "--%s takes NAME=VALUE, not \"%s\"",
					option->name, text);
	name = client_strndup(text, equals - text);
	pairs_set(pairs, name, equals + 1);
	free(name);
}

static bool
read_flag(const ClientOption *option, const char *text)
{
	if (text == NULL || strcmp(text, "on") == 0 || strcmp(text, "true") == 0)
		return true;
	if (strcmp(text, "off") == 0 || strcmp(text, "false") == 0)
		return false;
	client_exit(EXIT_USAGE, "%s is on or off, not \"%s\"", option->name, text);
}

static void
set_option(Settings *settings, const ClientOption *option, const char *text)
{
	void *field = (char *) settings + option->offset;

	switch (option->type)
	{
		case OPTION_TEXT:
			set_text(option, field, text);
			break;
		case OPTION_FLAG:
			*(bool *) field = read_flag(option, text);
			break;
		case OPTION_NUMBER:
			*(long long *) field = read_number(option, text, no_units);
			break;
		case OPTION_BYTES:
			*(long long *) field = read_number(option, text, byte_units);
			break;
		case OPTION_TIME:
			*(long long *) field = read_number(option, text, time_units);
			break;
		case OPTION_PAIR:
			set_pair(option, field, text);
			break;
		case OPTION_TARGET:
			if (settings->ntargets == MAX_TARGETS)
				client_exit(EXIT_USAGE, "there are more than %d targets",
							MAX_TARGETS);
			settings->targets[settings->ntargets++] = client_strdup(text);
			break;
	}
}

static const ClientOption *
find_option(const char *name, size_t length)
{
	size_t i;

	for (i = 0; i < NOPTIONS; i++)
		if (strlen(table[i].name) == length &&
			strncmp(table[i].name, name, length) == 0)
			return &table[i];
	client_exit(
		EXIT_USAGE,
		"there is no option \"%.*s\"; \"pg_outflow --help\" lists them",
		(int) length, name);
}

/* Once each, but for those that repeat. */
static void
set_once(Settings *settings, bool given[], const ClientOption *option,
		 const char *text, bool overrules)
{
	size_t i = option - table;
	bool   repeats =
		option->type == OPTION_PAIR || option->type == OPTION_TARGET;

	if (given[i] && !repeats)
	{
		if (!overrules)
			return; /* in the file, and an argument says otherwise */
		client_exit(EXIT_USAGE, "--%s is given twice", option->name);
	}
	given[i] = true;
	set_option(settings, option, text);
}

static char *
trimmed(char *text)
{
	char *end;

	while (isspace((unsigned char) *text))
		text++;
	end = text + strlen(text);
	while (end > text && isspace((unsigned char) end[-1]))
		*--end = '\0';
	return text;
}

static void
read_config(Settings *settings, bool given[], const char *path)
{
	bool   in_arguments[NOPTIONS];
	FILE  *file = fopen(path, "r");
	char  *line = NULL;
	size_t size = 0;

	if (file == NULL)
		client_exit(EXIT_USAGE, "could not open file \"%s\": %s", path,
					strerror(errno));
	memcpy(in_arguments, given, sizeof(in_arguments));
	while (getline(&line, &size, file) > 0)
	{
		char			   *text = trimmed(line);
		char			   *equals = strchr(text, '=');
		const ClientOption *option;

		if (*text == '\0' || *text == '#')
			continue;
		if (equals == NULL)
			client_exit(EXIT_USAGE, "\"%s\" in \"%s\" is not name = value",
						text, path);
		*equals = '\0';
		text = trimmed(text);
		option = find_option(text, strlen(text));
		set_once(settings, given, option, trimmed(equals + 1),
				 !in_arguments[option - table]);
	}
	free(line);
	fclose(file);
}

/* -d TEXT, -dTEXT, --dbname TEXT, --dbname=TEXT; returns how many were used */
static int
read_argument(Settings *settings, bool given[], char **config, char **argv)
{
	const char		   *argument = argv[0];
	const ClientOption *option = NULL;
	const char		   *value = NULL;
	bool				is_config = false;
	size_t				i;

	if (argument[1] != '-')
	{
		for (i = 0; i < NOPTIONS; i++)
			if (table[i].letter == argument[1])
				option = &table[i];
		is_config = argument[1] == 'c';
		if (argument[2])
			value = argument + 2;
	}
	else
	{
		const char *name = argument + 2;
		size_t		length = strcspn(name, "=");

		is_config = length == 6 && strncmp(name, "config", 6) == 0;
		if (!is_config)
			option = find_option(name, length);
		if (name[length])
			value = name + length + 1;
	}
	if (option == NULL && !is_config)
		client_exit(EXIT_USAGE,
					"there is no option \"%s\"; \"pg_outflow --help\" lists "
					"them",
					argument);
	if (value == NULL &&
		(is_config || option->type != OPTION_FLAG || option->argument))
	{
		value = argv[1];
		if (value == NULL)
			client_exit(EXIT_USAGE, "%s needs a value", argument);
	}
	if (is_config)
		*config = client_strdup(value);
	else
		set_once(settings, given, option, value, true);
	return value == argv[1] && value != NULL ? 2 : 1;
}

static void
set_presets(Settings *settings)
{
	size_t i;

	for (i = 0; i < NOPTIONS; i++)
		if (table[i].preset && strcmp(table[i].preset, "-1") == 0)
			*(long long *) ((char *) settings + table[i].offset) = -1;
		else if (table[i].preset)
			set_option(settings, &table[i], table[i].preset);
}

static void
check_settings(Settings *settings, const char *command)
{
	bool is_stream = strcmp(command, "stream") == 0;

	if (is_stream && (settings->conninfo == NULL || settings->slot == NULL))
		client_exit(EXIT_USAGE, "stream needs -d CONNINFO and -S SLOT");
	if (is_stream &&
		(strlen(settings->slot) > 63 ||
		 strspn(settings->slot, "abcdefghijklmnopqrstuvwxyz"
								"0123456789_") != strlen(settings->slot) ||
		 *settings->slot == '\0'))
		client_exit(EXIT_USAGE, "\"%s\" can't be the name of a slot",
					settings->slot);
	if (is_stream && settings->input)
		client_exit(EXIT_USAGE, "stream takes no argument \"%s\"",
					settings->input);
	if (!is_stream && settings->input == NULL)
		client_exit(EXIT_USAGE, "replay needs a dead-letter file");
	if (settings->ntargets == 0)
		client_exit(EXIT_USAGE, "there is no target: --to URL");
	if (settings->endpos_text &&
		!lsn_parse(settings->endpos_text, &settings->endpos))
		client_exit(EXIT_USAGE, "\"%s\" is no position for --endpos",
					settings->endpos_text);
	if (settings->queue_bytes <= 0 || settings->status_ms <= 0)
		client_exit(EXIT_USAGE,
					"--queue-bytes and --status-interval must be positive");
	if ((strcmp(settings->on_reject, "dead-letter") == 0) !=
		(settings->dead_letter != NULL))
		client_exit(EXIT_USAGE,
					"--on-reject=dead-letter and --dead-letter=FILE go "
					"together");
}

static LogLevel
log_level(const char *name)
{
	return *name == 'd'	  ? LOG_DEBUG
		   : *name == 'i' ? LOG_INFO
		   : *name == 'w' ? LOG_WARNING
						  : LOG_ERROR;
}

void
cli_read(Settings *settings, const char *command, int argc, char **argv)
{
	bool  given[NOPTIONS] = {false};
	char *config = NULL;
	int	  i = 0;

	set_presets(settings);
	while (i < argc)
	{
		if (strcmp(argv[i], "--help") == 0)
		{
			cli_help();
			exit(EXIT_OK);
		}
		if (argv[i][0] == '-' && argv[i][1] != '\0')
			i += read_argument(settings, given, &config, argv + i);
		else if (settings->input == NULL)
			settings->input = client_strdup(argv[i++]);
		else
			client_exit(EXIT_USAGE, "unexpected argument \"%s\"", argv[i]);
	}
	if (config)
		read_config(settings, given, config);
	free(config);
	log_setup(log_level(settings->log_level),
			  strcmp(settings->log_format, "json") == 0);
	check_settings(settings, command);
}
