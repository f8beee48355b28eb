/*
 * change.c
 *		Row changes and truncations: from the server's callbacks to records.
 *
 * A change is counted, filtered, read (tuple.c) and handed to the format.
 * Nothing here allocates per row or looks into the catalogs; what encoders
 * leave behind is reset after each change.
 */
#include "postgres.h"

#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "encoding.h"
#include "stream/stream.h"

/* Puts names around an error of an output function. */
static void
change_error_context(void *arg)
{
	StreamSession		 *session = arg;
	const RowShape		 *shape = session->last ? session->last->shape : NULL;
	const ColumnShape	 *column = shape ? shape->current : NULL;
	const ChangePosition *at = &session->position;

	if (shape == NULL)
		errcontext("reading a change, %X/%X/%04X", LSN_FORMAT_ARGS(at->lsn),
				   at->index);
	else if (column)
		encoding_context("writing column \"%s\" of table \"%s.%s\", change "
						 "%X/%X/%04X",
						 column->name, shape->schema, shape->name,
						 LSN_FORMAT_ARGS(at->lsn), at->index);
	else
		encoding_context("writing a row of table \"%s.%s\", change %X/%X/%04X",
						 shape->schema, shape->name, LSN_FORMAT_ARGS(at->lsn),
						 at->index);
}

static void
warn_missing_identity(StreamSession *session, StreamRelation *rel)
{
	bool		left_out = session->options.traits.needs_identity;
	const char *schema;
	const char *name;

	if (rel->warned_identity)
		return;
	rel->warned_identity = true;
	schema = encoding_shown(rel->shape->schema);
	name = encoding_shown(rel->shape->name);
	ereport(
		WARNING,
		(rel->key_masked
			 ? errmsg("the replica identity of table \"%s.%s\" is masked",
					  schema, name)
		 : rel->key_filtered
			 ? errmsg("columns of the replica identity of table \"%s.%s\" "
					  "are filtered away",
					  schema, name)
		 : rel->key_is_leafs
			 ? errmsg("the replica identity of a partition of table "
					  "\"%s.%s\" may be that of other partitions' rows",
					  schema, name)
			 : errmsg("table \"%s.%s\" has no replica identity", schema, name),
		 left_out ? errdetail("Its updates and deletes are left out.")
				  : errdetail("Its updates and deletes are streamed "
							  "without a key."),
		 rel->key_masked
			 ? errhint("Mask \"hash\" leaves a key that tells rows apart.")
		 : rel->key_filtered
			 ? errhint("Stream these columns, too, or use ALTER TABLE ... "
					   "REPLICA IDENTITY.")
		 : rel->key_is_leafs
			 ? errhint("Give it the columns that the table is partitioned "
					   "by, or use ALTER TABLE ... REPLICA IDENTITY FULL "
					   "for the partition \"%s.%s\".",
					   encoding_shown(rel->leaf->schema),
					   encoding_shown(rel->leaf->name))
			 : errhint("Give it a primary key, or use ALTER TABLE ... "
					   "REPLICA IDENTITY.")));
}

/*
 * An update that a row filter made an insert: the consumer never had what the WAL
 * lacks.
 */
static void
warn_partial_insert(StreamRelation *rel)
{
	if (rel->as->warned_partial)
		return;
	rel->as->warned_partial = true;
	ereport(WARNING,
			(errmsg("an update of table \"%s.%s\" is streamed as an insert "
					"that lacks values",
					encoding_shown(rel->shape->schema),
					encoding_shown(rel->shape->name)),
			 errdetail("A row filter lets only its new row through, and the "
					   "WAL has no unchanged value that is stored out of "
					   "line."),
			 errhint("ALTER TABLE ... REPLICA IDENTITY FULL mends that for "
					 "later changes.")));
}

static bool
key_is_whole(const RowChange *row)
{
	for (int i = 0; i < row->shape->ncolumns; i++)
		if (change_column_is(row, i, COLUMN_OMITTED) &&
			!change_column_is(row, i, COLUMN_NOT_KEY))
			return false;
	return true;
}

