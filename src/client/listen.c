/*
 * listen.c
 *		Sockets that others connect to.
 */
#include "client/listen.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/log.h"
#include "client/memory.h"

/* [::1]:9187, localhost:9187, 9187; *port points into the address */
static char *
split_address(const char *address, const char **port)
{
	const char *colon = strrchr(address, ':');
	char	   *host = colon ? client_strndup(address, colon - address)
							 : client_strdup("127.0.0.1");
	size_t		length = strlen(host);

	*port = colon ? colon + 1 : address;
	if (length > 1 && host[0] == '[' && host[length - 1] == ']')
	{
		memmove(host, host + 1, length - 2);
		host[length - 2] = '\0';
	}
	return host;
}

int
listen_on(const char *address, int backlog)
{
	const char		*port;
	char			*host = split_address(address, &port);
	struct addrinfo	 hints = {.ai_socktype = SOCK_STREAM,
							  .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *found;
	int				 error;
	int				 fd;
	int				 on = 1;

	error = getaddrinfo(*host ? host : NULL, port, &hints, &found);
	if (error)
		client_exit(EXIT_USAGE, "\"%s\" is no address to listen on: %s",
					address, gai_strerror(error));
	fd = socket(found->ai_family,
				found->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
				found->ai_protocol);
	if (fd < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
		bind(fd, found->ai_addr, found->ai_addrlen) != 0 ||
		listen(fd, backlog) != 0)
		client_exit(EXIT_USAGE, "could not listen on \"%s\": %s", address,
					strerror(errno));
	freeaddrinfo(found);
	free(host);
	return fd;
}
