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
