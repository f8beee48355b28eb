/*
 * copy_binary.c
 *		Rows in COPY's binary format, byte for byte what COPY ... (FORMAT
 *		binary) writes; text is in the database's encoding.
 *
 * A part is a whole file with header and trailer, which COPY FROM loads by
 * itself (PostgreSQL documentation, COPY, "Binary Format").
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"
#include "utils/date.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "compat.h"
#include "encode/encode.h"

/* Ends with a zero byte of its own, which sizeof counts as well. */
static const char signature[] = "PGCOPY\n\377\r\n";

static const JsonStyle raw_strings = {.ascii = false};

/* How a column is written. */
typedef struct BinaryColumn
{
	BinaryForm form;
	FmgrInfo   send; /* BINARY_SEND */
} BinaryColumn;

struct RowEncoder
{
	RowShape	 *shape;
	BinaryColumn *columns;
};

static inline void
append_int16(ByteBuffer *out, int16 value)
{
	uint16 net = pg_hton16((uint16) value);

	buffer_append(out, (const char *) &net, sizeof(net));
}

static inline void
append_int32(ByteBuffer *out, int32 value)
{
	uint32 net = pg_hton32((uint32) value);

	buffer_append(out, (const char *) &net, sizeof(net));
}

static inline void
append_int64(ByteBuffer *out, int64 value)
{
	uint64 net = pg_hton64((uint64) value);

	buffer_append(out, (const char *) &net, sizeof(net));
}

static void
append_bytes(ByteBuffer *out, const char *data, int len)
{
	append_int32(out, len);
	buffer_append(out, data, len);
}

