/*
 * jsonl.c
 *		Rows as JSON Lines: one object a row, UTF-8, as the stream writes them.
 *
 * The text of types without a JSON form comes from their output functions;
 * the caller pins the canonical settings for them.
 */
#include "postgres.h"

#include "encode/encode.h"

struct RowEncoder
{
	RowShape *shape;
	JsonStyle style;
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
	json_prepare_shape(shape, &encoder->style);
	return encoder;
}

static void
jsonl_row(RowEncoder *encoder, const Datum *values, const bool *nulls,
		  ByteBuffer *out)
{
	json_row(out, &encoder->style, encoder->shape, values, nulls, NULL, 0);
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