/* Half a key would name the wrong rows. */
static void
set_omitted(StreamSession *session, StreamRelation *rel, RowChange *row)
{
	if (!oversize_find(session, rel, row))
		return;
	row->used |= COLUMN_OMITTED;
	if (!key_is_whole(row))
		row->key_values = NULL;
}

/* What a record has beside the values that are measured: names and the like. */
#define RECORD_OVERHEAD (16 * 1024 * 1024)

/* Writes a record; false if it passed the limit. */
static bool
try_row(StreamSession *session, const RowChange *row, Size limit)
{
	ByteBuffer *out = writer_begin(session);
	Size		bytes;

	buffer_limit_begin(&session->batch, limit, limit);
	session->format->row(out, &session->format_options, &session->txn,
						 &session->position, row);
	return buffer_limit_end(&session->batch, &bytes);
}

/* Where the values that are too large are left out already. */
static void
write_measured(StreamSession *session, StreamRelation *rel, RowChange *row)
{
	Size limit = session->options.max_record_bytes + RECORD_OVERHEAD;

	if (try_row(session, row, limit) ||
		(record_make_room(session, limit) && try_row(session, row, limit)))
		return;
	record_report(session,
				  psprintf("row of table \"%s.%s\"", rel->shape->schema,
						   rel->shape->name),
				  "All of it");
	row->bare = true;
	(void) try_row(session, row, MaxAllocSize);
}

static void
write_record(StreamSession *session, StreamRelation *rel, RowChange *row,
			 bool measured)
{
	if (measured)
		write_measured(session, rel, row);
	else if (!try_row(session, row, record_limit(&session->options)))
	{
		set_omitted(session, rel, row);
		write_measured(session, rel, row);
	}
	transaction_count(session, session->position.subxid);
	writer_end(session);
}

/* Whether an update moves the row to another key. */
static bool
key_is_changed(const RowChange *row)
{
	const RowShape *shape = row->shape;
	int				i;

	if (row->op != CHANGE_UPDATE || row->key_values == NULL ||
		row->key_values == row->new_values)
		return false;
	for (i = 0; i < shape->ncolumns; i++)
	{
		const TypeShape *type = &shape->columns[i].type;
		int				 at = shape->columns[i].attnum - 1;

		if (change_column_is(row, i, COLUMN_NOT_KEY | COLUMN_LEFT_OUT))
			continue;
		if (row->key_nulls[at] != row->new_nulls[at] ||
			(!row->new_nulls[at] &&
			 !datum_image_eq(row->key_values[at], row->new_values[at],
							 type->byval, type->len)))
			return true;
	}
	return false;
}

/* Before anything is done for the change that may fail. */
static inline bool
is_skipped(StreamSession *session)
{
	return session->options.nskipped > 0 &&
		   record_is_skipped(session, &session->position);
}

/*
 * As a delete and an insert, for consumers that file records by key.  Their
 * ids differ in the index, which no other tuple of an update's WAL record has.
 * An error may come after the delete has gone out: skipping the insert's id
 * passes over the insert alone.
 */
static void
write_key_change(StreamSession *session, StreamRelation *rel,
				 const RowChange *row, bool measured)
{
	RowChange gone = *row;
	RowChange come = *row;

	gone.op = CHANGE_DELETE;
	gone.new_values = NULL;
	gone.new_nulls = NULL;
	write_record(session, rel, &gone, measured);

	come.op = CHANGE_INSERT;
	come.old_values = NULL;
	come.old_nulls = NULL;
	come.key_values = row->key_values ? come.new_values : NULL;
	come.key_nulls = come.new_nulls;
	session->position.index++;
	if (!is_skipped(session))
		write_record(session, rel, &come, measured);
}

static void
write_row(StreamSession *session, StreamRelation *rel, RowChange *row)
{
	bool measured;
	bool to_split;

	if (row->op != CHANGE_INSERT &&
		(!rel->has_identity ||
		 (rel->key_filtered && !session->options.traits.needs_identity)))
	{
		warn_missing_identity(session, rel);
		if (session->options.traits.needs_identity)
			return;
	}
	if (unlikely(row->op == CHANGE_INSERT && (row->used & COLUMN_UNCHANGED)))
		warn_partial_insert(rel);
	/* before the key is left out */
	to_split =
		session->options.traits.split_key_changes && key_is_changed(row);
	measured = oversize_expected(session, rel, row);
	if (measured)
		set_omitted(session, rel, row);
	transaction_ensure_begun(session);
	relation_announce(session, rel);
	if (to_split)
		write_key_change(session, rel, row, measured);
	else
		write_record(session, rel, row, measured);
}

