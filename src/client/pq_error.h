/*
 * pq_error.h
 *		What libpq says when something fails.
 */
#ifndef CLIENT_PQ_ERROR_H
#define CLIENT_PQ_ERROR_H

#include <libpq-fe.h>
#include <stdbool.h>

/*
 * Its message without the newline at the end, and without the lines of the server's
 * source that verbosity "verbose" tells; a new text.
 */
extern char *pq_message(const char *message);

/*
 * The SQLSTATE in a message of verbosity "verbose", empty if there is none:
 * for errors of the connection itself, which have no result to ask.
 */
extern void pq_find_sqlstate(const char *message, char sqlstate[6]);

/* What an error or a notice says, with detail and hint, and with the context if that
 * is wanted; a new text. */
extern char *pq_result_message(const PGresult *result, bool with_context);

#endif
