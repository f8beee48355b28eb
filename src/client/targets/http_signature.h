/*
 * http_signature.h
 *		Signatures of requests as Standard Webhooks has them
 *		(standardwebhooks.com): HMAC-SHA256 of "id.timestamp.body", in base64.
 */
#ifndef CLIENT_HTTP_SIGNATURE_H
#define CLIENT_HTTP_SIGNATURE_H

#include "client/memory.h"

/* The first line of a file; whsec_BASE64 stands for the bytes it encodes. */
extern Bytes http_read_secret(const char *path);

/* "v1,BASE64", a new text. */
extern char *http_signature(const Bytes *secret, const char *id,
							const char *timestamp, const Bytes *body);

#endif
