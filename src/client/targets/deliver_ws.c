/*
 * deliver_ws.c
 *		ws://HOST:PORT: a WebSocket server for browsers, with a page.
 *
 * A transaction is acknowledged once the spool has it, on disk; whoever reads
 * it from there, and how slowly, never holds the slot.
 */
#ifdef HAVE_WSLAY

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/json_scan.h"
#include "client/listen.h"
#include "client/loop.h"
#include "client/memory.h"
#include "client/targets/targets.h"
#include "client/targets/ws_database.h"
#include "client/targets/ws_server.h"

#define LINGER_MS	  200
#define WRITE_AT_ONCE 65536
#define WORK_AT_ONCE  (4 * 1024 * 1024) /* then clients get a turn */
#define GOING_AWAY	  1001

typedef struct WsClient
{
	WsSession *session;
	int		   fd;
	short	   events; /* that are watched */
} WsClient;

typedef struct WsTarget
{
	Target		base;
	WsServer	server;
	int			fd; /* listens */
	WsClient	clients[WS_MAX_CLIENTS];
	int			nclients;
	int			most_clients;
	WsDatabase *database; /* for the page */

	Bytes	  lines; /* of the transaction under way, not yet written */
	uint64_t  last;	 /* number of the last record taken; 0: all synced */
	bool	  ended; /* a transaction since the last sync */
	long long sync_at;
} WsTarget;

static void
client_ready(int fd, short events, void *argument)
{
	(void) fd;
	if (events & (POLLIN | POLLHUP | POLLERR))
		ws_session_read(argument);
}

static void
accept_client(int fd, short events, void *argument)
{
	WsTarget *self = argument;
	int		  client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	WsClient *place = &self->clients[self->nclients];

	(void) events;
	if (client < 0)
		return;
	if (self->nclients == self->most_clients)
	{
		log_limited(&self->base.limit, LOG_WARNING,
					"%s: there are %d clients, and no more are served",
					self->base.name, self->most_clients);
		close(client);
		return;
	}
	self->nclients++;
	*place = (WsClient){ws_session_new(&self->server, client), client, POLLIN};
	loop_watch(client, POLLIN, client_ready, place->session);
}

static void
drop_client(WsTarget *self, int i, int code, const char *reason)
{
	loop_forget(self->clients[i].fd);
	ws_session_free(self->clients[i].session, code, reason);
	self->clients[i] = self->clients[--self->nclients];
}

/* Every client gets what it may; returns when the first wants a turn again. */
static long long
work_clients(WsTarget *self)
{
	long long now = clock_ms();
	long long wake_at;
	bool	  is_watched = false;
	int		  i;

	for (i = 0; i < self->nclients; i++)
		is_watched |= ws_session_watches(self->clients[i].session);
	wake_at = ws_database_work(self->database, is_watched);
	i = 0;

	while (i < self->nclients)
	{
		WsClient *client = &self->clients[i];
		short	  events;
		long long at;

		ws_session_work(client->session, now);
		events = ws_session_events(client->session);
		if (events == 0)
		{
			drop_client(self, i, 0, NULL);
			continue;
		}
		if (events != client->events)
			loop_watch(client->fd, events, client_ready, client->session);
		client->events = events;
		at = ws_session_wake_at(client->session);
		if (at < wake_at)
			wake_at = at;
		i++;
	}
	return wake_at;
}

/* The target's own figures, and those of the database. */
static void
append_status(void *argument, Bytes *json)
{
	const WsTarget *self = argument;
	const Target   *target = &self->base;
	Lsn				received = ledger_received_lsn(target->ledger);
	Lsn				confirmed = ledger_confirmed(target->ledger);

	mem_add(json, "{\"type\":\"status\",\"slot\":");
	json_append_text(json, self->server.slot);
	mem_format(json,
			   ",\"received\":\"" LSN_FORMAT "\",\"confirmed\":\"" LSN_FORMAT
			   "\",\"oldest\":\"" LSN_FORMAT "\",\"head\":\"" LSN_FORMAT "\"",
			   LSN_ARGS(received), LSN_ARGS(confirmed),
			   LSN_ARGS(spool_oldest(self->server.spool)),
			   LSN_ARGS(spool_head(self->server.spool)));
	mem_format(json,
			   ",\"unconfirmed_bytes\":%llu,\"waiting_seconds\":%.3f,"
			   "\"records\":%llu,\"bytes\":%llu,\"clients\":%d",
			   (unsigned long long) (received - confirmed),
			   target_waits_seconds(target),
			   (unsigned long long) target->counts.records,
			   (unsigned long long) target->counts.bytes, self->nclients);
	ws_database_append(self->database, json);
	mem_add(json, "}");
}

