/*
 * deliver_postgres.c
 *		postgresql://...: the tables of another PostgreSQL.
 *
 * Changes are applied in the order of the stream, whole transactions of the
 * source in transactions there, one or several in each, and the position that
 * they reach is written in the same transaction: whatever dies, each is applied
 * once.  Commands go in a pipeline.  COMMIT is sent once all of them are known
 * to have done what they should: a change that finds no row, or two, is an
 * error.
 *
 * A record that can't be applied is rejected: what was sent is rolled back and
 * sent again without it, if it isn't the end.  One of which nothing was sent is
 * put aside without that.
 *
 * A transaction that is larger than the queue can't be kept until it is
 * committed.  It is alone in its transaction there, and from time to time, once
 * all that was sent is known to be right, there is a savepoint, and the records
 * before it are let go: the position isn't confirmed before the commit.  If the
 * session ends before that, the program starts over, as those records must come
 * again.
 */
#include <stdlib.h>

#include "client/loop.h"
#include "client/restart.h"
#include "client/targets/postgres_target.h"

#define BATCH_BYTES		 (1024 * 1024)
#define CHECKPOINT_BYTES (4 * 1024 * 1024)

static Target *
postgres_open(const Url *url, const Settings *settings)
{
	PostgresTarget *self = client_alloc(sizeof(PostgresTarget));

	(void) settings;
	postgres_session_open(&self->session, url);
	self->apply.session = &self->session;
	return &self->base;
}

/* ---- records */

static void
open_transaction(PostgresTarget *self)
{
	Target *target = &self->base;

	postgres_send(&self->session, "BEGIN",
				  (PostgresAnswer){.kind = ANSWER_NOTHING});
	self->is_open = true;
	self->start = target->place;
	self->bytes = self->records = 0;
	self->nunsent = 0;
	self->commit_at = clock_ms() + target_linger(target, 0);
}

/* The position goes from where it was: nobody else may have moved it. */
static void
send_position(PostgresTarget *self)
{
	const Identity *identity = &self->session.identity;
	char		   *from = client_format(LSN_FORMAT, LSN_ARGS(self->position));
	char		   *to = client_format(LSN_FORMAT, LSN_ARGS(self->reaches));
	/* of this one: it may have changed since the session began */
	char	   *timeline = client_format("%u", self->base.identity.timeline);
	const char *values[] = {identity->system_id, identity->slot, from, to,
							timeline};
	bool		has_timeline = self->session.has_timeline;

	postgres_expect(
		&self->session,
		PQsendQueryParams(self->session.conn,
						  has_timeline
							  ? "UPDATE outflow_client.position"
								" SET lsn = $4, changed = now(), timeline = $5"
								" WHERE system_id = $1 AND slot = $2"
								" AND lsn = $3"
							  : "UPDATE outflow_client.position"
								" SET lsn = $4, changed = now()"
								" WHERE system_id = $1 AND slot = $2"
								" AND lsn = $3",
						  has_timeline ? 5 : 4, NULL, values, NULL, NULL, 0),
		(PostgresAnswer){.kind = ANSWER_POSITION});
	free(timeline);
	free(from);
	free(to);
}

static void
end_transaction(PostgresTarget *self)
{
	postgres_apply_rest(&self->apply);
	self->reaches = self->base.place.end;
	if (self->session.of_slot)
		send_position(self);
	postgres_send_sync(&self->session);
	self->await = AWAIT_PROOF;
}

/*
 * The savepoint isn't sent along: a change that finds no row is no error of the
 * server's, which would make it, and keep what then comes again.
 */
static void
begin_checkpoint(PostgresTarget *self)
{
	postgres_apply_rest(&self->apply);
	postgres_send_sync(&self->session);
	self->await = AWAIT_CHECKPOINT;
}

/*
 * Between two transactions of the source: whether the one there ends before
 * the record.  One that the queue doesn't hold whole gets one of its own.  What
 * comes before a record that was rejected is committed, to be safe from it; and
 * so is what has such records, as a crash lets them be put aside again.
 */
static bool
ends_before(const PostgresTarget *self, const Record *record)
{
	const Target *target = &self->base;

	return self->bytes >= target_batch_bytes(target, BATCH_BYTES) ||
		   record->number <= self->failed || self->nunsent > 0 ||
		   (self->nrejected > 0 && self->rejected[0] < record->number) ||
		   (record->kind == FRAME_BEGIN &&
			ledger_received_lsn(target->ledger) <= record->lsn);
}

/* Amid a transaction that may be too large for the queue. */
static bool
needs_checkpoint(const PostgresTarget *self, bool has_more)
{
	const Target *target = &self->base;
	size_t		  most = target->settings->queue_bytes;

	if (ledger_received_lsn(target->ledger) > target->place.commit_lsn)
		return false; /* all of it is here */
	return self->bytes >= CHECKPOINT_BYTES ||
		   (!has_more && self->bytes > 0 && target->backlog->bytes >= most);
}

/* Sends a record; false if it must come again. */
static bool
send_change(PostgresTarget *self, const Record *record)
{
	const char *reason;

	switch (postgres_read(&self->apply, record))
	{
		case CHANGE_NONE:
			break;
		case CHANGE_SCHEMA:
			postgres_apply_schema(&self->apply);
			break;
		case CHANGE_ROW:
		case CHANGE_TRUNCATE:
			if (!self->is_open)
				open_transaction(self);
			switch (postgres_apply(&self->apply, record, &reason))
			{
				case APPLY_SENT:
					self->records++;
					break;
				case APPLY_WAIT:
					self->await = AWAIT_TABLE;
					return false;
				case APPLY_REJECTED:
					return postgres_put_aside(self, record, reason);
			}
	}
	return true;
}

