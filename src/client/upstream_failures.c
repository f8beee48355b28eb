/*
 * upstream_failures.c
 *		Streams that end at the same place again and again.
 */
#include "client/upstream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/pq_error.h"

#define SAME_FAILURES 3 /* that often it isn't chance */

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
	upstream_fails_again(sqlstate, message);
	free(message);
}
