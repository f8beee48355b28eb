/*
 * listen.h
 *		Sockets that others connect to.
 */
#ifndef CLIENT_LISTEN_H
#define CLIENT_LISTEN_H

/*
 * Listens on [HOST:]PORT, on 127.0.0.1 if no host is given; ends the program if
 * that can't be.  The descriptor doesn't block.
 */
extern int listen_on(const char *address, int backlog);

#endif
