/*
 * ws_http.c
 *		The HTTP that a WebSocket server needs: the page's files, and the
 *		handshake (RFC 6455, section 4.2).
 *
 * A browser sends its page's origin along: allowed are our own and those that
 * the user names.  What is no browser sends none.  Without a token, a name of
 * DNS as Host is refused, unless it is named: a page could have let its own
 * name point here.
 */
#ifdef HAVE_WSLAY

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

#include "client/targets/ws_page.h"
#include "client/targets/ws_server.h"

#define HANDSHAKE_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define HEADER_SIZE	   1024

/* The value of a header, without blanks around it; false if it isn't there. */
static bool
find_header(const char *head, const char *name, char *value)
{
	size_t		length = strlen(name);
	const char *line = strstr(head, "\r\n");

	for (; line && strncmp(line, "\r\n\r\n", 4) != 0;
		 line = strstr(line + 2, "\r\n"))
	{
		const char *start = line + 2 + length + 1;
		const char *end;

		if (strncasecmp(line + 2, name, length) != 0 ||
			line[2 + length] != ':')
			continue;
		start += strspn(start, " \t");
		end = strstr(start, "\r\n");
		while (end > start && (end[-1] == ' ' || end[-1] == '\t'))
			end--;
		if (end - start >= HEADER_SIZE)
			return false;
		memcpy(value, start, end - start);
		value[end - start] = '\0';
		return true;
	}
	return false;
}

/* One of the words of a header that is a list. */
static bool
has_word(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (; *list; list += strcspn(list, ","), list += *list == ',')
	{
		list += strspn(list, " \t,");
		if (strncasecmp(list, word, length) == 0 &&
			strchr(" \t,", list[length]))
			return true;
	}
	return false;
}

/* In the user's list, which stands between commas. */
static bool
is_listed(const char *list, const char *origin)
{
	size_t length = strlen(origin);

	while (list && *list)
	{
		size_t n = strcspn(list, ",");

		if (n == length && strncasecmp(list, origin, n) == 0)
			return true;
		list += n + (list[n] == ',');
	}
	return false;
}

static bool
is_address(const char *host)
{
	char		  name[HEADER_SIZE];
	unsigned char address[16];
	size_t		  length = strcspn(host, "]:");

	if (host[0] == '[')
		return true;
	memcpy(name, host, length);
	name[length] = '\0';
	return strcasecmp(name, "localhost") == 0 ||
		   inet_pton(AF_INET, name, address) == 1;
}

static bool
host_allowed(const WsServer *server, const char *host)
{
	char origin[HEADER_SIZE + 16];

	if (server->token || is_address(host))
		return true;
	snprintf(origin, sizeof(origin), "http://%s", host);
	if (is_listed(server->origins, origin))
		return true;
	snprintf(origin, sizeof(origin), "https://%s", host);
	return is_listed(server->origins, origin);
}

static bool
origin_allowed(const WsServer *server, const char *head, const char *host)
{
	char		origin[HEADER_SIZE];
	const char *slashes;

	if (!find_header(head, "Origin", origin))
		return true;
	slashes = strstr(origin, "://");
	return (slashes && strcasecmp(slashes + 3, host) == 0) ||
		   is_listed(server->origins, origin);
}

static void
answer_error(Bytes *answer, const char *status, const char *text)
{
	mem_format(answer,
			   "HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\n"
			   "Content-Length: %zu\r\nConnection: close\r\n\r\n%s\n",
			   status, strlen(text) + 1, text);
}

static void
answer_page(Bytes *answer, const WsPage *page, const char *host, bool is_head)
{
	mem_format(answer,
			   "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
			   "Cache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\n"
			   "Referrer-Policy: no-referrer\r\n"
			   "Content-Security-Policy: default-src 'none'; "
			   "script-src 'self'; style-src 'self'; img-src data:; "
			   "connect-src 'self' ws://%s wss://%s; base-uri 'none'; "
			   "form-action 'none'; frame-ancestors 'none'\r\n"
			   "%sConnection: close\r\n\r\n",
			   page->type, strlen(page->text), host, host, page->headers);
	if (!is_head)
		mem_add(answer, page->text);
}

static void
accept_key(const char *key, char *accept)
{
	char		  text[HEADER_SIZE + sizeof(HANDSHAKE_GUID)];
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned int  length;

	snprintf(text, sizeof(text), "%s%s", key, HANDSHAKE_GUID);
	EVP_Digest(text, strlen(text), sum, &length, EVP_sha1(), NULL);
	EVP_EncodeBlock((unsigned char *) accept, sum, length);
}

static bool
answer_handshake(const WsServer *server, const char *head, const char *host,
				 Bytes *answer)
{
	char key[HEADER_SIZE];
	char value[HEADER_SIZE];
	char accept[64];

	if (!find_header(head, "Connection", value) ||
		!has_word(value, "upgrade") ||
		!find_header(head, "Sec-WebSocket-Key", key) || strlen(key) != 24)
	{
		answer_error(answer, "400 Bad Request",
					 "this is no WebSocket handshake");
		return false;
	}
	if (!find_header(head, "Sec-WebSocket-Version", value) ||
		strcmp(value, "13") != 0)
	{
		mem_add(answer, "HTTP/1.1 426 Upgrade Required\r\n"
						"Sec-WebSocket-Version: 13\r\nContent-Length: 0\r\n"
						"Connection: close\r\n\r\n");
		return false;
	}
	if (!origin_allowed(server, head, host))
	{
		answer_error(answer, "403 Forbidden",
					 "pages of this origin may not connect: see --ws-origin");
		return false;
	}
	accept_key(key, accept);
	mem_format(answer,
			   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
			   "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
			   accept);
	return true;
}

bool
ws_http_answer(const WsServer *server, const char *head, Bytes *answer)
{
	char		  host[HEADER_SIZE];
	char		  value[HEADER_SIZE];
	char		  path[HEADER_SIZE];
	bool		  is_head = strncmp(head, "HEAD ", 5) == 0;
	const WsPage *page;

	if ((!is_head && strncmp(head, "GET ", 4) != 0) ||
		sscanf(head, "%*4s %1000s HTTP/1.1", path) != 1)
	{
		answer_error(answer, "405 Method Not Allowed", "there is only GET");
		return false;
	}
	if (!find_header(head, "Host", host) || strpbrk(host, " ;,\"'\t") ||
		!host_allowed(server, host))
	{
		answer_error(answer, "403 Forbidden",
					 "this name is not served: see --ws-origin");
		return false;
	}
	if (!is_head && find_header(head, "Upgrade", value) &&
		has_word(value, "websocket"))
		return answer_handshake(server, head, host, answer);
	path[strcspn(path, "?#")] = '\0';
	for (page = ws_pages; page->path; page++)
		if (strcmp(page->path, path) == 0)
		{
			answer_page(answer, page, host, is_head);
			return false;
		}
	answer_error(answer, "404 Not Found", "there is only the page at /");
	return false;
}

#endif /* HAVE_WSLAY */
