/*
 * loop.c
 *		poll(2) over a handful of descriptors.
 *
 * A handler may watch and forget descriptors, its own and others: those that
 * were forgotten meanwhile are not called any more.
 */
#include "client/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "client/clock.h"
#include "client/log.h"
#include "client/memory.h"

typedef struct Watch
{
	LoopHandler handler; /* NULL: forgotten */
	void	   *argument;
} Watch;

static struct pollfd *polled;
static Watch		 *watches;
static int			  nwatches;
static int			  allocated;

static volatile sig_atomic_t stop_wanted; /* how often */
static volatile sig_atomic_t hung_up;
static int					 wake_pipe[2] = {-1, -1};

static int
find_watch(int fd)
{
	int i;

	for (i = 0; i < nwatches; i++)
		if (watches[i].handler && polled[i].fd == fd)
			return i;
	return -1;
}

void
loop_watch(int fd, short events, LoopHandler handler, void *argument)
{
	int i = find_watch(fd);

	if (i < 0)
	{
		if (nwatches == allocated)
		{
			allocated = allocated ? allocated * 2 : 16;
			polled = client_realloc(polled, allocated * sizeof(*polled));
			watches = client_realloc(watches, allocated * sizeof(*watches));
		}
		i = nwatches++;
		polled[i].fd = fd;
		polled[i].revents = 0;
	}
	polled[i].events = events;
	watches[i] = (Watch){handler, argument};
}

void
loop_forget(int fd)
{
	int i = find_watch(fd);

	if (i >= 0)
	{
		watches[i].handler = NULL;
		polled[i].fd = -1;
	}
}

static void
drop_forgotten(void)
{
	int kept = 0;
	int i;

	for (i = 0; i < nwatches; i++)
		if (watches[i].handler)
		{
			polled[kept] = polled[i];
			watches[kept++] = watches[i];
		}
	nwatches = kept;
}

void
loop_wait(long long until)
{
	long long now = clock_ms();
	int		  timeout = 0;
	int		  count;
	int		  i;

	drop_forgotten();
	if (until == NEVER || until - now > 60000)
		timeout = 60000;
	else if (until > now)
		timeout = until - now;
	if (poll(polled, nwatches, timeout) < 0)
	{
		if (errno == EINTR)
			return;
		client_exit(EXIT_FAILED, "could not wait for input: %s",
					strerror(errno));
	}
	/* those that handlers add come next time */
	count = nwatches;
	for (i = 0; i < count; i++)
	{
		short events = polled[i].revents;

		polled[i].revents = 0;
		if (events && watches[i].handler)
			watches[i].handler(polled[i].fd, events, watches[i].argument);
	}
}

static void
wake_up(int signal_number)
{
	int saved = errno;

	if (signal_number == SIGHUP)
		hung_up = 1;
	if (stop_wanted < 2)
		stop_wanted++;
	if (write(wake_pipe[1], "", 1) < 0)
	{
		/* full: it wakes up anyway */
	}
	errno = saved;
}

static void
drain_pipe(int fd, short events, void *argument)
{
	char bytes[64];

	(void) events;
	(void) argument;
	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
}

static void
mask_signals(int how)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigprocmask(how, &signals, NULL);
}

void
loop_hold_signals(void)
{
	mask_signals(SIG_BLOCK);
}

void
loop_catch_signals(void)
{
	struct sigaction action = {.sa_handler = wake_up, .sa_flags = SA_RESTART};
	struct sigaction before;

	if (pipe2(wake_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
		client_exit(EXIT_FAILED, "could not create pipe: %s", strerror(errno));
	loop_watch(wake_pipe[0], POLLIN, drain_pipe, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	/* nohup means it */
	sigaction(SIGHUP, NULL, &before);
	if (before.sa_handler != SIG_IGN)
		sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	mask_signals(SIG_UNBLOCK);
}

int
loop_stop_wanted(void)
{
	return stop_wanted;
}

bool
loop_hung_up(void)
{
	return hung_up;
}
