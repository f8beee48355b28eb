/*
 * s3_xml.c
 *		The XML of S3's answers: elements without attributes that matter, no
 *		mixed content, no declarations.  Nothing else is looked at, and no
 *		entity but the five of XML itself and characters by number is known.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "sink/s3/s3_request.h"

/* Where "<name>", "<name attributes>" or "<name/>" ends; NULL for none. */
static const char *
find_start(const char *at, const char *end, const char *name, bool *empty)
{
	size_t len = strlen(name);

	while (at < end && (at = memchr(at, '<', end - at)) != NULL)
	{
		const char *close;

		at++;
		if ((size_t) (end - at) <= len || memcmp(at, name, len) != 0 ||
			strchr(" \t\r\n/>", at[len]) == NULL)
			continue;
		close = memchr(at, '>', end - at);
		if (close == NULL)
			return NULL;
		*empty = close[-1] == '/';
		return close + 1;
	}
	return NULL;
}

const char *
s3_xml_next(const char **at, const char *end, const char *name, size_t *len)
{
	bool		empty;
	const char *start = find_start(*at, end, name, &empty);
	char	   *closing = psprintf("</%s>", name);
	const char *stop;

	if (start == NULL)
		return NULL;
	stop =
		empty ? start : memmem(start, end - start, closing, strlen(closing));
	if (stop == NULL)
		return NULL;
	*len = stop - start;
	*at = empty ? stop : stop + strlen(closing);
	pfree(closing);
	return start;
}

static void
add_character(StringInfo text, unsigned long code)
{
	unsigned char utf8[5] = {0};

	if (code == 0 || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
		return;
	unicode_to_utf8(code, utf8);
	appendBinaryStringInfo(text, (char *) utf8, pg_utf_mblen(utf8));
}

/* What "&...;" stands for; how long it is, 0 if it is nothing known. */
static size_t
add_entity(StringInfo text, const char *at, const char *end)
{
	static const struct
	{
		const char *name;
		char		character;
	} entities[] = {{"&amp;", '&'},
					{"&lt;", '<'},
					{"&gt;", '>'},
					{"&quot;", '"'},
					{"&apos;", '\''}};
	const char *stop = memchr(at, ';', Min(end - at, 12));

	if (stop == NULL)
		return 0;
	for (int i = 0; i < lengthof(entities); i++)
	{
		if (strncmp(at, entities[i].name, strlen(entities[i].name)) == 0)
		{
			appendStringInfoChar(text, entities[i].character);
			return strlen(entities[i].name);
		}
	}
	if (at[1] != '#')
		return 0;
	add_character(text, at[2] == 'x' ? strtoul(at + 3, NULL, 16)
									 : strtoul(at + 2, NULL, 10));
	return stop - at + 1;
}

char *
s3_xml_text(const char *xml, size_t len, const char *name)
{
	const char *at = xml;
	const char *content = xml ? s3_xml_next(&at, xml + len, name, &len) : NULL;
	const char *end = content + len;
	StringInfoData text;

	if (content == NULL)
		return NULL;
	end = content + len;
	initStringInfo(&text);
	while (content < end)
	{
		size_t entity = *content == '&' ? add_entity(&text, content, end) : 0;

		if (entity == 0)
			appendStringInfoChar(&text, *content++);
		content += entity;
	}
	return text.data;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = pg_ascii_tolower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *
s3_url_decode(const char *text, bool plus_is_space)
{
	StringInfoData plain;

	initStringInfo(&plain);
	for (; *text; text++)
	{
		if (*text == '%' && hex_digit(text[1]) >= 0 && hex_digit(text[2]) >= 0)
		{
			appendStringInfoChar(&plain,
								 hex_digit(text[1]) * 16 + hex_digit(text[2]));
			text += 2;
		}
		else
			appendStringInfoChar(&plain,
								 *text == '+' && plus_is_space ? ' ' : *text);
	}
	return plain.data;
}
