/*
 * change_wal2json_v1.c
 *		Format wal2json, format-version 1: one object per transaction, whose
 *		"change" is a list.
 *
 * Records are pieces of that object: the stream joins them, or, with
 * write-in-chunks, sends each piece by itself.  A TRUNCATE is left out.
 *
 * Layouts in this file show tabs, newlines and spaces as pretty-print wants
 * them; without it they are dropped.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "encode/wal2json.h"

/* The lists that describe a row, in their order. */
typedef enum V1List
{
	LIST_NAMES,
	LIST_TYPES,
	LIST_TYPE_OIDS,
	LIST_POSITIONS,
	LIST_OPTIONALS,
	LIST_DEFAULTS,
	NLISTS
} V1List;

#define NKEY_LISTS LIST_POSITIONS

static const char *const column_lists[NLISTS] = {
	"\t\t\t\"columnnames\": [",		"\t\t\t\"columntypes\": [",
	"\t\t\t\"columntypeoids\": [",	"\t\t\t\"columnpositions\": [",
	"\t\t\t\"columnoptionals\": [", "\t\t\t\"columndefaults\": [",
};

static const char *const key_lists[NKEY_LISTS] = {
	"\t\t\t\"oldkeys\": {\n\t\t\t\t\"keynames\": [",
	"\t\t\t\t\"keytypes\": [",
	"\t\t\t\t\"keytypeoids\": [",
};

typedef struct V1Column
{
	Wal2jsonColumn base;
	ShapeText	   items[NLISTS];
} V1Column;

typedef struct V1Shape
{
	ShapeText head[3]; /* by ChangeOp: up to the table's name */
	ShapeText columns; /* the lists of all columns, up to the values */
	ShapeText keys;	   /* the same of all key columns */
	int		  nkeys;
	ShapeText primary; /* "pk" without the comma behind; or empty */
	bool	 *present; /* workspace: which columns a row has */
	int		  ncolumns;
	V1Column  columns_of[FLEXIBLE_ARRAY_MEMBER];
} V1Shape;

static void
append_layout(StringInfo out, const Wal2json *wal2json, const char *layout)
{
	for (; *layout; layout++)
	{
		if (wal2json->pretty_print || strchr("\t\n ", *layout) == NULL)
			buffer_append_char(out, *layout);
	}
}

static bool
list_wanted(const Wal2json *wal2json, V1List list)
{
	switch (list)
	{
		case LIST_NAMES:
			return true;
		case LIST_TYPES:
			return wal2json->include_types;
		case LIST_TYPE_OIDS:
			return wal2json->include_type_oids;
		case LIST_POSITIONS:
			return wal2json->include_column_positions;
		case LIST_OPTIONALS:
			return wal2json->include_not_null;
		case LIST_DEFAULTS:
			return wal2json->include_default;
		default:
			return false;
	}
}

/* The lists, of the columns that are present, up to the values. */
static void
append_lists(StringInfo out, const Wal2json *wal2json, const V1Shape *shape,
			 bool keys)
{
	int	   nlists = keys ? NKEY_LISTS : NLISTS;
	V1List list;
	int	   i;

	for (list = 0; list < nlists; list++)
	{
		bool first = true;

		if (!list_wanted(wal2json, list))
			continue;
		append_layout(out, wal2json,
					  keys ? key_lists[list] : column_lists[list]);
		for (i = 0; i < shape->ncolumns; i++)
		{
			const ShapeText *item = &shape->columns_of[i].items[list];

			if (!shape->present[i] || item->len == 0)
				continue;
			if (!first)
				append_layout(out, wal2json, ", ");
			shape_text_append(out, item);
			first = false;
		}
		append_layout(out, wal2json, "],\n");
	}
	append_layout(out, wal2json,
				  keys ? "\t\t\t\t\"keyvalues\": ["
					   : "\t\t\t\"columnvalues\": [");
}

static void
render_column(StringInfo scratch, const Wal2json *wal2json, RowShape *shape,
			  int i, V1Column *column)
{
	ColumnShape	  *source = &shape->columns[i];
	ShapeText	  *items = column->items;
	Wal2jsonLabels labels;

	wal2json_describe(wal2json, shape, i, &column->base, &labels);
	/* where a domain is named by its type, it is written like it, too */
	if (!wal2json->include_types)
		labels.shown = labels.declared;
	column->base.literal = type_declared_kind(labels.shown);

	appendStringInfoString(scratch, labels.name);
	items[LIST_NAMES] = shape_text_take(shape, scratch);
	appendStringInfoString(scratch, labels.type);
	items[LIST_TYPES] = shape_text_take(shape, scratch);
	appendStringInfo(scratch, "%u", labels.shown);
	items[LIST_TYPE_OIDS] = shape_text_take(shape, scratch);
	appendStringInfo(scratch, "%d", source->attnum);
	items[LIST_POSITIONS] = shape_text_take(shape, scratch);
	/* as in wal2json, this list is empty where types are left out */
	if (wal2json->include_types)
		appendStringInfoString(scratch, source->not_null ? "false" : "true");
	items[LIST_OPTIONALS] = shape_text_take(shape, scratch);
	appendStringInfoString(scratch, labels.default_value);
	items[LIST_DEFAULTS] = shape_text_take(shape, scratch);
}

