/*
 * cli_value.c
 *		Values of options, by their types.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli_option.h"
#include "client/log.h"
#include "client/memory.h"

void
texts_add(Texts *texts, const char *text)
{
	texts->items = client_realloc(texts->items,
								  (texts->count + 1) * sizeof(*texts->items));
	texts->items[texts->count++] = client_strdup(text);
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
	free(*field); /* a preset */
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

/* Texts between commas; a backslash takes the next character as it is. */
static void
set_list(const ClientOption *option, Texts *texts, const char *text)
{
	Bytes item = {0};

	for (;; text++)
	{
		if (*text == '\\' && text[1])
			mem_append(&item, ++text, 1);
		else if (*text && *text != ',')
			mem_append(&item, text, 1);
		else
		{
			if (item.length == 0)
				client_exit(EXIT_USAGE, "--%s has an empty item",
							option->name);
			texts_add(texts, item.data);
			mem_reset(&item);
			if (*text == '\0')
				break;
		}
	}
	mem_free(&item);
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

void
cli_set_option(Settings *settings, const ClientOption *option,
			   const char *text)
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
		case OPTION_LIST:
			set_list(option, field, text);
			break;
		case OPTION_TARGET:
			if (settings->ntargets == MAX_TARGETS)
				client_exit(EXIT_USAGE, "there are more than %d targets",
							MAX_TARGETS);
			settings->targets[settings->ntargets++] = client_strdup(text);
			break;
	}
}

/* ://USER:PASSWORD@, and Milvus' ://TOKEN@ */
static bool
url_has_password(const char *text)
{
	const char *start = strstr(text, "://");
	const char *at;

	if (start == NULL)
		return false;
	start += strlen("://");
	at = memchr(start, '@', strcspn(start, "/?"));
	return at != NULL && (memchr(start, ':', at - start) != NULL ||
						  strncmp(text, "milvus", 6) == 0);
}

bool
cli_has_password(const ClientOption *option, const char *text)
{
	const char *word = text;

	if (option->type != OPTION_TARGET && option->type != OPTION_PAIR &&
		strcmp(option->name, "dbname") != 0)
		return false;
	if (url_has_password(text))
		return true;
	/* password = of a connection string, and longer names that end like that */
	while ((word = strstr(word, "password")) != NULL)
	{
		word += strlen("password");
		if (word[strspn(word, " ")] == '=')
			return true;
	}
	return false;
}
