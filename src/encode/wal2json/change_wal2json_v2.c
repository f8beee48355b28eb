/*
 * change_wal2json_v2.c
 *		Format wal2json, format-version 2: one object per change.
 *
 *		{"action":"I","xid":1,"timestamp":"..","origin":0,"lsn":"0/0",
 *		 "schema":"s","table":"t","columns":[..],"identity":[..],"pk":[..]}
 *
 * All that doesn't depend on the row is rendered once per relation, and what
 * belongs to the transaction once per transaction.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "encode/wal2json/wal2json.h"

typedef struct V2Column
{
	Wal2jsonColumn base;
	ShapeText	   before;	/* ,{"name":..,"value": */
	ShapeText	   after;	/* ..} in "columns" */
	ShapeText	   primary; /* ,{"name":..} in "pk"; empty: not there */
} V2Column;

typedef struct V2Shape
{
	ShapeText table; /* ,"schema":..,"table":.. */
	int		  ncolumns;
	V2Column  columns[FLEXIBLE_ARRAY_MEMBER];
} V2Shape;

/* ,{"name":..,"type":..,"typeoid":.. */
static void
render_names(ByteBuffer *out, const Wal2json *wal2json,
			 const Wal2jsonLabels *labels)
{
	buffer_printf(out, ",{\"name\":%s", labels->name);
	if (wal2json->include_types)
		buffer_printf(out, ",\"type\":%s", labels->type);
	if (wal2json->include_type_oids)
		buffer_printf(out, ",\"typeoid\":%u", labels->declared);
}

static void
v2_render_column(ByteBuffer *scratch, const Wal2json *wal2json,
				 RowShape *shape, int i, V2Column *column)
{
	ColumnShape	  *source = &shape->columns[i];
	Wal2jsonLabels labels;

	wal2json_describe(wal2json, shape, i, &column->base, &labels);

	render_names(scratch, wal2json, &labels);
	buffer_append_string(scratch, ",\"value\":");
	column->before = shape_text_take(shape, scratch);

	if (wal2json->include_not_null)
		buffer_printf(scratch, ",\"optional\":%s",
					  source->not_null ? "false" : "true");
	if (wal2json->include_column_positions)
		buffer_printf(scratch, ",\"position\":%d", source->attnum);
	if (wal2json->include_default)
		buffer_printf(scratch, ",\"default\":%s", labels.default_value);
	buffer_append_char(scratch, '}');
	column->after = shape_text_take(shape, scratch);

	if (source->in_pkindex)
	{
		render_names(scratch, wal2json, &labels);
		buffer_append_char(scratch, '}');
	}
	column->primary = shape_text_take(shape, scratch);
}

static void
v2_prepare_shape(RowShape *shape, const ChangeFormatOptions *options)
{
	Wal2json  *wal2json = wal2json_of(options);
	V2Shape	  *prepared;
	ByteBuffer scratch;
	int		   i;

	prepared = MemoryContextAllocZero(shape->context,
									  offsetof(V2Shape, columns) +
										  sizeof(V2Column) * shape->ncolumns);
	buffer_init(&scratch);
	if (wal2json->include_schemas)
	{
		buffer_append_string(&scratch, ",\"schema\":");
		wal2json_string(&scratch, shape->schema);
	}
	buffer_append_string(&scratch, ",\"table\":");
	wal2json_string(&scratch, shape->name);
	prepared->table = shape_text_take(shape, &scratch);
	prepared->ncolumns = shape->ncolumns;
	for (i = 0; i < shape->ncolumns; i++)
		v2_render_column(&scratch, wal2json, shape, i, &prepared->columns[i]);
	buffer_free(&scratch);
	shape->prepared = prepared;
}

/* What every record of the transaction says of it. */
static void
render_transaction(Wal2json *wal2json, const ChangeTransaction *txn)
{
	ByteBuffer *out = &wal2json->transaction;

	buffer_clear(out);
	if (wal2json->include_xids)
		buffer_printf(out, ",\"xid\":%u", txn->xid);
	if (wal2json->include_timestamp)
		buffer_printf(out, ",\"timestamp\":\"%s\"",
					  timestamptz_to_str(txn->time));
	if (wal2json->include_origin)
		buffer_printf(out, ",\"origin\":%u", txn->origin);
}

