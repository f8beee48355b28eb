/*
 * lake_text.c
 *		JSON strings in ASCII, and JSON with such strings as the server has it.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "encode/lake/lake_text.h"

static void
lake_append_escape(StringInfo out, pg_wchar c)
{
	if (c <= 0xFFFF)
		appendStringInfo(out, "\\u%04x", (unsigned int) c);
	else
		appendStringInfo(out, "\\u%04x\\u%04x",
						 (unsigned int) (0xD800 + ((c - 0x10000) >> 10)),
						 (unsigned int) (0xDC00 + ((c - 0x10000) & 0x3FF)));
}

void
lake_text(StringInfo out, const char *utf8, size_t len)
{
	const unsigned char *at = (const unsigned char *) utf8;
	const unsigned char *end = at + len;

	appendStringInfoChar(out, '"');
	while (at < end)
	{
		if (*at == '"' || *at == '\\')
			appendStringInfo(out, "\\%c", *at++);
		else if (*at >= ' ' && *at < 0x7F)
			appendStringInfoChar(out, (char) *at++);
		else if (at + pg_utf_mblen(at) <= end)
		{
			lake_append_escape(out, utf8_to_unicode(at));
			at += pg_utf_mblen(at);
		}
		else
			break;
	}
	appendStringInfoChar(out, '"');
}

/* Of "\uXXXX", -1 if it is none. */
static int
lake_escape_value(const char *at, const char *end)
{
	int value = 0;

	if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
		return -1;
	for (int i = 2; i < 6; i++)
	{
		const char *digit =
			at[i] ? strchr("0123456789abcdef", pg_ascii_tolower(at[i])) : NULL;

		if (digit == NULL)
			return -1;
		value = value * 16 + (int) (digit - "0123456789abcdef");
	}
	return value;
}

/* The character of an escape, and where that ends; 0 for one that stays. */
static pg_wchar
lake_unescape(const char *at, const char *end, const char **next)
{
	int first = lake_escape_value(at, end);
	int second = end - at > 6 ? lake_escape_value(at + 6, end) : -1;

	*next = Min(at + 2, end);
	if (first < 0x80)
		return 0;
	*next = at + 6;
	if (first < 0xD800 || first > 0xDFFF)
		return first;
	if (first > 0xDBFF || second < 0xDC00 || second > 0xDFFF)
		return 0;
	*next = at + 12;
	return surrogate_pair_to_codepoint(first, second);
}

/*
 * A database that knows no encoding takes UTF-8 as it is, but would translate no
 * escape.
 */
static char *
lake_without_escapes(const char *utf8, size_t len)
{
	const char *end = utf8 + len;
	char	   *out = palloc(len + 1);
	char	   *to = out;
	const char *next;

	for (const char *at = utf8; at < end; at = next)
	{
		pg_wchar c = 0;

		next = at + 1;
		if (*at == '\\')
			c = lake_unescape(at, end, &next);
		if (c)
			to += pg_utf_mblen(unicode_to_utf8(c, (unsigned char *) to));
		else
		{
			memcpy(to, at, next - at);
			to += next - at;
		}
	}
	*to = '\0';
	return out;
}

char *
lake_text_to_server(const char *utf8, size_t len)
{
	char *text = GetDatabaseEncoding() == PG_SQL_ASCII
					 ? lake_without_escapes(utf8, len)
					 : pnstrdup(utf8, len);
	char *server = pg_any_to_server(text, (int) strlen(text), PG_UTF8);

	/* there may be a token in it */
	if (server != text)
		explicit_bzero(text, strlen(text));
	return server;
}
