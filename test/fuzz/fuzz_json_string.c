/*
 * fuzz_json_string.c
 *		JSON strings, in every kind of database encoding.
 *
 * The server reads back what was written: it must be the text that went in,
 * converted to UTF-8.  In SQL_ASCII, and for bytes that UTF-8 has no
 * character for, U+EFNN stands for the byte 0xNN.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "compat.h"
#include "encoding.h"
#include "fuzz.h"

static const int encodings[] = {PG_UTF8,	PG_UTF8,		PG_LATIN1,
								PG_EUC_JP,	PG_EUC_KR,		PG_KOI8R,
								PG_WIN1252, PG_SQL_ASCII,	PG_MULE_INTERNAL,
								PG_EUC_TW,	PG_EUC_JIS_2004};

static void
init(void)
{
}

/* What the string stands for, as the server reads it, in UTF-8. */
static text *
read_back(void)
{
	char *json = pnstrdup(fuzz_out.data, fuzz_out.len);
	Datum scalar;
	text *string;

	if (!pg_verify_mbstr(PG_UTF8, json, fuzz_out.len, true))
		fuzz_fail("not UTF-8: %s", json);
	if (strlen(json) != fuzz_out.len || strpbrk(json, "\n\r"))
		fuzz_fail("not one line of text: %s", json);
	scalar =
		DirectFunctionCall1(jsonb_in, CStringGetDatum(psprintf("[%s]", json)));
	string = DatumGetTextPP(DirectFunctionCall2(jsonb_array_element_text,
												scalar, Int32GetDatum(0)));
	return string;
}

static void
append_raw(ByteBuffer *text, unsigned char byte)
{
	unsigned char utf8[MAX_MULTIBYTE_CHAR_LEN + 1] = {0};

	unicode_to_utf8(0xEF00 + byte, utf8);
	buffer_append_string(text, (char *) utf8);
}

/* One character, in UTF-8, or its bytes by the rule for those. */
static int
append_character(ByteBuffer *text, int encoding, const char *data, int len)
{
	int	 char_len = pg_encoding_mblen(encoding, data);
	Oid	 procedure;
	char utf8[64] = {0};
	int	 taken = 0;

	if (!IS_HIGHBIT_SET(*data))
	{
		buffer_append_char(text, *data);
		return 1;
	}
	if (char_len > len || !pg_verify_mbstr(encoding, data, char_len, true))
		char_len = 1;
	else if (encoding == PG_UTF8)
	{
		buffer_append(text, data, char_len);
		return char_len;
	}
	else
	{
		procedure = FindDefaultConversionProc(encoding, PG_UTF8);
		if (OidIsValid(procedure))
			taken = pg_do_encoding_conversion_buf(
				procedure, encoding, PG_UTF8, (unsigned char *) data, char_len,
				(unsigned char *) utf8, sizeof(utf8), true);
	}
	if (taken == char_len)
		buffer_append_string(text, utf8);
	else
		for (int i = 0; i < char_len; i++)
			append_raw(text, data[i]);
	return char_len;
}

/* SQL_ASCII: UTF-8 where it is, but for the characters that stand for bytes */
static int
append_of_no_encoding(ByteBuffer *text, const char *data, int len)
{
	int char_len = pg_encoding_mblen(PG_UTF8, data);

	if (char_len <= len && pg_verify_mbstr(PG_UTF8, data, char_len, true))
	{
		pg_wchar code = utf8_to_unicode((const unsigned char *) data);

		if (code < 0xEF80 || code > 0xEFFF)
		{
			buffer_append(text, data, char_len);
			return char_len;
		}
	}
	append_raw(text, *data);
	return 1;
}

static void
run(FuzzInput *in)
{
	int		   encoding = encodings[fuzz_below(in, lengthof(encodings))];
	JsonStyle  style = {.ascii = encoding != PG_UTF8 || fuzz_below(in, 2)};
	ByteBuffer expected;
	text	  *got;
	char	  *data;
	int		   len;

	data = fuzz_rest(in, &len);
	if (memchr(data, '\0', len) || !pg_verify_mbstr(encoding, data, len, true))
		return;
	buffer_init(&expected);
	for (int i = 0; i < len;)
		i += encoding == PG_SQL_ASCII && IS_HIGHBIT_SET(data[i])
				 ? append_of_no_encoding(&expected, data + i, len - i)
				 : append_character(&expected, encoding, data + i, len - i);

	fuzz_must_succeed(true);
	SetDatabaseEncoding(encoding);
	encoding_prepare();
	json_string(&fuzz_out, &style, data, len);
	SetDatabaseEncoding(PG_UTF8);
	got = read_back();
	if (VARSIZE_ANY_EXHDR(got) != expected.len ||
		memcmp(VARDATA_ANY(got), expected.data, expected.len) != 0)
		fuzz_fail("%s: expected\n%s\nbut got\n%s",
				  pg_encoding_to_char(encoding), expected.data,
				  text_to_cstring(got));
	for (int i = 0; style.ascii && i < fuzz_out.len; i++)
		if (IS_HIGHBIT_SET(fuzz_out.data[i]))
			fuzz_fail("not ASCII: %.*s", (int) fuzz_out.len, fuzz_out.data);
}

const FuzzTarget fuzz_json_string = {"json_string", init, run};
