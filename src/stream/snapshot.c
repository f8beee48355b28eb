/*
 * snapshot.c
 *		Option "after_snapshot": a stream that begins where an export ended.
 *
 * An export saw the transactions that were visible in its snapshot.  The stream
 * passes over exactly those, by their top-level transaction id, and emits all
 * others, whatever LSN the slot starts from.  Tables that were exported later
 * bring snapshots of their own.
 *
 * The option's text is a pg_snapshot, xmin:xmax:xid,xid,..., or
 * schema.table=pg_snapshot, or several of these with commas between them.  An
 * item that is a number continues the list of the snapshot before it.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xlog.h"
#include "replication/slot.h"

#include "compat.h"
#include "encoding.h"
#include "position/snapshot_text.h"
#include "position/xid.h"
#include "stream/stream.h"

struct JobSnapshot
{
	NamePattern *table; /* NULL: the snapshot of all other tables */
	SnapshotIds	 ids;
	bool		 passed; /* the slot is past its horizon */
};

static void
report_syntax(const char *item)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid snapshot \"%s\" in output plugin option "
					"\"after_snapshot\"",
					option_shown(item)),
			 errhint("A snapshot looks like 10:20:11,12, as "
					 "pg_current_snapshot() writes it, and the snapshot of a "
					 "table like schema.table=10:20:11,12.")));
}

/* [schema.table=]xmin:xmax:[xid] */
static JobSnapshot *
snapshot_option_read(const char *item)
{
	JobSnapshot *snapshot = palloc0(sizeof(JobSnapshot));
	const char	*text = item;
	const char	*equals = strrchr(item, '=');

	if (equals)
	{
		snapshot->table = linitial(name_patterns_parse(
			"after_snapshot", list_make1(pnstrdup(item, equals - item)), 2));
		text = equals + 1;
	}
	if (!snapshot_from_text(text, &snapshot->ids))
		report_syntax(item);
	return snapshot;
}

/* List of JobSnapshot from the option's items. */
List *
snapshots_parse(List *items)
{
	List		*snapshots = NIL;
	JobSnapshot *last = NULL;
	ListCell	*lc;

	foreach (lc, items)
	{
		const char *item = lfirst(lc);

		if (strspn(item, "0123456789") != strlen(item))
			snapshots = lappend(snapshots, last = snapshot_option_read(item));
		else if (last == NULL || !snapshot_ids_add(&last->ids, item))
			report_syntax(item);
	}
	return snapshots;
}

static uint64
widen(TransactionId xid)
{
	return xid_widen(xid_window(), xid);
}

/*
 * Checks at the start that the snapshots are this server's, and says which of
 * them have done their work: once every transaction that the slot may still
 * decode began after a snapshot's end, none of them is visible in it.
 */
void
snapshots_start(StreamSession *session)
{
	FullTransactionId next = ReadNextFullTransactionId();
	TransactionId	  horizon = session->ctx->slot->data.catalog_xmin;
	ListCell		 *lc;

	foreach (lc, session->options.after_snapshot)
	{
		JobSnapshot *snapshot = lfirst(lc);

		if (snapshot->ids.xmax > U64FromFullTransactionId(next))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the snapshot of output plugin option "
							"\"after_snapshot\" lies in this server's future"),
					 errhint("It was taken on another server, or before this "
							 "one was set back.")));
		if (!TransactionIdIsValid(horizon) ||
			widen(horizon) < snapshot->ids.xmax)
			continue;
		snapshot->passed = true;
		ereport(
			NOTICE,
			(errmsg("output plugin option \"after_snapshot\" has no effect "
					"any more: the slot is past the snapshot%s%s%s%s",
					snapshot->table ? " of " : "",
					snapshot->table ? encoding_shown(snapshot->table->schema)
									: "",
					snapshot->table ? "." : "",
					snapshot->table ? encoding_shown(snapshot->table->table)
									: "")));
	}
}

static bool
is_visible(const JobSnapshot *snapshot, uint64 xid)
{
	return !snapshot->passed && snapshot_ids_visible(&snapshot->ids, xid);
}

/* The snapshot that a table of this name brings, or NULL. */
const JobSnapshot *
snapshot_of_table(StreamSession *session, const char *schema,
				  const char *table)
{
	ListCell *lc;

	foreach (lc, session->options.after_snapshot)
	{
		const JobSnapshot *snapshot = lfirst(lc);

		if (snapshot->table && name_matches(snapshot->table->schema, schema) &&
			name_matches(snapshot->table->table, table))
			return snapshot;
	}
	return NULL;
}

/* The snapshot of all that brings none, or NULL. */
const JobSnapshot *
snapshot_of_rest(StreamSession *session)
{
	const JobSnapshot *rest = NULL;
	ListCell		  *lc;

	foreach (lc, session->options.after_snapshot)
	{
		const JobSnapshot *snapshot = lfirst(lc);

		if (snapshot->table == NULL)
			rest = snapshot;
	}
	return rest;
}

/* Whether an export under this snapshot has what the transaction did. */
bool
snapshot_has(const JobSnapshot *snapshot, TransactionId xid)
{
	return snapshot && is_visible(snapshot, widen(xid));
}

/* Whether all that the transaction did is in exports. */
bool
snapshots_have_all(StreamSession *session, TransactionId xid)
{
	ListCell *lc;
	bool	  others = false;
	uint64	  full;

	if (session->options.after_snapshot == NIL)
		return false;
	full = widen(xid);
	foreach (lc, session->options.after_snapshot)
	{
		const JobSnapshot *snapshot = lfirst(lc);

		if (!is_visible(snapshot, full))
			return false;
		others |= snapshot->table == NULL;
	}
	return others;
}
