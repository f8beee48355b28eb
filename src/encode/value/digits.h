/*
 * digits.h
 *		Decimal digits of small numbers, two at a time.
 */
#ifndef OUTFLOW_DIGITS_H
#define OUTFLOW_DIGITS_H

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

#endif /* OUTFLOW_DIGITS_H */
