/*
 * restart.c
 *		Starts the program over, in the same process.
 */
#include "client/restart.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "client/log.h"
#include "client/loop.h"
#include "client/memory.h"

static char **arguments;

void
restart_remember(char **argv)
{
	arguments = argv;
}

void
client_restart(const char *format, ...)
{
	Bytes	why = {0};
	va_list list;

	va_start(list, format);
	mem_vformat(&why, format, list);
	va_end(list);
	if (loop_stop_wanted())
		client_exit(EXIT_UNFINISHED, "%s", why.data);
	log_message(LOG_WARNING, "%s: starting over", why.data);
	/* locks of files end with their descriptors */
	close_range(STDERR_FILENO + 1, ~0U, 0);
	execv("/proc/self/exe", arguments);
	client_exit(EXIT_FAILED, "could not start over: %s", strerror(errno));
}
