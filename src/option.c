/*
 * option.c
 *		Table-driven parser for named options.
 */
#include "postgres.h"

#include <ctype.h>
#include <math.h>

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "nodes/parsenodes.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "option.h"

/* Longer values are nobody's options. */
#define MAX_OPTION_LENGTH (1024 * 1024)
/* In messages, a value is cut after so many bytes. */
#define SHOWN_VALUE_LENGTH 100
/* An identity of age(1) is longer. */
#define SECRET_LENGTH 45

/* "a", "b", ...: the valid names, for a hint. */
static char *
option_names(const OptionSpec *table)
{
	StringInfoData names;

	initStringInfo(&names);
	for (const OptionSpec *spec = table; spec->name; spec++)
		appendStringInfo(&names, "%s%s", spec == table ? "" : ", ",
						 spec->name);
	return names.data;
}

const OptionSpec *
option_find(const OptionSpec *table, const char *name)
{
	for (const OptionSpec *spec = table; spec->name; spec++)
	{
		if (strcmp(spec->name, name) == 0)
			return spec;
	}
	return NULL;
}

/* Whether so many letters, digits and hyphens stand there: more than a mark. */
static bool
goes_on(const char *text, size_t len)
{
	size_t run = 0;

	while (run < len &&
		   (isalnum((unsigned char) text[run]) || text[run] == '-'))
		run++;
	return run >= SECRET_LENGTH;
}

const char *
option_find_secret(const char *text, size_t len)
{
	static const char *const marks[] = {"AGE-SECRET-KEY-", "AGE-PLUGIN-"};

	for (size_t at = 0; at < len; at++)
	{
		if (text[at] != 'A' && text[at] != 'a')
			continue;
		for (int i = 0; i < lengthof(marks); i++)
		{
			if (len - at >= SECRET_LENGTH &&
				pg_strncasecmp(text + at, marks[i], strlen(marks[i])) == 0 &&
				goes_on(text + at, len - at))
				return text + at;
		}
	}
	return NULL;
}

void
option_refuse_secret(const char *argument, const char *text, size_t len)
{
	if (option_find_secret(text, len))
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("argument \"%s\" holds an age identity", argument),
			 errdetail("It is a secret key, which the server must never see."),
			 errhidestmt(true), errhidecontext(true)));
}

void
option_refuse_secret_argument(FunctionCallInfo fcinfo, int number,
							  const char *name)
{
	struct varlena *value;

	if (PG_ARGISNULL(number))
		return;
	value = PG_GETARG_VARLENA_PP(number);
	option_refuse_secret(name, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

void
option_refuse_secret_name(FunctionCallInfo fcinfo, int number,
						  const char *name)
{
	const char *value;

	if (PG_ARGISNULL(number))
		return;
	value = NameStr(*PG_GETARG_NAME(number));
	option_refuse_secret(name, value, strlen(value));
}

const char *
option_find_password(const char *text)
{
	const char *at = strstr(text, "://");

	return at && strchr(at, '@') ? at + strlen("://") : NULL;
}

char *
option_shown(const char *value)
{
	/* as much as tells whether what is shown ends in a secret */
	int			len = strnlen(value, SHOWN_VALUE_LENGTH + SECRET_LENGTH);
	int			shown = pg_mbcliplen(value, len, SHOWN_VALUE_LENGTH);
	const char *secret = option_find_password(value);

	if (secret && secret <= value + shown)
		return psprintf("%.*s(user and host)", (int) (secret - value), value);
	secret = option_find_secret(value, len);
	if (secret && secret < value + shown)
		return psprintf("%.*s(secret key)", (int) (secret - value), value);
	return psprintf("%.*s%s", shown, value,
					len <= SHOWN_VALUE_LENGTH ? "" : "...");
}

static void
bad_value(const OptionSpec *spec, const char *what, const char *value,
		  const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("invalid value for %s \"%s\": \"%s\"", what,
						   spec->name, option_shown(value)),
					errhint("%s", hint)));
}

static void
set_bool(const OptionSpec *spec, const char *what, const char *value,
		 bool *field)
{
	if (!parse_bool(value, field))
		bad_value(spec, what, value, "Use \"on\" or \"off\".");
}

static int64
in_range(const OptionSpec *spec, const char *what, const char *value,
		 int64 number)
{
	if (number < spec->min || number > spec->max)
		bad_value(spec, what, value,
				  psprintf("The value must lie between " INT64_FORMAT
						   " and " INT64_FORMAT ".",
						   spec->min, spec->max));
	return number;
}

static void
set_int(const OptionSpec *spec, const char *what, const char *value,
		int *field)
{
	const char *hint = NULL;

	if (!parse_int(value, field, 0, &hint))
		bad_value(spec, what, value, hint ? hint : "Use a whole number.");
	(void) in_range(spec, what, value, *field);
}

