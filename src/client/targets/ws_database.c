/*
 * ws_database.c
 *		A second connection, used only while a page is open.
 *
 * A server that is away, or that lacks the extension, is no fault: the page
 * then shows less.
 */
#ifdef HAVE_WSLAY

#include <libpq-fe.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "client/clock.h"
#include "client/log.h"
#include "client/loop.h"
#include "client/pq_notice.h"
#include "client/pq_place.h"
#include "client/targets/ws_database.h"

#define ASK_MS		 2000
#define PREFLIGHT_MS 60000 /* it looks at every table */
#define RETRY_MS	 10000
#define TIMEOUT_MS	 "10000" /* the server's */
#define PATIENCE_MS	 20000	 /* ours: it may be gone without a word */

/* $1: the slot, $2: with preflight */
#define SLOT_LAG                                                              \
	"SELECT pg_catalog.json_build_object('slot_lag', "                        \
	"(SELECT pg_catalog.pg_wal_lsn_diff(CASE WHEN "                           \
	"pg_catalog.pg_is_in_recovery() THEN "                                    \
	"pg_catalog.pg_last_wal_replay_lsn() ELSE "                               \
	"pg_catalog.pg_current_wal_lsn() END, s.confirmed_flush_lsn) FROM "       \
	"pg_catalog.pg_replication_slots AS s WHERE s.slot_name "                 \
	"OPERATOR(pg_catalog.=) $1)"

static const char slot_only[] =
	SLOT_LAG "), NULL WHERE $2::pg_catalog.text IS NOT NULL";
static const char everything[] = SLOT_LAG
	", 'jobs', (SELECT pg_catalog.json_agg(j ORDER BY j.job DESC) FROM "
	"(SELECT o.job, o.source, o.state, o.parts_total, o.parts_done, o.rate, "
	"pg_catalog.date_trunc('second', pg_catalog.justify_hours(o.eta))::"
	"pg_catalog.text AS eta, o.waiting_for, "
	"o.error FROM outflow.jobs AS o WHERE o.state OPERATOR(pg_catalog.=) "
	"ANY ('{queued,running}') OR o.finished OPERATOR(pg_catalog.>) "
	"(pg_catalog.now() OPERATOR(pg_catalog.-) interval '10 minutes') "
	"ORDER BY o.job DESC LIMIT 10) AS j)), CASE WHEN $2::pg_catalog.bool THEN "
	"(SELECT COALESCE(pg_catalog.json_agg(p), '[]') FROM "
	"(SELECT f.item, f.detail, f.fix FROM outflow.preflight() AS f WHERE NOT "
	"f.ok LIMIT 20) AS p) END";

struct WsDatabase
{
	const char *conninfo;
	const char *slot;
	PGconn	   *conn; /* NULL: none */
	PqNotices	notices;
	PqPlaces	places;
	bool		connected;
	bool		asking;
	bool		lacks_extension;
	int			fd;
	long long	ask_at;
	long long	patient_until; /* it is to say something */
	long long	preflight_at;
	Bytes		answer;	   /* the first column of the last answer */
	Bytes		preflight; /* the second, of the last that had one */
};

static void
database_disconnect(WsDatabase *self)
{
	if (self->fd >= 0)
		loop_forget(self->fd);
	PQfinish(self->conn);
	self->conn = NULL;
	self->fd = -1;
	self->connected = self->asking = false;
	self->ask_at = clock_ms() + RETRY_MS;
	mem_reset(&self->answer);
}

static void database_ready(int fd, short events, void *argument);

static void
watch(WsDatabase *self, short events)
{
	int fd = PQsocket(self->conn);

	/* while libpq connects, it may change */
	if (self->fd >= 0 && self->fd != fd)
		loop_forget(self->fd);
	self->fd = fd;
	loop_watch(fd, events, database_ready, self);
}

static void
connect_step(WsDatabase *self)
{
	switch (PQconnectPoll(self->conn))
	{
		case PGRES_POLLING_READING:
			watch(self, POLLIN);
			break;
		case PGRES_POLLING_WRITING:
			watch(self, POLLOUT);
			break;
		case PGRES_POLLING_OK:
			pq_forget_places(&self->places);
			self->connected = true;
			self->ask_at = 0;
			PQsetnonblocking(self->conn, 1);
			watch(self, POLLIN);
			return;
		default:
			pq_forget_places(&self->places);
			database_disconnect(self);
			return;
	}
	self->patient_until = pq_patience(&self->places, self->conn, PATIENCE_MS);
}