static void
send_changes(PostgresTarget *self)
{
	Target *target = &self->base;
	Record	record;

	while (self->await == AWAIT_NOTHING && !postgres_has_failed(self) &&
		   target_peek(target, &record))
	{
		if (self->is_open && target->place.commit_lsn == 0 &&
			ends_before(self, &record))
			end_transaction(self);
		else if (self->is_open && target->place.commit_lsn != 0 &&
				 needs_checkpoint(self, true))
			begin_checkpoint(self);
		else if (postgres_is_rejected(self, &record) ||
				 send_change(self, &record))
		{
			target_next(target, &record);
			self->last = record.number;
			self->bytes += record.length;
			if (!self->is_open)
				target_taken(target, record.number, record.number);
		}
	}
}

/* The beginning of a transaction whose end won't come any more. */
static void
leave_unfinished(PostgresTarget *self)
{
	log_message(LOG_DEBUG,
				"%s: a transaction isn't here whole: it comes again",
				self->base.name);
	postgres_session_close(&self->session);
	self->is_open = false;
	target_taken(&self->base, 1, self->last);
}

/* There are no more records for now. */
static void
rest(PostgresTarget *self)
{
	Target *target = &self->base;

	if (!self->is_open)
		return;
	if (target->place.commit_lsn == 0 &&
		(target->draining || clock_ms() >= self->commit_at))
		end_transaction(self);
	else if (target->place.commit_lsn == 0)
		target->wake_at = self->commit_at;
	else if (target->draining)
		leave_unfinished(self);
	else if (needs_checkpoint(self, false))
		begin_checkpoint(self);
}

/* ---- the session */

/* Another session: what the one before had committed is in the position. */
static void
begin_session(PostgresTarget *self)
{
	Target *target = &self->base;

	if (self->session.of_slot && self->session.position < self->position)
		client_exit(EXIT_IDENTITY,
					"%s has lost what it had committed: it is at " LSN_FORMAT
					", and was at " LSN_FORMAT,
					target->name, LSN_ARGS(self->session.position),
					LSN_ARGS(self->position));
	if (self->released && self->session.position <= self->released)
		client_restart("%s: the session ended amid a transaction that is "
					   "larger than --queue-bytes",
					   target->name);
	self->position = target->position = self->session.position;
	target->reached_in = self->session.timeline;
	self->released = 0;
	if (self->is_open)
		postgres_start_again(self);
	self->await = AWAIT_NOTHING;
	postgres_apply_reset(&self->apply);
}

/* True if it is there. */
static bool
session_step(PostgresTarget *self)
{
	PostgresSession *session = &self->session;

	if (session->phase == SESSION_READY)
		return true;
	postgres_session_work(session);
	if (session->phase == SESSION_READY)
		begin_session(self);
	self->base.wake_at = session->retry_at;
	return session->phase == SESSION_READY;
}

static void
postgres_work(Target *target)
{
	PostgresTarget *self = (PostgresTarget *) target;

	if (!self->is_resumed)
		return;
	target->counts.retries[RETRY_CONNECTION] = self->session.losses;
	if (!session_step(self))
		return;
	target->wake_at = NEVER;
	postgres_read_answers(self);
	for (;;)
	{
		Await before;

		if (self->session.phase != SESSION_READY)
		{
			target->wake_at = self->session.retry_at;
			return;
		}
		if (self->await == AWAIT_NOTHING)
			send_changes(self);
		if (postgres_has_failed(self) && self->await <= AWAIT_TABLE)
		{
			postgres_send_sync(&self->session);
			self->await = AWAIT_FAILURE;
		}
		if (self->await == AWAIT_NOTHING)
			rest(self);
		if (self->session.phase != SESSION_READY ||
			!postgres_session_flush(&self->session))
			continue;
		before = self->await;
		postgres_read_answers(self);
		if (postgres_has_failed(self) && self->await <= AWAIT_TABLE)
			continue;
		if (self->await == before || self->await != AWAIT_NOTHING)
			break;
	}
	if (self->session.phase == SESSION_READY)
		(void) postgres_session_flush(&self->session);
	if (self->session.phase != SESSION_READY)
		target->wake_at = self->session.retry_at;
}

static void
postgres_resume(Target *target, const Identity *identity)
{
	PostgresTarget *self = (PostgresTarget *) target;

	self->is_resumed = true;
	self->session.identity = *identity;
	/* records that are replayed are of no timeline */
	self->session.of_slot = identity->timeline != 0;
	if (self->session.of_slot)
		target->stored_in = "outflow_client.position";
	while (!session_step(self))
		target_await(target);
	target->wake_at = NEVER;
	if (self->session.of_slot)
		log_message(LOG_INFO, "%s has everything up to " LSN_FORMAT,
					target->name, LSN_ARGS(target->position));
}

static void
postgres_close(Target *target)
{
	postgres_session_close(&((PostgresTarget *) target)->session);
}

/* Login and rights; tables come later.  What is wrong ends the program. */
static bool
postgres_probe(const Url *url, const Settings *settings, char **why)
{
	PostgresSession session = {.is_probe = true};

	(void) settings;
	(void) why;
	postgres_session_open(&session, url);
	while (session.phase != SESSION_READY)
	{
		postgres_session_work(&session);
		if (session.phase != SESSION_READY)
			loop_wait(session.retry_at);
	}
	postgres_session_close(&session);
	return true;
}

const TargetOps postgres_target = {
	.open = postgres_open,
	.resume = postgres_resume,
	.work = postgres_work,
	.remember = target_remember_nothing,
	.close = postgres_close,
	.probe = postgres_probe,
};
