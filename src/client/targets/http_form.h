/*
 * http_form.h
 *		The forms of a request: how records become its body.
 */
#ifndef CLIENT_HTTP_FORM_H
#define CLIENT_HTTP_FORM_H

#include "client/memory.h"
#include "client/target.h"

typedef struct HttpForm
{
	const char *name;		/* of --http-profile */
	const char *type_alone; /* content type of a single record */
	const char *type_batch;
	const char *begin; /* of a batch */
	const char *separator;
	const char *end;
	/* appends one record */
	void (*append)(Bytes *body, const Target *target, const Identity *identity,
				   const Record *record);
} HttpForm;

/* One of the names that --http-profile takes. */
extern const HttpForm *http_form(const char *name);

#endif
