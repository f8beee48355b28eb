/*
 * fuzz_row.c
 *		Rows of random columns and values in every row format.
 *
 * csv, text and binary against COPY's rules, written down here a second time
 * in the plainest way over the types' own output and send functions; jsonl
 * against json_populate_record(), which must give the row back.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "executor/spi.h"
#include "catalog/namespace.h"
#include "nodes/makefuncs.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "fuzz.h"

#define MAX_COLUMNS 64

static Oid		  table_oid;
static SPIPlanPtr populate;

static void
init(void)
{
	Oid json = JSONOID;

	table_oid = RangeVarGetRelid(makeRangeVar("public", "fuzz_row", -1),
								 AccessShareLock, false);
	SPI_connect();
	populate =
		SPI_prepare("SELECT (json_populate_record(NULL::public.fuzz_row, "
					"$1)).*",
					1, &json);
	if (populate == NULL || SPI_keepplan(populate) != 0)
		elog(ERROR, "could not prepare: %d", SPI_result);
	SPI_finish();
}

/* Each column is in the row or not by one bit of the input. */
static bool
wanted(Form_pg_attribute attr, void *bits)
{
	return (*(uint64 *) bits >> (attr->attnum % 64)) & 1;
}

/* Settings that text depends on. */
static void
change_settings(FuzzInput *in)
{
	static const char *const settings[][5] = {
		{"DateStyle", "ISO, DMY", "SQL, MDY", "German", "Postgres, YMD"},
		{"IntervalStyle", "postgres", "iso_8601", "sql_standard",
		 "postgres_verbose"},
		{"TimeZone", "UTC", "America/St_Johns", "Australia/Lord_Howe",
		 "AAA5:07BBB,M3.2.0/02:07:33,M11.1.0/1:01"},
		{"bytea_output", "hex", "escape", "hex", "escape"},
		{"extra_float_digits", "1", "0", "3", "-4"}};

	for (int i = 0; i < lengthof(settings); i++)
		fuzz_set(settings[i][0], settings[i][1 + fuzz_below(in, 4)]);
}

/* ---- COPY's formats, the plain way */

static char *
out_text(ColumnShape *column, Datum value)
{
	Oid	 output;
	bool varlena;

	getTypeOutputInfo(column->type.oid, &output, &varlena);
	return OidOutputFunctionCall(output, value);
}

static void
reference_csv_value(ByteBuffer *out, const RowFormatOptions *options,
					const char *text, bool single)
{
	bool quoted = options->force_quote || strcmp(text, options->null) == 0 ||
				  (single && strcmp(text, "\\.") == 0);

	for (const char *p = text; *p; p++)
		quoted |= *p == options->delimiter || *p == options->quote ||
				  *p == '\n' || *p == '\r';
	if (!quoted)
	{
		buffer_append_string(out, text);
		return;
	}
	buffer_append_char(out, options->quote);
	for (const char *p = text; *p; p++)
	{
		if (*p == options->quote || *p == options->escape)
			buffer_append_char(out, options->escape);
		buffer_append_char(out, *p);
	}
	buffer_append_char(out, options->quote);
}

static void
reference_text_value(ByteBuffer *out, const RowFormatOptions *options,
					 const char *text)
{
	static const char control[] = "\b\f\n\r\t\v";
	static const char letters[] = "bfnrtv";

	for (const char *p = text; *p; p++)
	{
		const char *found = strchr(control, *p);

		if (found)
			buffer_printf(out, "\\%c", letters[found - control]);
		else if (*p == '\\' || *p == options->delimiter)
			buffer_printf(out, "\\%c", *p);
		else
			buffer_append_char(out, *p);
	}
}

static void
reference_binary_value(ByteBuffer *out, ColumnShape *column, Datum value)
{
	Oid	   send;
	bool   varlena;
	bytea *sent;
	uint32 size;

	getTypeBinaryOutputInfo(column->type.oid, &send, &varlena);
	sent = OidSendFunctionCall(send, value);
	size = pg_hton32(VARSIZE(sent) - VARHDRSZ);
	buffer_append(out, (char *) &size, sizeof(size));
	buffer_append(out, VARDATA(sent), VARSIZE(sent) - VARHDRSZ);
}

