/*
 * vector_test.c
 *		Input and output of a type that looks like pgvector's: the same layout,
 *		names and text.
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"

#include "compat.h"

#define MAX_DIMENSIONS 16000

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(vector_in);
PG_FUNCTION_INFO_V1(vector_out);

typedef struct Vector
{
	int32 vl_len_;
	int16 dimensions;
	int16 unused;
	float x[FLEXIBLE_ARRAY_MEMBER];
} Vector;

Datum
vector_in(PG_FUNCTION_ARGS)
{
	char   *at = PG_GETARG_CSTRING(0) + 1; /* after the bracket */
	Vector *vector =
		palloc0(offsetof(Vector, x) + sizeof(float) * MAX_DIMENSIONS);

	while (*at != ']' && *at != '\0' && vector->dimensions < MAX_DIMENSIONS)
	{
		vector->x[vector->dimensions++] = strtof(at, &at);
		if (*at == ',')
			at++;
	}
	SET_VARSIZE(vector,
				offsetof(Vector, x) + sizeof(float) * vector->dimensions);
	PG_RETURN_POINTER(vector);
}

Datum
vector_out(PG_FUNCTION_ARGS)
{
	Vector		  *vector = (Vector *) PG_DETOAST_DATUM(PG_GETARG_DATUM(0));
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < vector->dimensions; i++)
		appendStringInfo(&text, "%c%.9g", i == 0 ? '[' : ',', vector->x[i]);
	appendStringInfoChar(&text, ']');
	PG_RETURN_CSTRING(text.data);
}
