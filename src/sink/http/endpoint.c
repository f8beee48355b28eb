/*
 * endpoint.c
 *		Reads a server's option that says where requests go.
 *
 * What goes into a request or a message is checked here: nothing further on
 * meets a line feed, or a path that leads elsewhere.
 */
#include "postgres.h"

#include <ctype.h>

#include "sink/http/endpoint.h"
#include "sink/server.h"

#define PATH_MAX_LENGTH 1024

typedef struct Reading
{
	const char *option;
	const char *text;
	bool		may_have_path;
} Reading;

pg_noreturn static void
refuse_endpoint(const Reading *reading)
{
	/* it may hold a password */
	server_refuse_value(
		reading->option,
		strchr(reading->text, '@') ? "(not shown)" : reading->text,
		reading->may_have_path
			? "Write it as https://host/path or https://host:port/path."
			: "Write it as https://host or https://host:port, without a "
			  "path.");
}

static bool
parse_port(const char *text, int *port)
{
	char *end;
	long  number = strtol(text, &end, 10);

	*port = number;
	return isdigit((unsigned char) text[0]) && *end == '\0' && number > 0 &&
		   number < 65536;
}

static bool
is_host(const char *text)
{
	size_t len = strlen(text);

	return len > 0 && len <= 253 &&
		   strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-.[]:") == len;
}

/* What needs no encoding, and no "." or ".." between slashes. */
static bool
is_path(const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
								"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/%";

	return strlen(text) <= PATH_MAX_LENGTH &&
		   strspn(text, plain) == strlen(text) && !strstr(text, "/.");
}

/* Takes the path off the text, and slashes off the path's end. */
static char *
cut_path(char *text)
{
	char  *slash = strchr(text, '/');
	char  *path = slash ? pstrdup(slash) : pstrdup("");
	size_t len = strlen(path);

	if (slash)
		*slash = '\0';
	while (len > 0 && path[len - 1] == '/')
		path[--len] = '\0';
	return path;
}

void
http_endpoint_parse(const char *option, const char *text, bool may_have_path,
					bool allow_private, HttpEndpoint *endpoint)
{
	Reading reading = {option, text, may_have_path};
	char   *host_end;
	char   *colon;

	endpoint->https = strncmp(text, "https://", 8) == 0;
	if (strchr(text, '@') ||
		(!endpoint->https && strncmp(text, "http://", 7) != 0))
		refuse_endpoint(&reading);
	if (!endpoint->https && !allow_private)
		server_refuse_value(
			option, text,
			"Plain http needs the option allow_private, which only a "
			"superuser may set.");
	endpoint->host = pstrdup(text + (endpoint->https ? 8 : 7));
	endpoint->port = endpoint->https ? 443 : 80;
	endpoint->path = cut_path(endpoint->host);
	host_end = endpoint->host[0] == '[' ? strchr(endpoint->host, ']')
										: endpoint->host;
	colon = host_end ? strchr(host_end, ':') : NULL;
	if (colon)
		*colon = '\0';
	for (char *c = endpoint->host; *c; c++)
		*c = pg_ascii_tolower(*c);
	if (host_end == NULL || !is_host(endpoint->host) ||
		(colon && !parse_port(colon + 1, &endpoint->port)) ||
		(endpoint->path[0] && (!may_have_path || !is_path(endpoint->path))))
		refuse_endpoint(&reading);
}

char *
http_endpoint_host(const HttpEndpoint *endpoint)
{
	return endpoint->port == (endpoint->https ? 443 : 80)
			   ? pstrdup(endpoint->host)
			   : psprintf("%s:%d", endpoint->host, endpoint->port);
}