/* Whether this change of the relation is wanted. */
static bool
change_is_wanted(StreamSession *session, StreamRelation *rel, int action,
				 const ReorderBufferChange *change)
{
	return (rel->actions & action) &&
		   origin_wrote_wanted(session, change->origin_id) &&
		   !(rel->after && snapshot_has(rel->after, session->txn.xid));
}

/* Around one change: names it in errors, and takes away its garbage. */
typedef struct ChangeScope
{
	ErrorContextCallback errors;
	MemoryContext		 old;
} ChangeScope;

static inline void
enter_change(StreamSession *session, ChangeScope *scope)
{
	scope->errors.callback = change_error_context;
	scope->errors.arg = session;
	scope->errors.previous = error_context_stack;
	error_context_stack = &scope->errors;
	scope->old = MemoryContextSwitchTo(session->change_context);
}

static inline void
leave_change(StreamSession *session, ChangeScope *scope)
{
	MemoryContextSwitchTo(scope->old);
	MemoryContextReset(session->change_context);
	error_context_stack = scope->errors.previous;
}

static void
emit_row(StreamSession *session, Relation relation,
		 ReorderBufferChange *change, ChangeOp op)
{
	StreamRelation *rel;
	RowChange		row = {.op = op};
	ChangeScope		scope;

	if (is_skipped(session))
		return;
	enter_change(session, &scope);
	rel = relation_find(session, relation);
	/* a row filter may have made it another operation */
	if (change_is_wanted(session, rel, 1 << op, change) &&
		tuple_read(session, rel, relation, change, &row) &&
		(session->options.action_mask & (1 << row.op)))
		write_row(session, rel, &row);
	leave_change(session, &scope);
}

void
change_row(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
		   Relation relation, ReorderBufferChange *change)
{
	StreamSession *session = stream_session(ctx);

	position_advance(session, change->lsn, change->txn->xid);
	writer_progress(session);
	if (session->skipped)
		return;
	switch (change->action)
	{
		case REORDER_BUFFER_CHANGE_INSERT:
			emit_row(session, relation, change, CHANGE_INSERT);
			break;
		case REORDER_BUFFER_CHANGE_UPDATE:
			emit_row(session, relation, change, CHANGE_UPDATE);
			break;
		case REORDER_BUFFER_CHANGE_DELETE:
			emit_row(session, relation, change, CHANGE_DELETE);
			break;
		default:
			elog(ERROR, "unexpected change action %d", (int) change->action);
	}
}

static void
write_truncate(StreamSession *session, StreamRelation *rel,
			   ReorderBufferChange *change)
{
	transaction_ensure_begun(session);
	relation_announce(session, rel);
	session->format->truncate(writer_begin(session), &session->format_options,
							  &session->txn, &session->position, rel->shape,
							  change->data.truncate.cascade,
							  change->data.truncate.restart_seqs);
	transaction_count(session, session->position.subxid);
	writer_end(session);
}

/* The relations of one TRUNCATE share an LSN, as tuples of a multi-insert. */
void
change_truncate(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
				int nrelations, Relation relations[],
				ReorderBufferChange *change)
{
	StreamSession *session = stream_session(ctx);
	int			   i;

	writer_progress(session);
	for (i = 0; i < nrelations; i++)
	{
		StreamRelation *rel;
		ChangeScope		scope;

		position_advance(session, change->lsn, change->txn->xid);
		if (session->skipped || is_skipped(session))
			continue;
		enter_change(session, &scope);
		rel = relation_find(session, relations[i]);
		if (change_is_wanted(session, rel, ACTION_TRUNCATE, change) &&
			(session->options.action_mask & ACTION_TRUNCATE))
			write_truncate(session, rel, change);
		leave_change(session, &scope);
	}
}
