/*
 * text.c
 *		Numbers, bytes and identifiers as PostgreSQL's output functions write
 *		them, without fmgr and without allocation.
 */
#include "postgres.h"

#include "common/shortest_dec.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/uuid.h"

#include "encode/encode.h"

static const char hex_digits[] = "0123456789abcdef";

int
text_int64(char *dst, int64 value)
{
	return pg_lltoa(value, dst);
}

int
text_uint32(char *dst, uint32 value)
{
	return pg_ultoa_n(value, dst);
}

/* Both write NaN, Infinity and -Infinity, as float4out and float8out do. */
int
text_float4(char *dst, float4 value)
{
	return float_to_shortest_decimal_buf(value, dst);
}

int
text_float8(char *dst, float8 value)
{
	return double_to_shortest_decimal_buf(value, dst);
}

void
text_hex(StringInfo out, const char *data, int len)
{
	char *dst;

	if (len > (MaxAllocSize - 1) / 2)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a value of %d bytes is too large to be written in "
						"hexadecimal",
						len)));
	dst = buffer_reserve(out, len * 2);
	for (int i = 0; i < len; i++)
	{
		unsigned char byte = data[i];

		*dst++ = hex_digits[byte >> 4];
		*dst++ = hex_digits[byte & 15];
	}
	buffer_advance(out, len * 2);
}

void
text_uuid(StringInfo out, Datum value)
{
	const pg_uuid_t *uuid = DatumGetUUIDP(value);
	char			*dst = buffer_reserve(out, 36);

	for (int i = 0; i < UUID_LEN; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*dst++ = '-';
		*dst++ = hex_digits[uuid->data[i] >> 4];
		*dst++ = hex_digits[uuid->data[i] & 15];
	}
	buffer_advance(out, 36);
}
