/*
 * options_wal2json.c
 *		The options of format wal2json: wal2json's own names and defaults.
 *
 * What filters becomes the stream's own filters, what is written goes to the
 * format.  Lists are read as wal2json reads them: separated by commas and
 * white space, with a backslash in front of characters that are meant
 * literally, without quotes.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "nodes/makefuncs.h"
#include "nodes/value.h"
#include "parser/scansup.h"

#include "encode/wal2json/wal2json.h"
#include "option.h"
#include "row/mask.h"
#include "stream/stream.h"

/* Options that the stream acts on; the rest is the format's. */
typedef struct Wal2jsonOptions
{
	Wal2json format;
	char	*name; /* option "format" */
	int		 format_version;
	bool	 include_empty_transaction;
	bool	 partition_root;
	char	*actions;
	char	*filter_origins;
	char	*filter_tables;
	char	*add_tables;
	char	*filter_msg_prefixes;
	char	*add_msg_prefixes;
	int64	 max_value_bytes;
	int64	 max_record_bytes;
	int		 oversize;
	List	*skip_changes;
	char	*mask_columns;
} Wal2jsonOptions;

#define OPTION_AT(field) offsetof(Wal2jsonOptions, field)
#define FLAG(name, field, boot)                                               \
	{                                                                         \
		name, OPTION_BOOL, OPTION_AT(format.field), boot                      \
	}
#define TEXT(name, field)                                                     \
	{                                                                         \
		name, OPTION_STRING, OPTION_AT(field)                                 \
	}

static const OptionSpec wal2json_table[] = {
	TEXT("format", name),
	{"format-version", OPTION_INT, OPTION_AT(format_version), "1", 1, 2},
	FLAG("include-transaction", include_transaction, "on"),
	FLAG("include-xids", include_xids, "off"),
	FLAG("include-timestamp", include_timestamp, "off"),
	FLAG("include-origin", include_origin, "off"),
	FLAG("include-schemas", include_schemas, "on"),
	FLAG("include-types", include_types, "on"),
	FLAG("include-type-oids", include_type_oids, "off"),
	FLAG("include-typmod", include_typmod, "on"),
	FLAG("include-domain-data-type", include_domain_data_type, "off"),
	FLAG("include-column-positions", include_column_positions, "off"),
	FLAG("include-not-null", include_not_null, "off"),
	FLAG("include-default", include_default, "off"),
	FLAG("include-pk", include_pk, "off"),
	FLAG("include-lsn", include_lsn, "off"),
	FLAG("pretty-print", pretty_print, "off"),
	FLAG("write-in-chunks", write_in_chunks, "off"),
	FLAG("numeric-data-types-as-string", numbers_as_string, "off"),
	{"include-empty-transaction", OPTION_BOOL,
	 OPTION_AT(include_empty_transaction), "on"},
	{"partition-root", OPTION_BOOL, OPTION_AT(partition_root), "off"},
	TEXT("actions", actions),
	TEXT("filter-origins", filter_origins),
	TEXT("filter-tables", filter_tables),
	TEXT("add-tables", add_tables),
	TEXT("filter-msg-prefixes", filter_msg_prefixes),
	TEXT("add-msg-prefixes", add_msg_prefixes),
	/* ours; by default only what wal2json itself fails at is left out */
	{"max_value_bytes", OPTION_SIZE, OPTION_AT(max_value_bytes), "1000MB",
	 1024, MAX_RECORD_BYTES},
	{"max_record_bytes", OPTION_SIZE, OPTION_AT(max_record_bytes), "1000MB",
	 1024, MAX_RECORD_BYTES},
	{"oversize", OPTION_ENUM, OPTION_AT(oversize), "omit", 0, 0,
	 oversize_choices},
	{"skip_changes", OPTION_LIST, OPTION_AT(skip_changes)},
	TEXT("mask_columns", mask_columns),
	{NULL},
};

