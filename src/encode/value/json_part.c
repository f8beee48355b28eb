/*
 * json_part.c
 *		The pieces that JSON records of a stream are made of.
 */
#include "postgres.h"

#include "port/pg_bswap.h"

#include "encode/value/json_part.h"

/*
 * Eight digits: each half byte becomes a byte, all of them at once.  Of fixed
 * width, so that text order is numeric order.
 */
static inline char *
put_hex32(char *dst, uint32 value)
{
	uint64 x = value;
	uint64 letters; /* 1 where the digit is one */

	x = (x | x << 16) & UINT64CONST(0x0000FFFF0000FFFF);
	x = (x | x << 8) & UINT64CONST(0x00FF00FF00FF00FF);
	x = (x | x << 4) & UINT64CONST(0x0F0F0F0F0F0F0F0F);
	letters = (x + UINT64CONST(0x0606060606060606)) >> 4 &
			  UINT64CONST(0x0101010101010101);
	x += UINT64CONST(0x3030303030303030) + letters * ('A' - '0' - 10);
	x = pg_hton64(x);
	memcpy(dst, &x, sizeof(x));
	return dst + sizeof(x);
}

static inline char *
put_hex64(char *dst, uint64 value)
{
	dst = put_hex32(dst, (uint32) (value >> 32));
	return put_hex32(dst, (uint32) value);
}

/* Four digits; what needs more: FFFF and eight, which sort after those. */
static inline char *
put_index(char *dst, uint32 index)
{
	char digits[8];

	(void) put_hex32(digits, index);
	if (unlikely(index >= 0xFFFF))
	{
		memset(dst, 'F', 4);
		memcpy(dst + 4, digits, 8);
		return dst + 12;
	}
	memcpy(dst, digits + 4, 4);
	return dst + 4;
}

/* "0/1A2B400", with so many digits at least in the lower half */
void
json_append_lsn_digits(ByteBuffer *out, XLogRecPtr lsn, int low_digits)
{
	char  digits[17];
	char *p = digits;
	char *low;

	(void) put_hex64(digits, lsn);
	while (p < digits + 7 && *p == '0')
		p++;
	buffer_append_char(out, '"');
	buffer_append(out, p, digits + 8 - p);
	buffer_append_char(out, '/');
	for (low = digits + 8; low < digits + 16 - low_digits && *low == '0';)
		low++;
	buffer_append(out, low, digits + 16 - low);
	buffer_append_char(out, '"');
}

/* the same on every server */
void
json_append_lsn(ByteBuffer *out, XLogRecPtr lsn)
{
	json_append_lsn_digits(out, lsn, 1);
}

void
json_append_uint(ByteBuffer *out, uint64 value)
{
	buffer_advance(
		out, text_int64(buffer_reserve(out, MAX_NUMBER_TEXT), (int64) value));
}

void
json_append_string(ByteBuffer *out, const JsonStyle *style, const char *text)
{
	json_string(out, style, text, strlen(text));
}

void
json_append_bool(ByteBuffer *out, bool value)
{
	if (value)
		buffer_append_literal(out, "true");
	else
		buffer_append_literal(out, "false");
}

void
json_append_time(ByteBuffer *out, TimestampTz time)
{
	char *dst = buffer_reserve(out, MAX_DATETIME_TEXT + 2);
	int	  len;

	dst[0] = '"';
	len = text_timestamptz_utc(dst + 1, time, 'T', "Z");
	dst[len + 1] = '"';
	buffer_advance(out, len + 2);
}

/* ["a","b"] of the columns that are marked */
void
json_append_column_names(ByteBuffer *out, const RowShape *shape,
						 const uint8 *states, uint8 wanted)
{
	bool first = true;
	int	 i;

	buffer_append_char(out, '[');
	for (i = 0; i < shape->ncolumns; i++)
	{
		const ColumnLabel *label = &shape->labels[i];

		if (!(states[i] & wanted))
			continue;
		if (!first)
			buffer_append_char(out, ',');
		first = false;
		/* the label is the escaped name and a colon */
		buffer_append(out, label->text, label->len - 1);
	}
	buffer_append_char(out, ']');
}

void
json_part_value(ByteBuffer *out, const ChangeFormatOptions *options,
				RowShape *shape, int column, Datum value)
{
	json_value(out, &options->style, &shape->columns[column].type, value);
}

/* "id":"COMMIT/CHANGE/INDEX" */
void
json_append_id(ByteBuffer *out, const ChangeTransaction *txn,
			   const ChangePosition *position)
{
	char *start = buffer_reserve(out, 64);
	char *dst = start;

	memcpy(dst, "\"id\":\"", 6);
	dst += 6;
	if (txn->in_progress)
	{
		memset(dst, '-', 16);
		dst += 16;
	}
	else
		dst = put_hex64(dst, txn->commit_lsn);
	*dst++ = '/';
	dst = put_hex64(dst, position->lsn - (position->is_end ? 1 : 0));
	*dst++ = '/';
	dst = put_index(dst, position->index);
	*dst++ = '"';
	buffer_advance(out, dst - start);
}

void
json_append_xid(ByteBuffer *out, const ChangeTransaction *txn,
				const ChangePosition *position)
{
	buffer_append_literal(out, ",\"xid\":");
	json_append_uint(out, txn->xid);
	if (txn->in_progress)
	{
		buffer_append_literal(out, ",\"subxid\":");
		json_append_uint(out, position->subxid);
	}
}

/* ,"schema":"s","table":"t" */
void
json_append_table(ByteBuffer *out, const JsonStyle *style, const char *schema,
				  const char *table)
{
	buffer_append_literal(out, ",\"schema\":");
	json_append_string(out, style, schema);
	buffer_append_literal(out, ",\"table\":");
	json_append_string(out, style, table);
}
