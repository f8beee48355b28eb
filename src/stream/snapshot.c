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
#include "stream/stream.h"

struct ExportSnapshot
{
	NamePattern *table; /* NULL: the snapshot of all other tables */
	uint64		 xmin;
	uint64		 xmax;
	int			 nxip;
	uint64		*xip; /* in progress, ascending */
	int			 room;
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

/* A number that ends at the given character; moves behind that. */
static bool
read_xid(const char **p, char end, uint64 *xid)
{
	char *stop;

	errno = 0;
	if (**p < '0' || **p > '9')
		return false;
	*xid = strtoull(*p, &stop, 10);
	if (*stop != end || errno != 0)
		return false;
	*p = end ? stop + 1 : stop;
	return true;
}

static bool
add_running(ExportSnapshot *snapshot, const char *text)
{
	uint64 xid;

	if (!read_xid(&text, '\0', &xid) || xid < snapshot->xmin ||
		xid >= snapshot->xmax ||
		(snapshot->nxip > 0 && xid <= snapshot->xip[snapshot->nxip - 1]))
		return false;
	if (snapshot->nxip == snapshot->room)
	{
		snapshot->room = Max(16, snapshot->room * 2);
		snapshot->xip =
			snapshot->xip
				? repalloc(snapshot->xip, snapshot->room * sizeof(uint64))
				: palloc(snapshot->room * sizeof(uint64));
	}
	snapshot->xip[snapshot->nxip++] = xid;
	return true;
}

/* [schema.table=]xmin:xmax:[xid] */
static ExportSnapshot *
read_snapshot(const char *item)
{
	ExportSnapshot *snapshot = palloc0(sizeof(ExportSnapshot));
	const char	   *text = item;
	const char	   *equals = strrchr(item, '=');

	if (equals)
	{
		snapshot->table = linitial(name_patterns_parse(
			"after_snapshot", list_make1(pnstrdup(item, equals - item)), 2));
		text = equals + 1;
	}
	if (!read_xid(&text, ':', &snapshot->xmin) ||
		!read_xid(&text, ':', &snapshot->xmax) || snapshot->xmin == 0 ||
		snapshot->xmin > snapshot->xmax ||
		(*text != '\0' && !add_running(snapshot, text)))
		report_syntax(item);
	return snapshot;
}

/* List of ExportSnapshot from the option's items. */
List *
snapshots_parse(List *items)
{
	List		   *snapshots = NIL;
	ExportSnapshot *last = NULL;
	ListCell	   *lc;

	foreach (lc, items)
	{
		const char *item = lfirst(lc);

		if (strspn(item, "0123456789") != strlen(item))
			snapshots = lappend(snapshots, last = read_snapshot(item));
		else if (last == NULL || !add_running(last, item))
			report_syntax(item);
	}
	return snapshots;
}

/* A 32-bit id of the last two billion transactions, as a full one. */
static uint64
widen(TransactionId xid)
{
	FullTransactionId next = ReadNextFullTransactionId();
	uint64			  epoch = EpochFromFullTransactionId(next);

	if (xid > XidFromFullTransactionId(next))
		epoch--;
	return (epoch << 32) | xid;
}

/*
 * Checks at the start that the snapshots are this server's, and says which of
 * them have done their work: once every transaction that the slot may still
 * decode began behind a snapshot's end, none of them is visible in it.
 */
void
snapshots_start(StreamSession *session)
{
	FullTransactionId next = ReadNextFullTransactionId();
	TransactionId	  horizon = session->ctx->slot->data.catalog_xmin;
	ListCell		 *lc;

	foreach (lc, session->options.after_snapshot)
	{
		ExportSnapshot *snapshot = lfirst(lc);

		if (snapshot->xmax > U64FromFullTransactionId(next))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the snapshot of output plugin option "
							"\"after_snapshot\" lies in this server's future"),
					 errhint("It was taken on another server, or before this "
							 "one was set back.")));
		if (!TransactionIdIsValid(horizon) || widen(horizon) < snapshot->xmax)
			continue;
		snapshot->passed = true;
		ereport(
			NOTICE,
			(errmsg("output plugin option \"after_snapshot\" has no effect "
					"any more: the slot is past the snapshot%s%s%s%s",
					snapshot->table ? " of " : "",
					snapshot->table ? snapshot->table->schema : "",
					snapshot->table ? "." : "",
					snapshot->table ? snapshot->table->table : "")));
	}
}

static bool
is_visible(const ExportSnapshot *snapshot, uint64 xid)
{
	int low = 0;
	int high = snapshot->nxip;

	if (snapshot->passed || xid >= snapshot->xmax)
		return false;
	if (xid < snapshot->xmin)
		return true;
	while (low < high)
	{
		int middle = (low + high) / 2;

		if (snapshot->xip[middle] == xid)
			return false;
		if (snapshot->xip[middle] < xid)
			low = middle + 1;
		else
			high = middle;
	}
	return true;
}

/* The snapshot that counts for a table, or for all that is no table's. */
const ExportSnapshot *
snapshot_of(StreamSession *session, const char *schema, const char *table)
{
	const ExportSnapshot *other = NULL;
	ListCell			 *lc;

	foreach (lc, session->options.after_snapshot)
	{
		const ExportSnapshot *snapshot = lfirst(lc);

		if (snapshot->table == NULL)
			other = snapshot;
		else if (table && name_matches(snapshot->table->schema, schema) &&
				 name_matches(snapshot->table->table, table))
			return snapshot;
	}
	return other;
}

/* Whether an export under this snapshot has what the transaction did. */
bool
snapshot_has(const ExportSnapshot *snapshot, TransactionId xid)
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
		const ExportSnapshot *snapshot = lfirst(lc);

		if (!is_visible(snapshot, full))
			return false;
		others |= snapshot->table == NULL;
	}
	return others;
}