/* Whether the option is one of wal2json's alone; those have hyphens. */
bool
wal2json_options_know(const char *name)
{
	return strchr(name, '-') != NULL && option_find(wal2json_table, name);
}

static void
report_bad_list(const char *option, const char *text)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value \"%s\" for " STREAM_OPTION " \"%s\"",
					option_shown(text), option),
			 errhint("It is a list separated by commas; a backslash goes in "
					 "front of a space, quote, comma, period, asterisk or "
					 "backslash inside a name.")));
}

/*
 * The end of the item at p: a comma, white space or the end of the text.  NULL
 * if there is no item, or half an escape at its end.
 */
static const char *
item_end(const char *p)
{
	const char *start = p;

	while (*p && *p != ',' && !scanner_isspace(*p))
	{
		if (*p == '\\' && *++p == '\0')
			return NULL;
		p++;
	}
	return p == start ? NULL : p;
}

static const char *
skip_space(const char *p)
{
	while (scanner_isspace(*p))
		p++;
	return p;
}

/* A list of char *, in which backslashes still stand. */
static List *
wal2json_split_list(const char *option, const char *text)
{
	List	   *items = NIL;
	const char *p;

	if (text == NULL)
		return NIL;
	p = skip_space(text);
	while (*p)
	{
		const char *end = item_end(p);

		if (end == NULL)
			report_bad_list(option, text);
		items = lappend(items, pnstrdup(p, end - p));
		p = skip_space(end);
		if (*p == ',')
		{
			p = skip_space(p + 1);
			if (*p == '\0')
				report_bad_list(option, text);
		}
		else if (*p)
			report_bad_list(option, text);
	}
	return items;
}

/*
 * The pattern that matches a name as it stands; "end" is where it ends in the
 * item, which may hold backslashes.
 */
static char *
literal_pattern(const char *p, const char *end)
{
	StringInfoData pattern;

	initStringInfo(&pattern);
	for (; p < end; p++)
	{
		if (*p == '\\')
			p++;
		if (*p == '*' || *p == '?' || *p == '\\')
			appendStringInfoChar(&pattern, '\\');
		appendStringInfoChar(&pattern, *p);
	}
	return pattern.data;
}

/* schema.table, where either may be a lone asterisk */
static NamePattern *
table_pattern(const char *item)
{
	NamePattern *pattern = palloc0(sizeof(NamePattern));
	const char	*dot = item;

	for (; *dot && *dot != '.'; dot++)
		if (*dot == '\\')
			dot++;
	if (*dot == '\0')
		return NULL;
	if (item[0] == '*' && dot == item + 1)
		pattern->schema = "*";
	else
		pattern->schema = literal_pattern(item, dot);
	if (strcmp(dot + 1, "*") == 0)
		pattern->table = "*";
	else
		pattern->table = literal_pattern(dot + 1, dot + strlen(dot));
	return pattern;
}

static List *
table_patterns(const char *option, const char *text)
{
	List	 *patterns = NIL;
	ListCell *lc;

	foreach (lc, wal2json_split_list(option, text))
	{
		NamePattern *pattern = table_pattern(lfirst(lc));

		if (pattern == NULL)
			report_bad_list(option, text);
		patterns = lappend(patterns, pattern);
	}
	return patterns;
}

/* A list that is given but empty lets no table through. */
static List *
wanted_tables(const char *text)
{
	List		*patterns = table_patterns("add-tables", text);
	NamePattern *nothing;

	if (text == NULL || patterns != NIL)
		return patterns;
	nothing = palloc0(sizeof(NamePattern));
	nothing->schema = nothing->table = "";
	return list_make1(nothing);
}

static int
wanted_actions(const char *text)
{
	return text ? action_mask(wal2json_split_list("actions", text))
				: ACTION_ALL;
}

