/*
 * delivery.h
 *		All targets of a run, the queue that they read and the ledger of what
 *		they took.
 */
#ifndef CLIENT_DELIVERY_H
#define CLIENT_DELIVERY_H

#include "client/backlog.h"
#include "client/cli.h"
#include "client/position.h"
#include "client/target.h"

typedef struct Delivery
{
	const Settings *settings;
	Ledger		   *ledger;
	Backlog			backlog;
	int				ntargets;
	Target		   *targets[MAX_TARGETS];
} Delivery;

extern Delivery *delivery_open(const Settings	 *settings,
							   const FrameFormat *format);

/* Lets each target work; what all have taken is freed. */
extern void delivery_work(Delivery *delivery);

/* When the next of them wants to. */
extern long long delivery_wake_at(const Delivery *delivery);

/* From now on nothing is waited for that could be delivered. */
extern void delivery_drain(Delivery *delivery);

/* Everything received is acknowledged. */
extern bool delivery_is_done(const Delivery *delivery);

/* There is room for more. */
extern bool delivery_has_room(const Delivery *delivery);

extern void delivery_remember(Delivery *delivery, Lsn confirmed);
extern void delivery_close(Delivery *delivery);

/* The targets that have not taken everything, for messages; a new text. */
extern char *delivery_missing(const Delivery *delivery);

#endif
