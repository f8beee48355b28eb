/*
 * jsonl.c
 *		Rows as JSON Lines: one object a row, UTF-8, as the stream writes them.
 *
 * The text of types without a JSON form comes from their output functions;
 * the caller pins the canonical settings for them.
 *
 * A row with a value that its JSON doesn't tell ends in a space, which means
 * nothing in JSON.  So whoever reads the rows back knows which are not whole.
 */
#include "postgres.h"

#include "encode/encode.h"

struct RowEncoder
{
	RowShape *shape;
	JsonStyle style;
	bool	  untold; /* of the current row: see JsonStyle */
};

static void
jsonl_check(const RowFormatOptions *options)
{
	row_format_refuse_csv_options("jsonl", options);
	row_format_require_utf8("jsonl", options);
}

static RowEncoder *
jsonl_open(RowShape *shape, const RowFormatOptions *options,
		   const RowHost *host, ByteBuffer *out)
{
	RowEncoder *encoder = palloc0_object(RowEncoder);

	encoder->shape = shape;
	encoder->style = json_style_default();
	encoder->style.untold = &encoder->untold;
	for (int i = 0; i < shape->ncolumns; i++)
	{
		ColumnShape *column = &shape->columns[i];
		TypeKind	 declared = type_declared_kind(column->type.oid);

		column->type.null_is_told =
			column->not_null && column->mask == NULL &&
			(declared == KIND_JSON || declared == KIND_JSONB);
	}
	json_prepare_shape(shape, &encoder->style);
	return encoder;
}

static void
jsonl_row(RowEncoder *encoder, const Datum *values, const bool *nulls,
		  ByteBuffer *out)
{
	encoder->untold = false;
	json_row(out, &encoder->style, encoder->shape, values, nulls, NULL, 0);
	if (encoder->untold)
		buffer_append_char(out, ' ');
	buffer_append_char(out, '\n');
}

static void
jsonl_close(RowEncoder *encoder, ByteBuffer *out)
{
}

const RowFormat row_format_jsonl = {.name = "jsonl",
									.extension = "jsonl",
									.canonical_settings = true,
									.check = jsonl_check,
									.open = jsonl_open,
									.row = jsonl_row,
									.close = jsonl_close,
									.counter = row_counter_lines};
