/*
 * restart.c
 *		Starts the program over, in the same process.
 */
#include "client/restart.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "client/clock.h"
#include "client/log.h"
#include "client/loop.h"
#include "client/memory.h"
#include "client/notify.h"
#include "client/target.h"

/* What the program tells itself: how often it started over, and when last. */
#define RESTARTS	 "PG_OUTFLOW_RESTARTS"
#define LONG_LIFE_MS 60000 /* two of the longest pauses */
#define LOOK_MS		 100

static char **arguments;

void
restart_remember(char **argv)
{
	arguments = argv;
	/* else "ps" names one that started over by what it was started from */
	prctl(PR_SET_NAME, "pg_outflow");
}

/*
 * Two clients of which each ends the other's transactions, one of an old primary
 * and one of the new, would else do nothing but that.
 */
static unsigned
count_restart(void)
{
	const char *text = getenv(RESTARTS);
	unsigned	attempt = 0;
	long long	at = 0;

	if (text == NULL || sscanf(text, "%u %lld", &attempt, &at) != 2 ||
		clock_ms() - at > LONG_LIFE_MS)
		attempt = 0;
	return attempt + 1;
}

/* Nothing is watched meanwhile: what would be done is of no use any more. */
static void
pause_for(long long pause)
{
	long long until = clock_ms() + pause;

	while (clock_ms() < until && !loop_stop_wanted())
	{
		poll(NULL, 0, LOOK_MS);
		notify_watchdog();
	}
}

void
client_restart(const char *format, ...)
{
	Bytes	  why = {0};
	va_list	  list;
	unsigned  attempt = count_restart();
	long long pause;
	char	 *restarts;

	va_start(list, format);
	mem_vformat(&why, format, list);
	va_end(list);
	if (!loop_stop_wanted())
	{
		/* clients must not go in step */
		srandom(getpid() ^ (unsigned) clock_us_of_day());
		pause = target_backoff(attempt);
		log_message(LOG_WARNING, "%s: starting over in %lld ms", why.data,
					pause);
		pause_for(pause);
	}
	/* one that comes from here on is for the program that starts */
	loop_hold_signals();
	if (loop_stop_wanted())
		client_exit(EXIT_UNFINISHED, "%s", why.data);
	restarts = client_format("%u %lld", attempt, clock_ms());
	setenv(RESTARTS, restarts, 1);
	/* locks of files end with their descriptors */
	close_range(STDERR_FILENO + 1, ~0U, 0);
	/* of the descriptor, as valgrind's /proc/self/exe is another one for execv() */
	fexecve(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), arguments, environ);
	/* and of the name, where nobody may read it */
	execv("/proc/self/exe", arguments);
	client_exit(EXIT_FAILED, "could not start over: %s", strerror(errno));
}
