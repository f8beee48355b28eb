/*
 * cli_table.h
 *		The table of options, which is the program's manual too.
 */
#ifndef CLIENT_CLI_TABLE_H
#define CLIENT_CLI_TABLE_H

#include <stddef.h>

typedef enum OptionType
{
	OPTION_TEXT,
	OPTION_FLAG,
	OPTION_NUMBER,
	OPTION_BYTES, /* 64MB */
	OPTION_TIME,  /* 1500ms, 10s, 5min; stored as ms */
	OPTION_PAIR,  /* NAME=VALUE, repeatable */
	OPTION_TARGET,
} OptionType;

typedef struct ClientOption
{
	const char *section; /* the first of one starts it in the help */
	char		letter;	 /* 0: none */
	const char *name;
	const char *argument; /* in the help; NULL for a flag */
	OptionType	type;
	size_t		offset;
	const char *preset;	 /* NULL: none */
	const char *choices; /* |a|b|, or NULL */
	const char *help;
} ClientOption;

#define MAX_OPTIONS 128

extern const ClientOption cli_table[];
extern const size_t		  cli_noptions; /* at most MAX_OPTIONS */

#endif
