/*
 * buffer_limit.c
 *		A limit to what one record may grow to.
 *
 * Some values are far larger as text than as stored: numeric 1e131071 takes
 * ten bytes, a null in an array one bit.  So whether a record fits below
 * PostgreSQL's 1 GB is known only when it has been written.  A buffer under a
 * limit takes anything and never fails: past the limit it is "over", what was
 * written is dropped, and the record is worth nothing.  Encoders need not look,
 * but whoever loops over much should stop then.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "encode/buffer.h"

/* Room for what is reserved at once, which a buffer under a limit never lacks. */
#define BUFFER_SPARE (1024 * 1024)

static inline size_t
written(const ByteBuffer *buffer)
{
	return buffer->len - buffer->start;
}

void
buffer_enlarge(ByteBuffer *out, size_t n)
{
	if (buffer_is_limited(out))
	{
		/* by what was written: much of what is reserved is not used */
		CHECK_FOR_INTERRUPTS();
		if (out->dropped + written(out) > out->limit)
			out->over = true;
		if (out->over || written(out) > out->keep)
		{
			out->dropped += written(out);
			out->len = out->start;
		}
	}
	buffer_grow(out, n);
}

size_t
buffer_left(const ByteBuffer *out)
{
	size_t taken;

	if (!buffer_is_limited(out))
		return MaxAllocSize - out->len;
	taken = out->dropped + written(out);
	return out->over || taken > out->limit ? 0 : out->limit - taken;
}

void
buffer_give_up(ByteBuffer *out)
{
	if (!buffer_is_limited(out))
		buffer_report_too_large();
	out->over = true;
}

bool
buffer_may_recurse(ByteBuffer *out)
{
	if (likely(!stack_is_too_deep()))
		return true;
	if (!buffer_is_limited(out))
		check_stack_depth();
	buffer_give_up(out);
	return false;
}

void
buffer_limit_begin(ByteBuffer *buffer, size_t limit, size_t keep)
{
	buffer->start = buffer->len;
	buffer->limit = Min(limit, buffer_room(buffer));
	buffer->keep = Min(keep, buffer->limit);
	buffer->dropped = 0;
	buffer->limited = true;
	buffer->over = false;
}

void
buffer_limit_like(ByteBuffer *scratch, const ByteBuffer *out)
{
	if (buffer_is_limited(out))
		buffer_limit_begin(scratch, buffer_left(out), MaxAllocSize);
	else
		buffer_limit_forget(scratch);
}

bool
buffer_limit_end(ByteBuffer *buffer, size_t *bytes)
{
	bool fits;

	*bytes = buffer->dropped + written(buffer);
	fits = !buffer->over && *bytes <= buffer->limit;
	buffer_limit_forget(buffer);
	return fits;
}

size_t
buffer_room(const ByteBuffer *buffer)
{
	return MaxAllocSize - BUFFER_SPARE - buffer->len;
}
