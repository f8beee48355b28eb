/*
 * parquet_bytes.c
 *		Buffers of the Parquet writer.
 *
 * A page holds whole values, and a value may be almost 1 GB, so that a page
 * with its neighbours doesn't fit a StringInfo.
 */
#include "postgres.h"

#include "storage/shmem.h"
#include "utils/memutils.h"

#include "encode/parquet/parquet_bits.h"

#define FIRST_SIZE	  128
#define DOUBLING_SIZE (4 * 1024 * 1024)

void
bytes_init(Bytes *bytes, MemoryContext context)
{
	bytes->data = NULL;
	bytes->len = 0;
	bytes->cap = 0;
	bytes->context = context;
}

/* Small buffers double; large ones get what they need and a little more. */
void
bytes_grow(Bytes *bytes, size_t n)
{
	size_t needed = add_size(bytes->len, n);
	size_t cap = Max(bytes->cap, FIRST_SIZE / 2);

	if (cap < DOUBLING_SIZE)
		cap *= 2;
	else
		cap += cap / 8;
	cap = Max(cap, needed);
	if (bytes->data == NULL)
		bytes->data = MemoryContextAllocHuge(bytes->context, cap);
	else
		bytes->data = repalloc_huge(bytes->data, cap);
	bytes->cap = cap;
}

void
bytes_free(Bytes *bytes)
{
	if (bytes->data)
		pfree(bytes->data);
	bytes_init(bytes, bytes->context);
}

int
varint_put(char *dst, uint64 value)
{
	int n = 0;

	while (value >= 0x80)
	{
		dst[n++] = (char) (value | 0x80);
		value >>= 7;
	}
	dst[n++] = (char) value;
	return n;
}
