/*
 * csv.c
 *		Rows as CSV, byte for byte what COPY ... (FORMAT csv) writes under the
 *		same settings and options.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "encode/value/chunk.h"
#include "encode/encode.h"
#include "option.h"

/* jsonb between quotes: its own are written twice at once */
static const JsonStyle doubled_strings = {.double_quotes = true};

struct RowEncoder
{
	RowShape		*shape;
	RowFormatOptions options;
	int				 null_len;
	bool			*plain;	 /* by column: written directly, never quoted */
	bool			*forced; /* or always quoted */
	bool			 usual_quotes; /* both quote and escape are " */
	TextValues		 values;
};

static void
csv_check(const RowFormatOptions *options)
{
	if (options->compression)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("format \"csv\" does not compress by itself")));
	row_format_check_characters(options, ',', '"', "");
}

/*
 * Quoting depends on the value unless neither the delimiter, the quote nor the
 * NULL string can occur in it.
 */
static bool
never_quoted(const RowEncoder *encoder)
{
	const RowFormatOptions *options = &encoder->options;

	return options->null[0] == '\0' &&
		   !text_is_plain_char(options->delimiter) &&
		   !text_is_plain_char(options->quote);
}

/* Appends text, unless something in it has to be quoted. */
static bool
append_clean(const RowEncoder *encoder, const char *data, int len,
			 ByteBuffer *out)
{
	const RowFormatOptions *options = &encoder->options;
	char				   *dst = buffer_reserve(out, len + CHUNK_SIZE);

	for (int i = 0; i < len; i += CHUNK_SIZE)
	{
		Chunk	  chunk = chunk_load_some(data + i, len - i);
		ChunkBits found =
			chunk_find(chunk, options->quote, options->delimiter, '\n', '\r');

		if (chunk_bits_of(found, len - i) != 0)
			return false;
		chunk_store(dst + i, chunk);
	}
	buffer_advance(out, len);
	return true;
}

/*
 * Copies data and puts escape before each quote and each escape.  dst has room
 * for twice len, and for a chunk more.
 */
static char *
csv_copy_escaped(char *dst, const char *data, int len, char quote, char escape)
{
	while (len > 0)
	{
		Chunk	  chunk = chunk_load_some(data, len);
		ChunkBits found = chunk_bits_of(
			chunk_find(chunk, quote, escape, quote, escape), len);
		int taken = found ? chunk_first(found) : Min(len, CHUNK_SIZE);

		chunk_store(dst, chunk);
		dst += taken;
		if (found)
		{
			*dst++ = escape;
			*dst++ = data[taken++];
		}
		data += taken;
		len -= taken;
	}
	return dst;
}

/* A quoted value, in pieces, so that room for the worst case costs little. */
static void
csv_append_quoted(const RowEncoder *encoder, const char *data, int len,
				  ByteBuffer *out)
{
	const int piece_size = 64 * 1024;

	buffer_append_char(out, encoder->options.quote);
	while (len > 0)
	{
		int	  piece = Min(len, piece_size);
		char *dst = buffer_reserve(out, piece * 2 + CHUNK_SIZE);
		char *end = csv_copy_escaped(dst, data, piece, encoder->options.quote,
									 encoder->options.escape);

		buffer_advance(out, end - dst);
		data += piece;
		len -= piece;
	}
	buffer_append_char(out, encoder->options.quote);
}

static void
csv_append_text(const RowEncoder *encoder, const char *data, int len,
				bool forced, ByteBuffer *out)
{
	bool quoted = forced ||
				  (len == encoder->null_len &&
				   memcmp(data, encoder->options.null, len) == 0) ||
				  (encoder->shape->ncolumns == 1 && len == 2 &&
				   memcmp(data, "\\.", 2) == 0);

	if (quoted || !append_clean(encoder, data, len, out))
		csv_append_quoted(encoder, data, len, out);
}

/*
 * Most documents have strings, so that they must be quoted: written as such at
 * once.  False, and nothing is written, for one without.
 */
static bool
csv_append_jsonb(const RowEncoder *encoder, Datum value, ByteBuffer *out)
{
	size_t start = out->len;

	if (!encoder->usual_quotes)
		return false;
	buffer_append_char(out, '"');
	text_jsonb(out, &doubled_strings, value);
	if (memchr(out->data + start + 1, '"', out->len - start - 1) == NULL)
	{
		out->len = start;
		return false;
	}
	buffer_append_char(out, '"');
	return true;
}

