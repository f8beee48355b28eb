/*
 * export_options.c
 *		The "options" argument of an export, a JSON object of scalars.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "export/export_options.h"
#include "option.h"
#include "row/mask.h"

#define OPTION_KIND "export option"

/* As written; turned into ExportOptions afterwards. */
typedef struct RawOptions
{
	bool  header;
	bool  overwrite;
	bool  row_security;
	bool  create;
	bool  sequences;
	int	  publish;
	int	  load;
	int	  base;
	int	  carry;
	char *catalog;
	char *checksum;
	char *delimiter;
	char *quote;
	char *escape;
	char *null;
	char *encoding;
	char *force_quote;
	List *lossy;
	List *as;
	char *profile;
	List *part_key;
	char *mode;
	char *mask_columns;
	int	  row_group_rows;
} RawOptions;

static const OptionChoice carry_modes[] = {
	{"link", CARRY_LINK}, {"reference", CARRY_REFERENCE}, {NULL}};

static const OptionChoice publish_modes[] = {
	{"append", PUBLISH_APPEND}, {"replace", PUBLISH_REPLACE}, {NULL}};

static const OptionChoice load_modes[] = {{"staged", LOAD_STAGED},
										  {"direct", LOAD_DIRECT},
										  {"kept", LOAD_KEPT},
										  {NULL}};

/* argument "base" has the others */
static const OptionChoice bases[] = {{"last", true}, {NULL}};

static const OptionSpec table[] = {
	{"as", OPTION_LIST, offsetof(RawOptions, as)},
	{"base", OPTION_ENUM, offsetof(RawOptions, base), NULL, 0, 0, bases},
	{"carry", OPTION_ENUM, offsetof(RawOptions, carry), "link", 0, 0,
	 carry_modes},
	{"catalog", OPTION_STRING, offsetof(RawOptions, catalog)},
	{"checksum", OPTION_STRING, offsetof(RawOptions, checksum), "xxh128"},
	{"create", OPTION_BOOL, offsetof(RawOptions, create)},
	{"delimiter", OPTION_STRING, offsetof(RawOptions, delimiter)},
	{"encoding", OPTION_STRING, offsetof(RawOptions, encoding)},
	{"escape", OPTION_STRING, offsetof(RawOptions, escape)},
	{"force_quote", OPTION_STRING, offsetof(RawOptions, force_quote)},
	{"header", OPTION_BOOL, offsetof(RawOptions, header)},
	{"load", OPTION_ENUM, offsetof(RawOptions, load), NULL, 0, 0, load_modes},
	{"lossy", OPTION_LIST, offsetof(RawOptions, lossy)},
	{"mask_columns", OPTION_STRING, offsetof(RawOptions, mask_columns)},
	{"mode", OPTION_STRING, offsetof(RawOptions, mode)},
	{"null", OPTION_STRING, offsetof(RawOptions, null)},
	{"overwrite", OPTION_BOOL, offsetof(RawOptions, overwrite)},
	{"part_key", OPTION_LIST, offsetof(RawOptions, part_key)},
	{"profile", OPTION_STRING, offsetof(RawOptions, profile)},
	{"publish", OPTION_ENUM, offsetof(RawOptions, publish), NULL, 0, 0,
	 publish_modes},
	{"quote", OPTION_STRING, offsetof(RawOptions, quote)},
	{"row_group_rows", OPTION_INT, offsetof(RawOptions, row_group_rows), NULL,
	 1, PG_INT32_MAX},
	{"row_security", OPTION_BOOL, offsetof(RawOptions, row_security)},
	{"sequences", OPTION_BOOL, offsetof(RawOptions, sequences)},
	{NULL}};

static char *
scalar_text(const char *name, const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvBool:
			return pstrdup(value->val.boolean ? "true" : "false");
		case jbvNumeric:
			return DatumGetCString(DirectFunctionCall1(
				numeric_out, NumericGetDatum(value->val.numeric)));
		default:
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("value of " OPTION_KIND " \"%s\" must be a "
								   "string, a number or a boolean",
								   option_shown(name))));
	}
}

