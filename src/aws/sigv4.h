/*
 * sigv4.h
 *		Signatures of requests to Amazon's services and those that speak as
 *		they do: AWS Signature Version 4, "Authenticating Requests (AWS
 *		Signature Version 4)" in the API reference of Amazon S3.
 *
 * Plain C on OpenSSL: no server header, no allocation, no error but a result.
 * What is signed is what must be sent, byte for byte, so the encodings of path
 * and query are made here, too.
 */
#ifndef OUTFLOW_SIGV4_H
#define OUTFLOW_SIGV4_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "sink/http/field.h"

#define SIGV4_MAX_FIELDS 40
#define SIGV4_HASH_SIZE	 65 /* hexadecimal, with a NUL */
#define SIGV4_TIME_SIZE	 17 /* 20130524T000000Z, with a NUL */
#define SIGV4_UNSIGNED	 "UNSIGNED-PAYLOAD"
#define SIGV4_EMPTY_HASH                                                      \
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
/* of len bytes, encoded, with a NUL */
#define SIGV4_ENCODED_SIZE(len) ((len) *3 + 1)

typedef struct Sigv4Request
{
	const char		*method;
	const char		*path;	/* by sigv4_encode_path */
	const char		*query; /* by sigv4_encode_query */
	const HttpField *headers;
	int				 nheaders;
	const char		*payload_hash;
	const char		*time; /* by sigv4_time */
	const char		*region;
	const char		*service;
	const char		*key_id;
	const char		*secret;
} Sigv4Request;

/* The forms that are signed and sent.  False: it does not fit. */
extern bool sigv4_encode_path(const char *path, char *out, size_t size);
extern bool sigv4_encode_query(const HttpField *parameters, int count,
							   char *out, size_t size);

/* x-amz-date, and what x-amz-content-sha256 says of the body */
extern bool sigv4_time(time_t now, char *out);
extern bool sigv4_hash(const void *data, size_t len, char *out);

/*
 * The value of the header "authorization".  False: it does not fit, there are
 * too many headers, or OpenSSL refuses.
 */
extern bool sigv4_sign(const Sigv4Request *request, char *out, size_t size);

#endif /* OUTFLOW_SIGV4_H */