static void
reference_row(ByteBuffer *out, const RowFormat *format,
			  const RowFormatOptions *options, RowShape *shape, Datum *values,
			  bool *nulls)
{
	bool   binary = format == &row_format_binary;
	uint16 count = pg_hton16(shape->ncolumns);

	if (binary)
		buffer_append(out, (char *) &count, sizeof(count));
	for (int i = 0; i < shape->ncolumns; i++)
	{
		ColumnShape *column = &shape->columns[i];
		int			 attribute = column->attnum - 1;

		if (i > 0 && !binary)
			buffer_append_char(out, options->delimiter);
		if (nulls[attribute])
		{
			if (binary)
				buffer_append(out, "\377\377\377\377", 4);
			else
				buffer_append_string(out, options->null);
		}
		else if (binary)
			reference_binary_value(out, column, values[attribute]);
		else if (format == &row_format_csv)
			reference_csv_value(out, options,
								out_text(column, values[attribute]),
								shape->ncolumns == 1);
		else
			reference_text_value(out, options,
								 out_text(column, values[attribute]));
	}
	if (!binary)
		buffer_append_char(out, '\n');
}

/* What COPY allows; the defaults spelled out for the reference. */
static void
choose_options(FuzzInput *in, const RowFormat *format,
			   RowFormatOptions *options)
{
	static const char		 csv_delimiters[] = ",;|\t1:-aE +.";
	static const char		 text_delimiters[] = "\t\001,;|:-E +";
	static const char		 quotes[] = "\"'x0:-";
	static const char		 escapes[] = "\"\\'z1";
	static const char *const nulls[] = {"", "\\N", "NULL", "f", "{}", "12"};

	options->encoding = -1;
	options->delimiter = format == &row_format_csv ? ',' : '\t';
	options->quote = options->escape = '"';
	options->null = format == &row_format_csv ? "" : "\\N";
	if (fuzz_below(in, 2))
		return;
	options->null = nulls[fuzz_below(in, lengthof(nulls))];
	if (format == &row_format_text)
	{
		options->delimiter =
			text_delimiters[fuzz_below(in, sizeof(text_delimiters) - 1)];
		return;
	}
	options->delimiter =
		csv_delimiters[fuzz_below(in, sizeof(csv_delimiters) - 1)];
	options->quote = quotes[fuzz_below(in, sizeof(quotes) - 1)];
	options->escape = escapes[fuzz_below(in, sizeof(escapes) - 1)];
	options->force_quote = fuzz_below(in, 4) == 0;
	if (options->quote == options->delimiter)
		options->quote = '"';
}

static void
run_copy_format(FuzzInput *in, const RowFormat *format, RowShape *shape,
				Datum *values, bool *nulls)
{
	RowFormatOptions options = {0};
	RowFormatOptions given;
	RowEncoder		*encoder;
	ByteBuffer		 expected;

	if (format != &row_format_binary)
	{
		choose_options(in, format, &options);
		change_settings(in);
	}
	buffer_init(&expected);
	reference_row(&expected, format, &options, shape, values, nulls);
	given = options;
	if (format == &row_format_text)
		given.quote = given.escape = '\0';

	/* some of them don't go together */
	format->check(&given);
	fuzz_must_succeed(true);
	encoder = format->open(shape, &given, &(RowHost){0}, &fuzz_out);
	fuzz_expect("start", fuzz_out.data, fuzz_out.len);
	format->row(encoder, values, nulls, &fuzz_out);
	fuzz_expect(format->name, expected.data, expected.len);
	format->close(encoder, &fuzz_out);
}

/* ---- JSON */

/*
 * The text of a value as it should come back: arrays without their bounds,
 * and the JSON null of a json column as SQL's.
 */
static const char *
text_without_bounds(const char *text, const TypeShape *type)
{
	if (type->kind == KIND_ARRAY && *text == '[')
		text = strchr(text, '=') + 1;
	return text;
}

