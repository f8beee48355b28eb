/*
 * field.h
 *		A header or a parameter of a request; plain C.
 */
#ifndef OUTFLOW_HTTP_FIELD_H
#define OUTFLOW_HTTP_FIELD_H

/* A header, whose name is in lower case, or a parameter of a query. */
typedef struct HttpField
{
	const char *name;
	const char *value;
} HttpField;

#endif /* OUTFLOW_HTTP_FIELD_H */
