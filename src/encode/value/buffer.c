/*
 * buffer.c
 *		The memory of buffers.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "encode/buffer.h"

/* What a new buffer has room for. */
#define BUFFER_FIRST 1024

/* What an emptied buffer keeps at most. */
#define BUFFER_KEPT (1024 * 1024)

void
buffer_report_too_large(void)
{
	ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					errmsg("a row of more than 1 GB cannot be written")));
}

void
buffer_init(ByteBuffer *buffer)
{
	*buffer = (ByteBuffer){.data = palloc(BUFFER_FIRST), .cap = BUFFER_FIRST};
}

void
buffer_free(ByteBuffer *buffer)
{
	pfree(buffer->data);
	buffer->data = NULL;
	buffer->len = buffer->cap = 0;
}

/* By doubling, so that bytes are copied once on average. */
void
buffer_grow(ByteBuffer *out, size_t n)
{
	size_t cap = out->cap;

	if (n >= MaxAllocSize - out->len)
		buffer_report_too_large();
	if (out->len + n < cap)
		return;
	while (cap <= out->len + n)
		cap *= 2;
	out->cap = Min(cap, MaxAllocSize);
	out->data = repalloc(out->data, out->cap);
}

/*
 * Buffers live as long as their owner, and one large value must not stay with
 * it for that long.
 */
void
buffer_reset_to(ByteBuffer *out, size_t keep)
{
	out->len = 0;
	if (out->cap > keep)
	{
		out->data = repalloc(out->data, keep);
		out->cap = keep;
	}
}

void
buffer_reset(ByteBuffer *out)
{
	buffer_reset_to(out, BUFFER_KEPT);
}
