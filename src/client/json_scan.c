/*
 * json_scan.c
 *		A scanner of JSON objects and a writer of JSON strings.
 *
 * Of values only the end is looked for: strings by their quotes, objects and
 * arrays by their depth outside of strings.
 */
#include "client/json_scan.h"

#include <stdlib.h>
#include <string.h>

/* Past the closing quote, or NULL. */
static const char *
skip_string(const char *p, const char *end)
{
	for (p++; p < end; p++)
	{
		p = memchr(p, '"', end - p);
		if (p == NULL)
			return NULL;
		else
		{
			const char *back = p;

			while (back[-1] == '\\')
				back--;
			if ((p - back) % 2 == 0)
				return p + 1;
		}
	}
	return NULL;
}

static const char *
skip_nested(const char *p, const char *end)
{
	int depth = 0;

	while (p != NULL && p < end)
	{
		switch (*p)
		{
			case '"':
				p = skip_string(p, end);
				continue;
			case '{':
			case '[':
				depth++;
				break;
			case '}':
			case ']':
				if (--depth == 0)
					return p + 1;
				break;
			default:
				break;
		}
		p++;
	}
	return NULL;
}

static const char *
skip_blanks(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
		p++;
	return p;
}

size_t
json_value_length(const char *data, const char *end)
{
	const char *p = data;

	if (p >= end)
		return 0;
	if (*p == '"')
		p = skip_string(p, end);
	else if (*p == '{' || *p == '[')
		p = skip_nested(p, end);
	else
		while (p < end && *p != ',' && *p != '}' && *p != ']' &&
			   (unsigned char) *p > ' ')
			p++;
	return p ? p - data : 0;
}

JsonCursor
json_members(const char *object, size_t length)
{
	const char *end = object + length;
	const char *p = skip_blanks(object, end);

	return (JsonCursor){p < end && *p == '{' ? p + 1 : end, end};
}

bool
json_next_member(JsonCursor *cursor, JsonValue *name, JsonValue *value)
{
	const char *end = cursor->end;
	const char *p = skip_blanks(cursor->next, end);

	if (p < end && *p == ',')
		p = skip_blanks(p + 1, end);
	if (p >= end || *p != '"')
		return false;
	name->data = p;
	p = skip_string(p, end);
	if (p == NULL)
		return false;
	name->length = p - name->data;
	p = skip_blanks(p, end);
	if (p >= end || *p != ':')
		return false;
	value->data = skip_blanks(p + 1, end);
	value->length = json_value_length(value->data, end);
	cursor->next = value->data + value->length;
	return value->length > 0;
}

bool
json_find(const char *object, size_t length, const char *name,
		  JsonValue *value)
{
	JsonCursor members = json_members(object, length);
	size_t	   name_length = strlen(name);
	JsonValue  member;

	while (json_next_member(&members, &member, value))
		if (member.length == name_length + 2 &&
			memcmp(member.data + 1, name, name_length) == 0)
			return true;
	return false;
}

/* Four hexadecimal digits, or -1. */
static long
hex_unit(const char *p, const char *end)
{
	char  digits[5];
	char *stop;
	long  unit;

	if (end - p < 4)
		return -1;
	memcpy(digits, p, 4);
	digits[4] = '\0';
	unit = strtol(digits, &stop, 16);
	return *stop ? -1 : unit;
}

static void
append_code_point(Bytes *out, unsigned long c)
{
	char utf8[4];
	int	 n = 0;

	if (c < 0x80)
		utf8[n++] = c;
	else if (c < 0x800)
	{
		utf8[n++] = 0xC0 | c >> 6;
		utf8[n++] = 0x80 | (c & 0x3F);
	}
	else if (c < 0x10000)
	{
		utf8[n++] = 0xE0 | c >> 12;
		utf8[n++] = 0x80 | (c >> 6 & 0x3F);
		utf8[n++] = 0x80 | (c & 0x3F);
	}
	else
	{
		utf8[n++] = 0xF0 | c >> 18;
		utf8[n++] = 0x80 | (c >> 12 & 0x3F);
		utf8[n++] = 0x80 | (c >> 6 & 0x3F);
		utf8[n++] = 0x80 | (c & 0x3F);
	}
	mem_append(out, utf8, n);
}

/* What follows a backslash; returns past it. */
static const char *
append_escape(Bytes *out, const char *p, const char *end)
{
	static const char names[] = "bfnrt";
	static const char meanings[] = "\b\f\n\r\t";
	const char		 *found;
	long			  unit;
	long			  low;

	if (*p != 'u')
	{
		found = strchr(names, *p);
		mem_append(out, found ? meanings + (found - names) : p, 1);
		return p + 1;
	}
	unit = hex_unit(p + 1, end);
	if (unit < 0)
		return end;
	p += 5;
	if (unit >= 0xD800 && unit < 0xDC00 && end - p >= 6 && p[0] == '\\' &&
		p[1] == 'u' && (low = hex_unit(p + 2, end)) >= 0xDC00 && low < 0xE000)
	{
		unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
		p += 6;
	}
	append_code_point(out, unit);
	return p;
}

bool
json_append_unquoted(Bytes *out, const JsonValue *value)
{
	const char *p = value->data + 1;
	const char *end = value->data + value->length - 1;

	if (value->length < 2 || value->data[0] != '"')
		return false;
	mem_reserve(out, value->length);
	while (p < end)
	{
		const char *escape = memchr(p, '\\', end - p);
		size_t		plain = (escape ? escape : end) - p;

		mem_append(out, p, plain);
		p += plain;
		if (p < end)
			p = append_escape(out, p + 1, end);
	}
	return true;
}

char *
json_unquoted(const JsonValue *value)
{
	Bytes out = {0};

	mem_add(&out, "");
	if (json_append_unquoted(&out, value))
		return out.data;
	mem_free(&out);
	return NULL;
}

char *
json_find_text(const char *object, size_t length, const char *name)
{
	JsonValue value;

	return json_find(object, length, name, &value) ? json_unquoted(&value)
												   : NULL;
}

bool
json_find_number(const char *object, size_t length, const char *name,
				 long long *number)
{
	JsonValue value;
	char	  digits[32];
	char	 *end;

	if (!json_find(object, length, name, &value) ||
		value.length >= sizeof(digits))
		return false;
	memcpy(digits, value.data, value.length);
	digits[value.length] = '\0';
	*number = strtoll(digits, &end, 10);
	return *end == '\0';
}

bool
json_is(const JsonValue *value, const char *literal)
{
	return value->length == strlen(literal) &&
		   memcmp(value->data, literal, value->length) == 0;
}

void
json_append_text(Bytes *bytes, const char *text)
{
	const unsigned char *p;

	mem_append(bytes, "\"", 1);
	for (p = (const unsigned char *) text; *p; p++)
	{
		if (*p == '"' || *p == '\\')
			mem_format(bytes, "\\%c", *p);
		else if (*p < 0x20)
			mem_format(bytes, "\\u%04x", *p);
		else
			mem_append(bytes, p, 1);
	}
	mem_append(bytes, "\"", 1);
}
