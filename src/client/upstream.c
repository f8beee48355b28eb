/*
 * upstream.c
 *		Connecting, receiving, telling positions.
 *
 * One connection's life, as states that the event loop moves on: they are not
 * parted, as each may end in a reconnect.
 */
#include "client/upstream.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "client/clock.h"
#include "client/loop.h"
#include "client/pq_error.h"
#include "client/target.h"

#define CONNECT_MS		  30000 /* for the connection and each question */
#define GOODBYE_MS		  10000
#define POSTGRES_EPOCH_US 946684800000000LL
#define WAL_HEADER		  25 /* 'w', start, end, time */
#define FEEDBACK_SIZE	  34
#define READ_AT_ONCE	  (1024 * 1024)
#define LONG_LIFE_MS	  30000 /* as long as the longest pause */

static void
upstream_ready(int fd, short events, void *argument)
{
	Upstream *upstream = argument;

	(void) fd;
	(void) events;
	upstream->ready = true;
}

static void
upstream_watch(Upstream *upstream, short events)
{
	int fd = PQsocket(upstream->conn);

	if (upstream->fd >= 0 && upstream->fd != fd)
		loop_forget(upstream->fd);
	upstream->fd = fd;
	/* not watched at all while nothing is wanted: a hang-up can't be hidden */
	if (fd >= 0 && events != 0)
		loop_watch(fd, events, upstream_ready, upstream);
	else if (fd >= 0)
		loop_forget(fd);
}

static void
upstream_disconnect(Upstream *upstream)
{
	if (upstream->fd >= 0)
		loop_forget(upstream->fd);
	upstream->fd = -1;
	PQfinish(upstream->conn);
	upstream->conn = NULL;
}

void
upstream_lost(Upstream *upstream, const char *why)
{
	char	 *message = pq_message(why);
	long long pause;

	log_limited(&upstream->limit, LOG_WARNING, "%s; trying again", message);
	free(message);
	if (upstream->phase == UPSTREAM_STREAMING)
	{
		upstream->reconnects++;
		/* it was idle, and not because it can't go on */
		if (upstream->failures == 0 &&
			clock_ms() - upstream->began >= LONG_LIFE_MS)
			upstream->attempt = 0;
	}
	pause = target_backoff(++upstream->attempt);
	upstream_disconnect(upstream);
	upstream->caught_up = upstream->has_asked = false;
	intake_restart(upstream->intake);
	upstream->phase = UPSTREAM_DOWN;
	upstream->retry_at = clock_ms() + pause;
}

static void
begin_connecting(Upstream *upstream)
{
	upstream->conn = pq_start(&upstream->places, upstream->settings->conninfo,
							  "pg_outflow", "replication", "database");
	pq_log_notices(upstream->conn, &upstream->notices);
	/* an error then tells its SQLSTATE, even of the connection itself */
	PQsetErrorVerbosity(upstream->conn, PQERRORS_VERBOSE);
	upstream->phase = UPSTREAM_CONNECTING;
	upstream->retry_at =
		pq_patience(&upstream->places, upstream->conn, CONNECT_MS);
	upstream->step = 0;
	upstream->outdated = NULL;
	if (PQstatus(upstream->conn) != CONNECTION_BAD)
		upstream_watch(upstream, POLLOUT);
}

static void
upstream_connect_failed(Upstream *upstream)
{
	char *message = pq_message(PQerrorMessage(upstream->conn));
	char  sqlstate[6];

	pq_forget_places(&upstream->places);
	pq_find_sqlstate(message, sqlstate);
	upstream_refused(upstream, sqlstate, message);
	upstream_lost(upstream, message);
	free(message);
}

static void ask_next(Upstream *upstream);

static void
go_on_connecting(Upstream *upstream)
{
	switch (PQconnectPoll(upstream->conn))
	{
		case PGRES_POLLING_READING:
			upstream_watch(upstream, POLLIN);
			break;
		case PGRES_POLLING_WRITING:
			upstream_watch(upstream, POLLOUT);
			break;
		case PGRES_POLLING_OK:
			pq_forget_places(&upstream->places);
			PQsetErrorVerbosity(upstream->conn, PQERRORS_DEFAULT);
			upstream->phase = UPSTREAM_PREPARING;
			ask_next(upstream);
			return;
		default:
			upstream_connect_failed(upstream);
			return;
	}
	upstream->retry_at =
		pq_patience(&upstream->places, upstream->conn, CONNECT_MS);
}