/* {"action":"?" and what goes with every record */
static void
append_head(ByteBuffer *out, Wal2json *wal2json, char action, XLogRecPtr lsn)
{
	char *dst;

	buffer_append_literal(out, "{\"action\":\" \"");
	dst = out->data + out->len - 2;
	*dst = action;
	buffer_append(out, wal2json->transaction.data, wal2json->transaction.len);
	if (wal2json->include_lsn)
	{
		buffer_append_literal(out, ",\"lsn\":");
		wal2json_lsn(out, lsn);
	}
}

static void
v2_transaction(ByteBuffer *out, const ChangeFormatOptions *options,
			   TransactionEvent event, const ChangeTransaction *txn,
			   const ChangePosition *position, RecordForm form)
{
	Wal2json *wal2json = wal2json_of(options);

	if (event == EVENT_BEGIN)
	{
		wal2json_refresh(wal2json);
		render_transaction(wal2json, txn);
	}
	if (!wal2json->include_transaction)
		return;
	append_head(out, wal2json, event == EVENT_BEGIN ? 'B' : 'C',
				txn->commit_lsn);
	if (wal2json->include_lsn)
	{
		buffer_append_literal(out, ",\"nextlsn\":");
		wal2json_lsn(out, txn->end_lsn);
	}
	buffer_append_char(out, '}');
}

static void
v2_append_columns(ByteBuffer *out, Wal2json *wal2json, const V2Shape *shape,
				  const RowChange *change)
{
	const Datum *values = change->new_values;
	const bool	*nulls = change->new_nulls;
	int			 comma = 1; /* the first one is left out */
	int			 i;

	buffer_append_literal(out, ",\"columns\":[");
	for (i = 0; i < shape->ncolumns && !buffer_is_over(out); i++)
	{
		const V2Column *column = &shape->columns[i];

		if (wal2json_is_absent(&column->base, change, values, nulls))
			continue;
		buffer_append(out, column->before.data + comma,
					  column->before.len - comma);
		comma = 0;
		wal2json_item(out, wal2json, &column->base, values, nulls);
		shape_text_append(out, &column->after);
	}
	buffer_append_char(out, ']');
}

static void
v2_append_identity(ByteBuffer *out, Wal2json *wal2json, const V2Shape *shape,
				   const RowChange *change, const Datum *values,
				   const bool *nulls)
{
	bool nothing = wal2json_identity_is_cut(change);
	int	 comma = 1;
	int	 i;

	buffer_append_literal(out, ",\"identity\":[");
	for (i = 0; i < shape->ncolumns && !nothing; i++)
	{
		const V2Column *column = &shape->columns[i];

		if (!column->base.is_key ||
			wal2json_is_absent(&column->base, change, values, nulls))
			continue;
		buffer_append(out, column->before.data + comma,
					  column->before.len - comma);
		comma = 0;
		wal2json_item(out, wal2json, &column->base, values, nulls);
		buffer_append_char(out, '}');
	}
	buffer_append_char(out, ']');
}

/* Without values, or with too large ones, there is nothing to name. */
static bool
names_primary(const V2Shape *shape, const RowChange *change,
			  const Datum *values)
{
	if (values == NULL || likely(!(change->used & COLUMN_OMITTED)))
		return values != NULL;
	for (int i = 0; i < shape->ncolumns; i++)
		if (shape->columns[i].primary.len > 0 &&
			change_column_is(change, i, COLUMN_OMITTED))
			return false;
	return true;
}

static void
append_primary(ByteBuffer *out, const V2Shape *shape, const RowChange *change,
			   const Datum *values, const bool *nulls)
{
	bool nothing = !names_primary(shape, change, values);
	int	 comma = 1;
	int	 i;

	buffer_append_literal(out, ",\"pk\":[");
	for (i = 0; i < shape->ncolumns && !nothing; i++)
	{
		const V2Column *column = &shape->columns[i];

		if (column->primary.len == 0 ||
			wal2json_is_absent(&column->base, change, values, nulls))
			continue;
		buffer_append(out, column->primary.data + comma,
					  column->primary.len - comma);
		comma = 0;
	}
	buffer_append_char(out, ']');
}

