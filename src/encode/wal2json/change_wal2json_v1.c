/*
 * change_wal2json_v1.c
 *		Format wal2json, format-version 1: one object per transaction, whose
 *		"change" is a list.
 *
 * Records are pieces of that object: the stream joins them, or, with
 * write-in-chunks, sends each piece by itself.  There is none of a TRUNCATE.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "encode/wal2json/wal2json_v1.h"

static void
append_values(ByteBuffer *out, Wal2json *wal2json, const V1Shape *shape,
			  const Datum *values, const bool *nulls)
{
	bool first = true;
	int	 i;

	for (i = 0; i < shape->ncolumns && !buffer_is_over(out); i++)
	{
		if (!shape->present[i])
			continue;
		if (!first)
		{
			buffer_append_char(out, ',');
			if (wal2json->pretty_print)
				buffer_append_char(out, ' ');
		}
		wal2json_item(out, wal2json, &shape->columns_of[i].base, values,
					  nulls);
		first = false;
	}
}

static void
v1_append_columns(ByteBuffer *out, Wal2json *wal2json, V1Shape *shape,
				  const RowChange *change)
{
	const Datum *values = change->new_values;
	const bool	*nulls = change->new_nulls;
	bool		 whole = true;
	int			 i;

	for (i = 0; i < shape->ncolumns; i++)
	{
		shape->present[i] = !wal2json_is_absent(&shape->columns_of[i].base,
												change, values, nulls);
		whole &= shape->present[i];
	}
	if (whole)
		shape_text_append(out, &shape->columns);
	else
		v1_append_lists(out, wal2json, shape, false);
	append_values(out, wal2json, shape, values, nulls);
	buffer_append_char(out, ']');
}

/* Keys that are null are left out; there are no values without a row. */
static void
append_keys(ByteBuffer *out, Wal2json *wal2json, V1Shape *shape,
			const RowChange *change, const Datum *values, const bool *nulls)
{
	bool nothing = values == NULL || wal2json_identity_is_cut(change);
	int	 npresent = 0;
	int	 i;

	for (i = 0; i < shape->ncolumns; i++)
	{
		const Wal2jsonColumn *column = &shape->columns_of[i].base;

		shape->present[i] = !nothing && column->is_key && !nulls[column->at] &&
							!wal2json_is_absent(column, change, values, nulls);
		npresent += shape->present[i] ? 1 : 0;
	}
	if (npresent == shape->nkeys)
		shape_text_append(out, &shape->keys);
	else
		v1_append_lists(out, wal2json, shape, true);
	append_values(out, wal2json, shape, values, nulls);
	v1_append_layout(out, wal2json, "]\n\t\t\t}\n");
}

/* What stands before an item of "change", which may be written twice. */
static void
begin_item(ByteBuffer *out, Wal2json *wal2json, const ChangeTransaction *txn)
{
	if (wal2json->pretty_print)
	{
		if (!wal2json->write_in_chunks)
			buffer_append_char(out, '\n');
		buffer_append_literal(out, "\t\t");
	}
	if (txn->changes > 0)
		buffer_append_char(out, ',');
}

static void
v1_row(ByteBuffer *out, const ChangeFormatOptions *options,
	   const ChangeTransaction *txn, const ChangePosition *position,
	   const RowChange *change)
{
	Wal2json *wal2json = wal2json_of(options);
	V1Shape	 *shape = change->shape->prepared;
	bool	  with_keys = change->op != CHANGE_INSERT;

	begin_item(out, wal2json, txn);
	shape_text_append(out, &shape->head[change->op]);
	if (change->bare)
	{
		v1_append_layout(out, wal2json, "\t\t\t\"omitted\": true\n\t\t}");
		return;
	}
	if (change->op != CHANGE_DELETE)
	{
		v1_append_columns(out, wal2json, shape, change);
		v1_append_layout(out, wal2json,
						 with_keys || shape->primary.len > 0 ? ",\n" : "\n");
	}
	if (shape->primary.len > 0)
	{
		shape_text_append(out, &shape->primary);
		v1_append_layout(out, wal2json, with_keys ? ",\n" : "\n");
	}
	/* an identity that didn't change is in the new row */
	if (with_keys && change->old_values)
		append_keys(out, wal2json, shape, change, change->old_values,
					change->old_nulls);
	else if (with_keys)
		append_keys(out, wal2json, shape, change, change->new_values,
					change->new_nulls);
	v1_append_layout(out, wal2json, "\t\t}");
}

