/*
 * metrics.c
 *		A small HTTP server: one request a connection, answered at once.
 *
 * Names and units follow Prometheus's conventions; the text is its exposition
 * format 0.0.4.
 */
#include "client/metrics.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/json_scan.h"
#include "client/listen.h"
#include "client/loop.h"

#define MAX_WATCHERS 16
#define WATCHER_MS	 10000

typedef struct Watcher
{
	int		  fd; /* -1: free */
	long long until;
	char	  request[2048];
	size_t	  length;
	Bytes	  answer;
	size_t	  sent;
} Watcher;

static Watcher		   watchers[MAX_WATCHERS];
static const Delivery *watched;
static const Upstream *source;
static long long	   started_us;

static void
drop_watcher(Watcher *watcher)
{
	loop_forget(watcher->fd);
	close(watcher->fd);
	watcher->fd = -1;
	mem_free(&watcher->answer);
}

static void
add_head(Bytes *out, const char *name, const char *type, const char *help)
{
	mem_format(out, "# HELP pg_outflow_%s %s\n# TYPE pg_outflow_%s %s\n", name,
			   help, name, type);
}

static void
add_value(Bytes *out, const char *name, const char *type, const char *help,
		  double value)
{
	add_head(out, name, type, help);
	mem_format(out, "pg_outflow_%s %.17g\n", name, value);
}

/* One value a target, which read gives. */
static void
add_targets(Bytes *out, const char *name, const char *type, const char *help,
			double (*read)(const Target *))
{
	int i;

	add_head(out, name, type, help);
	for (i = 0; i < watched->ntargets; i++)
	{
		mem_format(out, "pg_outflow_%s{target=", name);
		json_append_text(out, watched->targets[i]->name);
		mem_format(out, "} %.17g\n", read(watched->targets[i]));
	}
}

static double
target_records(const Target *target)
{
	return target->counts.records;
}

static double
target_bytes(const Target *target)
{
	return target->counts.bytes;
}

static double
target_requests(const Target *target)
{
	return target->counts.requests;
}

static double
target_rejected_count(const Target *target)
{
	return target->counts.rejected;
}

static double
target_unacknowledged(const Target *target)
{
	return ledger_last(target->ledger) -
		   ledger_prefix(target->ledger, target->number);
}

static double
target_delivered(const Target *target)
{
	return ledger_delivered_lsn(target->ledger, target->number);
}

static double
target_lag_bytes(const Target *target)
{
	return ledger_received_lsn(target->ledger) -
		   ledger_delivered_lsn(target->ledger, target->number);
}

/* Since the commit of the oldest transaction of which it lacks something. */
static double
target_lag(const Target *target)
{
	long long since = ledger_lacks_since(target->ledger, target->number);
	long long lag;

	/* the one that is being received */
	if (since == 0 && target_unacknowledged(target) > 0)
		since = source->intake->committed_us;
	lag = since ? clock_us_of_day() - since : 0;
	return lag > 0 ? lag / 1e6 : 0;
}

static void
add_retries(Bytes *out)
{
	static const char *const reasons[] = {
		[RETRY_CONNECTION] = "connection",
		[RETRY_TIMEOUT] = "timeout",
		[RETRY_THROTTLED] = "throttled",
		[RETRY_ERROR] = "error",
	};
	int i;
	int reason;

	add_head(out, "target_retries_total", "counter",
			 "Attempts that failed and were made again, by reason.");
	for (i = 0; i < watched->ntargets; i++)
		for (reason = 0; reason < RETRY_REASONS; reason++)
		{
			mem_add(out, "pg_outflow_target_retries_total{target=");
			json_append_text(out, watched->targets[i]->name);
			mem_format(out, ",reason=\"%s\"} %llu\n", reasons[reason],
					   (unsigned long long) watched->targets[i]
						   ->counts.retries[reason]);
		}
}