static void
append_varlena(ByteBuffer *out, Datum value)
{
	struct varlena *bytes = PG_DETOAST_DATUM_PACKED(value);

	append_bytes(out, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
}

/* As numeric_send: special values keep their stored sign word and scale. */
static void
append_numeric(ByteBuffer *out, Datum value)
{
	NumericView view;
	uint16		sign;

	numeric_view(&view, value);
	switch (view.special)
	{
		case NUMERIC_IS_NAN:
			sign = 0xC000;
			break;
		case NUMERIC_IS_INFINITY:
			sign = 0xD000;
			view.scale = 0x20;
			break;
		case NUMERIC_IS_MINUS_INFINITY:
			sign = 0xF000;
			view.scale = 0x20;
			break;
		default:
			sign = view.negative ? 0x4000 : 0;
			break;
	}
	append_int32(out, (4 + view.ndigits) * sizeof(int16));
	append_int16(out, view.ndigits);
	append_int16(out, view.weight);
	append_int16(out, sign);
	append_int16(out, view.scale);
	for (int i = 0; i < view.ndigits; i++)
		append_int16(out, numeric_digit(&view, i));
}

/*
 * By the type's own function, which writes text in client_encoding: for this long
 * that is the database's, which the other columns are in.
 */
static bytea *
send_value(FmgrInfo *send, Datum value)
{
	int client_encoding = pg_get_client_encoding();
	bytea *volatile sent = NULL;

	if (client_encoding == GetDatabaseEncoding())
		return SendFunctionCall(send, value);
	SetClientEncoding(GetDatabaseEncoding());
	PG_TRY();
	{
		sent = SendFunctionCall(send, value);
	}
	PG_FINALLY();
	{
		SetClientEncoding(client_encoding);
	}
	PG_END_TRY();
	return sent;
}

/* A version byte, then text, as jsonb_send. */
static void
binary_append_jsonb(ByteBuffer *out, Datum value)
{
	size_t start = out->len;
	uint32 net;

	append_int32(out, 0);
	buffer_append_char(out, 1);
	text_jsonb(out, &raw_strings, value);
	net = pg_hton32(out->len - start - sizeof(int32));
	memcpy(out->data + start, &net, sizeof(net));
}

static void
append_timetz(ByteBuffer *out, Datum value)
{
	const TimeTzADT *time = DatumGetTimeTzADTP(value);

	append_int32(out, sizeof(int64) + sizeof(int32));
	append_int64(out, time->time);
	append_int32(out, time->zone);
}

static void
binary_append_value(ByteBuffer *out, TypeShape *type, BinaryColumn *column,
					Datum value)
{
	const char *text;
	bytea	   *sent;

	switch (column->form)
	{
		case BINARY_BOOL:
			append_int32(out, 1);
			buffer_append_char(out, DatumGetBool(value) ? 1 : 0);
			break;
		case BINARY_INT16:
			append_int32(out, sizeof(int16));
			append_int16(out, DatumGetInt16(value));
			break;
		case BINARY_INT32:
			append_int32(out, sizeof(int32));
			append_int32(out, DatumGetInt32(value));
			break;
		case BINARY_INT64:
			append_int32(out, sizeof(int64));
			append_int64(out, DatumGetInt64(value));
			break;
		case BINARY_NUMERIC:
			append_numeric(out, value);
			break;
		case BINARY_BYTES:
			append_varlena(out, value);
			break;
		case BINARY_NAME:
			text = NameStr(*DatumGetName(value));
			append_bytes(out, text, strlen(text));
			break;
		case BINARY_UUID:
			append_bytes(out, (const char *) DatumGetUUIDP(value)->data,
						 UUID_LEN);
			break;
		case BINARY_TIMETZ:
			append_timetz(out, value);
			break;
		case BINARY_JSONB:
			binary_append_jsonb(out, value);
			break;
		case BINARY_LABEL:
			text = enum_label(DatumGetObjectId(value));
			append_bytes(out, text, strlen(text));
			break;
		case BINARY_SEND:
			sent = send_value(&column->send, value);
			append_bytes(out, VARDATA(sent), VARSIZE(sent) - VARHDRSZ);
			break;
	}
}

static void
binary_check(const RowFormatOptions *options)
{
	row_format_refuse_csv_options("binary", options);
}

static RowEncoder *
binary_open(RowShape *shape, const RowFormatOptions *options,
			const RowHost *host, ByteBuffer *out)
{
	RowEncoder *encoder = palloc0_object(RowEncoder);

	encoder->shape = shape;
	encoder->columns = palloc0(sizeof(BinaryColumn) * Max(shape->ncolumns, 1));
	for (int i = 0; i < shape->ncolumns; i++)
	{
		TypeShape	 *type = &shape->columns[i].type;
		BinaryColumn *column = &encoder->columns[i];

		column->form = kind_form(type->kind).binary;
		if (column->form != BINARY_SEND)
			continue;
		if (!OidIsValid(type->send))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_FUNCTION),
					 errmsg("no binary output function available for type %s",
							type_shape_name(type)),
					 errdetail("Column \"%s\" is of this type.",
							   shape->columns[i].name)));
		fmgr_info(type->send, &column->send);
	}
	buffer_append(out, signature, sizeof(signature));
	append_int32(out, 0); /* flags */
	append_int32(out, 0); /* length of the header's extension */
	return encoder;
}

static void
binary_row(RowEncoder *encoder, const Datum *values, const bool *nulls,
		   ByteBuffer *out)
{
	RowShape *shape = encoder->shape;

	append_int16(out, shape->ncolumns);
	for (int i = 0; i < shape->ncolumns; i++)
	{
		ColumnShape *column = &shape->columns[i];
		int			 attribute = column->attnum - 1;

		shape->current = column;
		if (nulls[attribute])
			append_int32(out, -1);
		else
			binary_append_value(out, &column->type, &encoder->columns[i],
								values[attribute]);
	}
	shape->current = NULL;
}

static void
binary_close(RowEncoder *encoder, ByteBuffer *out)
{
	append_int16(out, -1);
}

const RowFormat row_format_binary = {.name = "binary",
									 .extension = "bin",
									 .check = binary_check,
									 .open = binary_open,
									 .row = binary_row,
									 .close = binary_close,
									 .counter = row_counter_none};
