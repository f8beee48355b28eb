/*
 * server.h
 *		Destinations "server:path": the foreign server that such a text names,
 *		its options, and the current user's secrets for it.
 *
 * Foreign data wrappers of destinations have a validator and no handler.
 * Secrets are in user mappings only: whoever may see a server's options sees
 * no secret.  Everything here needs a transaction.
 */
#ifndef OUTFLOW_SERVER_H
#define OUTFLOW_SERVER_H

#include "fmgr.h"
#include "foreign/foreign.h"

#include "compat.h"
#include "option.h"
#include "sink/destination.h"

/* What comes before the first colon, and after it; NULL if there is none. */
extern char		  *server_name(const char *destination);
extern const char *server_path(const char *destination);
/*
 * The foreign data wrapper of the server that a destination names, by the name
 * that this extension gave it; NULL if there is no such server, or it is of
 * another extension's wrapper.
 */
extern const char *server_wrapper(const char *destination);
/* Whether it has the form of "server:path", but there is no such server. */
extern bool server_is_missing(const char *destination);
/* An error unless there is one and the current user may use it. */
extern ForeignServer *server_get(const char *name);
/* Those of a wrapper that the current user may use (ForeignServer *), by oid. */
extern List *server_list(const char *wrapper);
extern bool	 server_has_secrets(const ForeignServer *server);
/*
 * Those with secrets whose location is this one or above it; alone the one that
 * a destination names, if it is among them (NULL: it names none).
 */
extern List *server_leading_to(const char *wrapper, const char *location,
							   const char *destination,
							   char *(*its_location)(const ForeignServer *) );
/* The options of the current user's mapping, or of everybody's. */
extern List *server_secrets(const ForeignServer *server);

/* An error that says which value is wrong; for what checks a server's options. */
pg_noreturn extern void
server_refuse_value(const char *name, const char *value, const char *hint);
/* Printable ASCII: what can be a header's value. */
extern void server_check_printable(const char *name, const char *value);
/* The same of a user mapping, without spaces; nothing of it is shown. */
extern void server_check_secret(const char *name, const char *value);
extern bool server_is_same_secret(const char *a, const char *b);
/* In what another machine says, which may repeat what it was sent; NULL: none. */
extern void server_blank_secret(char *in, const char *secret);
/* Overwrites and frees it. */
extern void server_forget_secret(char **secret);

/*
 * A place to which none of them leads: an error, or with DESTINATION_TRY errno
 * alone, which no store and no file system gives.
 */
#define SERVER_LOST ENODEV
extern void server_place_lost(const char *place, DestinationMode mode);

/* What one wrapper's options are. */
typedef struct ServerOptions
{
	const OptionSpec *server;  /* of the server */
	const OptionSpec *mapping; /* of the user mapping: secrets */
	size_t server_size;		   /* of the struct that they are parsed into */
	size_t mapping_size;
	const char *const *superuser_only; /* ends with a NULL; of either */
	/* errors that concern more than one value's form */
	void (*check_server)(void *values);
	void (*check_mapping)(void *values);
} ServerOptions;

/* Into a struct of that size, checked; secrets are the current user's. */
extern void server_read_options(const ServerOptions *options,
								const ForeignServer *server, void *values);
extern void server_read_secrets(const ServerOptions *options,
								const ForeignServer *server, void *values);

/* All that a validator does. */
extern Datum server_validate(const ServerOptions *options,
							 FunctionCallInfo	  fcinfo);

#endif /* OUTFLOW_SERVER_H */
