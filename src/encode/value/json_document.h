/*
 * json_document.h
 *		Values that json.c leaves to json_document.c.
 */
#ifndef OUTFLOW_JSON_DOCUMENT_H
#define OUTFLOW_JSON_DOCUMENT_H

#include "encode/encode.h"

/* A string of the style's: hex as PostgreSQL has it, or base64. */
extern void json_bytea(StringInfo out, const JsonStyle *style, Datum value);
/* Types that are documents: as they are, or as a string of their text. */
extern void json_document(StringInfo out, const JsonStyle *style,
						  TypeShape *type, Datum value);
/* Kinds whose text is a string of PostgreSQL's. */
extern void json_text_value(StringInfo out, const JsonStyle *style,
							TypeShape *type, Datum value);

#endif /* OUTFLOW_JSON_DOCUMENT_H */
