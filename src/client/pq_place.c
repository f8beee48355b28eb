/*
 * pq_place.c
 *		Passing over servers that say nothing.
 *
 * What libpq makes of a service, the environment and the connection string is asked
 * from it, and told to it again without a host, or without one of a host's addresses.
 */
#include "client/pq_place.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "client/clock.h"
#include "client/pq_connect.h"

typedef struct Element
{
	const char *text;
	int			length;
} Element;

typedef struct Place
{
	Element host;
	Element address;
	Element port;
} Place;

PGconn *
pq_start(PqPlaces *places, const char *conninfo, const char *application,
		 const char *key, const char *value)
{
	const char *keys[] = {
		PQ_PROBE_KEYS, "dbname",		  "fallback_application_name",
		"host",		   "hostaddr",		  "port",
		key,		   "client_encoding", NULL};
	const char *values[] = {PQ_PROBE_VALUES,
							conninfo,
							application,
							places->hosts.data,
							places->addresses.data,
							places->ports.data,
							value,
							"UTF8",
							NULL};
	PGconn	   *conn = PQconnectStartParams(keys, values, 1);

	if (conn == NULL)
		client_exit(EXIT_FAILED, "out of memory");
	free(places->present);
	places->present = NULL;
	return conn;
}

long long
pq_patience(PqPlaces *places, PGconn *conn, long long ms)
{
	char *present = client_format("%s %s %s", PQhost(conn), PQhostaddr(conn),
								  PQport(conn));
	PQconninfoOption *options;
	const char		 *told;

	if (places->present && strcmp(places->present, present) == 0)
	{
		free(present);
		return places->until;
	}
	free(places->present);
	places->present = present;
	options = PQconninfo(conn);
	told = pq_conninfo_value(options, "connect_timeout");
	/* as libpq does, which takes less than two seconds for two */
	if (told && atoi(told) > 0)
		ms = (atoi(told) > 1 ? atoi(told) : 2) * 1000LL;
	places->until = ms == NEVER ? NEVER : clock_ms() + ms;
	PQconninfoFree(options);
	return places->until;
}

/* One for all is the first for each. */
static Element
list_element(const char *list, int i, bool for_all)
{
	if (list && for_all && strchr(list, ',') == NULL)
		i = 0;
	for (; list && i > 0; i--)
	{
		list = strchr(list, ',');
		list = list ? list + 1 : NULL;
	}
	return list ? (Element){list, (int) strcspn(list, ",")} : (Element){"", 0};
}

static Place
place_of(const PQconninfoOption *options, int i)
{
	Place place = {
		list_element(pq_conninfo_value(options, "host"), i, false),
		list_element(pq_conninfo_value(options, "hostaddr"), i, false),
		list_element(pq_conninfo_value(options, "port"), i, true)};

	/* an empty one, left alone, would be none: the user's list would count */
	for (; options->keyword && place.port.length == 0; options++)
		if (strcmp(options->keyword, "port") == 0)
			place.port = list_element(options->compiled, 0, true);
	return place;
}

/* How much of a place is where libpq is; -1: it is elsewhere. */
static int
place_likeness(const Place *place, PGconn *conn)
{
	const Element	  told[] = {place->host, place->address, place->port};
	const char *const actual[] = {PQhost(conn), PQhostaddr(conn),
								  PQport(conn)};
	int				  likeness = 0;

	for (int i = 0; i < 3; i++)
	{
		if (told[i].length == 0)
			continue;
		if (strlen(actual[i]) == (size_t) told[i].length &&
			memcmp(actual[i], told[i].text, told[i].length) == 0)
			likeness++;
		else if (i != 1) /* libpq writes addresses in its own way */
			return -1;
	}
	return likeness;
}

static void
add_place(PqPlaces *places, const Place *place, const char *address)
{
	const char *comma = places->count++ > 0 ? "," : "";

	mem_format(&places->hosts, "%s%.*s", comma, place->host.length,
			   place->host.text);
	mem_format(&places->addresses, "%s%.*s", comma,
			   address ? (int) strlen(address) : place->address.length,
			   address ? address : place->address.text);
	mem_format(&places->ports, "%s%.*s", comma, place->port.length,
			   place->port.text);
}

/* What else the host's name stands for. */
static void
add_other_addresses(PqPlaces *places, const Place *place, const char *silent)
{
	struct addrinfo	 hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	char			*host;

	/* the address is told, or it is a socket's directory, such as the default */
	if (place->address.length > 0 || *silent == '\0')
		return;
	host = client_strndup(place->host.text, place->host.length);
	if (getaddrinfo(host, NULL, &hints, &found) != 0)
		found = NULL;
	free(host);
	for (struct addrinfo *one = found; one; one = one->ai_next)
	{
		char text[NI_MAXHOST];

		if (getnameinfo(one->ai_addr, one->ai_addrlen, text, sizeof(text),
						NULL, 0, NI_NUMERICHOST) == 0 &&
			strcmp(text, silent) != 0)
			add_place(places, place, text);
	}
	if (found)
		freeaddrinfo(found);
}

char *
pq_silence(PGconn *conn)
{
	return client_format("host \"%s\", port %s doesn't answer", PQhost(conn),
						 PQport(conn));
}

/* libpq would take the user's list for an empty one, with places that were silent. */
static bool
is_lost(const Bytes *list, const PQconninfoOption *options,
		const char *keyword)
{
	return list->length == 0 && pq_conninfo_value(options, keyword) != NULL;
}

static void
double_place(PqPlaces *places)
{
	Bytes *lists[] = {&places->hosts, &places->addresses, &places->ports};

	for (int i = 0; i < 3; i++)
	{
		char *one = client_strndup(lists[i]->data ? lists[i]->data : "",
								   lists[i]->length);

		mem_format(lists[i], ",%s", one);
		free(one);
	}
}

/* The places of these options but for the one where libpq is. */
static void
places_left(PqPlaces *left, const PQconninfoOption *options, PGconn *conn)
{
	int	  n = pq_count_places(options);
	int	  silent = -1;
	int	  most = -1;
	Place place;

	for (int i = 0; i < n; i++)
	{
		place = place_of(options, i);
		if (place_likeness(&place, conn) > most)
		{
			most = place_likeness(&place, conn);
			silent = i;
		}
	}
	if (silent < 0)
		return;
	for (int i = 0; i < n; i++)
	{
		place = place_of(options, i);
		if (i == silent)
			add_other_addresses(left, &place, PQhostaddr(conn));
		else
			add_place(left, &place, NULL);
	}
	left->is_doubled =
		left->count == 1 && (is_lost(&left->hosts, options, "host") ||
							 is_lost(&left->addresses, options, "hostaddr"));
	if (left->is_doubled)
		double_place(left);
}

bool
pq_pass_over(PqPlaces *places, PGconn *conn)
{
	PQconninfoOption *options = PQconninfo(conn);
	PqPlaces		  left = {.limit = places->limit};

	if (!places->is_doubled)
		places_left(&left, options, conn);
	PQconninfoFree(options);
	if (left.count > 0)
	{
		char *silence = pq_silence(conn);

		log_limited(&left.limit, LOG_WARNING, "%s; trying the next", silence);
		free(silence);
	}
	pq_forget_places(places);
	*places = left;
	return left.count > 0;
}

void
pq_forget_places(PqPlaces *places)
{
	mem_free(&places->hosts);
	mem_free(&places->addresses);
	mem_free(&places->ports);
	free(places->present);
	places->present = NULL;
	places->is_doubled = false;
	places->count = 0;
}
