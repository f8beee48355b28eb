/*
 * text.c
 *		Numbers, bytes and identifiers as PostgreSQL's output functions write
 *		them, without fmgr and without allocation.
 */
#include "postgres.h"

#include <math.h>

#include "common/shortest_dec.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/uuid.h"

#include "encode/digits.h"
#include "encode/encode.h"

const char digit_pairs[] = "00010203040506070809"
						   "10111213141516171819"
						   "20212223242526272829"
						   "30313233343536373839"
						   "40414243444546474849"
						   "50515253545556575859"
						   "60616263646566676869"
						   "70717273747576777879"
						   "80818283848586878889"
						   "90919293949596979899";

static const char hex_digits[] = "0123456789abcdef";

int
text_uint32(char *dst, uint32 value)
{
	int	   before = 0;
	uint64 digits;
	int	   zeros;

	if (unlikely(value >= 100000000))
	{
		before = write_up_to_four(dst, value / 100000000) - dst;
		write_eight(dst + before, eight_digits(value % 100000000));
		return before + 8;
	}
	digits = eight_digits(value);
	/* zeros in front, but not the last digit */
	zeros = pg_rightmost_one_pos64(digits | UINT64CONST(1) << 56) / 8;
	write_eight(dst, digits >> zeros * 8);
	return 8 - zeros;
}

int
text_int64(char *dst, int64 value)
{
	bool negative = value < 0;

	if (unlikely(value > PG_UINT32_MAX || value < -(int64) PG_UINT32_MAX))
		return pg_lltoa(value, dst);
	if (negative)
	{
		*dst++ = '-';
		value = -value;
	}
	return text_uint32(dst, (uint32) value) + negative;
}

int
text_int32(char *dst, int32 value)
{
	return text_int64(dst, value);
}

/* Both write NaN, Infinity and -Infinity, as float4out and float8out do. */
int
text_float4(char *dst, float4 value)
{
	return float_to_shortest_decimal_buf(value, dst);
}

/*
 * Most floats that people store have few decimals.  If one is the nearest to a
 * decimal of at most 15 digits, then that is its shortest form: no two
 * decimals so short are nearest to the same float.  Returns 0 if value is none
 * of these, or of a size that is written with an exponent.
 */
static int
few_decimals(char *dst, float8 value)
{
	const float8 size = fabs(value);
	char		*end = dst;
	int64		 millionths;
	int			 fraction;

	if (!(size >= 1e-3 && size < 1e9))
		return 0;
	millionths = (int64) (size * 1e6 + 0.5);
	if ((float8) millionths / 1e6 != size)
		return 0;

	if (value < 0)
		*end++ = '-';
	end += text_uint32(end, (uint32) (millionths / 1000000));
	fraction = millionths % 1000000;
	if (fraction != 0)
	{
		*end++ = '.';
		end = write_millionths(end, fraction);
	}
	return end - dst;
}

int
text_float8(char *dst, float8 value)
{
	int len = few_decimals(dst, value);

	if (len > 0)
		return len;
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
