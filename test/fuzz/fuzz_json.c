/*
 * fuzz_json.c
 *		json and jsonb inside of records: raw bytes that happen to be JSON, and
 *		generated values.
 *
 * jsonb must be what jsonb_out writes, or without its spaces the same value;
 * json must be one line and the same value.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "fuzz.h"

#define MAX_LEVEL 6

static void
init(void)
{
}

static void
append_generated_string(FuzzInput *in, StringInfo text)
{
	static const char *const pieces[] = {"a",
										 "\\n",
										 "\\u0041",
										 "\\\\",
										 "\\\"",
										 "\\/",
										 "\303\244",
										 "\342\202\254",
										 "\\ud83d\\ude00",
										 "\360\237\230\200",
										 " ",
										 "key",
										 "\\u0001",
										 "\177",
										 "\\t",
										 "0123456789abcdef"};
	int						 count = fuzz_below(in, 8);

	appendStringInfoChar(text, '"');
	for (int i = 0; i < count; i++)
		appendStringInfoString(text, pieces[fuzz_below(in, lengthof(pieces))]);
	appendStringInfoChar(text, '"');
}

static void
append_generated_number(FuzzInput *in, StringInfo text)
{
	appendStringInfo(text, INT64_FORMAT,
					 (int64) fuzz_bits(in, 1 + fuzz_below(in, 8)));
	if (fuzz_below(in, 2))
		appendStringInfo(text, ".%u", (uint32) fuzz_bits(in, 3));
	if (fuzz_below(in, 4) == 0)
		appendStringInfo(text, "e%d", (int8) fuzz_bits(in, 1));
}

static void
append_white_space(FuzzInput *in, StringInfo text)
{
	static const char *const spaces[] = {"", "", "", " ", "\n", "\r\n", "\t"};

	appendStringInfoString(text, spaces[fuzz_below(in, lengthof(spaces))]);
}

void
fuzz_json_text(FuzzInput *in, StringInfo text, int level)
{
	static const char *const words[] = {"null", "true", "false"};
	int choice = fuzz_below(in, level < MAX_LEVEL ? 6 : 4);
	int count = choice < 4 ? 0 : fuzz_below(in, 6);

	append_white_space(in, text);
	if (choice == 0)
		appendStringInfoString(text, words[fuzz_below(in, lengthof(words))]);
	else if (choice == 1)
		append_generated_number(in, text);
	else if (choice < 4)
		append_generated_string(in, text);
	else
	{
		appendStringInfoChar(text, choice == 4 ? '[' : '{');
		for (int i = 0; i < count; i++)
		{
			if (i > 0)
				appendStringInfoChar(text, ',');
			if (choice == 5)
			{
				append_white_space(in, text);
				append_generated_string(in, text);
				appendStringInfoChar(text, ':');
			}
			fuzz_json_text(in, text, level + 1);
		}
		append_white_space(in, text);
		appendStringInfoChar(text, choice == 4 ? ']' : '}');
	}
	append_white_space(in, text);
}

/* What is in fuzz_out is the same value; empties it. */
static void
expect_same(const char *what, const char *server)
{
	char *ours = pnstrdup(fuzz_out.data, fuzz_out.len);
	Datum value;

	if (strlen(ours) != fuzz_out.len || strpbrk(ours, "\n\r"))
		fuzz_fail("%s: not one line of text: %s", what, ours);
	value = DirectFunctionCall1(jsonb_in, CStringGetDatum(ours));
	ours = DatumGetCString(DirectFunctionCall1(jsonb_out, value));
	if (strcmp(ours, server) != 0)
		fuzz_fail("%s: expected\n%s\nbut got\n%s", what, server, ours);
	fuzz_expect(what, fuzz_out.data, fuzz_out.len);
}

static void
run(FuzzInput *in)
{
	JsonStyle	   spaced = {.compact = false};
	JsonStyle	   compact = {.compact = true, .ascii = fuzz_below(in, 2)};
	StringInfoData text;
	Datum		   value;
	const char	  *server;
	char		  *exact;

	initStringInfo(&text);
	if (fuzz_below(in, 2))
		fuzz_json_text(in, &text, 0);
	else
	{
		int len;

		appendBinaryStringInfo(&text, (const char *) in->data, in->left);
		(void) fuzz_rest(in, &len);
	}
	if (strlen(text.data) != text.len ||
		!pg_verify_mbstr(PG_UTF8, text.data, text.len, true))
		return;
	value = DirectFunctionCall1(jsonb_in, CStringGetDatum(text.data));
	server = DatumGetCString(DirectFunctionCall1(jsonb_out, value));
	exact = fuzz_exact(text.data, text.len);
	value = fuzz_stored_form(in, value);

	fuzz_must_succeed(true);
	text_jsonb(&fuzz_out, &spaced, value);
	fuzz_expect("jsonb", server, strlen(server));
	text_jsonb(&fuzz_out, &compact, value);
	expect_same("compact jsonb", server);
	json_text(&fuzz_out, &compact, exact, text.len);
	expect_same("json", server);
}

const FuzzTarget fuzz_json = {"json", init, run};
