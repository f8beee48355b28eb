/*
 * server_call.c
 *		A statement under way: libpq's asynchronous side of it.
 */
#include "client/server_call.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/log.h"
#include "client/loop.h"
#include "client/memory.h"
#include "client/pq_connect.h"

PGconn *
server_try(const char *conninfo, const char *replication, char **why)
{
	const char *keys[] = {
		PQ_PROBE_KEYS,	   "dbname",	  "fallback_application_name",
		"client_encoding", "replication", NULL};
	const char *values[] = {PQ_PROBE_VALUES, conninfo,	  "pg_outflow",
							"UTF8",			 replication, NULL};
	PGconn	   *conn = PQconnectdbParams(keys, values, 1);

	if (PQstatus(conn) == CONNECTION_OK)
		return conn;
	*why = client_strdup(PQerrorMessage(conn));
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

/* What a notice or an error says, all of it. */
static char *
result_message(const PGresult *result)
{
	static const struct
	{
		int			code;
		const char *label;
	} fields[] = {
		{PG_DIAG_MESSAGE_PRIMARY, ""},
		{PG_DIAG_MESSAGE_DETAIL, "\nDETAIL:  "},
		{PG_DIAG_MESSAGE_HINT, "\nHINT:  "},
		{PG_DIAG_CONTEXT, "\nCONTEXT:  "},
	};
	Bytes  message = {0};
	size_t i;

	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
	{
		const char *text = PQresultErrorField(result, fields[i].code);

		if (text)
			mem_format(&message, "%s%s", fields[i].label, text);
	}
	/* libpq's own have no fields */
	if (message.length == 0)
	{
		mem_add(&message, PQresultErrorMessage(result));
		while (message.length > 0 && message.data[message.length - 1] == '\n')
			message.data[--message.length] = '\0';
	}
	return message.data;
}

static void
call_notice(void *argument, const PGresult *result)
{
	ServerCall *call = argument;
	const char *severity =
		PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *function = PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION);
	char	   *message;

	/* what the server tells of its progress, we show in our own form */
	if (function && strcmp(function, "tell_progress") == 0)
		return;
	message = result_message(result);
	if (call->before_message)
		call->before_message();
	log_message(severity && strcmp(severity, "WARNING") == 0 ? LOG_WARNING
															 : LOG_INFO,
				"%s", message);
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
	call->error = result_message(result);
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
