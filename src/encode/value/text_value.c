/*
 * text_value.c
 *		PostgreSQL's text of any value, as COPY would write it under the
 *		settings in force.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/bytea.h"
#include "utils/date.h"
#include "utils/float.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "encode/encode.h"

/* strings inside of jsonb stay in the database's encoding */
static const JsonStyle raw_strings = {.ascii = false};

void
text_values_capture(TextValues *values)
{
	values->iso_dates = DateStyle == USE_ISO_DATES;
	values->shortest_floats = extra_float_digits > 0;
	values->hex_bytea = bytea_output == BYTEA_OUTPUT_HEX;
}

void
text_values_init(TextValues *values)
{
	text_values_capture(values);
	buffer_init(&values->scratch);
}

bool
text_kind_is_plain(const TextValues *values, TypeKind kind)
{
	switch (kind_form(kind).text)
	{
		case TEXT_PLAIN:
			return true;
		case TEXT_PLAIN_SHORTEST:
			return values->shortest_floats;
		case TEXT_PLAIN_ISO:
			return values->iso_dates;
		case TEXT_OTHER:
			break;
	}
	return false;
}

static int
plain_datetime(char *dst, TypeKind kind, Datum value)
{
	if (kind == KIND_DATE)
		return text_date(dst, DatumGetDateADT(value));
	if (kind == KIND_TIMESTAMP)
		return text_timestamp(dst, DatumGetTimestamp(value), ' ');
	return text_timestamptz_session(dst, DatumGetTimestampTz(value));
}

bool
text_value_plain(const TextValues *values, TypeShape *type, Datum value,
				 ByteBuffer *out)
{
	char *dst = buffer_reserve(out, MAX_DATETIME_TEXT);
	int	  len = 0;

	switch (type->kind)
	{
		case KIND_BOOL:
			*dst = DatumGetBool(value) ? 't' : 'f';
			len = 1;
			break;
		case KIND_INT2:
			len = text_int32(dst, DatumGetInt16(value));
			break;
		case KIND_INT4:
			len = text_int32(dst, DatumGetInt32(value));
			break;
		case KIND_INT8:
			len = text_int64(dst, DatumGetInt64(value));
			break;
		case KIND_OID:
			len = text_uint32(dst, DatumGetObjectId(value));
			break;
		case KIND_FLOAT4:
			if (!values->shortest_floats)
				return false;
			len = text_float4(dst, DatumGetFloat4(value));
			break;
		case KIND_FLOAT8:
			if (!values->shortest_floats)
				return false;
			len = text_float8(dst, DatumGetFloat8(value));
			break;
		case KIND_TIME: /* the same under every DateStyle */
			len = text_time(dst, DatumGetTimeADT(value));
			break;
		case KIND_TIMETZ:
			len = text_timetz(dst, DatumGetTimeTzADTP(value)->time,
							  DatumGetTimeTzADTP(value)->zone);
			break;
		case KIND_DATE:
		case KIND_TIMESTAMP:
		case KIND_TIMESTAMPTZ:
			if (!values->iso_dates)
				return false;
			len = plain_datetime(dst, type->kind, value);
			break;
		case KIND_NUMERIC:
			text_numeric(out, value);
			return true;
		case KIND_UUID:
			text_uuid(out, value);
			return true;
		case KIND_TEXT:
		case KIND_NAME:
		case KIND_BYTEA:
		case KIND_JSON:
		case KIND_JSONB:
		case KIND_ENUM:
		case KIND_HSTORE:
		case KIND_VECTOR:
		case KIND_ARRAY:
		case KIND_COMPOSITE:
		case KIND_OTHER:
			return false;
	}
	buffer_advance(out, len);
	return true;
}

const char *
text_value_own(TextValues *values, TypeShape *type, Datum value, int *len)
{
	ByteBuffer	   *scratch = &values->scratch;
	struct varlena *bytes;
	const char	   *text;

	switch (type->kind)
	{
		case KIND_TEXT:
		case KIND_JSON:
			bytes = PG_DETOAST_DATUM_PACKED(value);
			*len = VARSIZE_ANY_EXHDR(bytes);
			return VARDATA_ANY(bytes);
		case KIND_JSONB:
			buffer_reset(scratch);
			text_jsonb(scratch, &raw_strings, value);
			*len = scratch->len;
			return scratch->data;
		case KIND_BYTEA:
			if (values->hex_bytea)
			{
				bytes = PG_DETOAST_DATUM_PACKED(value);
				buffer_reset(scratch);
				buffer_append_literal(scratch, "\\x");
				text_hex(scratch, VARDATA_ANY(bytes),
						 VARSIZE_ANY_EXHDR(bytes));
				*len = scratch->len;
				return scratch->data;
			}
			break;
		case KIND_NAME:
			text = text_of_names(NameStr(*DatumGetName(value)));
			*len = strlen(text);
			return text;
		case KIND_ENUM:
			text = enum_label(DatumGetObjectId(value));
			*len = strlen(text);
			return text;
		case KIND_BOOL:
		case KIND_INT2:
		case KIND_INT4:
		case KIND_INT8:
		case KIND_OID:
		case KIND_FLOAT4:
		case KIND_FLOAT8:
		case KIND_NUMERIC:
		case KIND_UUID:
		case KIND_DATE:
		case KIND_TIME:
		case KIND_TIMETZ:
		case KIND_TIMESTAMP:
		case KIND_TIMESTAMPTZ:
		case KIND_HSTORE:
		case KIND_VECTOR:
		case KIND_ARRAY:
		case KIND_COMPOSITE:
		case KIND_OTHER:
			buffer_reset(scratch);
			if (text_value_plain(values, type, value, scratch))
			{
				*len = scratch->len;
				return scratch->data;
			}
			break;
	}
	return NULL;
}

const char *
text_value(TextValues *values, TypeShape *type, Datum value, int *len)
{
	const char *text = text_value_own(values, type, value, len);

	if (text == NULL)
	{
		text = output_text(type, value);
		*len = strlen(text);
	}
	return text;
}

void
text_transcode(ByteBuffer *out, size_t start, int encoding)
{
	char *text, *converted;

	*buffer_reserve(out, 1) = '\0';
	text = out->data + start;
	converted = pg_server_to_any(text, out->len - start, encoding);
	if (converted != text)
	{
		out->len = start;
		buffer_append(out, converted, strlen(converted));
		pfree(converted);
	}
}
