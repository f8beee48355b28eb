/*
 * buffer.h
 *		The bytes that encoders write, and a limit to them.
 *
 * Buffers end at 1 GB, as PostgreSQL's own do.  There is always room for one
 * byte after the last, so that text can be ended with a zero.
 */
#ifndef OUTFLOW_BUFFER_H
#define OUTFLOW_BUFFER_H

/* The most that is reserved at once where there is no bound to the input. */
#define BUFFER_PIECE (64 * 1024)

/*
 * A buffer may be told to take so many bytes and no more, and is "over" then.
 * Only buffer.c, buffer_limit.c and the functions below look at more than data
 * and len.
 */
typedef struct ByteBuffer
{
	char  *data;
	size_t len;
	size_t cap;
	size_t limit;	/* what it may take, if limited */
	size_t start;	/* the limit counts from here, or the last one did */
	size_t keep;	/* what it holds of that, before it drops it */
	size_t dropped; /* bytes that were written and are gone */
	bool   limited;
	bool   over;
} ByteBuffer;

static inline bool
buffer_is_limited(const ByteBuffer *out)
{
	return out->limited;
}

/* Whether the limit is passed, and whatever else is written is lost. */
static inline bool
buffer_is_over(const ByteBuffer *out)
{
	return out->over;
}

/* Empty, without a limit, in the current memory context. */
extern void buffer_init(ByteBuffer *buffer);
extern void buffer_free(ByteBuffer *buffer);

/* Room for n more bytes: what buffer_reserve() calls, and what that calls. */
extern void buffer_enlarge(ByteBuffer *out, size_t n);
extern void buffer_grow(ByteBuffer *out, size_t n);

/* ERROR: it would pass 1 GB. */
extern void buffer_report_too_large(void);

/* Empties, and gives back what one large value made of it beyond "keep". */
extern void buffer_reset_to(ByteBuffer *out, size_t keep);
/* The same, with a choice of "keep" for short texts. */
extern void buffer_reset(ByteBuffer *out);

static inline void
buffer_clear(ByteBuffer *out)
{
	out->len = 0;
}

/* What is written, ended with a zero byte. */
extern char *buffer_text(ByteBuffer *out);

/*
 * From here on, the buffer takes no more than "limit" bytes and never fails
 * for want of room in them; it holds "keep" of them.  The end tells how many
 * were written, or more than the limit, and whether all of them fit.  Those
 * that fit are there, unless they were more than "keep".
 */
extern void buffer_limit_begin(ByteBuffer *buffer, size_t limit, size_t keep);
extern bool buffer_limit_end(ByteBuffer *buffer, size_t *bytes);

/* Ends a limit whose outcome nobody asks for. */
static inline void
buffer_limit_forget(ByteBuffer *buffer)
{
	buffer->limited = buffer->over = false;
}

/* The largest limit that there is room for. */
extern size_t buffer_room(const ByteBuffer *buffer);

/* Puts what shall go to out under out's limit, if it has one. */
extern void buffer_limit_like(ByteBuffer *scratch, const ByteBuffer *out);

/* What out still takes before it is over. */
extern size_t buffer_left(const ByteBuffer *out);

/* What comes next is too large to be made: out is over, or an ERROR. */
extern void buffer_give_up(ByteBuffer *out);

/*
 * Whether there is stack for one more level of nesting; if not, gives up.
 * check_stack_depth() for what is nested by its input.
 */
extern bool buffer_may_recurse(ByteBuffer *out);

/*
 * Room for n more bytes; returns where to write them.  The caller then
 * advances with buffer_advance().
 */
static inline char *
buffer_reserve(ByteBuffer *out, size_t n)
{
	if (unlikely(out->len + n >= out->cap))
		buffer_enlarge(out, n);
	return out->data + out->len;
}

static inline void
buffer_advance(ByteBuffer *out, size_t n)
{
	out->len += n;
}

/* Where the caller of buffer_reserve() has written up to. */
static inline void
buffer_set_end(ByteBuffer *out, const char *end)
{
	out->len = end - out->data;
}

extern void buffer_append_large(ByteBuffer *out, const char *data, size_t n);

static inline void
buffer_append(ByteBuffer *out, const char *data, size_t n)
{
	if (unlikely(n > BUFFER_PIECE))
	{
		buffer_append_large(out, data, n);
		return;
	}
	memcpy(buffer_reserve(out, n), data, n);
	out->len += n;
}

static inline void
buffer_append_char(ByteBuffer *out, char c)
{
	*buffer_reserve(out, 1) = c;
	out->len++;
}

#define buffer_append_literal(out, s) buffer_append((out), (s), sizeof(s) - 1)

static inline void
buffer_append_string(ByteBuffer *out, const char *text)
{
	buffer_append(out, text, strlen(text));
}

/* For what is written once per file, relation or transaction. */
extern void buffer_printf(ByteBuffer *out, const char *format, ...)
	pg_attribute_printf(2, 3);

#endif /* OUTFLOW_BUFFER_H */
