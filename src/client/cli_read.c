/*
 * cli_read.c
 *		Reads arguments, then the file of --config, by the table of options: the two
 *		ways that values come by, and what must hold between them afterwards.
 */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli_option.h"
#include "client/disk.h"
#include "client/log.h"
#include "client/memory.h"
#include "client/pq_connect.h"

/* What is read, for which command, and which options were there already. */
typedef struct CliReader
{
	Settings *settings;
	unsigned  command;
	char	 *config;		/* --config */
	bool	  has_password; /* that file */
	bool	  given[MAX_OPTIONS];
} CliReader;

/* One of this command, or else one of another; NULL: there is none. */
static const ClientOption *
find_option(unsigned command, const char *name, size_t length)
{
	const ClientOption *other = NULL;
	int					i;

	for (i = 0; i < cli_noptions; i++)
		if (strlen(cli_options[i].name) == length &&
			strncmp(cli_options[i].name, name, length) == 0)
		{
			if (cli_option_is_of(&cli_options[i], command))
				return &cli_options[i];
			other = &cli_options[i];
		}
	return other;
}

static const ClientOption *
find_letter(unsigned command, char letter)
{
	int i;

	for (i = 0; i < cli_noptions; i++)
		if (cli_options[i].letter == letter &&
			cli_option_is_of(&cli_options[i], command))
			return &cli_options[i];
	return NULL;
}

/* Once each, but for those that repeat. */
static void
set_once(CliReader *reader, const ClientOption *option, const char *text,
		 bool overrules)
{
	bool *given = &reader->given[option - cli_options];
	bool  repeats = option->type == OPTION_PAIR ||
				   option->type == OPTION_LIST ||
				   option->type == OPTION_TARGET;

	if (*given && !repeats)
	{
		if (!overrules)
			return; /* in the file, and an argument says otherwise */
		client_exit(EXIT_USAGE, "--%s is given twice", option->name);
	}
	*given = true;
	cli_set_option(reader->settings, option, text);
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

/* Commands share a file: what is of another one is passed over. */
static void
read_config(CliReader *reader)
{
	const char *path = reader->config;
	bool		in_arguments[MAX_OPTIONS];
	FILE	   *file = fopen(path, "r");
	char	   *line = NULL;
	size_t		size = 0;
	int			number = 0;

	if (file == NULL)
		client_exit(EXIT_USAGE, "could not open file \"%s\": %s", path,
					strerror(errno));
	memcpy(in_arguments, reader->given, sizeof(in_arguments));
	while (disk_read_line(file, path, &line, &size) > 0)
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
		option = find_option(reader->command, text, strlen(text));
		if (option == NULL)
			client_exit(EXIT_USAGE,
						"there is no option \"%s\", which \"%s\" has", text,
						path);
		text = trimmed(equals + 1);
		reader->has_password |= cli_has_password(option, text);
		if (cli_option_is_of(option, reader->command))
			set_once(reader, option, text,
					 !in_arguments[option - cli_options]);
	}
	free(line);
	fclose(file);
}

/* -d TEXT, -dTEXT, --dbname TEXT, --dbname=TEXT; returns how many were used */
static int
read_argument(CliReader *reader, const Manual *manual, char **argv)
{
	const char		   *argument = argv[0];
	const ClientOption *option;
	const char		   *value = NULL;
	bool				is_config;

	if (argument[1] != '-')
	{
		option = find_letter(reader->command, argument[1]);
		is_config = argument[1] == 'c';
		if (argument[2])
			value = argument + 2;
	}
	else
	{
		const char *name = argument + 2;
		size_t		length = strcspn(name, "=");

		is_config = length == 6 && strncmp(name, "config", 6) == 0;
		option = find_option(reader->command, name, length);
		if (name[length])
			value = name + length + 1;
	}
	if (!is_config &&
		(option == NULL || !cli_option_is_of(option, reader->command)))
		client_exit(EXIT_USAGE,
					"%s has no option \"%.*s\"; \"pg_outflow %s --help\" "
					"lists them",
					manual->name, (int) strcspn(argument, "="), argument,
					manual->name);
	if (value == NULL &&
		(is_config || option->type != OPTION_FLAG || option->argument))
	{
		value = argv[1];
		if (value == NULL)
			client_exit(EXIT_USAGE, "%s needs a value", argument);
	}
	if (is_config)
		reader->config = client_strdup(value);
	else
		set_once(reader, option, value, true);
	return value == argv[1] && value != NULL ? 2 : 1;
}

