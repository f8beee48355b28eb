/*
 * parquet_rle.c
 *		Levels and dictionary numbers as runs and bit-packed groups.
 *
 * A run of eight or more equal values costs one or two bytes and the value;
 * what lies between runs is packed in groups of eight values.  The last group
 * is filled up with zeros: readers know how many values there are.
 */
#include "postgres.h"

#include "encode/parquet/parquet_bits.h"
#include "port/pg_bitutils.h"

/* A bit-packed run's header is kept to one byte. */
#define MAX_GROUPS 63

int
bits_needed(uint32 max)
{
	return max == 0 ? 0 : pg_leftmost_one_pos32(max) + 1;
}

void
rle_init(RleEncoder *rle, int bits, MemoryContext context)
{
	bytes_init(&rle->out, context);
	rle->bits = bits;
	rle_reset(rle);
}

void
rle_reset(RleEncoder *rle)
{
	rle->out.len = 0;
	rle->last = 0;
	rle->run = 0;
	rle->ngroup = 0;
	rle->ngroups = 0;
}

static void
end_groups(RleEncoder *rle)
{
	if (rle->ngroups > 0)
		rle->out.data[rle->header] = (char) ((rle->ngroups << 1) | 1);
	rle->ngroups = 0;
}

/* Eight values take as many bytes as each has bits. */
static void
rle_put_group(RleEncoder *rle)
{
	uint64 pending = 0;
	int	   npending = 0;
	char  *dst;
	int	   i;

	if (rle->ngroups == MAX_GROUPS)
		end_groups(rle);
	if (rle->ngroups == 0)
	{
		rle->header = rle->out.len;
		bytes_reserve(&rle->out, 1);
		rle->out.len++;
	}
	dst = bytes_reserve(&rle->out, rle->bits);
	for (i = 0; i < 8; i++)
	{
		pending |= (uint64) rle->group[i] << npending;
		npending += rle->bits;
		while (npending >= 8)
		{
			*dst++ = (char) pending;
			pending >>= 8;
			npending -= 8;
		}
	}
	rle->out.len += rle->bits;
	rle->ngroups++;
	rle->ngroup = 0;
	/* equal values that this group took can't be part of a run */
	rle->run = 0;
}

static void
put_run(RleEncoder *rle)
{
	char *dst;
	int	  n;

	end_groups(rle);
	dst = bytes_reserve(&rle->out, 14);
	n = varint_put(dst, (uint64) rle->run << 1);
	memcpy(dst + n, &rle->last, sizeof(uint32));
	rle->out.len += n + (rle->bits + 7) / 8;
	rle->ngroup = 0;
	rle->run = 0;
}

void
rle_put_slow(RleEncoder *rle, uint32 value)
{
	if (value == rle->last && rle->run > 0)
	{
		/* the eighth turns what waits, equal values all, into a run */
		if (++rle->run >= 8)
			return;
	}
	else
	{
		if (rle->run >= 8)
			put_run(rle);
		rle->last = value;
		rle->run = 1;
	}
	rle->group[rle->ngroup++] = value;
	if (rle->ngroup == 8)
		rle_put_group(rle);
}

void
rle_finish(RleEncoder *rle)
{
	if (rle->run >= 8 || (rle->run > 0 && rle->run == rle->ngroup))
		put_run(rle);
	else if (rle->ngroup > 0)
	{
		while (rle->ngroup < 8)
			rle->group[rle->ngroup++] = 0;
		rle_put_group(rle);
	}
	end_groups(rle);
}
