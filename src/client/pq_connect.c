/*
 * pq_connect.c
 *		What libpq can't use is found before a server is asked, where it would look
 *		like one that is away.
 *
 * A password with a character in it that should have been encoded is taken for a
 * port, a host or a database: of what the user wrote nothing is shown.
 */
#include "client/pq_connect.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "client/log.h"
#include "client/memory.h"

const char *
pq_conninfo_value(const PQconninfoOption *options, const char *keyword)
{
	for (; options && options->keyword; options++)
		if (strcmp(options->keyword, keyword) == 0 && options->val &&
			options->val[0])
			return options->val;
	return NULL;
}

/* Ports are a list, in which empty ones are the default. */
static bool
numbers_fit(const char *text, long least, long most)
{
	const char *p = text;

	while (*p)
	{
		char *end;
		long  number = strtol(p, &end, 10);

		end += strspn(end, " ");
		if ((*end != ',' && *end != '\0') ||
			(end > p && (number < least || number > most)))
			return false;
		p = *end ? end + 1 : end;
	}
	return true;
}

/* Those that libpq looks at only when it connects. */
static bool
has_odd_number(const PQconninfoOption *options)
{
	static const char *const keywords[] = {
		"connect_timeout",	   "keepalives",	   "keepalives_idle",
		"keepalives_interval", "keepalives_count", "tcp_user_timeout"};
	const char *ports = pq_conninfo_value(options, "port");

	if (ports && !numbers_fit(ports, 1, 65535))
		return true;
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
	{
		const char *value = pq_conninfo_value(options, keywords[i]);

		if (value && !numbers_fit(value, -INT_MAX, INT_MAX))
			return true;
	}
	return false;
}

static bool
is_url(const char *text)
{
	return strncmp(text, "postgresql://", 13) == 0 ||
		   strncmp(text, "postgres://", 11) == 0;
}

/* An @ where a host or a database stands, in a URL or in a name alone. */
static bool
has_stray_at(const char *text)
{
	const char *start;
	const char *p;

	if (!is_url(text))
		return strchr(text, '=') == NULL &&
			   (strchr(text, '@') || strstr(text, "//"));
	start = strstr(text, "://") + 3;
	p = start + strcspn(start, "@/");
	p = *p == '@' ? p + 1 : start;
	return memchr(p, '@', strcspn(p, "?")) != NULL;
}

/* The message without what is quoted in it, a new text. */
static char *
without_quoted(const char *message)
{
	int			length = (int) strcspn(message, "\n");
	const char *first = memchr(message, '"', length);
	const char *last = memrchr(message, '"', length);

	if (first == NULL)
		return client_strndup(message, length);
	return client_format("%.*s...%.*s", (int) (first + 1 - message), message,
						 (int) (message + length - last), last);
}

/*
 * Options that libpq refuses, with which it connects to nothing.  It is given an
 * address that is none: what it can use fails there, and at once.  All that makes
 * an address is given, as a service or the environment may have lists of it.
 */
static void
refuse_unusable(const PQconninfoOption *options, const char *what)
{
	static const char *const own[] = {"host", "hostaddr", "port", "dbname",
									  "password"};
	const char *keys[100] = {"host", "hostaddr", "port", "password"};
	const char *values[100] = {"none", "none", "1", "none"};
	size_t		n = 4;

	for (; options->keyword && n < sizeof(keys) / sizeof(keys[0]) - 1;
		 options++)
	{
		bool is_own = false;

		for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
			is_own |= strcmp(options->keyword, own[i]) == 0;
		if (is_own || options->val == NULL)
			continue;
		keys[n] = options->keyword;
		values[n++] = options->val;
	}
	if (PQpingParams(keys, values, 0) == PQPING_NO_ATTEMPT)
	{
		PGconn *conn = PQconnectStartParams(keys, values, 0);

		client_exit(EXIT_USAGE, "libpq refuses %s: %s", what,
					without_quoted(PQerrorMessage(conn)));
	}
}

/* As many hosts, addresses and ports as libpq wants. */
static int
list_length(const PQconninfoOption *options, const char *keyword)
{
	const char *p = pq_conninfo_value(options, keyword);
	int			n = p != NULL;

	for (; p && *p; p++)
		n += *p == ',';
	return n;
}

int
pq_count_places(const PQconninfoOption *options)
{
	int hosts = list_length(options, "host");
	int addresses = list_length(options, "hostaddr");

	return addresses > hosts ? addresses : hosts;
}

static bool
lists_fit(const PQconninfoOption *options)
{
	int hosts = list_length(options, "host");
	int addresses = list_length(options, "hostaddr");
	int ports = list_length(options, "port");

	if (hosts + addresses == 0)
		return true; /* the environment may tell them */
	if (hosts > 0 && addresses > 0 && hosts != addresses)
		return false;
	return ports <= 1 || ports == pq_count_places(options);
}

void
pq_check_conninfo(const char *conninfo, const char *what)
{
	bool is_name = !is_url(conninfo) && strchr(conninfo, '=') == NULL;
	PQconninfoOption *options = PQconninfoParse(is_name ? "" : conninfo, NULL);

	if (options == NULL || has_stray_at(conninfo) || !lists_fit(options) ||
		has_odd_number(options))
		client_exit(EXIT_USAGE,
					"%s is none that libpq can read: in a URL, other "
					"characters than letters and digits may have to be "
					"percent-encoded; elsewhere a value with spaces stands "
					"in single quotes",
					what);
	refuse_unusable(options, what);
	PQconninfoFree(options);
}
