/*
 * json_string.c
 *		JSON strings and ready-made JSON text, in any server encoding.
 *
 * In a UTF-8 database text is copied as it is but for the characters that
 * JSON wants escaped (RFC 8259, section 7).  In any other database everything
 * beyond ASCII is written as \u escapes, so that the result is valid both in
 * the database's encoding and as UTF-8.
 *
 * In SQL_ASCII, where bytes have no meaning, valid UTF-8 is taken as such and
 * any other byte 0xNN becomes the private-use character U+EFNN, so that it
 * stays visible.  The bytes of U+EF80 .. U+EFFF themselves are taken one by
 * one, too, so that each of these characters stands for one byte and the text
 * can be had back.  In other encodings the same is done with the bytes of a
 * character that has no equivalent in UTF-8.
 *
 * In a UTF-8 database all text is UTF-8, but for names of roles, databases and
 * origins, which databases of other encodings share with it.  So what such names
 * are in, the text of output functions above all, passes text_of_names() first,
 * which makes the same characters of their bytes.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "encode/value/chunk.h"
#include "encode/encode.h"
#include "encoding.h"

#define RAW_BYTE_BASE 0xEF00
#define RAW_BYTE_MIN  (RAW_BYTE_BASE + 0x80)
#define RAW_BYTE_MAX  (RAW_BYTE_BASE + 0xFF)

/* What follows the backslash; 'u' for \u00XX, 0 for no escape. */
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

	encoding_prepare();
	return style;
}

