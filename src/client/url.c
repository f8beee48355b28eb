/*
 * url.c
 *		SCHEME:, SCHEME:///PATH, SCHEME://[USER[:PASSWORD]@]HOST[/PATH]
 */
#include "client/url.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "client/log.h"
#include "client/memory.h"

static char *
percent_decoded(const char *text, size_t length)
{
	char  *decoded = client_alloc(length + 1);
	size_t n = 0;
	size_t i;

	for (i = 0; i < length; i++)
		if (text[i] == '%' && i + 2 < length &&
			isxdigit((unsigned char) text[i + 1]) &&
			isxdigit((unsigned char) text[i + 2]))
		{
			char digits[3] = {text[i + 1], text[i + 2], '\0'};

			decoded[n++] = strtol(digits, NULL, 16);
			i += 2;
		}
		else
			decoded[n++] = text[i];
	return decoded;
}

static void
read_authority(Url *url, const char *start, size_t length)
{
	const char *at = memchr(start, '@', length);

	if (at != NULL)
	{
		const char *colon = memchr(start, ':', at - start);
		const char *user_end = colon ? colon : at;

		url->user = percent_decoded(start, user_end - start);
		if (colon)
			url->password = percent_decoded(colon + 1, at - colon - 1);
		length -= at + 1 - start;
		start = at + 1;
	}
	if (length > 0)
		url->host = percent_decoded(start, length);
}

/* Does something follow a colon that is no port?  Hosts may be several. */
static bool
has_odd_port(const char *hosts, size_t length)
{
	const char *colon = hosts;
	const char *end = hosts + length;

	/* an address in brackets has colons of its own */
	if (length > 0 && *hosts == '[')
		return false;
	while ((colon = memchr(colon, ':', end - colon)) != NULL)
	{
		colon += 1 + strspn(colon + 1, "0123456789");
		if (colon < end && *colon != ',')
			return true;
	}
	return false;
}

/*
 * An @, a / or a ? within a password would end it early, and the rest would be taken
 * for a host or a path and shown in messages.  So a URL that can be read like that
 * is refused: an @ in the path, a second one of the authority, or one after a port
 * that is none.
 */
static void
check_delimiters(const Url *url, const char *authority, size_t length)
{
	const char *at = memchr(authority, '@', length);
	const char *path = authority + length;
	bool		is_refused =
		length > 0 && memchr(path, '@', strcspn(path, "?")) != NULL;

	if (at)
		is_refused |= memchr(at + 1, '@', path - at - 1) != NULL;
	else
		is_refused |= strchr(path, '@') && has_odd_port(authority, length);
	if (is_refused)
		client_exit(
			EXIT_USAGE,
			"in a %s: URL of --to, write an @, a / or a ? that belongs to "
			"the user, the password or the path as %%40, %%2F or %%3F",
			url->scheme);
}

Url *
url_parse(const char *text)
{
	Url		   *url = client_alloc(sizeof(Url));
	size_t		scheme = strcspn(text, ":");
	const char *rest = text + scheme;

	if (scheme == 0 || *rest != ':' ||
		strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789+-.") < scheme)
		client_exit(EXIT_USAGE, "\"%.*s\" is no URL of a target",
					log_shown(text), text);
	url->text = client_strdup(text);
	url->scheme = client_strndup(text, scheme);
	rest++;
	if (strncmp(rest, "//", 2) == 0)
	{
		size_t authority;

		rest += 2;
		authority = strcspn(rest, "/?");
		check_delimiters(url, rest, authority);
		read_authority(url, rest, authority);
		rest += authority;
	}
	if (*rest)
		url->path = percent_decoded(rest, strcspn(rest, "?"));
	url->display = client_format(
		"%s:%s%s%s", url->scheme, url->host || url->path ? "//" : "",
		url->host ? url->host : "", url->path ? url->path : "");
	return url;
}

void
url_free(Url *url)
{
	free(url->text);
	free(url->scheme);
	free(url->user);
	free(url->password);
	free(url->host);
	free(url->path);
	free(url->display);
	free(url);
}
