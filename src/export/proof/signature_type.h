/*
 * signature_type.h
 *		The text that a signature is the hash of, while it is written: what types
 *		and functions add to it.
 */
#ifndef OUTFLOW_SIGNATURE_TYPE_H
#define OUTFLOW_SIGNATURE_TYPE_H

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

typedef struct Description
{
	StringInfoData text;
	List		  *types;	/* described already */
	const char	  *trouble; /* why there is no signature, or NULL */
} Description;

/* Names and expressions may hold anything: their length keeps them apart. */
extern void description_append(StringInfo text, const char *value);
/* The first one counts; format has one %s, for the name. */
extern void description_trouble(Description *description, const char *format,
								const char *name);
/* With its source, and all of its catalog row that counts. */
extern void describe_function(Description *description, Oid function);
extern void describe_extension_of(Description *description, Oid class,
								  Oid		   object);
/* To any depth; each once. */
extern void describe_type(Description *description, Oid type);

#endif /* OUTFLOW_SIGNATURE_TYPE_H */
