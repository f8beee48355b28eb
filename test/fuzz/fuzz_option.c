/*
 * fuzz_option.c
 *		The option parser with the plugin's own table, one with every type of
 *		option, and lists that must come back item by item.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "nodes/value.h"
#include "parser/scansup.h"

#include "fuzz.h"
#include "option.h"
#include "stream/stream.h"

typedef struct AllTypes
{
	bool  flag;
	int	  number;
	int64 size;
	char *string;
	List *list;
	int	  choice;
} AllTypes;

static const OptionChoice choices[] = {{"one", 1}, {"two", 2}, {NULL}};

static const OptionSpec table[] = {
	{"flag", OPTION_BOOL, offsetof(AllTypes, flag)},
	{"number", OPTION_INT, offsetof(AllTypes, number), "7", -10, 1000},
	{"size", OPTION_SIZE, offsetof(AllTypes, size), "1kB", 1, 1 << 30},
	{"string", OPTION_STRING, offsetof(AllTypes, string)},
	{"list", OPTION_LIST, offsetof(AllTypes, list)},
	{"choice", OPTION_ENUM, offsetof(AllTypes, choice), "two", 0, 0, choices},
	{NULL}};

/* Names that exist come often; the rest is the input's. */
static const char *const names[] = {
	"format",		  "format_version",	   "tables",
	"exclude_tables", "exclude_columns",   "actions",
	"origin",		  "messages",		   "message_prefixes",
	"batch_bytes",	  "numbers",		   "max_value_bytes",
	"oversize",		  "skip_changes",	   "after_snapshot",
	"include_old",	  "publication_names", "format-version",
	"add-tables",	  "filter-tables",	   "include-xids",
	"mask_columns",	  "actions",		   "filter-origins",
	"include-lsn"};

static void
init(void)
{
}

static char *
read_string(FuzzInput *in, int max)
{
	int	  len;
	char *bytes = fuzz_bytes(in, max, &len);
	char *string = fuzz_exact(psprintf("%*s", len, ""), len + 1);

	memcpy(string, bytes, len);
	for (int i = 0; i < len; i++)
	{
		if (string[i] == '\0')
			string[i] = ' ';
	}
	/* as everything that a client sends */
	if (!pg_verify_mbstr(PG_UTF8, string, len, true))
	{
		for (int i = 0; i < len; i++)
			string[i] &= 0x7F;
		for (int i = 0; i < len; i++)
			string[i] = string[i] ? string[i] : '?';
	}
	return string;
}

/* Either fills every field with what its row allows, or raises an ERROR. */
static void
try_all_types(FuzzInput *in)
{
	AllTypes result;
	List	*elements = NIL;
	int		 count = fuzz_below(in, 6);

	memset(&result, 0xAA, sizeof(result));
	for (int i = 0; i < count; i++)
	{
		int	  which = fuzz_below(in, 7);
		char *name =
			which < 6 ? pstrdup(table[which].name) : read_string(in, 200);

		elements = lappend(
			elements,
			makeDefElem(name,
						fuzz_below(in, 8) == 0
							? NULL
							: (Node *) makeString(read_string(in, 300)),
						-1));
	}
	options_parse(table, "test option", elements, &result);
	if ((result.flag != true && result.flag != false) || result.number < -10 ||
		result.number > 1000 || result.size < 1 || result.size > 1 << 30 ||
		result.choice < 1 || result.choice > 2)
		fuzz_fail("a value is out of its range");
	if (result.string)
		(void) strlen(result.string);
	for (int i = 0; i < list_length(result.list); i++)
	{
		if (*(char *) list_nth(result.list, i) == '\0')
			fuzz_fail("an item of a list is empty");
	}
}

/* Items, quoted as they need it, come back as they were. */
static void
try_list(FuzzInput *in)
{
	StringInfoData text;
	List		  *items = NIL;
	List		  *result = NIL;
	OptionSpec	   spec = {"list", OPTION_LIST, 0};
	int			   count = 1 + fuzz_below(in, 5);

	initStringInfo(&text);
	for (int i = 0; i < count; i++)
	{
		char *item = read_string(in, 100);

		if (*item == '\0')
			item = "x";
		items = lappend(items, item);
		appendStringInfoString(&text, i > 0 ? " , \"" : "\"");
		for (const char *p = item; *p; p++)
		{
			if (*p == '"')
				appendStringInfoChar(&text, '"');
			appendStringInfoChar(&text, *p);
		}
		appendStringInfoChar(&text, '"');
	}
	fuzz_must_succeed(true);
	option_set(&spec, "test option", fuzz_exact(text.data, text.len + 1),
			   &result);
	if (list_length(result) != count)
		fuzz_fail("%d items became %d: %s", count, list_length(result),
				  text.data);
	for (int i = 0; i < count; i++)
	{
		if (strcmp(list_nth(items, i), list_nth(result, i)) != 0)
			fuzz_fail("item %d of %s became \"%s\"", i, text.data,
					  (char *) list_nth(result, i));
	}
}

static void
try_plugin(FuzzInput *in)
{
	StreamOptions options;
	List		 *elements = NIL;
	int			  count = fuzz_below(in, 5);
	const char	 *tables[] = {"public", "a.b", "\303\244*", ""};

	memset(&options, 0, sizeof(options));
	for (int i = 0; i < count; i++)
	{
		int	  which = fuzz_below(in, lengthof(names) + 2);
		char *name = which < lengthof(names) ? pstrdup(names[which])
											 : read_string(in, 40);

		elements = lappend(
			elements,
			makeDefElem(name, (Node *) makeString(read_string(in, 200)), -1));
	}
	if (fuzz_parse_options(elements, &options) == NULL)
		fuzz_fail("no format");
	fuzz_must_succeed(true);
	for (int i = 0; i < lengthof(tables); i++)
	{
		const char *exact = fuzz_exact(tables[i], strlen(tables[i]) + 1);

		(void) name_patterns_match_table(options.tables, exact, exact);
		(void) name_patterns_match_table(options.exclude_tables, exact, exact);
	}
}

static void
run(FuzzInput *in)
{
	switch (fuzz_below(in, 3))
	{
		case 0:
			try_all_types(in);
			break;
		case 1:
			try_list(in);
			break;
		default:
			try_plugin(in);
			break;
	}
}

const FuzzTarget fuzz_option = {"option", init, run};