static void
csv_append_value(RowEncoder *encoder, TypeShape *type, Datum value,
				 bool forced, ByteBuffer *out)
{
	const char *text;
	int			len;

	if (type->kind == KIND_JSONB && csv_append_jsonb(encoder, value, out))
		return;
	text = text_value(&encoder->values, type, value, &len);
	csv_append_text(encoder, text, len, forced, out);
}

/* Ends a line that began at start. */
static void
csv_end_line(const RowEncoder *encoder, size_t start, ByteBuffer *out)
{
	buffer_append_char(out, '\n');
	if (encoder->options.encoding >= 0)
		text_transcode(out, start, encoder->options.encoding);
}

/* Names are quoted by the same rule, but force_quote is for values. */
static void
csv_append_header(RowEncoder *encoder, ByteBuffer *out)
{
	size_t start = out->len;

	for (int i = 0; i < encoder->shape->ncolumns; i++)
	{
		const char *name = encoder->shape->columns[i].name;

		if (i > 0)
			buffer_append_char(out, encoder->options.delimiter);
		csv_append_text(encoder, name, strlen(name), false, out);
	}
	csv_end_line(encoder, start, out);
}

/* By column: whether it is in the option "force_quote". */
static bool *
forced_columns(const RowShape *shape, const RowFormatOptions *options)
{
	bool	 *forced = palloc0(sizeof(bool) * Max(shape->ncolumns, 1));
	ListCell *lc;

	for (int i = 0; i < shape->ncolumns; i++)
		forced[i] = options->force_quote;
	foreach (lc, options->force_quote_columns)
	{
		int i = 0;

		while (i < shape->ncolumns &&
			   strcmp(shape->columns[i].name, lfirst(lc)) != 0)
			i++;
		if (i == shape->ncolumns)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column in option \"force_quote\" does not exist "
							"or is not exported: \"%s\"",
							option_shown(lfirst(lc)))));
		forced[i] = true;
	}
	return forced;
}

static RowEncoder *
csv_open(RowShape *shape, const RowFormatOptions *options, const RowHost *host,
		 ByteBuffer *out)
{
	RowEncoder *encoder = palloc0_object(RowEncoder);
	bool		direct;

	encoder->shape = shape;
	encoder->options = *options;
	if (options->delimiter == '\0')
		encoder->options.delimiter = ',';
	if (options->quote == '\0')
		encoder->options.quote = '"';
	if (options->escape == '\0')
		encoder->options.escape = encoder->options.quote;
	if (options->null == NULL)
		encoder->options.null = "";
	encoder->null_len = strlen(encoder->options.null);
	encoder->usual_quotes =
		encoder->options.quote == '"' && encoder->options.escape == '"';
	text_values_init(&encoder->values);

	encoder->forced = forced_columns(shape, options);
	direct = never_quoted(encoder);
	encoder->plain = palloc0(sizeof(bool) * Max(shape->ncolumns, 1));
	for (int i = 0; i < shape->ncolumns; i++)
		encoder->plain[i] =
			direct && !encoder->forced[i] &&
			text_kind_is_plain(&encoder->values, shape->columns[i].type.kind);
	if (options->encoding == GetDatabaseEncoding())
		encoder->options.encoding = -1;
	if (options->header)
		csv_append_header(encoder, out);
	return encoder;
}

static void
csv_row(RowEncoder *encoder, const Datum *values, const bool *nulls,
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
		else if (!encoder->plain[i] ||
				 !text_value_plain(&encoder->values, &column->type,
								   values[attribute], out))
			csv_append_value(encoder, &column->type, values[attribute],
							 encoder->forced[i], out);
	}
	shape->current = NULL;
	csv_end_line(encoder, start, out);
}

static void
csv_close(RowEncoder *encoder, ByteBuffer *out)
{
}

const RowFormat row_format_csv = {.name = "csv",
								  .extension = "csv",
								  .check = csv_check,
								  .open = csv_open,
								  .row = csv_row,
								  .close = csv_close,
								  .counter = row_counter_quoted_lines};