/* {"name": scalar, ...} as a List of DefElem. */
static List *
elements_of(const char *json)
{
	List			  *elements = NIL;
	Jsonb			  *jsonb;
	JsonbIterator	  *iterator;
	JsonbValue		   value;
	JsonbIteratorToken token;
	char			  *name = NULL;

	jsonb =
		DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(json)));
	if (!JB_ROOT_IS_OBJECT(jsonb))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("options must be a JSON object")));
	iterator = JsonbIteratorInit(&jsonb->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = pnstrdup(value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE)
			elements = lappend(
				elements,
				makeDefElem(
					name, (Node *) makeString(scalar_text(name, &value)), -1));
	}
	return elements;
}

/*
 * A file's mode, as four octal digits: other texts mean different numbers to
 * different people.  An export has to write its files and read them again,
 * nobody has to run them, and what everybody may write proves nothing.
 */
static int
mode_of(const char *text)
{
	long mode;

	if (text == NULL)
		return 0;
	if (strlen(text) != 4 || strspn(text, "01234567") != 4)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for " OPTION_KIND " \"mode\": \"%s\"",
						option_shown(text)),
				 errhint("Write it as four octal digits, such as "
						 "\"0640\".")));
	mode = strtol(text, NULL, 8);
	if ((mode & ~0664) != 0 || (mode & 0600) != 0600)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("mode \"%s\" cannot be that of an export's files", text),
			 errdetail("Their owner must be able to read and write them; "
					   "nobody may execute them, and not everybody may "
					   "write them.")));
	return mode;
}

/* A one-byte option; 0 when it was not given. */
static char
single_byte(const char *name, const char *text)
{
	if (text == NULL)
		return '\0';
	if (strlen(text) != 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg(OPTION_KIND " \"%s\" must be a single one-byte "
										   "character",
							   name)));
	return text[0];
}

/*
 * true or "*" for all columns, false for none, or a list of names, in which
 * those that look like one of these are double-quoted.
 */
static void
set_force_quote(const char *text, RowFormatOptions *options)
{
	static const OptionSpec list = {"force_quote", OPTION_LIST, 0};

	if (text == NULL || strcmp(text, "false") == 0)
		return;
	options->force_quote = strcmp(text, "true") == 0 || strcmp(text, "*") == 0;
	if (!options->force_quote)
		option_set(&list, OPTION_KIND, text, &options->force_quote_columns);
}

/*
 * Text of SQL_ASCII is bytes of no known encoding: they are exported as they
 * are, unless the user names an encoding, which they are then checked for.
 */
static int
encoding_of(const char *name)
{
	int encoding;

	if (name == NULL)
		return GetDatabaseEncoding() == PG_SQL_ASCII ? PG_SQL_ASCII : PG_UTF8;
	encoding = pg_char_to_encoding(name);
	if (encoding < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown encoding \"%s\"", option_shown(name))));
	return encoding;
}

void
export_options_parse(const char *json, ExportOptions *options)
{
	RawOptions raw;

	memset(options, 0, sizeof(ExportOptions));
	options_set_defaults(table, &raw);
	options_parse(table, OPTION_KIND, elements_of(json), &raw);

	options->overwrite = raw.overwrite;
	options->row_security = raw.row_security;
	options->carry = raw.carry;
	options->catalog = raw.catalog;
	options->create = raw.create;
	options->sequences = raw.sequences;
	options->publish = raw.publish;
	options->load = raw.load;
	options->base_is_last = raw.base;
	options->mode = mode_of(raw.mode);
	options->part_key = raw.part_key;
	options->mask_columns = raw.mask_columns;
	options->masks =
		mask_rules_parse(OPTION_KIND, "mask_columns", raw.mask_columns);
	options->checksum = checksum_parse(raw.checksum);
	options->row.header = raw.header;
	set_force_quote(raw.force_quote, &options->row);
	options->row.delimiter = single_byte("delimiter", raw.delimiter);
	options->row.quote = single_byte("quote", raw.quote);
	options->row.escape = single_byte("escape", raw.escape);
	options->row.null = raw.null;
	options->row.lossy = raw.lossy;
	options->row.as = raw.as;
	options->row.profile = raw.profile;
	options->row.group_rows = raw.row_group_rows;
	options->row.encoding = encoding_of(raw.encoding);
	options->names_encoding = raw.encoding != NULL;
}

int64
export_size_parse(const char *name, const char *text)
{
	int64			 size;
	const OptionSpec spec = {name, OPTION_SIZE, 0,
							 NULL, 8 * 1024,	PG_INT64_MAX};

	option_set(&spec, "argument", text, &size);
	return size;
}
