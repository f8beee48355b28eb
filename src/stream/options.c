/*
 * options.c
 *		The output plugin's options, and the formats that can be asked for.
 *
 * The format is found first, since it may bring option names of its own.
 */
#include "postgres.h"

#include <ctype.h>

#include "commands/defrem.h"

#include "compat.h"
#include "option.h"
#include "stream/stream.h"

#define WHAT "output plugin option"

static const StreamFormat stream_formats[] = {
	{"json", json_options_parse},
	{"wal2json", wal2json_options_parse},
	{"debezium", debezium_options_parse},
	{NULL},
};

static const OptionChoice number_choices[] = {
	{"native", 0},
	{"string", 1},
	{NULL},
};

const OptionChoice oversize_choices[] = {
	{"omit", OVERSIZE_OMIT},
	{"error", OVERSIZE_ERROR},
	{NULL},
};

#define FIELD(field) offsetof(StreamOptions, field)

/* A batch can't pass 1 GB; leave room for escapes of one value. */
#define MAX_BATCH (INT64CONST(256) * 1024 * 1024)

/* clang-format off */
static const OptionSpec debezium_table[] = {
	{"topic_prefix", OPTION_STRING, FIELD(topic_prefix)},
	/* the options of format json begin here */
	{"format", OPTION_STRING, FIELD(format), "json"},
	{"format_version", OPTION_INT, FIELD(format_version), "1", 1, 1},
	{"publication_names", OPTION_LIST, FIELD(publication_names)},
	{"tables", OPTION_LIST, FIELD(tables)},
	{"exclude_tables", OPTION_LIST, FIELD(exclude_tables)},
	{"exclude_columns", OPTION_LIST, FIELD(exclude_columns)},
	{"actions", OPTION_LIST, FIELD(actions), "insert,update,delete,truncate"},
	{"origin", OPTION_LIST, FIELD(origin), "any"},
	{"messages", OPTION_BOOL, FIELD(messages), "on"},
	{"message_prefixes", OPTION_LIST, FIELD(message_prefixes)},
	{"include_transactions", OPTION_BOOL, FIELD(include_transactions), "on"},
	{"include_schemas", OPTION_BOOL, FIELD(include_schemas), "on"},
	{"include_old", OPTION_BOOL, FIELD(include_old), "on"},
	{"batch_bytes", OPTION_SIZE, FIELD(batch_bytes), "0", 0, MAX_BATCH},
	{"numbers", OPTION_ENUM, FIELD(numbers), "native", 0, 0, number_choices},
	{"streaming", OPTION_BOOL, FIELD(streaming)},
	{"two_phase", OPTION_BOOL, FIELD(two_phase)},
	{"after_snapshot", OPTION_LIST, FIELD(after_snapshot)},
	{"max_value_bytes", OPTION_SIZE, FIELD(max_value_bytes), "64MB",
		1024, MAX_RECORD_BYTES},
	{"max_record_bytes", OPTION_SIZE, FIELD(max_record_bytes), "512MB",
		1024, MAX_RECORD_BYTES},
	{"oversize", OPTION_ENUM, FIELD(oversize), "omit", 0, 0, oversize_choices},
	{"skip_changes", OPTION_LIST, FIELD(skip_changes)},
	{NULL},
};
/* clang-format on */

static const OptionSpec *const json_table = debezium_table + 1;

int
action_mask(List *names)
{
	static const struct
	{
		const char *name;
		int			mask;
	} actions[] = {
		{"insert", ACTION_INSERT},
		{"update", ACTION_UPDATE},
		{"delete", ACTION_DELETE},
		{"truncate", ACTION_TRUNCATE},
	};
	ListCell *lc;
	int		  mask = 0;

	foreach (lc, names)
	{
		int found = 0;
		int i;

		for (i = 0; i < lengthof(actions); i++)
			if (strcmp(actions[i].name, lfirst(lc)) == 0)
				found = actions[i].mask;
		if (found == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid value \"%s\" for " WHAT " \"actions\"",
							option_shown(lfirst(lc))),
					 errhint("Valid values are \"insert\", \"update\", "
							 "\"delete\" and \"truncate\".")));
		mask |= found;
	}
	return mask;
}

static bool
parse_skipped(const char *text, SkippedChange *change)
{
	char		 *lsn = pstrdup(text);
	char		 *index = strchr(lsn, '/');
	char		 *end;
	bool		  good;
	unsigned long value = 0;

	/* after a second slash, as in a record's id */
	index = index ? strchr(index + 1, '/') : NULL;
	change->all = index == NULL;
	if (index)
	{
		*index++ = '\0';
		errno = 0;
		value = strtoul(index, &end, 16);
		if (!isxdigit((unsigned char) *index) || *end != '\0' || errno != 0 ||
			value > PG_UINT32_MAX)
			return false;
	}
	change->index = (uint32) value;
	good = parse_lsn(lsn, &change->lsn);
	pfree(lsn);
	return good;
}

void
skip_changes_parse(StreamOptions *options)
{
	ListCell *lc;

	options->skipped = palloc0(sizeof(SkippedChange) *
							   (list_length(options->skip_changes) + 1));
	foreach (lc, options->skip_changes)
		if (!parse_skipped(lfirst(lc), &options->skipped[options->nskipped++]))
			ereport(
				ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid change \"%s\" in " WHAT " \"skip_changes\"",
						option_shown(lfirst(lc))),
				 errhint("Name a change by its LSN, such as 0/1A2B310, or "
						 "by LSN and index, such as 0/1A2B310/0002.")));
}

static void
parse(const OptionSpec *table, List *elements, StreamOptions *options)
{
	options_parse(table, WHAT, elements, options);

	options->tables = name_patterns_parse("tables", options->tables, 2);
	options->exclude_tables =
		name_patterns_parse("exclude_tables", options->exclude_tables, 2);
	options->exclude_columns =
		name_patterns_parse("exclude_columns", options->exclude_columns, 3);
	options->action_mask = action_mask(options->actions);
	options->after_snapshot = snapshots_parse(options->after_snapshot);
	skip_changes_parse(options);
}

const ChangeFormat *
json_options_parse(List *elements, StreamOptions *options)
{
	parse(json_table, elements, options);
	return &change_format_json;
}

void
debezium_options_read(List *elements, StreamOptions *options)
{
	parse(debezium_table, elements, options);
}

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

const ChangeFormat *
stream_options_parse(const char *plugin, List *elements,
					 StreamOptions *options)
{
	const char *name = chosen_format(plugin, elements);
	int			i;

	for (i = 0; stream_formats[i].name; i++)
		if (strcmp(stream_formats[i].name, name) == 0)
			return stream_formats[i].parse(elements, options);
	report_unknown_format(name);
	return NULL;
}
