/*
 * buffer_write.c
 *		What is written into buffers and not worth being inline.
 */
#include "postgres.h"

#include "encode/buffer.h"

void
buffer_append_large(ByteBuffer *out, const char *data, size_t n)
{
	while (n > 0 && !buffer_is_over(out))
	{
		size_t piece = buffer_is_limited(out) ? Min(n, BUFFER_PIECE) : n;

		memcpy(buffer_reserve(out, piece), data, piece);
		out->len += piece;
		data += piece;
		n -= piece;
	}
}

void
buffer_printf(ByteBuffer *out, const char *format, ...)
{
	size_t wanted = 128;

	for (;;)
	{
		char   *dst = buffer_reserve(out, wanted);
		va_list args;
		size_t	n;

		va_start(args, format);
		n = pvsnprintf(dst, wanted, format, args);
		va_end(args);
		if (n < wanted)
		{
			out->len += n;
			return;
		}
		wanted = n;
	}
}

char *
buffer_text(ByteBuffer *out)
{
	*buffer_reserve(out, 1) = '\0';
	return out->data;
}
