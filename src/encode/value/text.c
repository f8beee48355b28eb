/*
 * text.c
 *		Numbers, bytes and identifiers as PostgreSQL's output functions write
 *		them, without fmgr and without allocation.
 */
#include "postgres.h"

#include <math.h>

#include "common/shortest_dec.h"
#include "port/pg_bitutils.h"
#include "utils/builtins.h"
#include "utils/uuid.h"

#include "encode/value/digits.h"
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

static inline int
decimal_length(uint32 value)
{
	static const uint32 powers_of_ten[] = {
		1,		10,		 100,	   1000,	  10000,
		100000, 1000000, 10000000, 100000000, 1000000000};
	/* log 2 / log 10 is a little more than 1233 / 4096 */
	int guess = (pg_leftmost_one_pos32(value | 1) + 1) * 1233 / 4096;

	return guess + (value >= powers_of_ten[guess] || value == 0);
}

int
text_uint32(char *dst, uint32 value)
{
	int	  len = decimal_length(value);
	char *end = dst + len;

	for (; value >= 100; value /= 100)
		(void) write_two(end -= 2, value % 100);
	if (value >= 10)
		(void) write_two(dst, value);
	else
		*dst = '0' + value;
	return len;
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
		end = write_two(end, fraction / 10000);
		end = write_four(end, fraction % 10000);
		while (end[-1] == '0')
			end--;
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
text_hex(ByteBuffer *out, const char *data, int len)
{
	while (len > 0 && !buffer_is_over(out))
	{
		int	  piece = Min(len, BUFFER_PIECE / 2);
		char *dst = buffer_reserve(out, piece * 2);

		for (int i = 0; i < piece; i++)
		{
			unsigned char byte = data[i];

			*dst++ = hex_digits[byte >> 4];
			*dst++ = hex_digits[byte & 15];
		}
		buffer_advance(out, piece * 2);
		data += piece;
		len -= piece;
	}
}

void
text_uuid(ByteBuffer *out, Datum value)
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