static bool
is_json_null(const ColumnShape *column, const char *text)
{
	static const char space[] = " \t\r\n";

	if (column->type.kind != KIND_JSON && column->type.kind != KIND_JSONB)
		return false;
	text += strspn(text, space);
	return strncmp(text, "null", 4) == 0 &&
		   text[4 + strspn(text + 4, space)] == '\0';
}

static void
check_column(ColumnShape *column, Datum value, bool isnull, HeapTuple row,
			 TupleDesc desc, const char *written)
{
	bool		null_back;
	Datum		back = heap_getattr(row, column->attnum, desc, &null_back);
	const char *text, *text_back;

	if (isnull || null_back)
	{
		if (isnull != null_back &&
			!is_json_null(column, out_text(column, value)))
			fuzz_fail("%s: NULL went in or came out: %s", column->name,
					  written);
		return;
	}
	text = text_without_bounds(out_text(column, value), &column->type);
	text_back = text_without_bounds(out_text(column, back), &column->type);
	if (column->type.kind == KIND_JSON)
		return; /* white space differs; fuzz_json looks at it */
	if (strcmp(text, text_back) != 0)
		fuzz_fail("%s: expected\n%s\nbut got\n%s\nfrom %s", column->name, text,
				  text_back, written);
}

static void
run_jsonl(FuzzInput *in, RowShape *shape, Datum *values, bool *nulls)
{
	RowFormatOptions options = {.encoding = -1};
	RowEncoder		*encoder;
	Datum			 line;
	char			*written;

	/* what the session says must not matter */
	change_settings(in);
	fuzz_must_succeed(true);
	(void) settings_pin_canonical(CurrentMemoryContext);
	encoder = row_format_jsonl.open(shape, &options, &(RowHost){0}, &fuzz_out);
	row_format_jsonl.row(encoder, values, nulls, &fuzz_out);
	written = pnstrdup(fuzz_out.data, fuzz_out.len);
	if (strcspn(written, "\n") != fuzz_out.len - 1)
		fuzz_fail("not one line: %s", written);

	line = CStringGetTextDatum(written);
	SPI_connect();
	if (SPI_execute_plan(populate, &line, NULL, true, 1) != SPI_OK_SELECT)
		fuzz_fail("could not read %s", written);
	for (int i = 0; i < shape->ncolumns; i++)
	{
		ColumnShape *column = &shape->columns[i];
		int			 attribute = column->attnum - 1;

		check_column(column, values[attribute], nulls[attribute],
					 SPI_tuptable->vals[0], SPI_tuptable->tupdesc, written);
	}
	SPI_finish();
}

static void
run(FuzzInput *in)
{
	const RowFormat *const formats[] = {&row_format_csv, &row_format_text,
										&row_format_binary, &row_format_jsonl};
	const RowFormat		  *format = formats[fuzz_below(in, lengthof(formats))];
	uint64				   columns = fuzz_bits(in, 8);
	Relation			   rel = table_open(table_oid, AccessShareLock);
	RowShape			  *shape;
	Datum				   values[MAX_COLUMNS];
	bool				   nulls[MAX_COLUMNS];

	shape = row_shape_build(rel, wanted, &columns, CurrentMemoryContext);
	memset(nulls, true, sizeof(nulls));
	for (int i = 0; i < shape->ncolumns; i++)
	{
		ColumnShape *column = &shape->columns[i];
		int			 attribute = column->attnum - 1;

		nulls[attribute] = fuzz_below(in, 6) == 0 ||
						   !fuzz_value(in, &column->type, &values[attribute]);
		if (!nulls[attribute] && column->type.len == -1)
			values[attribute] = fuzz_stored_form(in, values[attribute]);
	}
	if (format == &row_format_jsonl)
		run_jsonl(in, shape, values, nulls);
	else
		run_copy_format(in, format, shape, values, nulls);
	fuzz_must_succeed(false);
	table_close(rel, AccessShareLock);
}

const FuzzTarget fuzz_row = {"row", init, run};
