/*
 * http_address.c
 *		Where a host is, but for what must not be reached.
 */
#include "postgres.h"

#include <netdb.h>
#include <sys/socket.h>

#include "sink/http/address.h"
#include "sink/http/http.h"

#define MAX_ADDRESSES 8

static char *
list_allowed(const HttpPlace *place, const struct addrinfo *found, char *error)
{
	char *list = NULL;
	int	  count = 0;

	for (; found && count < MAX_ADDRESSES; found = found->ai_next)
	{
		AddressKind kind = address_kind(found->ai_addr);
		char		text[NI_MAXHOST];

		if (!address_is_allowed(kind, place->allow_private))
		{
			snprintf(error, HTTP_MAX_ERROR,
					 "host \"%.100s\" has %s address, which must not be "
					 "connected to",
					 place->host, address_kind_name(kind));
			continue;
		}
		if (getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof(text),
						NULL, 0, NI_NUMERICHOST) != 0)
			continue;
		list = list ? psprintf("%s,%s", list, text) : pstrdup(text);
		count++;
	}
	return list;
}

/* Names below it are this machine, too, whatever resolvers know: RFC 6761 */
static const char *
name_to_look_up(const char *host)
{
	static const char local[] = ".localhost";
	size_t			  len = strlen(host);

	return len > strlen(local) &&
				   strcmp(host + len - strlen(local), local) == 0
			   ? "localhost"
			   : host;
}

char *
http_addresses(const HttpPlace *place, char *error, bool *refused)
{
	struct addrinfo	 hints = {.ai_family = AF_UNSPEC,
							  .ai_socktype = SOCK_STREAM,
							  .ai_flags = AI_ADDRCONFIG};
	struct addrinfo *found;
	char			*list;
	int				 result =
		getaddrinfo(name_to_look_up(place->host), NULL, &hints, &found);

	*refused = false;
	if (result != 0)
	{
		snprintf(error, HTTP_MAX_ERROR,
				 "could not look up host \"%.100s\": %s", place->host,
				 gai_strerror(result));
		return NULL;
	}
	snprintf(error, HTTP_MAX_ERROR, "host \"%.100s\" has no address",
			 place->host);
	list = list_allowed(place, found, error);
	freeaddrinfo(found);
	*refused = list == NULL;
	if (list)
		error[0] = '\0';
	return list;
}
