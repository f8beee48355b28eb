/*
 * run_stream.c
 *		The loop: receive, deliver, confirm.
 *
 * Confirmed is only what the ledger says every target has.  Feedback goes on
 * while the queue is full and nothing is read, so that the server neither gives
 * us up nor is told more than is true.
 */
#include "client/run_stream.h"

#include <stdlib.h>

#include "client/dead_letter.h"
#include "client/delivery.h"
#include "client/intake.h"
#include "client/loop.h"
#include "client/metrics.h"
#include "client/notify.h"
#include "client/plugin_options.h"
#include "client/upstream.h"

#define CONFIRM_MS 1000 /* a new position waits no longer for its feedback */
#define SILENCES   6	/* without an answer: the connection is dead */

typedef struct Stream
{
	const Settings *settings;
	Delivery	   *delivery;
	StateFile	   *state; /* of --state; NULL: none */
	Intake			intake;
	Upstream		upstream;
	long long		give_up_at; /* when stopping */
	bool			stopping;
} Stream;

/*
 * Never less than before: what was told may still be under way.  After a
 * promotion within this run all memories go on in the new timeline.
 */
static void
remember(Stream *stream, Lsn confirmed)
{
	const Upstream *upstream = &stream->upstream;
	int				i;

	dead_letter_sync();
	for (i = 0; i < stream->delivery->ntargets; i++)
		target_check_passed(stream->delivery->targets[i], confirmed);
	for (i = 0; i < upstream->nstates; i++)
		upstream->states[i]->state.identity = upstream->identity;
	for (i = 0; i < stream->delivery->ntargets; i++)
		stream->delivery->targets[i]->identity = upstream->identity;
	if (stream->state)
	{
		if (confirmed > stream->state->state.confirmed)
			stream->state->state.confirmed = confirmed;
		state_write(stream->state);
	}
	delivery_remember(stream->delivery, confirmed);
}

/* Part of a transaction counts as all of it. */
static Lsn
target_reached(const Target *target)
{
	const Place *part = &target->has_part;

	return part->records > 0 && part->commit_lsn >= target->position
			   ? part->commit_lsn + 1
			   : target->position;
}

/* Targets say what they have.  The upstream judges that before anything moves. */
static void
ask_targets(Upstream *upstream)
{
	Stream	 *stream = upstream->choose_argument;
	Delivery *delivery = stream->delivery;
	int		  i;

	for (i = 0; i < delivery->ntargets; i++)
	{
		Target *target = delivery->targets[i];

		target->identity = upstream->identity;
		target->ops->resume(target, &upstream->identity);
		if (target->stored_in && target_reached(target) != 0)
			upstream->reached[upstream->nreached++] = (Reached){
				.target = target->name,
				.stored_in = target->stored_in,
				.lsn = target_reached(target),
				.timeline = target->reached_in,
			};
	}
}

/*
 * The first time, if all targets know what they have, the stream starts after the
 * least of that.  Later it starts after what was received.
 */
static Lsn
choose_start(Upstream *upstream)
{
	Stream	 *stream = upstream->choose_argument;
	Delivery *delivery = stream->delivery;
	Lsn		  least = 0;
	int		  i;

	if (upstream->is_known)
	{
		remember(stream, ledger_confirmed(delivery->ledger));
		return ledger_received_lsn(delivery->ledger);
	}
	for (i = 0; i < delivery->ntargets; i++)
	{
		Lsn position = delivery->targets[i]->position;

		target_check_slot(delivery->targets[i], upstream->slot_lsn);
		if (position < upstream->slot_lsn)
			position = upstream->slot_lsn;
		if (least == 0 || position < least)
			least = position;
	}
	ledger_mark(delivery->ledger, least, clock_us_of_day());
	remember(stream, least);
	return least;
}

static long long
status_interval(const Stream *stream)
{
	long long interval = stream->settings->status_ms;
	long long sender = stream->upstream.sender_ms;

	if (sender > 0 && sender / 3 < interval)
		interval = sender / 3;
	return interval;
}

/* When feedback is due: at once if it was asked for. */
static long long
feedback_at(const Stream *stream)
{
	const Upstream *upstream = &stream->upstream;
	long long		at = upstream->last_sent + status_interval(stream);

	if (upstream->phase != UPSTREAM_STREAMING)
		return NEVER;
	if (upstream->reply_wanted)
		return 0;
	if (ledger_confirmed(stream->delivery->ledger) >
			upstream->sent_confirmed &&
		upstream->last_sent + CONFIRM_MS < at)
		at = upstream->last_sent + CONFIRM_MS;
	return at;
}