static Target *
ws_open(const Url *url, const Settings *settings)
{
	WsTarget *self = client_alloc(sizeof(WsTarget));
	char	 *path;

	ws_check_arguments(url, settings, &self->server);
	self->server.origins = settings->ws_origin;
	self->server.slot = settings->slot;
	self->server.status = append_status;
	self->server.argument = self;
	path = client_format("%s/.%s.state", settings->ws_spool, settings->slot);
	self->base.state = state_open(path);
	free(path);
	self->database = ws_database_new(settings->conninfo, settings->slot);
	self->most_clients = ws_most_clients();
	self->fd = listen_on(url->host, 128);
	self->sync_at = NEVER;
	return &self->base;
}

static void
ws_resume(Target *target, const Identity *identity)
{
	WsTarget *self = (WsTarget *) target;

	target->state->state.identity = *identity;
	self->server.epoch = client_format("%s:%u:%s", identity->system_id,
									   identity->timeline, identity->slot);
	self->server.spool =
		spool_open(target->settings->ws_spool,
				   target->settings->ws_spool_bytes, target->state);
	target->position = target->state->state.position;
	/* until now nothing could be promised */
	loop_watch(self->fd, POLLIN, accept_client, self);
}

static void
write_lines(WsTarget *self)
{
	if (self->lines.length > 0)
		spool_append(self->server.spool, self->lines.data, self->lines.length);
	mem_reset(&self->lines);
}

static void
spool_record(WsTarget *self, const Record *record)
{
	if (record->wanted)
	{
		mem_append(&self->lines, record->data, record->length);
		self->base.counts.records++;
		self->base.counts.bytes += record->length;
	}
	if (self->lines.length >= WRITE_AT_ONCE)
		write_lines(self);
	if (record->complete)
	{
		write_lines(self);
		spool_end_transaction(self->server.spool, record->lsn);
		self->ended = true;
	}
	self->last = record->number;
}

static void
ws_sync(WsTarget *self)
{
	uint64_t last = self->last;

	write_lines(self);
	if (self->ended)
		spool_sync(self->server.spool);
	self->ended = false;
	self->last = 0;
	self->sync_at = NEVER;
	self->base.counts.requests++;
	target_taken(&self->base, 1, last);
}

static void
ws_work(Target *target)
{
	WsTarget *self = (WsTarget *) target;
	size_t	  bytes = 0;
	Record	  record;

	if (self->server.spool == NULL)
		return;
	while (bytes < WORK_AT_ONCE && target_next(target, &record))
	{
		spool_record(self, &record);
		bytes += record.length;
		if (self->sync_at == NEVER)
			self->sync_at = clock_ms() + target_linger(target, LINGER_MS);
	}
	target->wake_at = work_clients(self);
	if (self->last > 0 && (target->draining || bytes >= WORK_AT_ONCE ||
						   clock_ms() >= self->sync_at))
		ws_sync(self);
	if (self->sync_at < target->wake_at)
		target->wake_at = self->sync_at;
	if (bytes >= WORK_AT_ONCE)
		target->wake_at = 0;
}

static void
ws_remember(Target *target, Lsn confirmed)
{
	WsTarget *self = (WsTarget *) target;

	spool_begin_at(self->server.spool, confirmed);
	if (confirmed > target->state->state.confirmed)
		target->state->state.confirmed = confirmed;
	state_write(target->state);
}

static void
ws_close(Target *target)
{
	WsTarget *self = (WsTarget *) target;

	if (self->last > 0)
		ws_sync(self);
	work_clients(self);
	while (self->nclients > 0)
		drop_client(self, 0, GOING_AWAY, "pg_outflow is stopping");
	close(self->fd);
	ws_database_free(self->database);
	if (self->server.spool)
		spool_close(self->server.spool);
	state_close(target->state);
}

/* Its own side only: a spool that can be written to, a port that is free. */
static bool
ws_probe(const Url *url, const Settings *settings, char **why)
{
	WsServer server = {0};

	ws_check_arguments(url, settings, &server);
	if (access(settings->ws_spool, W_OK | X_OK) != 0)
		*why = client_format("cannot write to directory \"%s\": %s",
							 settings->ws_spool, strerror(errno));
	else
		close(listen_on(url->host, 1));
	return *why == NULL;
}

const TargetOps ws_target = {
	.open = ws_open,
	.resume = ws_resume,
	.work = ws_work,
	.remember = ws_remember,
	.close = ws_close,
	.probe = ws_probe,
};

#endif /* HAVE_WSLAY */