static void
write_metrics(Bytes *out)
{
	const Ledger *ledger = watched->ledger;
	Lsn			  received = ledger_received_lsn(ledger);
	Lsn			  confirmed = ledger_confirmed(ledger);

	add_value(out, "up", "gauge", "1 while the slot is streamed.",
			  source->phase == UPSTREAM_STREAMING);
	add_value(out, "start_time_seconds", "gauge",
			  "When the program started, as Unix time.", started_us / 1e6);
	add_value(out, "received_lsn", "gauge",
			  "Everything that ends before it was received.", received);
	add_value(
		out, "confirmed_lsn", "gauge",
		"Everything that ends before it was acknowledged by all targets.",
		confirmed);
	add_value(out, "unconfirmed_bytes", "gauge",
			  "WAL between the received and the confirmed position.",
			  received - confirmed);
	add_value(out, "receive_lag_seconds", "gauge",
			  "For how long there may be commits that were not received; 0 "
			  "while the server has nothing left to send.",
			  upstream_lag_us(source) / 1e6);
	add_value(out, "received_bytes_total", "counter",
			  "Bytes of records received.", source->intake->bytes);
	add_value(out, "received_transactions_total", "counter",
			  "Transactions begun.", source->intake->transactions);
	add_value(out, "received_records_total", "counter", "Records received.",
			  ledger_last(ledger));
	add_value(out, "reconnects_total", "counter",
			  "Streams that were lost and begun again.", source->reconnects);
	add_value(out, "queue_bytes", "gauge",
			  "Bytes that wait for acknowledgement.", watched->backlog.bytes);
	add_value(out, "queue_limit_bytes", "gauge", "The value of --queue-bytes.",
			  watched->settings->queue_bytes);
	add_targets(out, "target_records_total", "counter",
				"Records delivered to the target.", target_records);
	add_targets(out, "target_bytes_total", "counter",
				"Bytes of records delivered to the target.", target_bytes);
	add_targets(out, "target_requests_total", "counter",
				"Requests, syncs or transactions of the target.",
				target_requests);
	add_retries(out);
	add_targets(out, "target_rejected_total", "counter",
				"Records that the target rejected.", target_rejected_count);
	add_targets(out, "target_unacknowledged_records", "gauge",
				"Records received that the target has not acknowledged.",
				target_unacknowledged);
	add_targets(out, "target_unacknowledged_seconds", "gauge",
				"For how long the oldest of them waits.",
				target_waits_seconds);
	add_targets(out, "target_delivered_lsn", "gauge",
				"The target has everything that ends before it.",
				target_delivered);
	add_targets(out, "target_lag_bytes", "gauge",
				"WAL between the received position and the target's.",
				target_lag_bytes);
	add_targets(out, "target_lag_seconds", "gauge",
				"Age of the oldest commit received that the target lacks.",
				target_lag);
}

/* Healthy is a slot that is streamed; a target that is away has its own figures. */
static bool
write_health(Bytes *out)
{
	bool streaming = source->phase == UPSTREAM_STREAMING;

	mem_format(out, "%s\n", streaming ? "ok" : "not streaming");
	return streaming;
}

static void
answer_request(Watcher *watcher)
{
	Bytes		body = {0};
	const char *status = "200 OK";
	const char *type = "text/plain; charset=utf-8";

	if (strncmp(watcher->request, "GET /metrics ", 13) == 0)
	{
		type = "text/plain; version=0.0.4; charset=utf-8";
		write_metrics(&body);
	}
	else if (strncmp(watcher->request, "GET /healthz ", 13) == 0)
		status = write_health(&body) ? status : "503 Service Unavailable";
	else
	{
		status = "404 Not Found";
		mem_add(&body, "there are /metrics and /healthz\n");
	}
	mem_format(&watcher->answer,
			   "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
			   "Connection: close\r\n\r\n",
			   status, type, body.length);
	mem_append(&watcher->answer, body.data, body.length);
	mem_free(&body);
}

static void
send_answer(Watcher *watcher)
{
	while (watcher->sent < watcher->answer.length)
	{
		ssize_t n = send(watcher->fd, watcher->answer.data + watcher->sent,
						 watcher->answer.length - watcher->sent,
						 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0)
			break;
		watcher->sent += n;
	}
	shutdown(watcher->fd, SHUT_WR);
	drop_watcher(watcher);
}

static void
watcher_ready(int fd, short events, void *argument)
{
	Watcher *watcher = argument;
	ssize_t	 n;

	(void) events;
	if (watcher->answer.length > 0)
	{
		send_answer(watcher);
		return;
	}
	n = recv(fd, watcher->request + watcher->length,
			 sizeof(watcher->request) - 1 - watcher->length, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
	{
		drop_watcher(watcher);
		return;
	}
	watcher->length += n;
	watcher->request[watcher->length] = '\0';
	if (strstr(watcher->request, "\r\n\r\n") ||
		watcher->length == sizeof(watcher->request) - 1)
	{
		answer_request(watcher);
		loop_watch(fd, POLLOUT, watcher_ready, watcher);
	}
}

/* A free place, or that of one who takes too long. */
static Watcher *
free_watcher(void)
{
	long long now = clock_ms();
	int		  i;

	for (i = 0; i < MAX_WATCHERS; i++)
		if (watchers[i].fd >= 0 && watchers[i].until < now)
			drop_watcher(&watchers[i]);
	for (i = 0; i < MAX_WATCHERS; i++)
		if (watchers[i].fd < 0)
			return &watchers[i];
	return NULL;
}

static void
accept_watcher(int fd, short events, void *argument)
{
	int		 client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	Watcher *watcher;

	(void) events;
	(void) argument;
	if (client < 0)
		return;
	watcher = free_watcher();
	if (watcher == NULL)
	{
		close(client);
		return;
	}
	*watcher = (Watcher){.fd = client, .until = clock_ms() + WATCHER_MS};
	loop_watch(client, POLLIN, watcher_ready, watcher);
}

void
metrics_open(const char *address, const Delivery *delivery,
			 const Upstream *upstream)
{
	int i;

	if (address == NULL)
		return;
	watched = delivery;
	source = upstream;
	started_us = clock_us_of_day();
	for (i = 0; i < MAX_WATCHERS; i++)
		watchers[i].fd = -1;
	loop_watch(listen_on(address, MAX_WATCHERS), POLLIN, accept_watcher, NULL);
}
