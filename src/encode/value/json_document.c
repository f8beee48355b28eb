/*
 * json_document.c
 *		Values that are strings or documents of any length: bytea, json, jsonb,
 *		hstore, and all that has a text of PostgreSQL's only.
 */
#include "postgres.h"

#include "common/base64.h"

#include "compat.h"
#include "encode/encode.h"
#include "encode/value/json_document.h"

/* Bytes that become whole groups of four characters. */
#define BASE64_PIECE (BUFFER_PIECE / 4 * 3)

void
json_base64(StringInfo out, const char *data, int len)
{
	buffer_append_char(out, '"');
	while (len > 0 && !buffer_is_over(out))
	{
		int piece = Min(len, BASE64_PIECE);
		int room = pg_b64_enc_len(piece);

		room = base64_encode(data, piece, buffer_reserve(out, room), room);
		if (room < 0)
			elog(ERROR, "could not encode a value as base64");
		buffer_advance(out, room);
		data += piece;
		len -= piece;
	}
	buffer_append_char(out, '"');
}

void
json_bytea(StringInfo out, const JsonStyle *style, Datum value)
{
	struct varlena *bytes = PG_DETOAST_DATUM_PACKED(value);

	if (style->base64)
	{
		json_base64(out, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
		return;
	}
	buffer_append_literal(out, "\"\\\\x");
	text_hex(out, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	buffer_append_char(out, '"');
}

void
json_jsonb_string(StringInfo out, const JsonStyle *style, Datum value,
				  LimitedBuffer *scratch)
{
	const JsonStyle raw = {.compact = style->compact};
	StringInfo		text = &scratch->data;
	Size			size;

	buffer_reset(text);
	buffer_limit_like(scratch, out);
	text_jsonb(text, &raw, value);
	if (buffer_is_limited(text) && !buffer_limit_end(scratch, &size))
		buffer_give_up(out);
	else
		json_string(out, style, text->data, text->len);
}

static void
json_quoted_jsonb(StringInfo out, const JsonStyle *style, Datum value)
{
	LimitedBuffer scratch;

	initStringInfo(&scratch.data);
	json_jsonb_string(out, style, value, &scratch);
	pfree(scratch.data.data);
}

void
json_document(StringInfo out, const JsonStyle *style, TypeShape *type,
			  Datum value)
{
	struct varlena *json;

	if (type->kind == KIND_JSONB)
	{
		if (style->quoted_documents)
			json_quoted_jsonb(out, style, value);
		else
			text_jsonb(out, style, value);
		return;
	}
	if (type->kind == KIND_HSTORE)
	{
		if (!output_fits(out, type, value))
			return;
		value = FunctionCall1(type->to_json, value);
	}
	json = PG_DETOAST_DATUM_PACKED(value);
	if (style->quoted_documents)
		json_string(out, style, VARDATA_ANY(json), VARSIZE_ANY_EXHDR(json));
	else
		json_text(out, style, VARDATA_ANY(json), VARSIZE_ANY_EXHDR(json));
}

void
json_text_value(StringInfo out, const JsonStyle *style, TypeShape *type,
				Datum value)
{
	const char *text;

	if (type->kind == KIND_NAME)
		text = NameStr(*DatumGetName(value));
	else if (type->kind == KIND_ENUM)
		text = enum_label(type, DatumGetObjectId(value));
	else if (output_fits(out, type, value))
		text = OutputFunctionCall(&type->output, value);
	else
		return;
	json_string(out, style, text, strlen(text));
}
