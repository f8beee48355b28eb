/*
 * notify.h
 *		What systemd is told: sd_notify(3), by its datagram.
 */
#ifndef CLIENT_NOTIFY_H
#define CLIENT_NOTIFY_H

/* Does nothing unless systemd asked for it (NOTIFY_SOCKET). */
extern void notify_state(const char *state);

/* Tells that we are alive if that is due; when it is due again, or NEVER. */
extern long long notify_watchdog(void);

#endif
