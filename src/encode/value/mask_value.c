/*
 * mask_value.c
 *		Masks values.
 *
 * A mask is made of the value's text, the same one whatever the session's
 * settings and the format: ISO dates in UTC, shortest floats, hexadecimal
 * bytes.
 */
#include "postgres.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "encode/encode.h"
#include "encode/mask_value.h"
#include "encoding.h"

#define HASH_SIZE 32
/* What a redacted value, and one too large to be hashed, reads. */
#define REDACTED "***"

/* Where a value's text ends: PostgreSQL's own does, too. */
#define MAX_MASKED_TEXT (1000 * 1024 * 1024)

/* What tells of the server and not of a value. */
static bool
is_interruption(void)
{
	return ERRCODE_TO_CATEGORY(geterrcode()) == ERRCODE_OPERATOR_INTERVENTION;
}

typedef struct HiddenLook
{
	const RowShape		*shape;
	const volatile bool *shown;	 /* NULL: never */
	bool				 failed; /* what is reported is the ERROR */
} HiddenLook;

static bool
look_is_shown(const HiddenLook *hidden)
{
	return hidden->shown && *hidden->shown;
}

static void
mask_filter_context(void *arg)
{
	const HiddenLook *hidden = arg;
	const RowShape	 *shape = hidden->shape;
	const char		 *schema;
	const char		 *name;

	if (is_interruption() || look_is_shown(hidden))
		return;
	schema = encoding_shown(shape->schema);
	name = encoding_shown(shape->name);
	/* a NOTICE, or an ERROR that is about to be replaced */
	if (!hidden->failed)
		errmsg("a row filter of table \"%s.%s\" has something to report",
			   schema, name);
	else
		errmsg("could not apply a row filter of table \"%s.%s\"", schema,
			   name);
	encoding_shown_free(schema, shape->schema);
	encoding_shown_free(name, shape->name);
	errdetail("The table has columns that are masked or left out, so what was "
			  "reported is not shown.");
	errhint("Try the filter in a query of the table.");
}

/*
 * Ends a PG_CATCH: what was caught is replaced as a whole, context included,
 * which callbacks can only add to.  Its SQLSTATE stays, by which the server
 * knows a transaction that was rolled back meanwhile.
 */
static int
forget_error(MemoryContext context)
{
	int code;

	MemoryContextSwitchTo(context);
	code = geterrcode();
	if (!is_interruption())
		FlushErrorState();
	return code;
}

bool
mask_hide_reports(const RowShape *shape, const volatile bool *shown,
				  bool (*look)(void *arg), void				 *arg)
{
	MemoryContext		 context = CurrentMemoryContext;
	HiddenLook			 hidden = {shape, shown};
	ErrorContextCallback reports = {
		.callback = mask_filter_context,
		.arg = &hidden,
		.previous = error_context_stack,
	};
	bool found = false;

	error_context_stack = &reports;
	PG_TRY();
	{
		found = look(arg);
	}
	PG_CATCH();
	{
		int code;

		if (look_is_shown(&hidden))
			PG_RE_THROW();
		code = forget_error(context);
		if (ERRCODE_TO_CATEGORY(code) == ERRCODE_OPERATOR_INTERVENTION)
			PG_RE_THROW();
		error_context_stack = &reports;
		hidden.failed = true;
		ereport(ERROR, (errcode(code)));
	}
	PG_END_TRY();
	error_context_stack = reports.previous;
	return found;
}

/*
 * A type's output function may quote the value in a message.  Whatever it
 * reports becomes this.
 */
static void
mask_error_context(void *arg)
{
	const ColumnShape *column = *(const ColumnShape **) arg;
	const char		  *name;

	if (column == NULL || is_interruption())
		return;
	name = encoding_shown(column->name);
	errmsg("could not mask a value of column \"%s\"", name);
	encoding_shown_free(name, column->name);
	errdetail("The output function of its type failed.");
	errhint("Masks \"null\" and \"redact\" do without the function.");
}

/* Of types that have no text of their own here. */
static bool
needs_output_function(TypeKind kind)
{
	return kind == KIND_ARRAY || kind == KIND_COMPOSITE ||
		   kind == KIND_HSTORE || kind == KIND_VECTOR || kind == KIND_OTHER;
}

/* The error that replaces another gets its text by mask_error_context(). */
static const char *
call_output(ByteBuffer *out, TypeShape *type, Datum value)
{
	MemoryContext context = CurrentMemoryContext;
	const char *volatile text = NULL;

	PG_TRY();
	{
		text = output_call(out, type, value);
	}
	PG_CATCH();
	{
		int code = forget_error(context);

		if (ERRCODE_TO_CATEGORY(code) == ERRCODE_OPERATOR_INTERVENTION)
			PG_RE_THROW();
		ereport(ERROR, (errcode(code)));
	}
	PG_END_TRY();
	return text;
}

