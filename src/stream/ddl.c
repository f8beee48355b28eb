/*
 * ddl.c
 *		The content of messages that tell of DDL commands.
 *
 * A version, then texts in the database's encoding, each ended by a zero byte:
 * the tag, the command ("=" in front, or nothing at all where it is not
 * known), and a type and an identity for each object.
 *
 * Only what capture wrote is read; it is checked as any input is.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "stream/ddl.h"

#define VERSION "1"

static void
ddl_append_text(StringInfo content, const char *text)
{
	appendBinaryStringInfo(content, text, strlen(text) + 1);
}

void
ddl_message_begin(StringInfo content, const char *tag, const char *command)
{
	ddl_append_text(content, VERSION);
	ddl_append_text(content, tag);
	if (command)
		appendStringInfoChar(content, '=');
	ddl_append_text(content, command ? command : "");
}

/* Some commands name no object (GRANT), only a type. */
void
ddl_message_add(StringInfo content, const char *type, const char *identity)
{
	ddl_append_text(content, type ? type : "");
	ddl_append_text(content, identity ? identity : "");
}

/* The next text, or NULL if the content ends in its middle or isn't text. */
static const char *
next_text(const char **p, const char *end)
{
	const char *text = *p;
	const char *stop = memchr(text, '\0', end - text);

	if (stop == NULL || !pg_verifymbstr(text, stop - text, true))
		return NULL;
	*p = stop + 1;
	return text;
}

static int
count_texts(const char *p, const char *end)
{
	int count = 0;

	for (; p < end; p++)
		if (*p == '\0')
			count++;
	return count;
}

bool
ddl_message_read(const char *content, Size size, DdlChange *ddl)
{
	const char *p = content;
	const char *end = content + size;
	const char *version = next_text(&p, end);
	int			rest;

	memset(ddl, 0, sizeof(*ddl));
	if (version == NULL || strcmp(version, VERSION) != 0 ||
		(ddl->tag = next_text(&p, end)) == NULL ||
		(ddl->command = next_text(&p, end)) == NULL)
		return false;
	if (ddl->command[0] == '=')
		ddl->command++;
	else if (ddl->command[0] == '\0')
		ddl->command = NULL;
	else
		return false;

	rest = count_texts(p, end);
	if (rest % 2 != 0)
		return false;
	ddl->types = palloc(sizeof(char *) * (rest / 2 + 1));
	ddl->identities = palloc(sizeof(char *) * (rest / 2 + 1));
	while (p < end)
	{
		const char *type = next_text(&p, end);
		const char *identity = type ? next_text(&p, end) : NULL;

		if (identity == NULL)
			return false;
		ddl->types[ddl->nobjects] = type;
		ddl->identities[ddl->nobjects++] = identity;
	}
	return true;
}
