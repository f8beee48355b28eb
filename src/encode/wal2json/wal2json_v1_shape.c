/*
 * wal2json_v1_shape.c
 *		Format wal2json, format-version 1: what doesn't depend on the row.
 *
 * A row describes its columns in lists of names, types and so on, which are
 * rendered once for all columns, and again for rows that lack some.
 */
#include "postgres.h"

#include "encode/wal2json/wal2json_v1.h"

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

void
v1_append_layout(ByteBuffer *out, const Wal2json *wal2json, const char *layout)
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

void
v1_append_lists(ByteBuffer *out, const Wal2json *wal2json,
				const V1Shape *shape, bool keys)
{
	int	   nlists = keys ? NKEY_LISTS : NLISTS;
	V1List list;
	int	   i;

	for (list = 0; list < nlists; list++)
	{
		bool first = true;

		if (!list_wanted(wal2json, list))
			continue;
		v1_append_layout(out, wal2json,
						 keys ? key_lists[list] : column_lists[list]);
		for (i = 0; i < shape->ncolumns; i++)
		{
			const ShapeText *item = &shape->columns_of[i].items[list];

			if (!shape->present[i] || item->len == 0)
				continue;
			if (!first)
				v1_append_layout(out, wal2json, ", ");
			shape_text_append(out, item);
			first = false;
		}
		v1_append_layout(out, wal2json, "],\n");
	}
	v1_append_layout(out, wal2json,
					 keys ? "\t\t\t\t\"keyvalues\": ["
						  : "\t\t\t\"columnvalues\": [");
}

static void
v1_render_column(ByteBuffer *scratch, const Wal2json *wal2json,
				 RowShape *shape, int i, V1Column *column)
{
	ColumnShape	  *source = &shape->columns[i];
	ShapeText	  *items = column->items;
	Wal2jsonLabels labels;

	wal2json_describe(wal2json, shape, i, &column->base, &labels);
	/* where a domain is named by its type, it is written like it, too */
	if (!wal2json->include_types)
		labels.shown = labels.declared;
	column->base.literal = type_declared_kind(labels.shown);

	buffer_append_string(scratch, labels.name);
	items[LIST_NAMES] = shape_text_take(shape, scratch);
	buffer_append_string(scratch, labels.type);
	items[LIST_TYPES] = shape_text_take(shape, scratch);
	buffer_printf(scratch, "%u", labels.shown);
	items[LIST_TYPE_OIDS] = shape_text_take(shape, scratch);
	buffer_printf(scratch, "%d", source->attnum);
	items[LIST_POSITIONS] = shape_text_take(shape, scratch);
	buffer_append_string(scratch, source->not_null ? "false" : "true");
	items[LIST_OPTIONALS] = shape_text_take(shape, scratch);
	buffer_append_string(scratch, labels.default_value);
	items[LIST_DEFAULTS] = shape_text_take(shape, scratch);
}

/* Everything up to the table's name. */
static ShapeText
render_head(ByteBuffer *scratch, const Wal2json *wal2json, RowShape *shape,
			const char *kind)
{
	v1_append_layout(scratch, wal2json, "{\n");
	v1_append_layout(scratch, wal2json, kind);
	if (wal2json->include_schemas)
	{
		v1_append_layout(scratch, wal2json, "\t\t\t\"schema\": ");
		wal2json_string(scratch, shape->schema);
		v1_append_layout(scratch, wal2json, ",\n");
	}
	v1_append_layout(scratch, wal2json, "\t\t\t\"table\": ");
	wal2json_string(scratch, shape->name);
	v1_append_layout(scratch, wal2json, ",\n");
	return shape_text_take(shape, scratch);
}

static bool
has_primary(const RowShape *shape)
{
	int i;

	for (i = 0; i < shape->ncolumns; i++)
		if (shape->columns[i].in_pkindex)
			return true;
	return false;
}

static ShapeText
render_primary(ByteBuffer *scratch, const Wal2json *wal2json, RowShape *shape,
			   V1Shape *prepared)
{
	static const char *const heads[] = {
		"\t\t\t\"pk\": {\n\t\t\t\t\"pknames\": [",
		"\t\t\t\t\"pktypes\": [",
	};
	static const char *const tails[] = {"],\n", "]\n\t\t\t}"};
	V1List					 list;
	int						 i;

	if (!wal2json->include_pk || !has_primary(shape))
		return shape_text_take(shape, scratch);
	for (list = LIST_NAMES; list <= LIST_TYPES; list++)
	{
		bool first = true;

		v1_append_layout(scratch, wal2json, heads[list]);
		for (i = 0; i < shape->ncolumns; i++)
		{
			if (!shape->columns[i].in_pkindex || !list_wanted(wal2json, list))
				continue;
			if (!first)
				v1_append_layout(scratch, wal2json, ", ");
			shape_text_append(scratch, &prepared->columns_of[i].items[list]);
			first = false;
		}
		v1_append_layout(scratch, wal2json, tails[list]);
	}
	return shape_text_take(shape, scratch);
}

void
v1_prepare_shape(RowShape *shape, const ChangeFormatOptions *options)
{
	static const char *const kinds[] = {
		"\t\t\t\"kind\": \"insert\",\n",
		"\t\t\t\"kind\": \"update\",\n",
		"\t\t\t\"kind\": \"delete\",\n",
	};
	Wal2json  *wal2json = wal2json_of(options);
	V1Shape	  *prepared;
	ByteBuffer scratch;
	int		   i;

	prepared = MemoryContextAllocZero(shape->context,
									  offsetof(V1Shape, columns_of) +
										  sizeof(V1Column) * shape->ncolumns);
	prepared->ncolumns = shape->ncolumns;
	prepared->present =
		MemoryContextAllocZero(shape->context, shape->ncolumns + 1);
	buffer_init(&scratch);

	for (i = 0; i < lengthof(kinds); i++)
		prepared->head[i] = render_head(&scratch, wal2json, shape, kinds[i]);
	for (i = 0; i < shape->ncolumns; i++)
	{
		v1_render_column(&scratch, wal2json, shape, i,
						 &prepared->columns_of[i]);
		prepared->present[i] = true;
	}
	v1_append_lists(&scratch, wal2json, prepared, false);
	prepared->columns = shape_text_take(shape, &scratch);
	for (i = 0; i < shape->ncolumns; i++)
	{
		prepared->present[i] = prepared->columns_of[i].base.is_key;
		prepared->nkeys += prepared->present[i] ? 1 : 0;
	}
	v1_append_lists(&scratch, wal2json, prepared, true);
	prepared->keys = shape_text_take(shape, &scratch);
	prepared->primary = render_primary(&scratch, wal2json, shape, prepared);

	buffer_free(&scratch);
	shape->prepared = prepared;
}
