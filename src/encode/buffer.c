/*
 * buffer.c
 *		Room in buffers, and a limit to what one record may grow to.
 *
 * Some values are far larger as text than as stored: numeric 1e131071 takes
 * ten bytes, a null in an array one bit.  So whether a record fits below
 * PostgreSQL's 1 GB is known only when it has been written.  A buffer under a
 * limit never grows much past it: what was written so far is dropped, and
 * counted, each time it would.  Then the record is worth nothing but its size.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "encode/encode.h"

/* What an emptied buffer keeps at most. */
#define BUFFER_KEPT (1024 * 1024)

/*
 * A StringInfo's cursor is for readers.  Where only we write, a negative one
 * marks the buffer under a limit; so a buffer that an error left behind takes
 * its mark along.  One buffer at a time.
 */
static int	 limited_from;
static int64 dropped_bytes;

void
buffer_enlarge(StringInfo out, int n)
{
	if (unlikely(out->cursor < 0) &&
		(int64) out->len - limited_from + n > -out->cursor)
	{
		CHECK_FOR_INTERRUPTS();
		dropped_bytes += out->len - limited_from;
		out->len = limited_from;
	}
	if ((int64) out->len + n >= MaxAllocSize)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("a row of more than 1 GB can't be written")));
	if (out->len + n >= out->maxlen)
		enlargeStringInfo(out, n);
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

void
buffer_limit_begin(StringInfo out, int64 bytes)
{
	int64 most = (int64) MaxAllocSize - 1 - out->len;

	Assert(out->cursor == 0);
	out->cursor = -(int) Max(Min(bytes, most), 1);
	limited_from = out->len;
	dropped_bytes = 0;
}

bool
buffer_limit_end(StringInfo out, int64 *bytes)
{
	Assert(out->cursor < 0);
	out->cursor = 0;
	*bytes = dropped_bytes + out->len - limited_from;
	return dropped_bytes == 0;
}
