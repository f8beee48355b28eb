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
json_base64(ByteBuffer *out, const char *data, int len)
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
json_bytea(ByteBuffer *out, const JsonStyle *style, Datum value)
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
json_jsonb_string(ByteBuffer *out, const JsonStyle *style, Datum value,
				  ByteBuffer *scratch)
{
	const JsonStyle raw = {.compact = style->compact};
	size_t			size;

	buffer_reset(scratch);
	buffer_limit_like(scratch, out);
	text_jsonb(scratch, &raw, value);
	if (buffer_is_limited(scratch) && !buffer_limit_end(scratch, &size))
		buffer_give_up(out);
	else
		json_string(out, style, scratch->data, scratch->len);
}

static void
json_quoted_jsonb(ByteBuffer *out, const JsonStyle *style, Datum value)
{
	ByteBuffer scratch;

	buffer_init(&scratch);
	json_jsonb_string(out, style, value, &scratch);
	buffer_free(&scratch);
}

char
json_first(const ByteBuffer *out, size_t start)
{
	while (start < out->len && strchr(" \t\n\r", out->data[start]))
		start++;
	return start < out->len ? out->data[start] : '\0';
}

/* Whether a string of json has a character that no text of the server's can. */
static bool
has_zero(const ByteBuffer *out, size_t start)
{
	const char *at = out->data + start;
	const char *end = out->data + out->len;

	while (at < end && (at = memchr(at, '\\', end - at)) != NULL)
	{
		if (end - at >= 6 && memcmp(at, "\\u0000", 6) == 0)
			return true;
		at += 2;
	}
	return false;
}

static bool
is_untold(const ByteBuffer *out, size_t start, const TypeShape *type)
{
	if (type->kind == KIND_HSTORE)
		return true;
	if (!type->null_is_told && json_first(out, start) == 'n')
		return true;
	return type->kind == KIND_JSON && has_zero(out, start);
}

static void
append_document(ByteBuffer *out, const JsonStyle *style, TypeShape *type,
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
json_document(ByteBuffer *out, const JsonStyle *style, TypeShape *type,
			  Datum value)
{
	size_t start = out->len;

	append_document(out, style, type, value);
	if (style->untold && is_untold(out, start, type))
		*style->untold = true;
}

void
json_text_value(ByteBuffer *out, const JsonStyle *style, TypeShape *type,
				Datum value)
{
	const char *text = NULL;

	if (type->kind == KIND_NAME)
		text = text_of_names(NameStr(*DatumGetName(value)));
	else if (type->kind == KIND_ENUM)
		text = enum_label(DatumGetObjectId(value));
	else if (output_fits(out, type, value))
		text = output_call(out, type, value);
	if (text)
		json_string(out, style, text, strlen(text));
}
