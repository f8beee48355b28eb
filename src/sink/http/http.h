/*
 * http.h
 *		Requests over HTTP, with libcurl as the transport.
 *
 * The library is loaded when a client is first made, so that processes without
 * one don't have it.  It resolves no names, which it would do in a thread of
 * its own: addresses are looked up here, those that must not be reached are
 * left out, and the rest is what the library may connect to.  It follows no
 * redirect, and takes nothing from its environment: no proxy, no .netrc.
 *
 * Nothing here throws while the library is at work.  What fails is the
 * outcome of a request; waiting checks for interrupts, and for the end of
 * patience where they are held: see sink/patience.h.
 */
#ifndef OUTFLOW_HTTP_H
#define OUTFLOW_HTTP_H

#include "sink/http/field.h"

typedef struct HttpClient HttpClient;

/* One place, whatever the paths of requests are. */
typedef struct HttpPlace
{
	bool		https;
	const char *host; /* an IPv6 address is in brackets */
	int			port;
	bool		allow_private;	 /* loopback and private addresses */
	const char *ca_file;		 /* NULL: the system's */
	int			connect_timeout; /* seconds */
	int			stall_timeout;	 /* of seconds without a byte */
} HttpPlace;

typedef enum HttpOutcome
{
	HTTP_NOT_STARTED,
	HTTP_RUNNING,
	HTTP_ANSWERED,	/* with whatever status */
	HTTP_NO_ANSWER, /* which may be different the next time */
	HTTP_REFUSED	/* by a certificate, an address, the library: it won't */
} HttpOutcome;

#define HTTP_MAX_ERROR 256

/* Of an answer; what callbacks fill can't be palloc'd. */
typedef struct HttpText
{
	char  *data; /* with a NUL after it; NULL if there is none */
	size_t len;
	size_t size;
	size_t max;
	bool   secret; /* it leaves nothing in memory */
} HttpText;

typedef struct HttpRequest
{
	/* set by the caller; all of it stays in place until the end */
	const char		*method;
	const char		*target; /* path and query, encoded */
	const HttpField *headers;
	int				 nheaders;
	const char		*body;
	size_t			 body_len;
	int				 patience;	  /* times the place's stall_timeout; 0 is 1 */
	int				 max_seconds; /* for all of it; 0: no limit */
	size_t			 max_answer;  /* longer ones are none; 0: what is usual */
	/* the library itself sends again what a connection that was kept has lost */
	bool only_once;
	bool streams; /* the body of a 2xx goes to http_take() */
	bool secret;  /* the answer is, and is wiped at its end */

	HttpOutcome outcome;
	int			status;
	HttpText	answer_headers;
	HttpText	answer;
	char		error[HTTP_MAX_ERROR]; /* why there is no answer */

	/* http.c's own */
	HttpClient *client;
	void	   *easy;
	void	   *header_list;
	void	   *addresses;
	HttpText	taken;
	bool		paused;
	bool		by_directory; /* as the client, when it began */
	const char *refused;	  /* the kind of an address, if one was */
} HttpRequest;

/* Lives in the current memory context.  An error if there is no library. */
extern HttpClient *http_client_new(const HttpPlace *place);

/*
 * A request that ends with the current memory context, if not before.  Its
 * memory is the caller's.
 */
extern void http_request_init(HttpClient *client, HttpRequest *request);
/* Begins, also once more; never waits but for a name to be looked up. */
extern void http_start(HttpRequest *request);
/* Moves all of the client's requests on, and waits for that so long. */
extern void http_poll(HttpClient *client, int milliseconds);
/* Ends it wherever it is, and frees what it holds. */
extern void http_end(HttpRequest *request);

/*
 * What has arrived of a body that streams: taken away by the next call.  NULL
 * if there is nothing yet.
 */
extern const char *http_take(HttpRequest *request, size_t *len);

/* ---- http_text.c */

/* False: there is no memory for it, or it would be too long. */
extern bool http_text_add(HttpText *text, const char *data, size_t len);
extern void http_text_free(HttpText *text);

/* ---- http_address.c */

/*
 * The addresses of a place's host that may be connected to, with commas
 * between them.  NULL if there is none, with the error; refused: there are
 * others.  Blocks as long as the system's resolver does.
 */
extern char *http_addresses(const HttpPlace *place, char *error,
							bool *refused);

/* A header of the answer, copied; NULL if there is none.  Name in lower case */
extern char *http_header(const HttpRequest *request, const char *name);

#endif /* OUTFLOW_HTTP_H */
