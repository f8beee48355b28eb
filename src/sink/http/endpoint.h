/*
 * endpoint.h
 *		Where requests go, as a server's option says it: https://host:port, and
 *		a path where one may be.
 */
#ifndef OUTFLOW_HTTP_ENDPOINT_H
#define OUTFLOW_HTTP_ENDPOINT_H

typedef struct HttpEndpoint
{
	bool  https;
	char *host; /* in lower case; an IPv6 address is in brackets */
	int	  port;
	char *path; /* "/a/b", without a slash at its end; "" for none */
} HttpEndpoint;

/* option is its name, for messages.  Plain http needs allow_private. */
extern void http_endpoint_parse(const char *option, const char *text,
								bool may_have_path, bool allow_private,
								HttpEndpoint *endpoint);
/* What a Host header says. */
extern char *http_endpoint_host(const HttpEndpoint *endpoint);

#endif /* OUTFLOW_HTTP_ENDPOINT_H */
