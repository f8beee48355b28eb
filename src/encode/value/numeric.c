/*
 * numeric.c
 *		The stored form of numeric, read in place.
 *
 * Layout (utils/adt/numeric.c of PostgreSQL 9.1 and later, part of the on-disk
 * format): a 16-bit header, for the long form a 16-bit weight, then base-10000
 * digits, most significant first, without leading or trailing zero digits.
 *
 *	header bits	11xxxx...	special: NaN, or an infinity and its sign
 *				10sddddddwwwwwww	short: sign, display scale, weight
 *				0sdddddddddddddd	long: sign, display scale
 */
#include "postgres.h"

#include "compat.h"
#include "encode/value/digits.h"
#include "encode/encode.h"

#define HEADER_KIND_MASK 0xC000
#define HEADER_SPECIAL	 0xC000
#define HEADER_SHORT	 0x8000
#define HEADER_EXT_MASK	 0xF000
#define HEADER_NAN		 0xC000
#define HEADER_INFINITY	 0xD000

static inline uint16
read_uint16(const char *data)
{
	uint16 value;

	/* a short varlena header leaves the rest unaligned */
	memcpy(&value, data, sizeof(value));
	return value;
}

void
numeric_view(NumericView *view, Datum value)
{
	struct varlena *datum = PG_DETOAST_DATUM_PACKED(value);
	const char	   *data = VARDATA_ANY(datum);
	int				len = VARSIZE_ANY_EXHDR(datum);
	uint16			header = read_uint16(data);

	memset(view, 0, sizeof(*view));
	data += sizeof(uint16);
	len -= sizeof(uint16);
	switch (header & HEADER_KIND_MASK)
	{
		case HEADER_SPECIAL:
			view->special = (header & HEADER_EXT_MASK) == HEADER_NAN
								? NUMERIC_IS_NAN
							: (header & HEADER_EXT_MASK) == HEADER_INFINITY
								? NUMERIC_IS_INFINITY
								: NUMERIC_IS_MINUS_INFINITY;
			return;
		case HEADER_SHORT:
			view->negative = (header & 0x2000) != 0;
			view->scale = (header & 0x1F80) >> 7;
			view->weight = (header & 0x003F) - (header & 0x0040);
			break;
		default:
			view->negative = (header & 0x4000) != 0;
			view->scale = header & 0x3FFF;
			view->weight = (int16) read_uint16(data);
			data += sizeof(int16);
			len -= sizeof(int16);
			break;
	}
	view->digits = data;
	view->ndigits = len / sizeof(int16);
}

static inline char *
write_zeros(char *dst, int count)
{
	memset(dst, '0', count);
	return dst + count;
}

/* Groups of four digits; what is not stored is zero, before and after. */
static char *
write_groups(char *dst, const NumericView *view, int from, int to)
{
	int i = from;

	if (i < 0)
	{
		i = Min(0, to);
		dst = write_zeros(dst, (i - from) * 4);
	}
	for (; i < Min(view->ndigits, to); i++)
		dst = write_four(dst, numeric_digit(view, i));
	if (i < to)
		dst = write_zeros(dst, (to - i) * 4);
	return dst;
}

/* The digits before the point; the first group without leading zeros. */
static char *
write_integer(char *dst, const NumericView *view)
{
	if (view->weight < 0)
	{
		*dst++ = '0';
		return dst;
	}
	dst = write_up_to_four(dst, numeric_digit(view, 0));
	return write_groups(dst, view, 1, view->weight + 1);
}

static char *
write_fraction(char *dst, const NumericView *view)
{
	if (view->scale == 0)
		return dst;
	*dst++ = '.';
	(void) write_groups(dst, view, view->weight + 1,
						view->weight + 1 + (view->scale + 3) / 4);
	return dst + view->scale;
}

void
text_numeric(ByteBuffer *out, Datum value)
{
	NumericView view;
	char	   *start, *dst;

	numeric_view(&view, value);
	switch (view.special)
	{
		case NUMERIC_IS_NAN:
			buffer_append_literal(out, "NaN");
			return;
		case NUMERIC_IS_INFINITY:
			buffer_append_literal(out, "Infinity");
			return;
		case NUMERIC_IS_MINUS_INFINITY:
			buffer_append_literal(out, "-Infinity");
			return;
		case NUMERIC_IS_FINITE:
			break;
	}

	/* sign, point, a last group that sticks out beyond the scale */
	start = dst =
		buffer_reserve(out, (Max(view.weight, 0) + 1) * 4 + view.scale + 8);
	if (view.negative)
		*dst++ = '-';
	dst = write_integer(dst, &view);
	dst = write_fraction(dst, &view);
	buffer_advance(out, dst - start);
}

bool
numeric_is_special(Datum value)
{
	const char *data = VARDATA_ANY(PG_DETOAST_DATUM_PACKED(value));

	return (read_uint16(data) & HEADER_KIND_MASK) == HEADER_SPECIAL;
}
