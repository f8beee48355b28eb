/*
 * remote_address.c
 *		The addresses of another PostgreSQL's host, which are looked at before
 *		anybody connects to one.
 */
#include "postgres.h"

#include <netdb.h>
#include <sys/socket.h>

#include "sink/http/address.h"
#include "sink/postgres/postgres_config.h"
#include "sink/postgres/remote.h"

/* Of a host. */
#define MAX_ADDRESSES 8

/* Those that may be connected to, between commas. */
static char *
list_addresses(const struct addrinfo *at, bool allow_private,
			   const char **kind_name)
{
	char *list = NULL;
	int	  count = 0;

	for (; at && count < MAX_ADDRESSES; at = at->ai_next)
	{
		AddressKind kind = address_kind(at->ai_addr);
		char		text[NI_MAXHOST];

		if (!address_is_allowed(kind, allow_private))
		{
			*kind_name = address_kind_name(kind);
			continue;
		}
		if (getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof(text), NULL,
						0, NI_NUMERICHOST) != 0)
			continue;
		list = list ? psprintf("%s,%s", list, text) : pstrdup(text);
		count++;
	}
	return list;
}

char *
remote_addresses(const char *server, const PostgresConfig *config)
{
	struct addrinfo	 hints = {.ai_family = AF_UNSPEC,
							  .ai_socktype = SOCK_STREAM,
							  .ai_flags = AI_ADDRCONFIG};
	const char		*host = config->hostaddr ? config->hostaddr : config->host;
	struct addrinfo *found;
	const char		*kind_name = NULL;
	char			*list;
	int				 result = getaddrinfo(host, NULL, &hints, &found);

	if (result != 0)
		ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
						errmsg("could not look up host \"%.100s\" of server "
							   "\"%s\": %s",
							   host, server, gai_strerror(result))));
	list = list_addresses(found, config->allow_private, &kind_name);
	freeaddrinfo(found);
	if (list == NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 kind_name
				 ? errmsg("host \"%.100s\" of server \"%s\" has %s "
						  "address, which must not be connected to",
						  host, server, kind_name)
				 : errmsg("host \"%.100s\" of server \"%s\" has no address",
						  host, server),
			 errhint("A superuser can allow loopback and private addresses "
					 "with the server's option allow_private.")));
	return list;
}

char *
remote_addresses_after(char *addresses, const char *address)
{
	char *one;

	while ((one = strsep(&addresses, ",")) != NULL)
		if (strcmp(one, address) == 0)
			break;
	return addresses;
}
