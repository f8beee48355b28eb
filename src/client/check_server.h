/*
 * check_server.h
 *		What check asks PostgreSQL.
 */
#ifndef CLIENT_CHECK_SERVER_H
#define CLIENT_CHECK_SERVER_H

#include "client/cli.h"

typedef enum Verdict
{
	VERDICT_OK,
	VERDICT_NOTE, /* worth knowing, or not to be found out */
	VERDICT_NOT,
} Verdict;

/* A line of the screen; fix is NULL or empty where there is nothing to do. */
typedef void (*CheckTell)(Verdict verdict, const char *item,
						  const char *detail, const char *fix);

extern void check_server(const Settings *settings, CheckTell tell);

#endif
