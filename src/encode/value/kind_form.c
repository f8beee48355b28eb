/*
 * kind_form.c
 *		How COPY's formats write each kind of value: one row a kind.
 *
 * What writes a value and what decides beforehand whether it can (by itself, or
 * by the type's own functions) both go by this table.  It has no default: a
 * kind without a row is an error of the compiler.
 */
#include "postgres.h"

#include "encode/encode.h"

KindForm
kind_form(TypeKind kind)
{
	switch (kind)
	{
		case KIND_BOOL:
			return (KindForm){BINARY_BOOL, TEXT_PLAIN};
		case KIND_INT2:
			return (KindForm){BINARY_INT16, TEXT_PLAIN};
		case KIND_INT4:
		case KIND_OID:
			return (KindForm){BINARY_INT32, TEXT_PLAIN};
		case KIND_INT8:
		case KIND_TIME:
			return (KindForm){BINARY_INT64, TEXT_PLAIN};
		case KIND_FLOAT4:
			return (KindForm){BINARY_INT32, TEXT_PLAIN_SHORTEST};
		case KIND_FLOAT8:
			return (KindForm){BINARY_INT64, TEXT_PLAIN_SHORTEST};
		case KIND_NUMERIC:
			return (KindForm){BINARY_NUMERIC, TEXT_PLAIN};
		case KIND_TEXT:
		case KIND_JSON:
			return (KindForm){BINARY_BYTES, TEXT_OTHER};
		case KIND_NAME:
			return (KindForm){BINARY_NAME, TEXT_OTHER};
		case KIND_BYTEA:
			return (KindForm){BINARY_BYTES, TEXT_OTHER};
		case KIND_UUID:
			return (KindForm){BINARY_UUID, TEXT_PLAIN};
		case KIND_DATE:
			return (KindForm){BINARY_INT32, TEXT_PLAIN_ISO};
		case KIND_TIMETZ:
			return (KindForm){BINARY_TIMETZ, TEXT_PLAIN};
		case KIND_TIMESTAMP:
		case KIND_TIMESTAMPTZ:
			return (KindForm){BINARY_INT64, TEXT_PLAIN_ISO};
		case KIND_JSONB:
			return (KindForm){BINARY_JSONB, TEXT_OTHER};
		case KIND_ENUM:
			return (KindForm){BINARY_LABEL, TEXT_OTHER};
		case KIND_HSTORE:
		case KIND_VECTOR:
		case KIND_ARRAY:
		case KIND_COMPOSITE:
		case KIND_OTHER:
			return (KindForm){BINARY_SEND, TEXT_OTHER};
	}
	pg_unreachable();
}
