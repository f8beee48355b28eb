/*
 * restart.h
 *		The program again from its beginning: what it must know is with the
 *		targets and the server.
 */
#ifndef CLIENT_RESTART_H
#define CLIENT_RESTART_H

/* The arguments that it was started with. */
extern void restart_remember(char **argv);

/* Says why, and starts over after a pause, which grows if that comes often. */
extern void client_restart(const char *format, ...)
	__attribute__((format(printf, 1, 2), noreturn));

#endif