/* Number of bytes before the first one that isn't ASCII or needs an escape. */
static int
clean_ascii_span(const char *data, int len)
{
	for (int i = 0; i < len; i += CHUNK_SIZE)
	{
		Chunk	  chunk = chunk_load_some(data + i, len - i);
		ChunkBits found = chunk_bits_of(chunk_find_control(chunk, '"', '\\') |
											chunk_find_high(chunk),
										len - i);

		if (found != 0)
			return i + chunk_first(found);
	}
	return len;
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
append_code_point(ByteBuffer *out, pg_wchar code)
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
append_escape(ByteBuffer *out, unsigned char c)
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

/* Bytes without a meaning, by the rule of the file's top. */
static void
append_raw(ByteBuffer *out, const char *data, int len)
{
	for (int i = 0; i < len; i++)
		append_code_point(out, RAW_BYTE_BASE + (unsigned char) data[i]);
}

/* The valid UTF-8 character at data and its length, or 0. */
static inline int
utf8_char(const char *data, int len, pg_wchar *code)
{
	int char_len = pg_utf_mblen((const unsigned char *) data);

	if (char_len > len ||
		!pg_utf8_islegal((const unsigned char *) data, char_len))
		return 0;
	*code = utf8_to_unicode((const unsigned char *) data);
	return char_len;
}

/* The character at data, or that of its first byte, and how long it is. */
static int
utf8_char_or_byte(const char *data, int len, pg_wchar *code)
{
	int char_len = utf8_char(data, len, code);

	if (char_len > 0 && (GetDatabaseEncoding() != PG_SQL_ASCII ||
						 *code < RAW_BYTE_MIN || *code > RAW_BYTE_MAX))
		return char_len;
	*code = RAW_BYTE_BASE + (unsigned char) *data;
	return 1;
}

const char *
text_for_utf8(const char *text)
{
	int			   len = strlen(text);
	int			   encoding = GetDatabaseEncoding();
	StringInfoData out;

	if ((encoding != PG_SQL_ASCII && encoding != PG_UTF8) ||
		pg_verify_mbstr(PG_UTF8, text, len, true))
		return text;
	initStringInfo(&out);
	for (int taken; len > 0; text += taken, len -= taken)
	{
		unsigned char utf8[MAX_MULTIBYTE_CHAR_LEN + 1];
		pg_wchar	  code = (unsigned char) *text;

		taken = 1;
		if (IS_HIGHBIT_SET(*text))
			taken = utf8_char_or_byte(text, len, &code);
		unicode_to_utf8(code, utf8);
		appendBinaryStringInfo(&out, (char *) utf8, pg_utf_mblen(utf8));
	}
	return out.data;
}

const char *
text_of_names(const char *text)
{
	return GetDatabaseEncoding() == PG_UTF8 ? text_for_utf8(text) : text;
}

/* Both take the character at data, or more; return the number of bytes. */
static int
append_utf8(ByteBuffer *out, const char *data, int len)
{
	pg_wchar code = 0;
	int		 taken = utf8_char_or_byte(data, len, &code);

	append_code_point(out, code);
	return taken;
}

static int
append_converted(ByteBuffer *out, const char *data, int len)
{
	char  utf8[MAX_TO_UTF8 * MAX_CONVERSION_GROWTH + 1];
	char *p = utf8;
	char *end;
	int	  taken;

	utf8[0] = '\0';
	taken = encoding_to_utf8(utf8, data, len);
	if (taken <= 0)
	{
		taken = encoding_char_len(data, len);
		append_raw(out, data, taken);
		return taken;
	}
	end = utf8 + strlen(utf8);
	while (p < end)
	{
		pg_wchar code = 0;

		p += Max(utf8_char(p, end - p, &code), 1);
		append_code_point(out, code);
	}
	return taken;
}

/* Length of the run beyond ASCII at data, which has one such byte at least. */
static int
beyond_ascii_span(const char *data, int len)
{
	int i = 1;

	len = Min(len, MAX_TO_UTF8);
	while (i < len && IS_HIGHBIT_SET(data[i]))
		i++;
	return i;
}

/*
 * Appends text.  "quoted": as the inside of a JSON string.  Otherwise the text
 * is JSON itself, in which characters beyond ASCII stand in strings only.
 */
static void
append_ascii(ByteBuffer *out, const char *data, int len, bool quoted)
{
	bool is_utf8 = GetDatabaseEncoding() == PG_UTF8 ||
				   GetDatabaseEncoding() == PG_SQL_ASCII;

	while (len > 0 && !buffer_is_over(out))
	{
		int taken = clean_ascii_span(data, len);

		buffer_append(out, data, taken);
		data += taken;
		len -= taken;
		if (len == 0)
			break;
		taken = 1;
		if (IS_HIGHBIT_SET(*data))
			taken = is_utf8 ? append_utf8(out, data, len)
							: append_converted(out, data,
											   beyond_ascii_span(data, len));
		else if (quoted)
			append_escape(out, *data);
		else
			buffer_append_char(out,
							   *data == '\n' || *data == '\r' ? ' ' : *data);
		data += taken;
		len -= taken;
	}
}

/* A string's own quote; two where the text stands between quotes itself. */
static inline void
append_quote(ByteBuffer *out, const JsonStyle *style)
{
	memcpy(buffer_reserve(out, 2), "\"\"", 2);
	buffer_advance(out, style->double_quotes ? 2 : 1);
}

/*
 * Copies a piece, and looks in the same pass for what needs an escape; returns
 * how many bytes stand before the first such one.
 */
static inline int
copy_clean(ByteBuffer *out, const char *data, int len)
{
	char *dst = buffer_reserve(out, len + CHUNK_SIZE);
	int	  done = 0;

	while (done < len)
	{
		Chunk	  chunk = chunk_load_some(data + done, len - done);
		ChunkBits found =
			chunk_bits_of(chunk_find_control(chunk, '"', '\\'), len - done);

		chunk_store(dst + done, chunk);
		if (found)
		{
			done += chunk_first(found);
			break;
		}
		done += Min(len - done, CHUNK_SIZE);
	}
	buffer_advance(out, done);
	return done;
}

static void
append_utf8_string(ByteBuffer *out, const JsonStyle *style, const char *data,
				   int len)
{
	while (len > 0)
	{
		int piece = Min(len, BUFFER_PIECE);
		int taken = copy_clean(out, data, piece);

		data += taken;
		len -= taken;
		if (taken < piece)
		{
			append_escape(out, *data);
			if (*data == '"' && style->double_quotes)
				buffer_append_char(out, '"');
			data++;
			len--;
		}
		if (unlikely(buffer_is_over(out)))
			return;
	}
}

void
json_string(ByteBuffer *out, const JsonStyle *style, const char *data, int len)
{
	append_quote(out, style);
	if (style->ascii)
		append_ascii(out, data, len, true);
	else
		append_utf8_string(out, style, data, len);
	append_quote(out, style);
}

/* Line ends in JSON can only be white space between tokens. */
static void
append_one_line(ByteBuffer *out, const char *data, int len)
{
	char *dst = buffer_reserve(out, len);
	char *end = dst + len;

	memcpy(dst, data, len);
	buffer_advance(out, len);
	while ((dst = memchr(dst, '\n', end - dst)) != NULL)
		*dst++ = ' ';
	dst = end - len;
	while ((dst = memchr(dst, '\r', end - dst)) != NULL)
		*dst++ = ' ';
}

void
json_text(ByteBuffer *out, const JsonStyle *style, const char *data, int len)
{
	if (style->ascii)
	{
		append_ascii(out, data, len, false);
		return;
	}
	while (len > 0 && !buffer_is_over(out))
	{
		int piece = Min(len, BUFFER_PIECE);

		append_one_line(out, data, piece);
		data += piece;
		len -= piece;
	}
}
