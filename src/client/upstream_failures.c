/*
 * upstream_failures.c
 *		Errors of the server that time can't mend, those of streams that end at the
 *		same place again and again among them.
 */
#include "client/upstream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/pq_error.h"

#define SAME_FAILURES 3 /* that often it isn't chance */

/*
 * Conditions that don't pass by themselves, as prefixes of SQLSTATEs.  All
 * others do: restarts, too many connections, a slot that is in use.
 */
static const struct
{
	const char *sqlstate;
	ExitCode	code;
	const char *hint;
} refusals[] = {
	{"28", EXIT_SERVER, ""},
	{"3D000", EXIT_SERVER, ""},
	{"42704", EXIT_SLOT_LOST, ""},
	{"42501", EXIT_SERVER,
	 ". A role needs the attribute REPLICATION; newer servers also want the "
	 "plugin in output_plugin_libraries"},
	{"58P01", EXIT_SERVER, ". outflow.preflight() says what is missing"},
	{"22", EXIT_SERVER, ""},
	{"42", EXIT_SERVER, ""},
	{"55000", EXIT_SERVER, ""},
	{"53400", EXIT_SERVER, ""},
};

void
upstream_refused(Upstream *upstream, const char *sqlstate, const char *message)
{
	size_t i;

	(void) upstream;
	for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (strncmp(sqlstate, refusals[i].sqlstate,
					strlen(refusals[i].sqlstate)) == 0)
			client_exit(refusals[i].code, "%s%s", message, refusals[i].hint);
}

/* Conditions that end a stream that had begun, and do so again at the same place. */
static const char *const failures[] = {"0A",	"22", "38",	   "39", "42",
									   "53400", "54", "55000", "P0", "XX"};

static void
fails_again(const char *sqlstate, const char *message)
{
	size_t i;

	for (i = 0; i < sizeof(failures) / sizeof(failures[0]); i++)
		if (strncmp(sqlstate, failures[i], strlen(failures[i])) == 0)
			client_exit(EXIT_SERVER, "the stream can't go on: %s", message);
}

/*
 * What is only repeated is none: a stream that ends at the same place each time
 * may bring that, and schemas, and the pauses must grow.  A large transaction on
 * its way is some.
 */
void
upstream_note_progress(Upstream *upstream)
{
	const Ledger *ledger = upstream->intake->ledger;

	if (ledger_received_lsn(ledger) > upstream->began_at)
		upstream->failures = 0;
	else if (upstream->failures > 0 ||
			 ledger_last(ledger) == upstream->began_with)
		return;
	upstream->attempt = 0;
}

/*
 * Decoding failed, say of a row that is too large.  The same error at the same
 * place comes again for ever, unless it is of a sort that passes; what came before
 * that place is delivered first.
 */
void
upstream_judge_failure(Upstream *upstream, const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	Ledger	   *ledger = upstream->intake->ledger;
	Lsn			place = ledger_received_lsn(ledger);
	char	   *message;

	if (sqlstate == NULL)
		sqlstate = "";
	if (strcmp(sqlstate, upstream->failure) != 0 ||
		place != upstream->failed_at)
		upstream->failures = 0;
	snprintf(upstream->failure, sizeof(upstream->failure), "%s", sqlstate);
	upstream->failed_at = place;
	if (++upstream->failures < SAME_FAILURES ||
		ledger_confirmed(ledger) < place)
		return;
	message = pq_message(PQresultErrorMessage(result));
	fails_again(sqlstate, message);
	free(message);
}