static void
take_answer(WsDatabase *self, PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
	{
		mem_reset(&self->answer);
		mem_add(&self->answer, PQgetvalue(result, 0, 0));
		if (!PQgetisnull(result, 0, 1))
		{
			mem_reset(&self->preflight);
			mem_add(&self->preflight, PQgetvalue(result, 0, 1));
		}
	}
	/* no such schema, table or function, or no right to use it */
	else if (state &&
			 (strcmp(state, "3F000") == 0 || strcmp(state, "42P01") == 0 ||
			  strcmp(state, "42883") == 0 || strcmp(state, "42501") == 0))
		self->lacks_extension = true;
}

static void
database_ready(int fd, short events, void *argument)
{
	WsDatabase *self = argument;
	PGresult   *result;

	(void) fd;
	(void) events;
	if (!self->connected)
	{
		connect_step(self);
		return;
	}
	if (!PQconsumeInput(self->conn))
	{
		database_disconnect(self);
		return;
	}
	while (self->asking && !PQisBusy(self->conn))
	{
		result = PQgetResult(self->conn);
		if (result == NULL)
			self->asking = false;
		else
			take_answer(self, result);
		PQclear(result);
	}
}

static void
database_connect(WsDatabase *self)
{
	self->conn =
		pq_start(&self->places, self->conninfo, "pg_outflow page", "options",
				 "-c statement_timeout=" TIMEOUT_MS
				 " -c default_transaction_read_only=on");
	pq_log_notices(self->conn, &self->notices);
	self->patient_until = pq_patience(&self->places, self->conn, PATIENCE_MS);
	if (PQstatus(self->conn) == CONNECTION_BAD)
		database_disconnect(self);
	else
		watch(self, POLLOUT);
}

static void
ask(WsDatabase *self, long long now)
{
	const char *values[] = {self->slot, "false"};

	if (now >= self->preflight_at)
	{
		values[1] = "true";
		self->preflight_at = now + PREFLIGHT_MS;
	}
	if (!PQsendQueryParams(self->conn,
						   self->lacks_extension ? slot_only : everything, 2,
						   NULL, values, NULL, NULL, 0))
		database_disconnect(self);
	else
	{
		self->asking = true;
		self->patient_until = now + PATIENCE_MS;
		self->ask_at = now + ASK_MS;
		while (PQflush(self->conn) > 0)
			if (!PQconsumeInput(self->conn))
				break;
	}
}

WsDatabase *
ws_database_new(const char *conninfo, const char *slot)
{
	WsDatabase *self = client_alloc(sizeof(WsDatabase));

	self->conninfo = conninfo;
	self->slot = slot;
	self->notices.name = "the page's connection";
	self->fd = -1;
	return self;
}

/* It is to say something, and has not. */
static bool
is_waiting(const WsDatabase *self)
{
	return self->asking || (self->conn && !self->connected);
}

long long
ws_database_work(WsDatabase *self, bool is_watched)
{
	long long now = clock_ms();

	if (!is_watched)
	{
		if (self->conn)
			database_disconnect(self);
		self->ask_at = self->preflight_at = 0;
		return NEVER;
	}
	if (is_waiting(self) && now >= self->patient_until)
	{
		bool is_next =
			!self->connected && pq_pass_over(&self->places, self->conn);

		database_disconnect(self);
		if (is_next)
			self->ask_at = now;
	}
	if (now >= self->ask_at && !self->asking)
	{
		if (self->conn == NULL)
			database_connect(self);
		else if (self->connected)
			ask(self, now);
	}
	return is_waiting(self) ? self->patient_until : self->ask_at;
}

void
ws_database_append(const WsDatabase *self, Bytes *json)
{
	if (self->answer.length > 0)
		mem_format(json, ",\"server\":%s,\"preflight\":%s", self->answer.data,
				   self->preflight.length > 0 ? self->preflight.data : "[]");
}

void
ws_database_free(WsDatabase *self)
{
	database_disconnect(self);
	pq_forget_places(&self->places);
	mem_free(&self->answer);
	mem_free(&self->preflight);
	free(self);
}

#endif /* HAVE_WSLAY */