/* Everything up to the table's name. */
static ShapeText
render_head(StringInfo scratch, const Wal2json *wal2json, RowShape *shape,
			const char *kind)
{
	append_layout(scratch, wal2json, "{\n");
	append_layout(scratch, wal2json, kind);
	if (wal2json->include_schemas)
	{
		append_layout(scratch, wal2json, "\t\t\t\"schema\": ");
		wal2json_string(scratch, shape->schema);
		append_layout(scratch, wal2json, ",\n");
	}
	append_layout(scratch, wal2json, "\t\t\t\"table\": ");
	wal2json_string(scratch, shape->name);
	append_layout(scratch, wal2json, ",\n");
	return shape_text_take(shape, scratch);
}

/* The primary key is shown where it is the replica identity by default. */
static ShapeText
render_primary(StringInfo scratch, const Wal2json *wal2json, RowShape *shape,
			   V1Shape *prepared)
{
	static const char *const heads[] = {
		"\t\t\t\"pk\": {\n\t\t\t\t\"pknames\": [",
		"\t\t\t\t\"pktypes\": [",
	};
	static const char *const tails[] = {"],\n", "]\n\t\t\t}"};
	V1List					 list;
	int						 i;

	if (!wal2json->include_pk || shape->identity != 'd' || !shape->has_key)
		return shape_text_take(shape, scratch);
	for (list = LIST_NAMES; list <= LIST_TYPES; list++)
	{
		bool first = true;

		append_layout(scratch, wal2json, heads[list]);
		for (i = 0; i < shape->ncolumns; i++)
		{
			if (!shape->columns[i].is_primary || !list_wanted(wal2json, list))
				continue;
			if (!first)
				append_layout(scratch, wal2json, ", ");
			shape_text_append(scratch, &prepared->columns_of[i].items[list]);
			first = false;
		}
		append_layout(scratch, wal2json, tails[list]);
	}
	return shape_text_take(shape, scratch);
}

static void
v1_prepare_shape(RowShape *shape, const ChangeFormatOptions *options)
{
	static const char *const kinds[] = {
		"\t\t\t\"kind\": \"insert\",\n",
		"\t\t\t\"kind\": \"update\",\n",
		"\t\t\t\"kind\": \"delete\",\n",
	};
	Wal2json	  *wal2json = wal2json_of(options);
	V1Shape		  *prepared;
	StringInfoData scratch;
	int			   i;

	prepared = MemoryContextAllocZero(shape->context,
									  offsetof(V1Shape, columns_of) +
										  sizeof(V1Column) * shape->ncolumns);
	prepared->ncolumns = shape->ncolumns;
	prepared->present =
		MemoryContextAllocZero(shape->context, shape->ncolumns + 1);
	initStringInfo(&scratch);

	for (i = 0; i < lengthof(kinds); i++)
		prepared->head[i] = render_head(&scratch, wal2json, shape, kinds[i]);
	for (i = 0; i < shape->ncolumns; i++)
	{
		render_column(&scratch, wal2json, shape, i, &prepared->columns_of[i]);
		prepared->present[i] = true;
	}
	append_lists(&scratch, wal2json, prepared, false);
	prepared->columns = shape_text_take(shape, &scratch);
	for (i = 0; i < shape->ncolumns; i++)
	{
		prepared->present[i] = prepared->columns_of[i].base.is_key;
		prepared->nkeys += prepared->present[i] ? 1 : 0;
	}
	append_lists(&scratch, wal2json, prepared, true);
	prepared->keys = shape_text_take(shape, &scratch);
	prepared->primary = render_primary(&scratch, wal2json, shape, prepared);

	pfree(scratch.data);
	shape->prepared = prepared;
}

