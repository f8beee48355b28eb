/*
 * json_string.c
 *		JSON strings and ready-made JSON text, in any server encoding.
 *
 * In a UTF-8 database text is copied as it is but for the characters that
 * JSON wants escaped (RFC 8259, section 7).  In any other database everything
 * beyond ASCII is written as \u escapes, so that the result is valid both in
 * the database's encoding and as UTF-8.  In SQL_ASCII, where bytes have no
 * meaning, valid UTF-8 is taken as such and any other byte 0xNN becomes the
 * private-use character U+EFNN, so that it stays visible and can be undone.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "encode/encode.h"

#define RAW_BYTE_BASE 0xEF00

/* What stands behind the backslash; 'u' for \u00XX, 0 for no escape. */
static const char escapes[256] = {
	'u', 'u', 'u', 'u', 'u', 'u',		  'u',			'u', 'b',
	't', 'n', 'u', 'f', 'r', 'u',		  'u',			'u', 'u',
	'u', 'u', 'u', 'u', 'u', 'u',		  'u',			'u', 'u',
	'u', 'u', 'u', 'u', 'u', ['"'] = '"', ['\\'] = '\\'};

JsonStyle
json_style_default(void)
{
	JsonStyle style = {.ascii = GetDatabaseEncoding() != PG_UTF8,
					   .compact = true};

	return style;
}

/*
 * Number of bytes before the first one that needs an escape; with "ascii",
 * bytes beyond ASCII need one, too.
 */
static inline int
clean_span(const char *data, int len, bool ascii)
{
	int i = 0;

#ifdef __SSE2__
	const __m128i quote = _mm_set1_epi8('"');
	const __m128i backslash = _mm_set1_epi8('\\');
	const __m128i control = _mm_set1_epi8(0x1F);

	for (; i + 16 <= len; i += 16)
	{
		__m128i chunk = _mm_loadu_si128((const __m128i *) (data + i));
		__m128i found = _mm_or_si128(
			_mm_or_si128(_mm_cmpeq_epi8(chunk, quote),
						 _mm_cmpeq_epi8(chunk, backslash)),
			_mm_cmpeq_epi8(_mm_max_epu8(chunk, control), control));
		int mask;

		if (ascii)
			found = _mm_or_si128(found, chunk); /* movemask reads bit 7 */
		mask = _mm_movemask_epi8(found);
		if (mask != 0)
			return i + __builtin_ctz(mask);
	}
#endif
	for (; i < len; i++)
	{
		unsigned char c = data[i];

		if (escapes[c] || (ascii && c >= 0x80))
			break;
	}
	return i;
}

static char *
write_unicode_escape(char *dst, uint32 code)
{
	static const char hex[] = "0123456789abcdef";

	*dst++ = '\\';
	*dst++ = 'u';
	for (int shift = 12; shift >= 0; shift -= 4)
		*dst++ = hex[(code >> shift) & 15];
	return dst;
}

static void
append_code_point(StringInfo out, pg_wchar code)
{
	char *start = buffer_reserve(out, 12);
	char *dst = start;

	if (code < 0x10000)
		dst = write_unicode_escape(dst, code);
	else
	{
		code -= 0x10000;
		dst = write_unicode_escape(dst, 0xD800 + (code >> 10));
		dst = write_unicode_escape(dst, 0xDC00 + (code & 0x3FF));
	}
	buffer_advance(out, dst - start);
}

static void
append_escape(StringInfo out, unsigned char c)
{
	if (escapes[c] == 'u')
		append_code_point(out, c);
	else
	{
		char *dst = buffer_reserve(out, 2);

		dst[0] = '\\';
		dst[1] = escapes[c];
		buffer_advance(out, 2);
	}
}

/* Length of the valid UTF-8 character at data, or 0. */
static int
utf8_char_len(const char *data, int len)
{
	int char_len = pg_utf_mblen((const unsigned char *) data);

	if (char_len > len ||
		!pg_utf8_islegal((const unsigned char *) data, char_len))
		return 0;
	return char_len;
}

/* Writes UTF-8 text, beyond ASCII as \u; bytes that aren't UTF-8 by the rule
 * of the file's top.  Returns the number of bytes taken. */
static int
append_beyond_ascii(StringInfo out, const char *data, int len)
{
	int char_len = utf8_char_len(data, len);

	if (char_len == 0)
	{
		append_code_point(out, RAW_BYTE_BASE + (unsigned char) *data);
		return 1;
	}
	append_code_point(out, utf8_to_unicode((const unsigned char *) data));
	return char_len;
}

/*
 * Appends text.  "quoted": as the inside of a JSON string.  Otherwise the text
 * is JSON itself, in which characters beyond ASCII stand in strings only.
 */
static void
append_ascii(StringInfo out, const char *data, int len, bool quoted)
{
	char *converted = NULL;

	if (GetDatabaseEncoding() != PG_SQL_ASCII)
	{
		converted = pg_server_to_any(data, len, PG_UTF8);
		if (converted != data)
		{
			data = converted;
			len = strlen(converted);
		}
		else
			converted = NULL;
	}
	while (len > 0)
	{
		int span = clean_span(data, len, true);
		int taken;

		buffer_append(out, data, span);
		data += span;
		len -= span;
		if (len == 0)
			break;
		if (IS_HIGHBIT_SET(*data))
			taken = append_beyond_ascii(out, data, len);
		else
		{
			if (quoted)
				append_escape(out, *data);
			else
				buffer_append_char(
					out, *data == '\n' || *data == '\r' ? ' ' : *data);
			taken = 1;
		}
		data += taken;
		len -= taken;
	}
	if (converted)
		pfree(converted);
}

void
json_string(StringInfo out, const JsonStyle *style, const char *data, int len)
{
	buffer_append_char(out, '"');
	if (style->ascii)
		append_ascii(out, data, len, true);
	else
	{
		for (;;)
		{
			int span = clean_span(data, len, false);

			buffer_append(out, data, span);
			if (span == len)
				break;
			append_escape(out, data[span]);
			data += span + 1;
			len -= span + 1;
		}
	}
	buffer_append_char(out, '"');
}

void
json_text(StringInfo out, const JsonStyle *style, const char *data, int len)
{
	char *dst, *end;

	if (style->ascii)
	{
		append_ascii(out, data, len, false);
		return;
	}
	/* line ends can only be white space between tokens */
	dst = buffer_reserve(out, len);
	memcpy(dst, data, len);
	end = dst + len;
	buffer_advance(out, len);
	while ((dst = memchr(dst, '\n', end - dst)) != NULL)
		*dst++ = ' ';
	dst = end - len;
	while ((dst = memchr(dst, '\r', end - dst)) != NULL)
		*dst++ = ' ';
}
