/*
 * options.c
 *		The formats that a stream can be asked for.
 *
 * The format is found first, since it may bring option names of its own.
 */
#include "postgres.h"

#include "commands/defrem.h"
#include "lib/stringinfo.h"

#include "option.h"
#include "stream/stream.h"

static const StreamFormat stream_formats[] = {
	{"json", json_options_parse},
	{"wal2json", wal2json_options_parse},
	{"debezium", debezium_options_parse},
	{NULL},
};

static void
report_unknown_format(const char *name)
{
	StringInfoData names;
	int			   i;

	initStringInfo(&names);
	for (i = 0; stream_formats[i].name; i++)
		appendStringInfo(&names, "%s\"%s\"", i ? ", " : "",
						 stream_formats[i].name);
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("unknown format \"%s\"", option_shown(name)),
					errhint("Valid formats are %s.", names.data)));
}

/*
 * A consumer that was written for wal2json may know neither "format" nor
 * another plugin's name: the slot's plugin tells (the library is installed
 * under more names than one), or an option that only wal2json has.
 */
static const char *
chosen_format(const char *plugin, List *elements)
{
	static const char wal2json[] = "wal2json";
	int				  before = strlen(plugin) - strlen(wal2json);
	bool			  is_named;
	ListCell		 *lc;

	is_named = before >= 0 && strcmp(plugin + before, wal2json) == 0;
	foreach (lc, elements)
	{
		DefElem *element = lfirst(lc);

		if (strcmp(element->defname, "format") == 0 && element->arg != NULL)
			return defGetString(element);
		is_named |= wal2json_options_know(element->defname);
	}
	return is_named ? wal2json : stream_formats[0].name;
}

static void
refuse_secrets(const List *elements)
{
	const ListCell *cell;

	foreach (cell, elements)
	{
		const DefElem *element = lfirst_node(DefElem, cell);
		const char	  *value = element->arg ? strVal(element->arg) : "";

		option_refuse_secret("options", element->defname,
							 strlen(element->defname));
		option_refuse_secret(element->defname, value, strlen(value));
	}
}

const ChangeFormat *
stream_options_parse(const char *plugin, List *elements,
					 StreamOptions *options)
{
	const char *name;
	int			i;

	refuse_secrets(elements);
	name = chosen_format(plugin, elements);
	for (i = 0; stream_formats[i].name; i++)
		if (strcmp(stream_formats[i].name, name) == 0)
			return stream_formats[i].parse(elements, options);
	report_unknown_format(name);
	return NULL;
}