static void
v2_row(ByteBuffer *out, const ChangeFormatOptions *options,
	   const ChangeTransaction *txn, const ChangePosition *position,
	   const RowChange *change)
{
	static const char actions[] = {'I', 'U', 'D'};
	Wal2json		 *wal2json = wal2json_of(options);
	V2Shape			 *shape = change->shape->prepared;
	const Datum		 *old_values = change->old_values;
	const bool		 *old_nulls = change->old_nulls;

	/* an identity that didn't change is in the new row */
	if (change->op == CHANGE_UPDATE && old_values == NULL)
	{
		old_values = change->new_values;
		old_nulls = change->new_nulls;
	}

	append_head(out, wal2json, actions[change->op], position->lsn);
	shape_text_append(out, &shape->table);
	if (change->bare)
	{
		buffer_append_literal(out, ",\"omitted\":true}");
		return;
	}
	if (change->new_values)
		v2_append_columns(out, wal2json, shape, change);
	if (change->op != CHANGE_INSERT && old_values)
		v2_append_identity(out, wal2json, shape, change, old_values,
						   old_nulls);
	if (wal2json->include_pk)
	{
		if (old_values == NULL)
		{
			old_values = change->new_values;
			old_nulls = change->new_nulls;
		}
		append_primary(out, shape, change, old_values, old_nulls);
	}
	buffer_append_char(out, '}');
}

static void
v2_value(ByteBuffer *out, const ChangeFormatOptions *options, RowShape *shape,
		 int column, Datum value)
{
	const V2Shape *prepared = shape->prepared;

	wal2json_value(out, wal2json_of(options), &prepared->columns[column].base,
				   value);
}

static void
v2_truncate(ByteBuffer *out, const ChangeFormatOptions *options,
			const ChangeTransaction *txn, const ChangePosition *position,
			const RowShape *shape, bool cascade, bool restart_identity)
{
	V2Shape *prepared = shape->prepared;

	append_head(out, wal2json_of(options), 'T', position->lsn);
	shape_text_append(out, &prepared->table);
	buffer_append_char(out, '}');
}

/* A message outside of transactions comes with nulls in place of theirs. */
static void
append_head_alone(ByteBuffer *out, const Wal2json *wal2json, XLogRecPtr lsn)
{
	buffer_append_literal(out, "{\"action\":\"M\"");
	if (wal2json->include_xids)
		buffer_append_literal(out, ",\"xid\":null");
	if (wal2json->include_timestamp)
		buffer_append_literal(out, ",\"timestamp\":null");
	if (wal2json->include_origin)
		buffer_append_literal(out, ",\"origin\":null");
	if (wal2json->include_lsn)
	{
		buffer_append_literal(out, ",\"lsn\":");
		wal2json_lsn(out, lsn);
	}
}

static void
v2_message(ByteBuffer *out, const ChangeFormatOptions *options,
		   const ChangeTransaction *txn, const ChangePosition *position,
		   const MessageChange *message)
{
	Wal2json *wal2json = wal2json_of(options);

	if (message->transactional)
	{
		append_head(out, wal2json, 'M', position->lsn);
		buffer_append_literal(out, ",\"transactional\":true,\"prefix\":");
	}
	else
	{
		append_head_alone(out, wal2json, txn->commit_lsn);
		buffer_append_literal(out, ",\"transactional\":false,\"prefix\":");
	}
	wal2json_prefix(out, message);
	buffer_append_literal(out, ",\"content\":");
	wal2json_content(out, message);
	buffer_append_char(out, '}');
}

const ChangeFormat change_format_wal2json_v2 = {
	.name = "wal2json",
	.prepare_shape = v2_prepare_shape,
	.transaction = v2_transaction,
	.schema = wal2json_no_schema,
	.row = v2_row,
	.value = v2_value,
	.truncate = v2_truncate,
	.message = v2_message,
};
