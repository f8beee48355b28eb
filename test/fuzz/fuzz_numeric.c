/*
 * fuzz_numeric.c
 *		numeric, in every stored form, against numeric_out.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "fuzz.h"

static TypeShape type;

static void
init(void)
{
	type_shape_init(&type, NUMERICOID, -1);
}

/* In the format of numeric_recv, which checks it. */
Datum
fuzz_numeric_value(FuzzInput *in)
{
	static const uint16 signs[] = {0, 0x4000, 0,	  0x4000, 0,
								   0, 0xC000, 0xD000, 0xF000};
	StringInfoData		wire;
	int					ndigits = fuzz_below(in, 64);
	int					weight = (int8) fuzz_bits(in, 1);
	int					scale = fuzz_below(in, 256);
	uint16				sign = signs[fuzz_below(in, lengthof(signs))];
	int					wide = fuzz_below(in, 64);

	/* seldom, as they are slow: the limits of the format */
	if (wide == 0)
		weight = (int16) fuzz_bits(in, 2);
	else if (wide == 1)
		scale = fuzz_bits(in, 2) & 0x3FFF;
	initStringInfo(&wire);
	pq_sendint16(&wire, ndigits);
	pq_sendint16(&wire, weight);
	pq_sendint16(&wire, sign);
	pq_sendint16(&wire, scale);
	for (int i = 0; i < ndigits; i++)
		pq_sendint16(&wire, fuzz_bits(in, 2) % 10000);
	return DirectFunctionCall3(numeric_recv, PointerGetDatum(&wire),
							   ObjectIdGetDatum(InvalidOid),
							   Int32GetDatum(-1));
}

static void
run(FuzzInput *in)
{
	JsonStyle	style = {.numbers_as_string = fuzz_below(in, 2)};
	Datum		value = fuzz_numeric_value(in);
	const char *text =
		DatumGetCString(DirectFunctionCall1(numeric_out, value));
	bool special = text[strspn(text, "-.0123456789")] != '\0';

	value = fuzz_stored_form(in, value);
	fuzz_must_succeed(true);
	text_numeric(&fuzz_out, value);
	fuzz_expect("text", text, strlen(text));
	json_value(&fuzz_out, &style, &type, value);
	if (special || style.numbers_as_string)
		text = psprintf("\"%s\"", text);
	fuzz_expect("json", text, strlen(text));
	if (numeric_is_special(value) != special)
		fuzz_fail("%s is taken for %s", text, special ? "finite" : "special");
}

const FuzzTarget fuzz_numeric = {"numeric", init, run};
