/*
 * server_call.c
 *		A statement under way: libpq's asynchronous side of it.
 */
#include "client/server_call.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/clock.h"
#include "client/log.h"
#include "client/loop.h"
#include "client/memory.h"
#include "client/pq_error.h"
#include "client/pq_notice.h"
#include "client/pq_place.h"

/* Until it is connected, or is not to be; false if the server said nothing. */
static bool
wait_connecting(PGconn *conn, PqPlaces *places)
{
	PostgresPollingStatusType wanted = PGRES_POLLING_WRITING;

	while (
		PQstatus(conn) != CONNECTION_BAD &&
		(wanted == PGRES_POLLING_READING || wanted == PGRES_POLLING_WRITING))
	{
		long long	  until = pq_patience(places, conn, NEVER);
		long long	  rest = until - clock_ms();
		struct pollfd fd = {
			.fd = PQsocket(conn),
			.events = wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT};
		int ready;

		if (rest <= 0)
			return false;
		ready = poll(&fd, 1, rest > INT_MAX ? -1 : (int) rest);
		if (ready > 0)
			wanted = PQconnectPoll(conn);
		else if (ready < 0 && errno != EINTR)
			client_exit(EXIT_FAILED, "could not wait for the server: %m");
	}
	return true;
}

PGconn *
server_try(const char *conninfo, const char *replication, char **why)
{
	static PqNotices notices;
	PqPlaces		 places = {0};
	PGconn			*conn = NULL;
	bool			 is_answered;

	do
	{
		PQfinish(conn);
		conn = pq_start(&places, conninfo, "pg_outflow", "replication",
						replication);
		pq_log_notices(conn, &notices);
		is_answered = wait_connecting(conn, &places);
	} while (!is_answered && pq_pass_over(&places, conn));
	pq_forget_places(&places);
	if (PQstatus(conn) == CONNECTION_OK)
		return conn;
	*why =
		is_answered ? client_strdup(PQerrorMessage(conn)) : pq_silence(conn);
	(*why)[strcspn(*why, "\n")] = '\0';
	PQfinish(conn);
	return NULL;
}

PGconn *
server_connect(const char *conninfo)
{
	char   *why;
	PGconn *conn = server_try(conninfo, NULL, &why);

	if (conn == NULL)
		client_exit(EXIT_SERVER, "%s", why);
	return conn;
}

static void
call_notice(void *argument, const PGresult *result)
{
	ServerCall *call = argument;
	const char *function = PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION);
	char	   *message;

	/* what the server tells of its progress, we show in our own form */
	if (function && strcmp(function, "tell_progress") == 0)
		return;
	message = pq_result_message(result, false);
	if (call->before_message)
		call->before_message();
	log_message(pq_notice_level(result), "%s", message);
	free(message);
}

static void
call_ready(int fd, short events, void *argument)
{
	(void) fd;
	(void) events;
	((ServerCall *) argument)->ready = true;
}

static void
call_failed(ServerCall *call, const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);

	if (call->error)
		return;
	call->error = pq_result_message(result, true);
	call->is_resumable = hint && strstr(hint, "outflow.resume(");
	snprintf(call->sqlstate, sizeof(call->sqlstate), "%s",
			 sqlstate ? sqlstate : "");
}

void
call_start(ServerCall *call, const char *sql, int count,
		   const char *const *values)
{
	PQsetNoticeReceiver(call->conn, call_notice, call);
	if (!PQsendQueryParams(call->conn, sql, count, NULL, values, NULL, NULL,
						   0))
		client_exit(EXIT_SERVER, "%s", PQerrorMessage(call->conn));
	call->fd = PQsocket(call->conn);
	loop_watch(call->fd, POLLIN, call_ready, call);
}

static void
call_end(ServerCall *call)
{
	loop_forget(call->fd);
	call->ended = true;
	if (call->error)
	{
		PQclear(call->rows);
		call->rows = NULL;
	}
}

/* An error that came before says why. */
static void
call_lost(ServerCall *call)
{
	if (call->error == NULL)
		call->error = client_strdup("the connection to the server was lost");
	snprintf(call->sqlstate, sizeof(call->sqlstate), "08006");
	call_end(call);
}

static void
call_read(ServerCall *call)
{
	bool is_alive = PQconsumeInput(call->conn) == 1;

	while (!PQisBusy(call->conn))
	{
		PGresult *result = PQgetResult(call->conn);

		if (result == NULL)
		{
			if (!is_alive || PQstatus(call->conn) != CONNECTION_OK)
				call_lost(call);
			else
				call_end(call);
			return;
		}
		switch (PQresultStatus(result))
		{
			case PGRES_TUPLES_OK:
			case PGRES_COMMAND_OK:
				PQclear(call->rows);
				call->rows = result;
				break;
			default:
				call_failed(call, result);
				PQclear(result);
				break;
		}
	}
}

static void
call_cancel(ServerCall *call)
{
	PGcancel *cancel = PQgetCancel(call->conn);
	char	  error[256] = "";

	if (call->before_message)
		call->before_message();
	log_message(LOG_INFO, "cancelling; once more leaves at once");
	if (cancel == NULL || !PQcancel(cancel, error, sizeof(error)))
		log_message(LOG_WARNING, "could not cancel: %s", error);
	PQfreeCancel(cancel);
}

void
call_work(ServerCall *call)
{
	int	 wanted = loop_stop_wanted();
	bool is_hung_up = loop_hung_up();

	if (call->ended)
		return;
	if (wanted > call->cancels || is_hung_up)
	{
		if (wanted > 1 || is_hung_up)
		{
			if (call->before_message)
				call->before_message();
			client_exit(EXIT_UNFINISHED,
						"left; the server stops what it does when it notices");
		}
		call->cancels = wanted;
		call_cancel(call);
	}
	if (call->ready)
	{
		call->ready = false;
		call_read(call);
	}
}

void
call_close(ServerCall *call)
{
	PQclear(call->rows);
	free(call->error);
	PQfinish(call->conn);
}