static void
set_presets(Settings *settings)
{
	int i;

	for (i = 0; i < cli_noptions; i++)
	{
		const ClientOption *option = &cli_options[i];

		if (option->preset && strcmp(option->preset, "-1") == 0)
			*(long long *) ((char *) settings + option->offset) = -1;
		else if (option->preset)
			cli_set_option(settings, option, option->preset);
	}
}

static void
check_source(const Settings *settings)
{
	if (settings->conninfo == NULL || settings->slot == NULL)
		client_exit(EXIT_USAGE, "stream needs -d CONNINFO and -S SLOT");
	if (strlen(settings->slot) > 63 ||
		strspn(settings->slot, "abcdefghijklmnopqrstuvwxyz"
							   "0123456789_") != strlen(settings->slot) ||
		*settings->slot == '\0')
		client_exit(EXIT_USAGE, "\"%s\" can't be the name of a slot",
					settings->slot);
	if (settings->arguments.count > 0)
		client_exit(EXIT_USAGE, "stream takes no argument \"%.*s\"",
					log_shown(settings->arguments.items[0]),
					settings->arguments.items[0]);
}

static void
check_delivery(Settings *settings)
{
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

/* A table or more and a destination, or what stands for the tables. */
static void
check_export(const Settings *settings)
{
	const Texts *arguments = &settings->arguments;
	int			 instead = (settings->schema != NULL) +
				  (settings->publication != NULL) + (settings->resume != NULL);

	if (settings->conninfo == NULL)
		client_exit(EXIT_USAGE, "export needs -d CONNINFO");
	if (instead > 1)
		client_exit(EXIT_USAGE,
					"--schema, --publication and --resume exclude each other");
	if (settings->resume && arguments->count > 0)
		client_exit(EXIT_USAGE,
					"--resume takes no argument: the job knows its tables and "
					"its destination");
	if (!settings->resume && instead == 0 && arguments->count < 2)
		client_exit(EXIT_USAGE, "export needs SOURCE and DESTINATION");
	if (!settings->resume && instead == 1 && arguments->count != 1)
		client_exit(EXIT_USAGE, "with --schema or --publication export takes "
								"one argument, DESTINATION");
	if ((settings->columns.count > 0 || settings->filter) &&
		(instead > 0 || arguments->count > 2))
		client_exit(EXIT_USAGE, "--columns and --filter are of one table");
}

static void
check_verify(const Settings *settings)
{
	if ((settings->conninfo == NULL) != (settings->job == NULL))
		client_exit(EXIT_USAGE, "-d CONNINFO and --job=N go together");
	if (settings->arguments.count != (settings->job ? 0 : 1))
		client_exit(EXIT_USAGE,
					"verify needs one path, or -d CONNINFO and --job=N");
}

static void
check_settings(Settings *settings, unsigned command)
{
	switch (command)
	{
		case IN_STREAM:
			check_source(settings);
			check_delivery(settings);
			break;
		case IN_REPLAY:
			if (settings->arguments.count != 1)
				client_exit(EXIT_USAGE, "replay needs a dead-letter file");
			check_delivery(settings);
			break;
		case IN_EXPORT:
			check_export(settings);
			break;
		case IN_VERIFY:
			check_verify(settings);
			break;
		default:
			if (settings->conninfo == NULL || settings->arguments.count > 0)
				client_exit(EXIT_USAGE, "check needs -d CONNINFO, and takes "
										"no arguments");
			break;
	}
	if (settings->conninfo)
		pq_check_conninfo(settings->conninfo, "the connection string of -d");
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
	const Manual *manual = manual_find(command);
	CliReader	  reader = {.settings = settings, .command = manual->command};
	bool		  only_arguments = false;
	int			  i = 0;

	set_presets(settings);
	while (i < argc)
	{
		if (!only_arguments && strcmp(argv[i], "--help") == 0)
		{
			manual_show(manual);
			exit(EXIT_OK);
		}
		if (!only_arguments && strcmp(argv[i], "--") == 0)
		{
			only_arguments = true;
			i++;
		}
		else if (!only_arguments && argv[i][0] == '-' && argv[i][1] != '\0')
			i += read_argument(&reader, manual, argv + i);
		else
			texts_add(&settings->arguments, argv[i++]);
	}
	if (reader.config)
		read_config(&reader);
	log_setup(log_level(settings->log_level),
			  strcmp(settings->log_format, "json") == 0);
	if (reader.has_password && disk_is_open_to_others(reader.config))
		log_message(LOG_WARNING,
					"others may read or write \"%s\", which has a password: "
					"its mode should be 0600 or 0640",
					reader.config);
	free(reader.config);
	check_settings(settings, manual->command);
}
