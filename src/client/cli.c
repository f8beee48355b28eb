/*
 * cli.c
 *		Reads arguments and the lines of a configuration file, by the table of
 *		options.
 */
#include "client/cli.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli_table.h"
#include "client/log.h"
#include "client/memory.h"

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
		client_exit(EXIT_USAGE, "--%s takes NAME=VALUE, not \"%.*s\"",
					option->name, log_shown(text), text);
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

	for (i = 0; i < cli_noptions; i++)
		if (strlen(cli_table[i].name) == length &&
			strncmp(cli_table[i].name, name, length) == 0)
			return &cli_table[i];
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
	size_t i = option - cli_table;
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
	bool   in_arguments[MAX_OPTIONS];
	FILE  *file = fopen(path, "r");
	char  *line = NULL;
	size_t size = 0;
	int	   number = 0;

	if (file == NULL)
		client_exit(EXIT_USAGE, "could not open file \"%s\": %s", path,
					strerror(errno));
	memcpy(in_arguments, given, sizeof(in_arguments));
	while (getline(&line, &size, file) > 0)
	{
		char			   *text = trimmed(line);
		char			   *equals = strchr(text, '=');
		const ClientOption *option;

		number++;
		if (*text == '\0' || *text == '#')
			continue;
		if (equals == NULL)
			client_exit(EXIT_USAGE, "line %d of \"%s\" is not name = value",
						number, path);
		*equals = '\0';
		text = trimmed(text);
		option = find_option(text, strlen(text));
		set_once(settings, given, option, trimmed(equals + 1),
				 !in_arguments[option - cli_table]);
	}
	if (ferror(file))
		client_exit(EXIT_USAGE, "could not read file \"%s\": %s", path,
					strerror(errno));
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
		for (i = 0; i < cli_noptions; i++)
			if (cli_table[i].letter == argument[1])
				option = &cli_table[i];
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

	for (i = 0; i < cli_noptions; i++)
		if (cli_table[i].preset && strcmp(cli_table[i].preset, "-1") == 0)
			*(long long *) ((char *) settings + cli_table[i].offset) = -1;
		else if (cli_table[i].preset)
			set_option(settings, &cli_table[i], cli_table[i].preset);
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
		client_exit(EXIT_USAGE, "stream takes no argument \"%.*s\"",
					log_shown(settings->input), settings->input);
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
	bool  given[MAX_OPTIONS] = {false};
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
			client_exit(EXIT_USAGE, "unexpected argument \"%.*s\"",
						log_shown(argv[i]), argv[i]);
	}
	if (config)
		read_config(settings, given, config);
	free(config);
	log_setup(log_level(settings->log_level),
			  strcmp(settings->log_format, "json") == 0);
	check_settings(settings, command);
}