/* False if the connection is gone. */
static bool
send_feedback(Stream *stream)
{
	Ledger *ledger = stream->delivery->ledger;
	Lsn		confirmed = ledger_confirmed(ledger);
	bool	is_silent =
		clock_ms() - stream->upstream.last_received > status_interval(stream);

	if (confirmed > stream->upstream.sent_confirmed)
		remember(stream, confirmed);
	return upstream_feedback(&stream->upstream, ledger_received_lsn(ledger),
							 confirmed, is_silent);
}

/* A server that has been asked and never answers is gone, though TCP hopes. */
static void
check_silence(Stream *stream)
{
	Upstream *upstream = &stream->upstream;

	if (upstream->phase == UPSTREAM_STREAMING && upstream->can_read &&
		clock_ms() - upstream->last_received >
			SILENCES * status_interval(stream))
		upstream_lost(upstream, "the server doesn't answer any more");
}

static void
begin_stop(Stream *stream)
{
	log_message(LOG_INFO, "stopping: %s",
				stream->intake.ended ? "--endpos is reached"
									 : "waiting for acknowledgements");
	stream->stopping = true;
	stream->give_up_at = clock_ms() + stream->settings->stop_ms;
	notify_state("STOPPING=1");
	delivery_drain(stream->delivery);
}

/* True when there is nothing left to do. */
static bool
stop_step(Stream *stream)
{
	Upstream *upstream = &stream->upstream;

	if (upstream->phase == UPSTREAM_ENDED)
		return true;
	if (upstream->phase == UPSTREAM_ENDING)
		return false;
	if (!delivery_is_done(stream->delivery) && clock_ms() < stream->give_up_at)
		return false;
	send_feedback(stream);
	upstream_end(upstream);
	return upstream->phase == UPSTREAM_ENDED;
}

static void
stream_open(Stream *stream, const Settings *settings,
			const PluginOptions *options)
{
	Upstream *upstream = &stream->upstream;
	int		  i;

	stream->settings = settings;
	stream->delivery = delivery_open(settings, options->format);
	if (settings->state)
	{
		stream->state = state_open(settings->state);
		upstream->states[upstream->nstates++] = stream->state;
	}
	for (i = 0; i < settings->ntargets; i++)
		if (stream->delivery->targets[i]->state)
			upstream->states[upstream->nstates++] =
				stream->delivery->targets[i]->state;
	stream->intake = (Intake){
		.format = options->format,
		.deliver_framing = options->deliver_framing,
		.endpos = settings->endpos,
		.ledger = stream->delivery->ledger,
		.backlog = &stream->delivery->backlog,
	};
	upstream->settings = settings;
	upstream->intake = &stream->intake;
	upstream->plugin_options = options->text;
	upstream->ask_targets = ask_targets;
	upstream->choose_start = choose_start;
	upstream->choose_argument = stream;
	upstream->fd = -1;
	upstream->current_us = clock_us_of_day();
}

static ExitCode
stream_close(Stream *stream)
{
	bool  done = delivery_is_done(stream->delivery);
	char *missing = delivery_missing(stream->delivery);

	delivery_close(stream->delivery);
	if (!done)
		log_message(LOG_WARNING, "stopped before %s acknowledged everything",
					missing);
	free(missing);
	return done ? EXIT_OK : EXIT_UNFINISHED;
}

static long long
earliest(long long a, long long b)
{
	return a < b ? a : b;
}

ExitCode
stream_run(const Settings *settings)
{
	/* there is one a process, and what it has is not freed before the end */
	static PluginOptions options;
	static Stream		 stream;
	bool				 was_streaming = false;

	options = plugin_options(settings);
	loop_catch_signals();
	stream_open(&stream, settings, &options);
	metrics_open(settings->metrics, stream.delivery, &stream.upstream);
	for (;;)
	{
		bool had_room = delivery_has_room(stream.delivery);

		upstream_allow(&stream.upstream, !stream.stopping && had_room);
		upstream_work(&stream.upstream);
		delivery_work(stream.delivery);
		if (!stream.stopping && (loop_stop_wanted() || stream.intake.ended))
			begin_stop(&stream);
		if (stream.stopping && stop_step(&stream))
			break;
		if (clock_ms() >= feedback_at(&stream))
			send_feedback(&stream);
		check_silence(&stream);
		if (!was_streaming && stream.upstream.phase == UPSTREAM_STREAMING)
			notify_state("READY=1");
		was_streaming |= stream.upstream.phase == UPSTREAM_STREAMING;
		/* there may be something to read that no descriptor tells of */
		if (!had_room && delivery_has_room(stream.delivery))
			continue;
		loop_wait(
			earliest(earliest(stream.stopping ? stream.give_up_at : NEVER,
							  notify_watchdog()),
					 earliest(feedback_at(&stream),
							  earliest(upstream_wake_at(&stream.upstream),
									   delivery_wake_at(stream.delivery)))));
	}
	return stream_close(&stream);
}
