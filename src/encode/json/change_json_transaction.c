/*
 * change_json_transaction.c
 *		Where transactions begin and end, as records of format "json".
 */
#include "postgres.h"

#include "encode/json/change_json.h"

/* Members of a record, in their order. */
enum
{
	SUBXID = 1 << 0,
	GID = 1 << 1,
	COMMIT_LSN = 1 << 2,
	PREPARE_LSN = 1 << 3,
	END_LSN = 1 << 4,
	TIME = 1 << 5,
	ORIGIN = 1 << 6,
	CHANGES = 1 << 7
};

static const struct
{
	const char *op;
	int			members;
} events[] = {
	[EVENT_BEGIN] = {"begin", COMMIT_LSN | TIME | ORIGIN},
	[EVENT_COMMIT] = {"commit", COMMIT_LSN | END_LSN | TIME | CHANGES},
	[EVENT_BEGIN_PREPARE] = {"begin_prepare",
							 GID | PREPARE_LSN | TIME | ORIGIN},
	[EVENT_PREPARE] = {"prepare",
					   GID | PREPARE_LSN | END_LSN | TIME | CHANGES},
	[EVENT_COMMIT_PREPARED] = {"commit_prepared",
							   GID | COMMIT_LSN | END_LSN | TIME},
	[EVENT_ROLLBACK_PREPARED] = {"rollback_prepared", GID | END_LSN | TIME},
	[EVENT_STREAM_START] = {"stream_start", 0},
	[EVENT_STREAM_STOP] = {"stream_stop", 0},
	[EVENT_STREAM_ABORT] = {"stream_abort", SUBXID},
	[EVENT_STREAM_COMMIT] = {"stream_commit",
							 COMMIT_LSN | END_LSN | TIME | CHANGES},
	[EVENT_STREAM_PREPARE] = {"stream_prepare",
							  GID | PREPARE_LSN | END_LSN | TIME | CHANGES},
};

static void
append_lsn_member(ByteBuffer *out, const char *name, XLogRecPtr lsn)
{
	buffer_append(out, name, strlen(name));
	json_append_lsn(out, lsn);
}

static void
append_origin(ByteBuffer *out, const JsonStyle *style,
			  const ChangeTransaction *txn)
{
	if (txn->origin_name == NULL)
		return;
	buffer_append_literal(out, ",\"origin\":");
	json_append_string(out, style, txn->origin_name);
	append_lsn_member(out, ",\"origin_lsn\":", txn->origin_lsn);
}

void
change_json_transaction(ByteBuffer *out, const ChangeFormatOptions *options,
						TransactionEvent event, const ChangeTransaction *txn,
						const ChangePosition *position, RecordForm form)
{
	int members = events[event].members;

	if (event == EVENT_BEGIN && !options->include_transactions)
		return;
	buffer_append_literal(out, "{\"op\":\"");
	buffer_append(out, events[event].op, strlen(events[event].op));
	buffer_append_literal(out, "\",\"xid\":");
	json_append_uint(out, txn->xid);
	if (members & SUBXID)
	{
		buffer_append_literal(out, ",\"subxid\":");
		json_append_uint(out, position->subxid);
	}
	if (members & GID)
	{
		buffer_append_literal(out, ",\"gid\":");
		json_append_string(out, &options->style, txn->gid);
	}
	if (members & COMMIT_LSN)
		append_lsn_member(out, ",\"commit_lsn\":", txn->commit_lsn);
	if (members & PREPARE_LSN)
		append_lsn_member(out, ",\"prepare_lsn\":", txn->prepare_lsn);
	if (members & END_LSN)
		append_lsn_member(out, ",\"end_lsn\":", txn->end_lsn);
	if (members & TIME)
	{
		buffer_append_literal(out, ",\"ts\":");
		json_append_time(out, txn->time);
	}
	if (members & ORIGIN)
		append_origin(out, &options->style, txn);
	if (members & CHANGES)
	{
		buffer_append_literal(out, ",\"changes\":");
		json_append_uint(out, txn->changes);
	}
	buffer_append_char(out, '}');
}
