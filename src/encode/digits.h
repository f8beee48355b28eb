/*
 * digits.h
 *		Decimal digits of small numbers, two or eight at a time.
 */
#ifndef OUTFLOW_DIGITS_H
#define OUTFLOW_DIGITS_H

#include "port/pg_bitutils.h"
#include "port/pg_bswap.h"

extern const char digit_pairs[]; /* "00" to "99"; text.c */

/* 0 to 99 */
static inline char *
write_two(char *dst, int value)
{
	memcpy(dst, digit_pairs + value * 2, 2);
	return dst + 2;
}

/* 0 to 9999 */
static inline char *
write_four(char *dst, int value)
{
	return write_two(write_two(dst, value / 100), value % 100);
}

/* 0 to 9999, without zeros in front */
static inline char *
write_up_to_four(char *dst, int value)
{
	if (value >= 1000)
		return write_four(dst, value);
	if (value >= 100)
		*dst++ = '0' + value / 100;
	else if (value < 10)
	{
		*dst++ = '0' + value;
		return dst;
	}
	return write_two(dst, value % 100);
}

/*
 * The eight digits of a number below 10^8, a byte each, as numbers; the first
 * one is the lowest byte.  Halves are divided side by side, by multiplication,
 * and nothing depends on how large the number is, which no processor could
 * foresee.
 */
static inline uint64
eight_digits(uint32 value)
{
	uint64 fours = value / 10000 | (uint64) (value % 10000) << 32;
	uint64 high = (fours * 10486 >> 20) & UINT64CONST(0x0000007F0000007F);
	uint64 twos = high | (fours - 100 * high) << 16;

	high = (twos * 103 >> 10) & UINT64CONST(0x000F000F000F000F);
	return high | (twos - 10 * high) << 8;
}

/* Eight characters, the first one being the lowest byte of digits. */
static inline void
write_eight(char *dst, uint64 digits)
{
	digits += UINT64CONST(0x3030303030303030);
#ifdef WORDS_BIGENDIAN
	digits = pg_bswap64(digits);
#endif
	memcpy(dst, &digits, sizeof(digits));
}

/*
 * Of a number of millionths, but not none, the digits behind the point without
 * zeros at the end.  dst has room for eight.
 */
static inline char *
write_millionths(char *dst, uint32 millionths)
{
	uint64 digits = eight_digits(millionths * 100);

	write_eight(dst, digits);
	return dst + pg_leftmost_one_pos64(digits) / 8 + 1;
}

#endif /* OUTFLOW_DIGITS_H */