static void
stop_waiting(Upstream *upstream)
{
	if (pq_pass_over(&upstream->places, upstream->conn))
	{
		upstream_disconnect(upstream);
		begin_connecting(upstream);
	}
	else
		upstream_lost(upstream, "the server doesn't answer");
}

static void
ask_next(Upstream *upstream)
{
	Bytes question = {0};

	if (!upstream_ask(upstream, &question))
		client_exit(EXIT_FAILED, "there is nothing to ask the server");
	/* targets may have been waited for meanwhile */
	upstream->retry_at = clock_ms() + CONNECT_MS;
	log_message(LOG_DEBUG, "asking the server: %s", question.data);
	if (!PQsendQuery(upstream->conn, question.data))
		upstream_lost(upstream, PQerrorMessage(upstream->conn));
	else
		upstream_watch(upstream, POLLIN);
	mem_free(&question);
}

static void
begin_streaming(Upstream *upstream)
{
	if (PQsetnonblocking(upstream->conn, 1) != 0)
		client_exit(EXIT_FAILED, "could not set connection nonblocking: %s",
					PQerrorMessage(upstream->conn));
	upstream->phase = UPSTREAM_STREAMING;
	upstream->last_received = upstream->last_sent = clock_ms();
	upstream->began = clock_ms();
	upstream->began_at = ledger_received_lsn(upstream->intake->ledger);
	upstream->began_with = ledger_last(upstream->intake->ledger);
	upstream->sent_confirmed = 0;
	upstream->reply_wanted = false;
	log_message(LOG_INFO, "streaming slot \"%s\" from " LSN_FORMAT,
				upstream->settings->slot, LSN_ARGS(upstream->start));
}

static void
slot_is_busy(Upstream *upstream)
{
	char *message =
		client_format("replication slot \"%s\" is active for PID %ld",
					  upstream->settings->slot, upstream->slot_user);

	upstream->slot_user = 0;
	upstream_lost(upstream, message);
	free(message);
}

/* An answer may be complete. */
static void
go_on_preparing(Upstream *upstream)
{
	PGresult *result;
	char	 *sqlstate;
	char	 *message;

	if (!PQconsumeInput(upstream->conn))
	{
		upstream_lost(upstream, PQerrorMessage(upstream->conn));
		return;
	}
	while (upstream->phase == UPSTREAM_PREPARING && !PQisBusy(upstream->conn))
	{
		result = PQgetResult(upstream->conn);
		if (result == NULL && upstream->slot_user != 0)
		{
			slot_is_busy(upstream);
			return;
		}
		if (result == NULL && upstream->outdated)
		{
			upstream_lost(upstream, upstream->outdated);
			return;
		}
		if (result == NULL)
		{
			upstream->step++;
			ask_next(upstream);
			return;
		}
		if (PQresultStatus(result) == PGRES_COPY_BOTH)
			begin_streaming(upstream);
		else if (PQresultStatus(result) == PGRES_TUPLES_OK ||
				 PQresultStatus(result) == PGRES_COMMAND_OK)
			upstream_answer(upstream, result);
		else
		{
			sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
			message = pq_message(PQresultErrorMessage(result));
			upstream_refused(upstream, sqlstate ? sqlstate : "", message);
			upstream_lost(upstream, message);
			free(message);
		}
		PQclear(result);
	}
}

static uint64_t
read_uint64(const char *p)
{
	uint64_t value = 0;
	int		 i;

	for (i = 0; i < 8; i++)
		value = value << 8 | (unsigned char) p[i];
	return value;
}

static char *
write_uint64(char *p, uint64_t value)
{
	int i;

	for (i = 7; i >= 0; i--)
		*p++ = (char) (value >> (8 * i));
	return p;
}

static long long
read_time_us(const char *p)
{
	return (long long) read_uint64(p) + POSTGRES_EPOCH_US;
}