static void
v1_value(ByteBuffer *out, const ChangeFormatOptions *options, RowShape *shape,
		 int column, Datum value)
{
	const V1Shape *prepared = shape->prepared;

	wal2json_value(out, wal2json_of(options),
				   &prepared->columns_of[column].base, value);
}

static void
v1_truncate(ByteBuffer *out, const ChangeFormatOptions *options,
			const ChangeTransaction *txn, const ChangePosition *position,
			const RowShape *shape, bool cascade, bool restart_identity)
{
}

static void
append_begin(ByteBuffer *out, const Wal2json *wal2json,
			 const ChangeTransaction *txn)
{
	v1_append_layout(out, wal2json, "{\n");
	if (wal2json->include_xids)
	{
		v1_append_layout(out, wal2json, "\t\"xid\": ");
		json_append_uint(out, txn->xid);
		v1_append_layout(out, wal2json, ",\n");
	}
	if (wal2json->include_lsn)
	{
		v1_append_layout(out, wal2json, "\t\"nextlsn\": ");
		wal2json_lsn(out, txn->end_lsn);
		v1_append_layout(out, wal2json, ",\n");
	}
	if (wal2json->include_timestamp)
	{
		v1_append_layout(out, wal2json, "\t\"timestamp\": ");
		wal2json_string(out, timestamptz_to_str(txn->time));
		v1_append_layout(out, wal2json, ",\n");
	}
	if (wal2json->include_origin)
	{
		v1_append_layout(out, wal2json, "\t\"origin\": ");
		json_append_uint(out, txn->origin);
		v1_append_layout(out, wal2json, ",\n");
	}
	v1_append_layout(out, wal2json, "\t\"change\": [");
}

static void
v1_transaction(ByteBuffer *out, const ChangeFormatOptions *options,
			   TransactionEvent event, const ChangeTransaction *txn,
			   const ChangePosition *position, RecordForm form)
{
	Wal2json *wal2json = wal2json_of(options);

	if (event == EVENT_BEGIN)
	{
		wal2json_refresh(wal2json);
		append_begin(out, wal2json, txn);
	}
	else
		v1_append_layout(out, wal2json,
						 wal2json->write_in_chunks ? "\t]\n}" : "\n\t]\n}");
}

/* One outside of transactions is an object of its own. */
static void
v1_message(ByteBuffer *out, const ChangeFormatOptions *options,
		   const ChangeTransaction *txn, const ChangePosition *position,
		   const MessageChange *message)
{
	Wal2json *wal2json = wal2json_of(options);

	if (message->transactional)
		begin_item(out, wal2json, txn);
	else
		v1_append_layout(out, wal2json, "{\n\t\"change\": [\n\t\t");
	v1_append_layout(out, wal2json, "{\n\t\t\t\"kind\": \"message\",\n");
	v1_append_layout(out, wal2json, "\t\t\t\"transactional\": ");
	v1_append_layout(out, wal2json,
					 message->transactional ? "true,\n" : "false,\n");
	v1_append_layout(out, wal2json, "\t\t\t\"prefix\": ");
	wal2json_prefix(out, message);
	v1_append_layout(out, wal2json, ",\n\t\t\t\"content\": ");
	wal2json_content(out, message);
	v1_append_layout(out, wal2json, "\n\t\t}");
	if (!message->transactional)
		v1_append_layout(out, wal2json, "\n\t]\n}");
}

const ChangeFormat change_format_wal2json_v1 = {
	.name = "wal2json",
	.prepare_shape = v1_prepare_shape,
	.transaction = v1_transaction,
	.schema = wal2json_no_schema,
	.row = v1_row,
	.value = v1_value,
	.truncate = v1_truncate,
	.message = v1_message,
};
