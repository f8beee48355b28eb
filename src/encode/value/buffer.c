/*
 * buffer.c
 *		Room in buffers, and a limit to what one record may grow to.
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

#include "encode/encode.h"

/* What an emptied buffer keeps at most. */
#define BUFFER_KEPT (1024 * 1024)

/* Room for what is reserved at once, which a buffer under a limit never lacks. */
#define BUFFER_SPARE (1024 * 1024)

static void
report_too_large(void)
{
	ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					errmsg("a row of more than 1 GB cannot be written")));
}

static inline Size
written(const LimitedBuffer *buffer)
{
	return buffer->data.len - buffer->start;
}

static void
drop(LimitedBuffer *buffer)
{
	buffer->dropped += written(buffer);
	buffer->data.len = buffer->start;
}

void
buffer_enlarge(StringInfo out, Size n)
{
	if (buffer_is_limited(out))
	{
		LimitedBuffer *buffer = (LimitedBuffer *) out;

		/* by what was written: much of what is reserved is not used */
		CHECK_FOR_INTERRUPTS();
		if (buffer->dropped + written(buffer) > buffer->limit)
			buffer->over = true;
		if (buffer->over || written(buffer) > buffer->keep)
			drop(buffer);
	}
	if (n >= MaxAllocSize - out->len)
		report_too_large();
	if (out->len + n >= (Size) out->maxlen)
		enlargeStringInfo(out, (int) n);
}

void
buffer_append_large(StringInfo out, const char *data, Size n)
{
	while (n > 0 && !buffer_is_over(out))
	{
		Size piece = buffer_is_limited(out) ? Min(n, (Size) BUFFER_PIECE) : n;

		memcpy(buffer_reserve(out, piece), data, piece);
		out->len += piece;
		data += piece;
		n -= piece;
	}
}

/*
 * Buffers live as long as their owner, and one large value must not stay with
 * it for that long.
 */
void
buffer_reset(StringInfo out)
{
	resetStringInfo(out);
	if (out->maxlen > BUFFER_KEPT)
	{
		out->data = repalloc(out->data, BUFFER_KEPT);
		out->maxlen = BUFFER_KEPT;
	}
}

Size
buffer_left(const StringInfoData *out)
{
	const LimitedBuffer *buffer = (const LimitedBuffer *) out;
	Size				 taken;

	if (!buffer_is_limited(out))
		return MaxAllocSize - out->len;
	taken = buffer->dropped + written(buffer);
	return buffer->over || taken > buffer->limit ? 0 : buffer->limit - taken;
}

void
buffer_give_up(StringInfo out)
{
	if (!buffer_is_limited(out))
		report_too_large();
	((LimitedBuffer *) out)->over = true;
}

bool
buffer_may_recurse(StringInfo out)
{
	if (likely(!stack_is_too_deep()))
		return true;
	if (!buffer_is_limited(out))
		check_stack_depth();
	buffer_give_up(out);
	return false;
}

/* A reader's cursor says nothing where only we write: it marks the limit. */
void
buffer_limit_begin(LimitedBuffer *buffer, Size limit, Size keep)
{
	buffer->start = buffer->data.len;
	buffer->limit = Min(limit, buffer_room(buffer));
	buffer->keep = Min(keep, buffer->limit);
	buffer->dropped = 0;
	buffer->over = false;
	buffer->data.cursor = BUFFER_LIMITED;
}

void
buffer_limit_like(LimitedBuffer *scratch, const StringInfoData *out)
{
	if (buffer_is_limited(out))
		buffer_limit_begin(scratch, buffer_left(out), MaxAllocSize);
	else
		scratch->data.cursor = 0;
}

bool
buffer_limit_end(LimitedBuffer *buffer, Size *bytes)
{
	*bytes = buffer->dropped + written(buffer);
	buffer->data.cursor = 0;
	return !buffer->over && *bytes <= buffer->limit;
}

Size
buffer_room(const LimitedBuffer *buffer)
{
	return MaxAllocSize - BUFFER_SPARE - buffer->data.len;
}