static void
append_values(StringInfo out, Wal2json *wal2json, const V1Shape *shape,
			  const Datum *values, const bool *nulls)
{
	bool first = true;
	int	 i;

	for (i = 0; i < shape->ncolumns; i++)
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
append_columns(StringInfo out, Wal2json *wal2json, V1Shape *shape,
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
		append_lists(out, wal2json, shape, false);
	append_values(out, wal2json, shape, values, nulls);
	buffer_append_char(out, ']');
}

/* Keys that are null are left out. */
static void
append_keys(StringInfo out, Wal2json *wal2json, V1Shape *shape,
			const RowChange *change, const Datum *values, const bool *nulls)
{
	int npresent = 0;
	int i;

	for (i = 0; i < shape->ncolumns; i++)
	{
		const Wal2jsonColumn *column = &shape->columns_of[i].base;

		shape->present[i] = column->is_key && !nulls[column->at] &&
							!wal2json_is_absent(column, change, values, nulls);
		npresent += shape->present[i] ? 1 : 0;
	}
	if (npresent == shape->nkeys)
		shape_text_append(out, &shape->keys);
	else
		append_lists(out, wal2json, shape, true);
	append_values(out, wal2json, shape, values, nulls);
	append_layout(out, wal2json, "]\n\t\t\t}\n");
}

/* What stands before an item of "change", which may be written twice. */
static void
begin_item(StringInfo out, Wal2json *wal2json, const ChangeTransaction *txn)
{
	if (wal2json->empty)
		wal2json->first = txn->changes;
	wal2json->empty = false;
	if (wal2json->pretty_print)
	{
		if (!wal2json->write_in_chunks)
			buffer_append_char(out, '\n');
		buffer_append_literal(out, "\t\t");
	}
	if (txn->changes != wal2json->first)
		buffer_append_char(out, ',');
}

static void
v1_row(StringInfo out, const ChangeFormatOptions *options,
	   const ChangeTransaction *txn, const ChangePosition *position,
	   const RowChange *change)
{
	Wal2json *wal2json = wal2json_of(options);
	V1Shape	 *shape = change->shape->prepared;
	bool	  with_keys = change->op != CHANGE_INSERT;

	begin_item(out, wal2json, txn);
	shape_text_append(out, &shape->head[change->op]);
	if (change->op != CHANGE_DELETE)
	{
		append_columns(out, wal2json, shape, change);
		append_layout(out, wal2json,
					  with_keys || shape->primary.len > 0 ? ",\n" : "\n");
	}
	if (shape->primary.len > 0)
	{
		shape_text_append(out, &shape->primary);
		append_layout(out, wal2json, with_keys ? ",\n" : "\n");
	}
	/* an identity that didn't change is in the new row */
	if (with_keys && change->old_values)
		append_keys(out, wal2json, shape, change, change->old_values,
					change->old_nulls);
	else if (with_keys)
		append_keys(out, wal2json, shape, change, change->new_values,
					change->new_nulls);
	append_layout(out, wal2json, "\t\t}");
}

static void
v1_value(StringInfo out, const ChangeFormatOptions *options, RowShape *shape,
		 int column, Datum value)
{
	const V1Shape *prepared = shape->prepared;

	wal2json_value(out, wal2json_of(options),
				   &prepared->columns_of[column].base, value);
}

static void
v1_truncate(StringInfo out, const ChangeFormatOptions *options,
			const ChangeTransaction *txn, const ChangePosition *position,
			const RowShape *shape, bool cascade, bool restart_identity)
{
}

static void
append_begin(StringInfo out, const Wal2json *wal2json,
			 const ChangeTransaction *txn)
{
	append_layout(out, wal2json, "{\n");
	if (wal2json->include_xids)
	{
		append_layout(out, wal2json, "\t\"xid\": ");
		json_append_uint(out, txn->xid);
		append_layout(out, wal2json, ",\n");
	}
	if (wal2json->include_lsn)
	{
		append_layout(out, wal2json, "\t\"nextlsn\": ");
		json_append_lsn(out, txn->end_lsn);
		append_layout(out, wal2json, ",\n");
	}
	if (wal2json->include_timestamp)
	{
		append_layout(out, wal2json, "\t\"timestamp\": ");
		wal2json_string(out, timestamptz_to_str(txn->time));
		append_layout(out, wal2json, ",\n");
	}
	if (wal2json->include_origin)
	{
		append_layout(out, wal2json, "\t\"origin\": ");
		json_append_uint(out, txn->origin);
		append_layout(out, wal2json, ",\n");
	}
	append_layout(out, wal2json, "\t\"change\": [");
}

static void
v1_transaction(StringInfo out, const ChangeFormatOptions *options,
			   TransactionEvent event, const ChangeTransaction *txn,
			   const ChangePosition *position)
{
	Wal2json *wal2json = wal2json_of(options);

	if (event == EVENT_BEGIN)
	{
		wal2json_refresh(wal2json);
		append_begin(out, wal2json, txn);
		wal2json->empty = true;
	}
	else
		append_layout(out, wal2json,
					  wal2json->write_in_chunks ? "\t]\n}" : "\n\t]\n}");
}

/* One outside of transactions is an object of its own. */
static void
v1_message(StringInfo out, const ChangeFormatOptions *options,
		   const ChangeTransaction *txn, const ChangePosition *position,
		   const MessageChange *message)
{
	Wal2json *wal2json = wal2json_of(options);

	if (message->transactional)
		begin_item(out, wal2json, txn);
	else
		append_layout(out, wal2json, "{\n\t\"change\": [\n\t\t");
	append_layout(out, wal2json, "{\n\t\t\t\"kind\": \"message\",\n");
	append_layout(out, wal2json, "\t\t\t\"transactional\": ");
	append_layout(out, wal2json,
				  message->transactional ? "true,\n" : "false,\n");
	append_layout(out, wal2json, "\t\t\t\"prefix\": ");
	wal2json_string(out, message->prefix);
	append_layout(out, wal2json, ",\n\t\t\t\"content\": ");
	wal2json_content(out, message);
	append_layout(out, wal2json, "\n\t\t}");
	if (!message->transactional)
		append_layout(out, wal2json, "\n\t]\n}");
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