/* Bytes, with an optional unit as in PostgreSQL's settings. */
static void
set_size(const OptionSpec *spec, const char *what, const char *value,
		 int64 *field)
{
	static const struct
	{
		const char *name;
		int64		factor;
	} units[] = {{"", 1},
				 {"B", 1},
				 {"kB", INT64CONST(1) << 10},
				 {"MB", INT64CONST(1) << 20},
				 {"GB", INT64CONST(1) << 30},
				 {"TB", INT64CONST(1) << 40}};
	char  *end;
	double number;

	errno = 0;
	number = strtod(value, &end);
	while (*end == ' ')
		end++;
	for (int i = 0; i < lengthof(units); i++)
	{
		if (end == value || errno != 0 || strcmp(end, units[i].name) != 0)
			continue;
		number = rint(number * units[i].factor);
		if (!(fabs(number) < 1e18))
			break;
		*field = in_range(spec, what, value, (int64) number);
		return;
	}
	bad_value(spec, what, value,
			  "Use a number of bytes, or one with a unit: \"B\", \"kB\", "
			  "\"MB\", \"GB\" or \"TB\".");
}

/*
 * Splits at commas; white space around an item is dropped.  An item, or a part
 * of it, may be double-quoted to hold commas and spaces; a doubled quote in it
 * is one quote.  Quotes stay out of the items.
 */
const char *
option_split_list(const char *value, List **items)
{
	const char	  *p = value;
	StringInfoData item;

	*items = NIL;
	initStringInfo(&item);
	for (;;)
	{
		int keep = 0; /* up to here white space was quoted */

		resetStringInfo(&item);
		while (scanner_isspace(*p))
			p++;
		for (; *p && *p != ','; p++)
		{
			if (*p != '"')
			{
				appendStringInfoChar(&item, *p);
				continue;
			}
			for (p++; *p && (*p != '"' || p[1] == '"'); p++)
			{
				if (*p == '"')
					p++;
				appendStringInfoChar(&item, *p);
			}
			if (*p == '\0')
				return "A double quote is missing.";
			keep = item.len;
		}
		while (item.len > keep && scanner_isspace(item.data[item.len - 1]))
			item.data[--item.len] = '\0';
		if (item.len == 0)
			return "The list must have a name between its commas.";
		*items = lappend(*items, pstrdup(item.data));
		if (*p == '\0')
			break;
		p++;
	}
	pfree(item.data);
	return NULL;
}

static List *
split_list(const OptionSpec *spec, const char *what, const char *value)
{
	List	   *items;
	const char *problem = option_split_list(value, &items);

	if (problem)
		bad_value(spec, what, value, problem);
	return items;
}

static void
set_choice(const OptionSpec *spec, const char *what, const char *value,
		   int *field)
{
	StringInfoData names;

	initStringInfo(&names);
	for (const OptionChoice *choice = spec->choices; choice->name; choice++)
	{
		if (strcmp(choice->name, value) == 0)
		{
			*field = choice->value;
			return;
		}
		appendStringInfo(&names, "%s\"%s\"", names.len ? ", " : "",
						 choice->name);
	}
	bad_value(spec, what, value,
			  psprintf("Valid values are: %s.", names.data));
}

void
option_set(const OptionSpec *spec, const char *what, const char *value,
		   void *target)
{
	char *field = (char *) target + spec->offset;

	if (value && strlen(value) > MAX_OPTION_LENGTH)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("value of %s \"%s\" is longer than %d bytes",
							   what, spec->name, MAX_OPTION_LENGTH)));
	if (value == NULL && spec->type == OPTION_BOOL)
		value = "on";
	if (value == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s \"%s\" needs a value", what, spec->name)));

	switch (spec->type)
	{
		case OPTION_BOOL:
			set_bool(spec, what, value, (bool *) field);
			break;
		case OPTION_INT:
			set_int(spec, what, value, (int *) field);
			break;
		case OPTION_SIZE:
			set_size(spec, what, value, (int64 *) field);
			break;
		case OPTION_STRING:
			*(char **) field = pstrdup(value);
			break;
		case OPTION_LIST:
			*(List **) field = split_list(spec, what, value);
			break;
		case OPTION_ENUM:
			set_choice(spec, what, value, (int *) field);
			break;
	}
}

void
options_set_defaults(const OptionSpec *table, void *target)
{
	for (const OptionSpec *spec = table; spec->name; spec++)
	{
		char *field = (char *) target + spec->offset;

		if (spec->boot)
			option_set(spec, "default of option", spec->boot, target);
		else if (spec->type == OPTION_BOOL)
			*(bool *) field = false;
		else if (spec->type == OPTION_INT || spec->type == OPTION_ENUM)
			*(int *) field = 0;
		else if (spec->type == OPTION_SIZE)
			*(int64 *) field = 0;
		else
			*(void **) field = NULL;
	}
}

void
options_parse(const OptionSpec *table, const char *what, List *elements,
			  void *target)
{
	List	 *seen = NIL;
	ListCell *cell;

	options_set_defaults(table, target);
	foreach (cell, elements)
	{
		DefElem			 *element = lfirst_node(DefElem, cell);
		const OptionSpec *spec = option_find(table, element->defname);

		if (spec == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown %s \"%s\"", what,
							option_shown(element->defname)),
					 errhint("Valid names are: %s.", option_names(table))));
		if (list_member_ptr(seen, spec))
			ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
							errmsg("%s \"%s\" is given more than once", what,
								   spec->name)));
		seen = lappend(seen, unconstify(OptionSpec *, spec));
		option_set(spec, what, element->arg ? strVal(element->arg) : NULL,
				   target);
	}
	list_free(seen);
}
