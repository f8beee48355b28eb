/*
 * s3_request.h
 *		Requests to an S3 store: signed, tried again where that may help, and
 *		their failures told apart.  What they are: "Amazon S3 API Reference".
 */
#ifndef OUTFLOW_S3_REQUEST_H
#define OUTFLOW_S3_REQUEST_H

#include "compat.h"
#include "lib/stringinfo.h"
#include "sink/http/http.h"
#include "sink/sending.h"
#include "aws/sigv4.h"
#include "sink/s3/s3_config.h"

/* What an upload collects in; the next one has it then. */
#define S3_BUFFERS 3

typedef struct S3Buffer
{
	char  *data;
	size_t size;
	bool   is_taken;
} S3Buffer;

/* A server, and one session with its store. */
typedef struct S3Store
{
	Oid			  server;
	char		 *name; /* of the server */
	S3Config	  config;
	S3Secrets	  secrets; /* as they were last read */
	HttpClient	 *http;
	char		 *host_header;
	S3Buffer	  buffers[S3_BUFFERS];
	MemoryContext context;
} S3Store;

typedef enum S3Result
{
	S3_RUNNING,
	S3_OK,
	S3_NOT_FOUND, /* no such key, or upload */
	S3_EXISTS,	  /* If-None-Match says so */
	S3_CONFLICT,  /* 409: of an upload's end, that it is gone */
	S3_FAILED
} S3Result;

#define S3_MAX_HEADERS	  24
#define S3_MAX_PARAMETERS 8

typedef struct S3Request
{
	MemoryContext context; /* its own */
	S3Store		 *store;
	const char	 *method;
	const char	 *key; /* NULL: the bucket */
	const char	 *body;
	size_t		  body_len;
	bool		  streams;
	int			  patience;
	int			  max_seconds; /* for all of it; 0: no limit */
	bool only_once; /* with the secrets at hand, and without an ERROR */
	/* the answer's body may name an error although the status is 200 */
	bool hides_errors;
	/* is told of each try; NULL: nobody */
	const Sending *sending;

	HttpField parameters[S3_MAX_PARAMETERS];
	int		  nparameters;
	HttpField headers[S3_MAX_HEADERS];
	int		  nheaders;

	S3Result result;
	int		 tries;
	/* of what failed */
	int	  sqlstate;
	char *code;	  /* the store's; "" if it gave none */
	char *reason; /* in words */
	char *hint;	  /* or NULL */
	bool  may_pass;

	HttpRequest http;
	char		target[8192];
	char		payload_hash[SIGV4_HASH_SIZE];
	char		authorization[2048];
	char		time[SIGV4_TIME_SIZE];
	HttpField	sent[S3_MAX_HEADERS + 8];
	char	   *session_token; /* in there; the store's may be exchanged */
} S3Request;

/* ---- s3_store.c */

/* Lives in the current memory context, with the user's own secrets. */
extern S3Store *s3_store_open(const ForeignServer *server);
/* The server as it is by now; an ERROR if it was dropped. */
extern ForeignServer *s3_store_server(const S3Store *store);
/* Reads the secrets again; whether they have been exchanged. */
extern bool s3_store_refresh(S3Store *store);

/* ---- s3_request.c */

/* It ends by s3_end, or with the current memory context. */
extern S3Request *s3_request_new(S3Store *store, const char *method,
								 const char *key);
/* Names are not copied, values are. */
extern void s3_parameter(S3Request *request, const char *name,
						 const char *value);
extern void s3_header(S3Request *request, const char *name, const char *value);
extern void s3_body(S3Request *request, const char *data, size_t len);

/*
 * Begins, with the secrets as they are by now; s3_wait goes on to the end, and tries again if need be.  S3_RUNNING
 * is only an answer for what streams: http_take() has bytes.
 */
extern void		s3_start(S3Request *request);
extern S3Result s3_wait(S3Request *request);
extern S3Result s3_run(S3Request *request);
/* Waits so long, at most, while all of the store's requests move on. */
extern void s3_pause(S3Store *store, int milliseconds);
extern void s3_end(S3Request *request);

/* "could not WHAT object ..." */
pg_noreturn extern void s3_throw(const S3Request *request, const char *what);
/* An error unless it went well. */
extern void s3_must(S3Request *request, const char *what);
/* As the errno that is nearest to why it failed. */
extern int s3_errno(const S3Request *request);
/* What another machine says, as messages may show it: without the secrets. */
extern char *s3_shown(const S3Store *store, const char *text);
/* How messages name an object. */
extern char *s3_object_name(const S3Store *store, const char *key);

/* ---- s3_xml.c: the little XML that answers are */

/* The content of the first element of that name, decoded; NULL for none. */
extern char *s3_xml_text(const char *xml, size_t len, const char *name);
/*
 * The next element of that name at or after *at, which moves on past it: its
 * content, not decoded.  NULL for none.
 */
extern const char *s3_xml_next(const char **at, const char *end,
							   const char *name, size_t *len);
extern char		  *s3_url_decode(const char *text, bool plus_is_space);

#endif /* OUTFLOW_S3_REQUEST_H */
