/*
 * json_document.h
 *		Values that json.c leaves to json_document.c.
 */
#ifndef OUTFLOW_JSON_DOCUMENT_H
#define OUTFLOW_JSON_DOCUMENT_H

#include "encode/encode.h"

/* A string of the style's: hex as PostgreSQL has it, or base64. */
extern void json_bytea(ByteBuffer *out, const JsonStyle *style, Datum value);
/* Types that are documents: as they are, or as a string of their text. */
extern void json_document(ByteBuffer *out, const JsonStyle *style,
						  TypeShape *type, Datum value);
/* The first character of what was written from start on; 0: there is none. */
extern char json_first(const ByteBuffer *out, size_t start);
/* Kinds whose text is a string of PostgreSQL's. */
extern void json_text_value(ByteBuffer *out, const JsonStyle *style,
							TypeShape *type, Datum value);

#endif /* OUTFLOW_JSON_DOCUMENT_H */
