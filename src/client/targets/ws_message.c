/*
 * ws_message.c
 *		Which records a client wants, and what it gets of very long ones.
 */
#ifdef HAVE_WSLAY

#include <stdlib.h>
#include <string.h>

#include "client/json_scan.h"
#include "client/targets/ws_server.h"

#define MAX_PATTERNS 100
#define MAX_PATTERN	 256

/* How long the character is, in UTF-8. */
static size_t
character_length(const char *text)
{
	size_t length = *text != '\0';

	while (length > 0 && (text[length] & 0xc0) == 0x80)
		length++;
	return length;
}

/*
 * As the plugin's option tables has it: * stands for any characters, ? for one,
 * and a backslash takes the next one literally.  Each star is tried once a
 * place.
 */
static bool
pattern_matches(const char *pattern, const char *text)
{
	const char *star = NULL;
	const char *retry = NULL;

	while (*text)
	{
		const char *literal = pattern + (*pattern == '\\' && pattern[1]);

		if (*pattern == '*')
		{
			star = ++pattern;
			retry = text;
		}
		else if (*pattern == '?')
		{
			pattern++;
			text += character_length(text);
		}
		else if (*literal == *text)
		{
			pattern = literal + 1;
			text++;
		}
		else if (star)
		{
			pattern = star;
			text = ++retry;
		}
		else
			return false;
	}
	pattern += strspn(pattern, "*");
	return *pattern == '\0';
}

/* Cuts "schema.table" at its one dot, those after a backslash apart. */
static bool
split_pattern(WsPattern *pattern)
{
	char *p;

	pattern->table = NULL;
	for (p = pattern->schema; *p; p++)
	{
		if (*p == '\\' && p[1])
			p++;
		else if (*p == '.' && pattern->table)
			return false;
		else if (*p == '.')
		{
			*p = '\0';
			pattern->table = p + 1;
		}
	}
	return pattern->table != NULL;
}

/* An array of strings; false if it is something else. */
bool
ws_filter_parse(WsFilter *filter, const char *json, size_t length)
{
	const char *end = json + length;
	const char *p = json + 1;

	if (length < 2 || *json != '[')
		return false;
	for (;;)
	{
		JsonValue  value;
		WsPattern *pattern;

		while (p < end && strchr(" \t\r\n,", *p))
			p++;
		if (p >= end || *p == ']')
			return p < end;
		value = (JsonValue){p, json_value_length(p, end)};
		if (*p != '"' || value.length == 0 || value.length > MAX_PATTERN ||
			filter->npatterns == MAX_PATTERNS)
			return false;
		filter->patterns = client_realloc(
			filter->patterns, (filter->npatterns + 1) * sizeof(WsPattern));
		pattern = &filter->patterns[filter->npatterns];
		pattern->schema = json_unquoted(&value);
		if (pattern->schema == NULL)
			return false;
		filter->npatterns++;
		if (!split_pattern(pattern))
			return false;
		p += value.length;
	}
}

void
ws_filter_free(WsFilter *filter)
{
	while (filter->npatterns > 0)
		free(filter->patterns[--filter->npatterns].schema);
	free(filter->patterns);
	filter->patterns = NULL;
}

/* Records of no table go to those who want all. */
bool
ws_filter_wants(const WsFilter *filter, const char *record, size_t length)
{
	char *schema;
	char *table;
	bool  wants = false;
	int	  i;

	if (filter->npatterns == 0)
		return true;
	schema = json_find_text(record, length, "schema");
	table = json_find_text(record, length, "table");
	for (i = 0; schema && table && i < filter->npatterns && !wants; i++)
		wants = pattern_matches(filter->patterns[i].schema, schema) &&
				pattern_matches(filter->patterns[i].table, table);
	free(schema);
	free(table);
	return wants;
}

/* Its id and table, which stand at its start, and how long it is. */
void
ws_append_large(Bytes *out, const char *start, size_t known, uint64_t length)
{
	static const char *const members[] = {"op", "id", "schema", "table"};
	size_t					 i;

	mem_add(out, "{");
	for (i = 0; i < sizeof(members) / sizeof(members[0]); i++)
	{
		JsonValue value;

		if (json_find(start, known, members[i], &value))
			mem_format(out, "\"%s\":%.*s,", members[i], (int) value.length,
					   value.data);
	}
	mem_format(out, "\"too_large\":%llu}", (unsigned long long) length);
}

#endif /* HAVE_WSLAY */
