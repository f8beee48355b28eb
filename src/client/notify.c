/*
 * notify.c
 *		sd_notify(3) without its library.
 */
#include "client/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/clock.h"

void
notify_state(const char *state)
{
	const char		  *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t			   length = path ? strlen(path) : 0;
	int				   fd;

	if (length < 2 || length >= sizeof(address.sun_path))
		return;
	memcpy(address.sun_path, path, length);
	if (path[0] == '@')
		address.sun_path[0] = '\0'; /* the abstract name space */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	/* nothing depends on it: whoever asked sees that nothing comes */
	(void) !sendto(fd, state, strlen(state), MSG_NOSIGNAL,
				   (struct sockaddr *) &address,
				   offsetof(struct sockaddr_un, sun_path) + length);
	close(fd);
}

long long
notify_watchdog(void)
{
	static long long next = 0;
	const char		*text = getenv("WATCHDOG_USEC");
	long long		 every = text ? atoll(text) / 1000 / 3 : 0;

	if (every <= 0)
		return NEVER;
	if (clock_ms() >= next)
	{
		notify_state("WATCHDOG=1");
		next = clock_ms() + every;
	}
	return next;
}