/* Of values that may grow; "out" is limited. */
static bool
write_large(ByteBuffer *out, TypeShape *type, Datum value)
{
	PinnedSettings *pinned = NULL;
	struct varlena *bytes;
	const char	   *text;

	if (type->kind == KIND_JSONB)
		text_jsonb(out, &(JsonStyle){.ascii = false}, value);
	else if (type->kind == KIND_BYTEA)
	{
		bytes = PG_DETOAST_DATUM_PACKED(value);
		buffer_append_literal(out, "\\x");
		text_hex(out, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	}
	else if (output_fits(out, type, value))
	{
		if (!settings_are_canonical())
			pinned = settings_pin_canonical(CurrentMemoryContext);
		text = call_output(out, type, value);
		if (text)
			buffer_append(out, text, strlen(text));
		if (pinned)
			settings_unpin(pinned);
	}
	return !buffer_is_over(out);
}

/* NULL if the value is too large to have one. */
static const char *
clear_text(TypeShape *type, Datum value, int *len)
{
	ByteBuffer buffer;
	TextValues values = {true, true, true};

	if (type->kind == KIND_TIMESTAMPTZ)
	{
		char *text = palloc(MAX_DATETIME_TEXT);

		*len =
			text_timestamptz_utc(text, DatumGetTimestampTz(value), ' ', "+00");
		return text;
	}
	if (type->kind != KIND_JSONB && type->kind != KIND_BYTEA &&
		!needs_output_function(type->kind))
	{
		buffer_init(&values.scratch);
		return text_value(&values, type, value, len);
	}
	buffer_init(&buffer);
	buffer_limit_begin(&buffer, MAX_MASKED_TEXT, MAX_MASKED_TEXT);
	if (!write_large(&buffer, type, value))
		return NULL;
	*len = buffer.len;
	return buffer.data;
}

static void
compute_hmac(const MaskKey *key, const char *data, int len, char *hex)
{
	unsigned char hash[HASH_SIZE];

	if (HMAC(EVP_sha256(), key->bytes, key->size, (const unsigned char *) data,
			 len, hash, NULL) == NULL)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("could not compute an HMAC")));
	hex_encode((const char *) hash, HASH_SIZE, hex);
}

char *
mask_key_fingerprint(const MaskKey *key)
{
	static const char purpose[] = "outflow.mask_key_file";
	char			 *hex = palloc0(2 * HASH_SIZE + 1);

	compute_hmac(key, purpose, sizeof(purpose), hex);
	return hex;
}

static Datum
mask_text(ColumnMask *mask, Datum value)
{
	char		hex[2 * HASH_SIZE];
	int			len;
	const char *text = clear_text(&mask->clear, value, &len);

	if (text == NULL)
		return CStringGetTextDatum(REDACTED);
	if (mask->method == MASK_TRUNCATE)
		return PointerGetDatum(cstring_to_text_with_len(
			text, encoding_chars_len(text, len, mask->length)));
	compute_hmac(mask->key, text, len, hex);
	return PointerGetDatum(cstring_to_text_with_len(hex, sizeof(hex)));
}

static bool
is_stored_outside(const ColumnMask *mask, Datum value)
{
	return mask->clear.len == -1 &&
		   VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(value));
}

static void
mask_value(ColumnMask *mask, Datum *value, bool *isnull, bool may_fetch)
{
	if (mask->method == MASK_NULL)
		*isnull = true;
	if (*isnull)
		*value = (Datum) 0;
	else if (mask->method == MASK_REDACT)
		*value = CStringGetTextDatum(REDACTED);
	else if (may_fetch || !is_stored_outside(mask, *value))
		*value = mask_text(mask, *value);
}

void
mask_row(const RowShape *shape, Datum *values, bool *nulls, bool may_fetch)
{
	const ColumnShape	*column = NULL;
	ErrorContextCallback errors = {.callback = mask_error_context,
								   .arg = &column,
								   .previous = error_context_stack};

	error_context_stack = &errors;
	for (int i = 0; i < shape->ncolumns; i++)
	{
		int at = shape->columns[i].attnum - 1;

		if (shape->columns[i].mask == NULL)
			continue;
		column = &shape->columns[i];
		mask_value(column->mask, &values[at], &nulls[at], may_fetch);
	}
	error_context_stack = errors.previous;
}