/*
 * A keepalive that nobody asked for, and that asks for nothing, says that the
 * server waits for WAL.  One that answers us may come from amid WAL in which
 * there is nothing for this slot, unless it is where the last one was.
 */
static void
note_keepalive(Upstream *upstream, Lsn lsn, long long sent_us, bool asks)
{
	bool is_idle = upstream->has_asked ? lsn == upstream->heard_lsn : !asks;

	upstream->has_asked = false;
	upstream->heard_lsn = lsn;
	upstream->caught_up = is_idle && !intake_is_amid(upstream->intake);
	if (upstream->caught_up && sent_us > upstream->current_us)
		upstream->current_us = sent_us;
}

long long
upstream_lag_us(const Upstream *upstream)
{
	long long lag = clock_us_of_day() - upstream->current_us;

	return upstream->caught_up || lag < 0 ? 0 : lag;
}

/* What the server sent: records, or where it is.  Takes the buffer over. */
static void
upstream_take(Upstream *upstream, char *buffer, int length)
{
	upstream->last_received = clock_ms();
	if (buffer[0] == 'w' && length > WAL_HEADER)
	{
		intake_message(upstream->intake, buffer, buffer + WAL_HEADER,
					   length - WAL_HEADER, read_uint64(buffer + 1),
					   read_time_us(buffer + 17), PQfreemem);
		upstream->caught_up = false;
		if (upstream->intake->committed_us > upstream->current_us)
			upstream->current_us = upstream->intake->committed_us;
		upstream_note_progress(upstream);
		return;
	}
	if (buffer[0] == 'k' && length >= 18)
	{
		Lsn		  lsn = read_uint64(buffer + 1);
		long long sent_us = read_time_us(buffer + 9);

		intake_keepalive(upstream->intake, lsn, sent_us);
		note_keepalive(upstream, lsn, sent_us, buffer[17]);
		if (buffer[17])
			upstream->reply_wanted = true;
		upstream_note_progress(upstream);
	}
	PQfreemem(buffer);
}

static void
upstream_copy_ended(Upstream *upstream)
{
	PGresult *result;

	if (upstream->phase == UPSTREAM_ENDING)
	{
		upstream_disconnect(upstream);
		upstream->phase = UPSTREAM_ENDED;
		return;
	}
	result = PQgetResult(upstream->conn);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		upstream_judge_failure(upstream, result);
	upstream_lost(upstream, PQresultStatus(result) == PGRES_COMMAND_OK
								? "the server ended the stream"
								: PQresultErrorMessage(result));
	PQclear(result);
}

/* Even a part of a message is a sign of life: a large one may take long. */
static void
note_bytes(Upstream *upstream)
{
	struct pollfd in = {.fd = PQsocket(upstream->conn), .events = POLLIN};

	if (poll(&in, 1, 0) > 0 && (in.revents & POLLIN))
		upstream->last_received = clock_ms();
}

static void
upstream_receive(Upstream *upstream)
{
	size_t before = upstream->intake->backlog->bytes;
	char  *buffer;
	int	   length;

	note_bytes(upstream);
	if (!PQconsumeInput(upstream->conn))
	{
		upstream_lost(upstream, PQerrorMessage(upstream->conn));
		return;
	}
	while (upstream->can_read && !upstream->intake->ended &&
		   upstream->intake->backlog->bytes - before < READ_AT_ONCE)
	{
		length = PQgetCopyData(upstream->conn, &buffer, 1);
		if (length == 0)
			return;
		if (length > 0)
		{
			upstream_take(upstream, buffer, length);
			continue;
		}
		if (length == -1)
			upstream_copy_ended(upstream);
		else
			upstream_lost(upstream, PQerrorMessage(upstream->conn));
		return;
	}
	/* libpq may hold more than one round takes */
	upstream->retry_at = 0;
}

static bool
upstream_flush(Upstream *upstream)
{
	int left = PQflush(upstream->conn);

	if (left < 0)
		return false;
	upstream_watch(upstream,
				   (upstream->can_read ? POLLIN : 0) | (left ? POLLOUT : 0));
	return true;
}

