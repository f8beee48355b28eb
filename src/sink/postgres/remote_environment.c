/*
 * remote_environment.c
 *		Keeps what belongs to whoever started this server from other servers.
 *
 * For what it is not told, libpq looks into the environment, some of it as late
 * as at the start-up packet, and for files below HOME.  A password, options or a
 * root certificate there are not the user's on whose behalf a backend connects.
 * An empty value does not say "none": libpq takes it for a missing one.
 *
 * So libpq gets an environment without them for as long as it runs; libraries of
 * other extensions in this process keep theirs.
 */
#include "postgres.h"

#include <unistd.h>

#include "sink/postgres/remote.h"

static char nowhere[] = "HOME=/dev/null";

/* All of libpq's, those of versions to come included, and those of Kerberos. */
static bool
is_hidden(const char *variable)
{
	return strncmp(variable, "PG", 2) == 0 ||
		   strncmp(variable, "KRB5", 4) == 0 ||
		   strncmp(variable, "HOME=", 5) == 0;
}

char **
remote_hide_environment(void)
{
	char **all = environ;
	char **shown;
	int	   count = 0;

	while (all && all[count])
		count++;
	shown = palloc_array(char *, count + 2);
	count = 0;
	for (char **at = all; at && *at; at++)
		if (!is_hidden(*at))
			shown[count++] = *at;
	shown[count++] = nowhere;
	shown[count] = NULL;
	environ = shown;
	return all;
}

void
remote_restore_environment(char **all)
{
	pfree(environ);
	environ = all;
}
