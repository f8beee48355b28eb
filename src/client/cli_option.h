/*
 * cli_option.h
 *		The table of options, for those who read arguments by it and those who
 *		explain it.
 */
#ifndef CLIENT_CLI_OPTION_H
#define CLIENT_CLI_OPTION_H

#include <stddef.h>

#include "client/cli.h"

typedef enum OptionType
{
	OPTION_TEXT,
	OPTION_FLAG,
	OPTION_NUMBER,
	OPTION_BYTES, /* 64MB */
	OPTION_TIME,  /* 1500ms, 10s, 5min; stored as ms */
	OPTION_PAIR,  /* NAME=VALUE, repeatable */
	OPTION_LIST,  /* NAME,NAME, repeatable */
	OPTION_TARGET,
} OptionType;

/* Which commands know an option. */
#define IN_STREAM 1u
#define IN_REPLAY 2u
#define IN_EXPORT 4u
#define IN_VERIFY 8u
#define IN_CHECK  16u
#define IN_ALL	  31u
/* those that deliver, or see whether that could be done */
#define IN_DELIVERY (IN_STREAM | IN_REPLAY | IN_CHECK)

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
	unsigned	commands; /* 0: IN_DELIVERY */
} ClientOption;

#define MAX_OPTIONS 256

extern const ClientOption cli_options[];
extern const int		  cli_noptions;

extern bool cli_option_is_of(const ClientOption *option, unsigned command);

/* cli_value.c: what was typed, into the settings.  Ends the program if it is none. */
extern void cli_set_option(Settings *settings, const ClientOption *option,
						   const char *text);

/* Is there one in a value of that option? */
extern bool cli_has_password(const ClientOption *option, const char *text);

/* cli_help.c: what is said of a command. */
typedef struct Manual
{
	const char *name;
	unsigned	command; /* IN_... */
	const char *summary;
	const char *synopsis;
	const char
		*description; /* paragraphs, whose lines are broken when shown */
	const char *more; /* shown as it is; NULL: nothing */
	const char *examples;
} Manual;

extern const Manual *manual_find(const char *name); /* NULL: none */
extern void			 manual_show(const Manual *manual);

#endif