bool
upstream_feedback(Upstream *upstream, Lsn received, Lsn confirmed,
				  bool want_reply)
{
	char  message[FEEDBACK_SIZE];
	char *p = message;

	if (upstream->phase != UPSTREAM_STREAMING)
		return false;
	*p++ = 'r';
	p = write_uint64(p, received > confirmed ? received : confirmed);
	p = write_uint64(p, confirmed);
	p = write_uint64(p, confirmed);
	p = write_uint64(p, clock_us_of_day() - POSTGRES_EPOCH_US);
	*p++ = want_reply;
	if (PQputCopyData(upstream->conn, message, p - message) <= 0 ||
		!upstream_flush(upstream))
	{
		upstream_lost(upstream, PQerrorMessage(upstream->conn));
		return false;
	}
	upstream->last_sent = clock_ms();
	upstream->sent_confirmed = confirmed;
	upstream->reply_wanted = false;
	upstream->has_asked |= want_reply;
	return true;
}

/* Reads on to the end of the stream, which may bring records: they are ignored. */
static void
go_on_ending(Upstream *upstream)
{
	char *buffer;
	int	  length = 0;

	if (PQconsumeInput(upstream->conn) && PQflush(upstream->conn) >= 0 &&
		clock_ms() < upstream->retry_at)
	{
		while ((length = PQgetCopyData(upstream->conn, &buffer, 1)) > 0)
			PQfreemem(buffer);
		if (length == 0)
			return;
	}
	upstream_copy_ended(upstream);
}

void
upstream_end(Upstream *upstream)
{
	if (upstream->phase == UPSTREAM_STREAMING &&
		PQputCopyEnd(upstream->conn, NULL) > 0)
	{
		upstream->phase = UPSTREAM_ENDING;
		upstream->retry_at = clock_ms() + GOODBYE_MS;
		upstream_watch(upstream, POLLIN | POLLOUT);
		go_on_ending(upstream);
		if (upstream->phase == UPSTREAM_ENDING)
			upstream_watch(upstream, POLLIN);
		return;
	}
	if (upstream->phase != UPSTREAM_ENDING)
	{
		upstream_disconnect(upstream);
		upstream->phase = UPSTREAM_ENDED;
	}
}

void
upstream_allow(Upstream *upstream, bool can_read)
{
	upstream->can_read = can_read;
}

void
upstream_work(Upstream *upstream)
{
	bool late = clock_ms() >= upstream->retry_at;

	switch (upstream->phase)
	{
		case UPSTREAM_DOWN:
			if (late)
				begin_connecting(upstream);
			break;
		case UPSTREAM_CONNECTING:
			if (PQstatus(upstream->conn) == CONNECTION_BAD)
				upstream_connect_failed(upstream);
			else if (late)
				stop_waiting(upstream);
			else if (upstream->ready)
				go_on_connecting(upstream);
			break;
		case UPSTREAM_PREPARING:
			/* creating a slot waits for transactions, however long they run */
			go_on_preparing(upstream);
			if (upstream->phase == UPSTREAM_PREPARING &&
				!upstream_may_take_long(upstream) &&
				clock_ms() >= upstream->retry_at)
				upstream_lost(upstream, "the server doesn't answer");
			break;
		case UPSTREAM_STREAMING:
			upstream->retry_at = NEVER;
			if (upstream->can_read)
				upstream_receive(upstream);
			if (upstream->phase == UPSTREAM_STREAMING &&
				!upstream_flush(upstream))
				upstream_lost(upstream, PQerrorMessage(upstream->conn));
			break;
		case UPSTREAM_ENDING:
			go_on_ending(upstream);
			break;
		case UPSTREAM_ENDED:
			break;
	}
	upstream->ready = false;
}

long long
upstream_wake_at(const Upstream *upstream)
{
	switch (upstream->phase)
	{
		case UPSTREAM_DOWN:
		case UPSTREAM_CONNECTING:
		case UPSTREAM_STREAMING:
		case UPSTREAM_ENDING:
			return upstream->retry_at;
		case UPSTREAM_PREPARING:
			return upstream_may_take_long(upstream) ? NEVER
													: upstream->retry_at;
		default:
			return NEVER;
	}
}
