/*
 * name_pattern.c
 *		Patterns for names: schema.table and schema.table.column.
 *
 * In each part * stands for any characters, ? for one, and a backslash takes
 * the next character literally (a dot inside a name, for example).
 * Matching is case-sensitive and done once per relation, never per row.
 *
 * Dots and backslashes are no part of any character in a server's encoding, so
 * that a text is cut in the same way in all of them, whether it is text there
 * or not.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "compat.h"
#include "name_pattern.h"
#include "option.h"

/* Of the character at text, as far as it is there. */
static int
char_len(const char *text)
{
	return *text ? strnlen(text, pg_mblen(text)) : 0;
}

/*
 * Whether the whole name matches.  On a mismatch after a *, tries again with
 * the * standing for one character more: time is pattern times name.
 */
bool
name_matches(const char *pattern, const char *name)
{
	const char *retry_pattern = NULL;
	const char *retry_name = NULL;

	for (;;)
	{
		int len = char_len(name);

		if (*pattern == '*')
		{
			retry_pattern = ++pattern;
			retry_name = name;
			continue;
		}
		if (*name == '\0' && *pattern == '\0')
			return true;
		if (*name != '\0' && *pattern == '?')
		{
			pattern++;
			name += len;
			continue;
		}
		if (*name != '\0' && *pattern != '\0')
		{
			const char *literal = pattern;

			if (*literal == '\\' && literal[1] != '\0')
				literal++;
			if (strncmp(literal, name, len) == 0)
			{
				pattern = literal + len;
				name += len;
				continue;
			}
		}
		if (retry_pattern == NULL || *retry_name == '\0')
			return false;
		retry_name += char_len(retry_name);
		pattern = retry_pattern;
		name = retry_name;
	}
}

/* Cuts a copy of the item at its dots; returns the number of parts. */
static int
split_parts(char *item, char **parts, int max)
{
	int	  n = 0;
	char *p = item;

	parts[n++] = p;
	while (*p)
	{
		if (*p == '\\' && p[1] != '\0')
			p += 2;
		else if (*p == '.')
		{
			*p++ = '\0';
			if (n == max)
				return max + 1;
			parts[n++] = p;
		}
		else
			p++;
	}
	return n;
}

NamePattern *
name_pattern_read(const char *text, int nparts)
{
	NamePattern *pattern = palloc0(sizeof(NamePattern));
	char		*parts[3];
	int			 n = split_parts(pstrdup(text), parts, nparts);

	if (n != nparts)
		return NULL;
	for (int i = 0; i < n; i++)
	{
		if (parts[i][0] == '\0')
			return NULL;
	}
	pattern->schema = parts[0];
	pattern->table = parts[1];
	pattern->column = nparts == 3 ? parts[2] : NULL;
	return pattern;
}

List *
name_patterns_parse(const char *option, List *items, int nparts)
{
	List	 *result = NIL;
	ListCell *lc;

	foreach (lc, items)
	{
		NamePattern *pattern = name_pattern_read(lfirst(lc), nparts);

		if (pattern == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid pattern \"%s\" in output plugin option "
							"\"%s\"",
							option_shown(lfirst(lc)), option),
					 nparts == 2
						 ? errhint("A pattern looks like schema.table, where "
								   "* and ? stand for any characters and one.")
						 : errhint("A pattern looks like schema.table.column, "
								   "where * and ? stand for any characters "
								   "and one.")));
		result = lappend(result, pattern);
	}
	return result;
}

bool
name_patterns_match_table(List *patterns, const char *schema,
						  const char *table)
{
	ListCell *lc;

	foreach (lc, patterns)
	{
		NamePattern *pattern = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		if (name_matches(pattern->schema, schema) &&
			name_matches(pattern->table, table))
			return true;
	}
	return false;
}
