/*
 * fuzz_number.c
 *		Booleans, integers, OIDs, floats and UUIDs against their output
 *		functions, as text and as JSON.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/uuid.h"

#include "fuzz.h"

static const Oid  oids[] = {BOOLOID,   INT2OID,	  INT4OID,	 INT8OID,
							OIDOID,	   XIDOID,	  FLOAT4OID, FLOAT8OID,
							FLOAT4OID, FLOAT8OID, UUIDOID};
static TypeShape  types[lengthof(oids)];
static TextValues text_values;

static void
init(void)
{
	for (int i = 0; i < lengthof(oids); i++)
		type_shape_init(&types[i], oids[i], -1);
	text_values_init(&text_values);
}

/* As JSON has it: true for t, quotes around what is no number. */
static const char *
json_of(const TypeShape *type, const char *text, bool numbers_as_string)
{
	if (type->kind == KIND_BOOL)
		return *text == 't' ? "true" : "false";
	if (type->kind == KIND_UUID || strchr("NIi", *text) != NULL ||
		strncmp(text, "-I", 2) == 0 ||
		(type->kind == KIND_INT8 && numbers_as_string))
		return psprintf("\"%s\"", text);
	return text;
}

static void
run(FuzzInput *in)
{
	TypeShape  *type = &types[fuzz_below(in, lengthof(types))];
	JsonStyle	style = {.numbers_as_string = fuzz_below(in, 2)};
	Datum		value;
	const char *text;
	const char *json;

	if (!fuzz_value(in, type, &value))
		return;
	text = OutputFunctionCall(&type->output, value);
	json = json_of(type, text, style.numbers_as_string);
	fuzz_must_succeed(true);
	if (!text_value_plain(&text_values, type, value, &fuzz_out))
		fuzz_fail("%s is not written directly", text);
	fuzz_expect("text", text, strlen(text));
	json_value(&fuzz_out, &style, type, value);
	fuzz_expect("json", json, strlen(json));
}

const FuzzTarget fuzz_number = {"number", init, run};
