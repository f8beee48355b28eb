/*
 * signature_type.h
 *		The text that a signature is the hash of, while it is written: what types
 *		and functions add to it.
 */
#ifndef OUTFLOW_SIGNATURE_TYPE_H
#define OUTFLOW_SIGNATURE_TYPE_H

#include "access/tupdesc.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

typedef struct Description
{
	StringInfoData text;
	List		  *types;	  /* described already */
	List		  *functions; /* the same */
	const char	  *trouble;	  /* why there is no signature, or NULL */
} Description;

/* Names and expressions may hold anything: their length keeps them apart. */
extern void description_append(StringInfo text, const char *value);
/* The first one counts; format has one %s, for the name. */
extern void description_trouble(Description *description, const char *format,
								const char *name);
/* What a tuple that is older than its column shows in it. */
extern void describe_missing_value(StringInfo text, TupleDesc desc,
								   AttrNumber attnum);
/* All of its catalog row that counts; once. */
extern void describe_function(Description *description, Oid function);
extern void describe_extension_of(Description *description, Oid class,
								  Oid		   object);
/* To any depth; each once. */
extern void describe_type(Description *description, Oid type);

#endif /* OUTFLOW_SIGNATURE_TYPE_H */
