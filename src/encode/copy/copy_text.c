/*
 * copy_text.c
 *		Rows in COPY's text format, byte for byte what COPY ... (FORMAT text)
 *		writes under the same settings and options.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "encode/value/chunk.h"
#include "encode/encode.h"

struct RowEncoder
{
	RowShape		*shape;
	RowFormatOptions options;
	int				 null_len;
	bool			 plain; /* no delimiter hides in numbers and dates */
	char			 escapes[256]; /* what follows the backslash, or 0 */
	TextValues		 values;
};

static void
text_check(const RowFormatOptions *options)
{
	if (options->quote || options->escape || options->force_quote ||
		options->force_quote_columns)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options \"quote\", \"escape\" and \"force_quote\" "
						"are for format \"csv\"")));
	if (options->delimiter && strchr("\\.abcdefghijklmnopqrstuvwxyz0123456789",
									 options->delimiter) != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("delimiter cannot be \"%c\" in format \"text\"",
							   options->delimiter)));
	row_format_check_characters(options, '\t', '\0', "\\N");
}

/*
 * Copies data and puts a backslash before what needs one.  dst has room for
 * twice len, and for a chunk more.
 */
static char *
text_copy_escaped(const RowEncoder *encoder, char *dst, const char *data,
				  int len)
{
	while (len > 0)
	{
		Chunk	  chunk = chunk_load_some(data, len);
		ChunkBits found = chunk_bits_of(
			chunk_find_control(chunk, '\\', encoder->options.delimiter), len);
		int taken = found ? chunk_first(found) : Min(len, CHUNK_SIZE);

		chunk_store(dst, chunk);
		dst += taken;
		if (found)
		{
			char escape = encoder->escapes[(unsigned char) data[taken]];

			if (escape)
				*dst++ = '\\';
			*dst++ = escape ? escape : data[taken];
			taken++;
		}
		data += taken;
		len -= taken;
	}
	return dst;
}

/* In pieces, so that room for the worst case costs little. */
static void
text_append_text(const RowEncoder *encoder, const char *data, int len,
				 ByteBuffer *out)
{
	const int piece_size = 64 * 1024;

	while (len > 0)
	{
		int	  piece = Min(len, piece_size);
		char *dst = buffer_reserve(out, piece * 2 + CHUNK_SIZE);
		char *end = text_copy_escaped(encoder, dst, data, piece);

		buffer_advance(out, end - dst);
		data += piece;
		len -= piece;
	}
}

/* Ends a line that began at start. */
static void
text_end_line(const RowEncoder *encoder, size_t start, ByteBuffer *out)
{
	buffer_append_char(out, '\n');
	if (encoder->options.encoding >= 0)
		text_transcode(out, start, encoder->options.encoding);
}

static void
text_append_header(const RowEncoder *encoder, ByteBuffer *out)
{
	size_t start = out->len;

	for (int i = 0; i < encoder->shape->ncolumns; i++)
	{
		const char *name = encoder->shape->columns[i].name;

		if (i > 0)
			buffer_append_char(out, encoder->options.delimiter);
		text_append_text(encoder, name, strlen(name), out);
	}
	text_end_line(encoder, start, out);
}

static void
init_escapes(char *escapes, char delimiter)
{
	static const char control[][2] = {{'\b', 'b'}, {'\f', 'f'}, {'\n', 'n'},
									  {'\r', 'r'}, {'\t', 't'}, {'\v', 'v'},
									  {'\\', '\\'}};

	escapes[(unsigned char) delimiter] = delimiter;
	for (int i = 0; i < lengthof(control); i++)
		escapes[(unsigned char) control[i][0]] = control[i][1];
}

static RowEncoder *
text_open(RowShape *shape, const RowFormatOptions *options,
		  const RowHost *host, ByteBuffer *out)
{
	RowEncoder *encoder = palloc0_object(RowEncoder);

	encoder->shape = shape;
	encoder->options = *options;
	if (options->delimiter == '\0')
		encoder->options.delimiter = '\t';
	if (options->null == NULL)
		encoder->options.null = "\\N";
	if (options->encoding == GetDatabaseEncoding())
		encoder->options.encoding = -1;
	encoder->null_len = strlen(encoder->options.null);
	encoder->plain = !text_is_plain_char(encoder->options.delimiter);
	init_escapes(encoder->escapes, encoder->options.delimiter);
	text_values_init(&encoder->values);
	if (options->header)
		text_append_header(encoder, out);
	return encoder;
}

static void
text_row(RowEncoder *encoder, const Datum *values, const bool *nulls,
		 ByteBuffer *out)
{
	RowShape *shape = encoder->shape;
	size_t	  start = out->len;

	for (int i = 0; i < shape->ncolumns; i++)
	{
		ColumnShape *column = &shape->columns[i];
		int			 attribute = column->attnum - 1;

		shape->current = column;
		if (i > 0)
			buffer_append_char(out, encoder->options.delimiter);
		if (nulls[attribute])
			buffer_append(out, encoder->options.null, encoder->null_len);
		else if (!encoder->plain ||
				 !text_value_plain(&encoder->values, &column->type,
								   values[attribute], out))
		{
			int			len;
			const char *text = text_value(&encoder->values, &column->type,
										  values[attribute], &len);

			text_append_text(encoder, text, len, out);
		}
	}
	shape->current = NULL;
	text_end_line(encoder, start, out);
}

static void
text_close(RowEncoder *encoder, ByteBuffer *out)
{
}

const RowFormat row_format_text = {.name = "text",
								   .extension = "txt",
								   .check = text_check,
								   .open = text_open,
								   .row = text_row,
								   .close = text_close,
								   .counter = row_counter_lines};
