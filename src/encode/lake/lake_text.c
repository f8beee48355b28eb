/*
 * lake_text.c
 *		JSON strings in ASCII.
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
