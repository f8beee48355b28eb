/*
 * loop.h
 *		The one event loop: descriptors that are watched, signals, and until
 *		when to sleep.
 */
#ifndef CLIENT_LOOP_H
#define CLIENT_LOOP_H

#include <stdbool.h>

/* Of poll(2): what is waited for, and what came. */
typedef void (*LoopHandler)(int fd, short events, void *argument);

/* Watches a descriptor, or changes what is waited for; 0 waits for errors. */
extern void loop_watch(int fd, short events, LoopHandler handler,
					   void *argument);
extern void loop_forget(int fd);

/* Sleeps until something comes, at the latest at that time of clock_ms(). */
extern void loop_wait(long long until);

/*
 * Catches SIGTERM, SIGINT and SIGHUP, which then end loop_wait().  A terminal that
 * is gone wants a stop, too, unless SIGHUP was ignored before, as nohup does.
 */
extern void loop_catch_signals(void);
/*
 * From here on they wait, also in a program that takes the place of this one, until it
 * catches them.
 */
extern void loop_hold_signals(void);
extern int	loop_stop_wanted(void); /* 2: it was said again */
extern bool loop_hung_up(void);		/* SIGHUP was among that */

#endif
