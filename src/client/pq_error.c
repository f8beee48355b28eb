/*
 * pq_error.c
 *		Messages of libpq, as we tell and judge them.
 */
#include "client/pq_error.h"

#include <string.h>

#include "client/memory.h"

#define LOCATION "\nLOCATION:  "

char *
pq_message(const char *message)
{
	size_t length = strlen(message);
	char  *text;
	char  *p;
	char  *rest;

	while (length > 0 && message[length - 1] == '\n')
		length--;
	text = client_strndup(message, length);
	while ((p = strstr(text, LOCATION)) != NULL)
	{
		rest = p + 1 + strcspn(p + 1, "\n");
		memmove(p, rest, strlen(rest) + 1);
	}
	return text;
}

/* "FATAL:  28P01: password authentication failed": the five characters. */
void
pq_find_sqlstate(const char *message, char sqlstate[6])
{
	const char *p;

	sqlstate[0] = '\0';
	for (p = message; (p = strstr(p, ":  ")) != NULL; p += 3)
		if (strspn(p + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 &&
			p[8] == ':')
		{
			memcpy(sqlstate, p + 3, 5);
			sqlstate[5] = '\0';
		}
}

char *
pq_result_message(const PGresult *result, bool with_context)
{
	static const struct
	{
		int			code;
		const char *label;
	} fields[] = {
		{PG_DIAG_MESSAGE_PRIMARY, ""},
		{PG_DIAG_MESSAGE_DETAIL, "\nDETAIL:  "},
		{PG_DIAG_MESSAGE_HINT, "\nHINT:  "},
		{PG_DIAG_CONTEXT, "\nCONTEXT:  "},
	};
	Bytes  message = {0};
	size_t i;

	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
	{
		const char *text = PQresultErrorField(result, fields[i].code);

		if (text && (with_context || fields[i].code != PG_DIAG_CONTEXT))
			mem_format(&message, "%s%s", fields[i].label, text);
	}
	/* libpq's own have no fields */
	if (message.length == 0)
		return pq_message(PQresultErrorMessage(result));
	return message.data;
}
