/*
 * parquet_decimal.c
 *		numeric -> DECIMAL: from base-10000 digits straight to an integer.
 */
#include "postgres.h"

#include "encode/parquet/parquet.h"

#define DIGIT_DECIMALS 4 /* of a base-10000 digit */

static const int powers[] = {1, 10, 100, 1000, 10000};

static int
decimals_of(int digit)
{
	return digit >= 1000 ? 4 : digit >= 100 ? 3 : digit >= 10 ? 2 : 1;
}

/*
 * Each stored digit stands for digit * 10^exponent of the result; only the
 * last one may lie across the end of the scale.
 */
static DecimalResult
sum_digits(const NumericView *view, int scale, int128 *result)
{
	int	   exponent = view->weight * DIGIT_DECIMALS + scale;
	int128 sum = 0;

	for (int i = 0; i < view->ndigits; i++, exponent -= DIGIT_DECIMALS)
	{
		int digit = numeric_digit(view, i);
		int power;

		if (exponent >= 0)
		{
			sum = sum * 10000 + digit;
			continue;
		}
		if (exponent <= -DIGIT_DECIMALS)
			return DECIMAL_TOO_LARGE;
		power = powers[-exponent];
		if (digit % power != 0 || i + 1 < view->ndigits)
			return DECIMAL_TOO_LARGE;
		sum = sum * (10000 / power) + digit / power;
	}
	/* zeros after the last stored digit */
	for (exponent += DIGIT_DECIMALS; exponent >= DIGIT_DECIMALS;
		 exponent -= DIGIT_DECIMALS)
		sum *= 10000;
	if (exponent > 0)
		sum *= powers[exponent];
	*result = view->negative ? -sum : sum;
	return DECIMAL_OK;
}

DecimalResult
decimal_from_numeric(Datum value, int precision, int scale, int128 *result)
{
	NumericView view;

	numeric_view(&view, value);
	if (unlikely(view.special != NUMERIC_IS_FINITE))
		return DECIMAL_SPECIAL;
	*result = 0;
	if (view.ndigits == 0)
		return DECIMAL_OK;
	/* decimal digits of the result: at most 38, which 128 bits hold */
	if (view.weight * DIGIT_DECIMALS + decimals_of(numeric_digit(&view, 0)) +
			scale >
		precision)
		return DECIMAL_TOO_LARGE;
	return sum_digits(&view, scale, result);
}

/* The least width whose greatest number has precision nines. */
int
decimal_width(int precision)
{
	int128 greatest = 0;
	int	   width = 1;

	while (precision-- > 0)
		greatest = greatest * 10 + 9;
	while (greatest >> (width * 8 - 1) != 0)
		width++;
	return width;
}

void
decimal_to_bytes(int128 value, int width, char *dst)
{
	while (width-- > 0)
	{
		dst[width] = (char) value;
		value >>= 8;
	}
}