/* What has no origin is never filtered, not even by the number of none. */
static List *
origin_ids(const char *text)
{
	List	 *ids = NIL;
	ListCell *lc;

	foreach (lc, wal2json_split_list("filter-origins", text))
	{
		const char *item = lfirst(lc);
		Oid			id;

		if (strspn(item, "0123456789") != strlen(item) || strlen(item) > 9)
			report_bad_list("filter-origins", text);
		id = (Oid) atoi(item);
		if (OidIsValid(id))
			ids = lappend_oid(ids, id);
	}
	return ids;
}

/* What an option without a value means; a flag is on. */
static const char *
implied_value(const char *name)
{
	static const struct
	{
		const char *name;
		const char *value;
	} implied[] = {
		{"format-version", "2"},  {"actions", "insert,update,delete,truncate"},
		{"filter-origins", ""},	  {"filter-tables", ""},
		{"add-tables", ""},		  {"filter-msg-prefixes", ""},
		{"add-msg-prefixes", ""},
	};
	int i;

	for (i = 0; i < lengthof(implied); i++)
		if (strcmp(implied[i].name, name) == 0)
			return implied[i].value;
	return NULL;
}

static List *
complete_options(List *elements)
{
	List	 *complete = NIL;
	ListCell *lc;

	foreach (lc, elements)
	{
		DefElem	   *element = lfirst(lc);
		const char *value = implied_value(element->defname);

		if (element->arg == NULL && value != NULL)
			element = makeDefElem(element->defname,
								  (Node *) makeString(pstrdup(value)), -1);
		complete = lappend(complete, element);
	}
	return complete;
}

/* What a format asks of the stream, and the stream's own filters. */
static void
set_stream_options(const Wal2jsonOptions *given, StreamOptions *options)
{
	options->tables = wanted_tables(given->add_tables);
	options->exclude_tables =
		table_patterns("filter-tables", given->filter_tables);
	options->action_mask = wanted_actions(given->actions);
	if (given->format_version == 1)
		options->action_mask &= ~ACTION_TRUNCATE;
	options->exclude_origins = origin_ids(given->filter_origins);
	options->messages = true;
	options->message_prefixes =
		wal2json_split_list("add-msg-prefixes", given->add_msg_prefixes);
	options->exclude_prefixes =
		wal2json_split_list("filter-msg-prefixes", given->filter_msg_prefixes);
	options->include_transactions =
		given->format_version == 1 || given->format.include_transaction;
	options->masks =
		mask_rules_parse(STREAM_OPTION, "mask_columns", given->mask_columns);
	options->skip_changes = given->skip_changes;
	skip_changes_parse(options);
	options->max_value_bytes = given->max_value_bytes;
	options->max_record_bytes = given->max_record_bytes;
	options->oversize = given->oversize;
}

const ChangeFormat *
wal2json_options_parse(List *elements, StreamOptions *options)
{
	Wal2jsonOptions *given = palloc0(sizeof(Wal2jsonOptions));
	Wal2json		*format = &given->format;
	bool			 v1;

	options_parse(wal2json_table, STREAM_OPTION, complete_options(elements),
				  given);
	v1 = given->format_version == 1;
	if (!v1)
		format->include_typmod = true; /* an option of version 1 */
	wal2json_init(format);

	memset(options, 0, sizeof(*options));
	set_stream_options(given, options);
	options->own = format;
	options->traits.session_settings = true;
	/* version 2 without their records has nothing to write of them */
	options->traits.empty_transactions = given->include_empty_transaction &&
										 (v1 || format->include_transaction);
	options->traits.root_names = given->partition_root;
	options->traits.one_name = true;
	options->traits.needs_identity = true;
	options->traits.shows_defaults = format->include_default;
	options->traits.keep_unchanged = true;
	options->traits.all_kinds = true;
	options->traits.plain_messages = true;
	options->traits.virtual_columns = true;
	options->traits.no_two_phase = true;
	options->traits.one_record = v1 && !format->write_in_chunks;
	return v1 ? &change_format_wal2json_v1 : &change_format_wal2json_v2;
}
