/*
 * delivery.c
 *		The targets of a run as one.
 */
#include "client/delivery.h"

#include <stdlib.h>

#include "client/dead_letter.h"
#include "client/memory.h"

Delivery *
delivery_open(const Settings *settings, const FrameFormat *format)
{
	Delivery *delivery = client_alloc(sizeof(Delivery));
	int		  i;

	delivery->settings = settings;
	delivery->ntargets = settings->ntargets;
	delivery->ledger = ledger_new(settings->ntargets);
	dead_letter_open(settings->dead_letter);
	for (i = 0; i < delivery->ntargets; i++)
	{
		Target *target = target_open(settings->targets[i], settings);

		target->number = i;
		target->ledger = delivery->ledger;
		target->backlog = &delivery->backlog;
		target->format = format;
		delivery->targets[i] = target;
	}
	return delivery;
}

void
delivery_work(Delivery *delivery)
{
	Cursor *cursors[MAX_TARGETS];
	int		i;

	for (i = 0; i < delivery->ntargets; i++)
	{
		delivery->targets[i]->ops->work(delivery->targets[i]);
		cursors[i] = &delivery->targets[i]->cursor;
	}
	backlog_release(&delivery->backlog, ledger_common_prefix(delivery->ledger),
					cursors, delivery->ntargets);
}

long long
delivery_wake_at(const Delivery *delivery)
{
	long long wake_at = NEVER;
	int		  i;

	for (i = 0; i < delivery->ntargets; i++)
		if (delivery->targets[i]->wake_at < wake_at)
			wake_at = delivery->targets[i]->wake_at;
	return wake_at;
}

void
delivery_drain(Delivery *delivery)
{
	int i;

	for (i = 0; i < delivery->ntargets; i++)
		delivery->targets[i]->draining = true;
}

bool
delivery_is_done(const Delivery *delivery)
{
	return ledger_common_prefix(delivery->ledger) ==
		   ledger_last(delivery->ledger);
}

bool
delivery_has_room(const Delivery *delivery)
{
	return delivery->backlog.bytes < (size_t) delivery->settings->queue_bytes;
}

void
delivery_remember(Delivery *delivery, Lsn confirmed)
{
	int i;

	for (i = 0; i < delivery->ntargets; i++)
		delivery->targets[i]->ops->remember(delivery->targets[i], confirmed);
}

void
delivery_close(Delivery *delivery)
{
	int i;

	for (i = 0; i < delivery->ntargets; i++)
		delivery->targets[i]->ops->close(delivery->targets[i]);
	dead_letter_sync();
}

char *
delivery_missing(const Delivery *delivery)
{
	Bytes names = {0};
	int	  i;

	mem_add(&names, "");
	for (i = 0; i < delivery->ntargets; i++)
		if (ledger_prefix(delivery->ledger, i) !=
			ledger_last(delivery->ledger))
			mem_format(&names, "%s%s", names.length ? ", " : "",
					   delivery->targets[i]->name);
	return names.data;
}
