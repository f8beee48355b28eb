/*
 * postgres_session.c
 *		Connecting to the PostgreSQL that changes are applied to.
 */
#include "client/targets/postgres_session.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "client/clock.h"
#include "client/loop.h"
#include "client/pq_connect.h"
#include "client/pq_error.h"
#include "client/target.h"

#define CONNECT_MS 30000 /* for the connection and each question */

/* All hosts of a list are this machine. */
static bool
hosts_are_local(const char *hosts)
{
	static const char local[] = ",localhost,127.0.0.1,::1,";
	const char		 *p = hosts;

	for (;;)
	{
		size_t length = strcspn(p, ",");
		char  *host = client_format(",%.*s,", (int) length, p);
		bool   is_local =
			length == 0 || *p == '/' || *p == '@' || strstr(local, host);

		free(host);
		if (!is_local)
			return false;
		if (p[length] == '\0')
			return true;
		p += length + 1;
	}
}

/*
 * Changes go to other machines only over TLS and to whom the certificate names,
 * unless the user says otherwise.  What a service's file says can't be seen.
 */
static const char *
session_sslmode(const Url *url)
{
	PQconninfoOption *given = PQconninfoParse(url->text, NULL);
	PQconninfoOption *defaults = PQconndefaults();
	const char		 *host = pq_conninfo_value(given, "hostaddr");
	bool			  chosen;
	bool			  is_local;

	if (host == NULL)
		host = pq_conninfo_value(given, "host");
	if (host == NULL)
		host = pq_conninfo_value(defaults, "hostaddr");
	if (host == NULL)
		host = pq_conninfo_value(defaults, "host");
	is_local = !pq_conninfo_value(given, "service") && !getenv("PGSERVICE") &&
			   (host == NULL || hosts_are_local(host));
	chosen = pq_conninfo_value(given, "sslmode") || getenv("PGSSLMODE");
	PQconninfoFree(given);
	PQconninfoFree(defaults);
	return chosen || is_local ? NULL : "verify-full";
}

void
postgres_session_open(PostgresSession *session, const Url *url)
{
	char *what = client_format("a %s: URL of --to", url->scheme);

	pq_check_conninfo(url->text, what);
	free(what);
	session->url = url;
	session->name = session->notices.name = url->display;
	session->fd = -1;
}

static void
session_ready(int fd, short events, void *argument)
{
	PostgresSession *session = argument;

	(void) fd;
	(void) events;
	session->ready = true;
}

static void
session_watch(PostgresSession *session, short events)
{
	int fd = PQsocket(session->conn);

	if (session->fd >= 0 && session->fd != fd)
		loop_forget(session->fd);
	session->fd = fd;
	if (fd >= 0)
		loop_watch(fd, events, session_ready, session);
}

void
postgres_session_close(PostgresSession *session)
{
	if (session->fd >= 0)
		loop_forget(session->fd);
	session->fd = -1;
	PQfinish(session->conn);
	session->conn = NULL;
	mem_free(&session->expected);
	session->answered = 0;
	session->phase = SESSION_DOWN;
	session->retry_at = NEVER;
}

void
postgres_session_lost(PostgresSession *session, const char *why)
{
	char	 *message = pq_message(why);
	long long pause = target_backoff(++session->attempt);

	if (session->is_probe)
		client_exit(EXIT_TARGET, "%s", message);
	session->losses++;
	log_limited(&session->limit, LOG_WARNING, "%s: %s; trying again",
				session->name, message);
	free(message);
	postgres_session_close(session);
	session->retry_at = clock_ms() + pause;
}

/* Ends the program if time can't mend it. */
static void
session_refused(PostgresSession *session, PostgresFault fault,
				const char *sqlstate, const char *message)
{
	const char *hint = "";

	if (strcmp(sqlstate, "42501") == 0 && session->phase == SESSION_PREPARING)
		hint = session->step == 0
				   ? ". Changes are applied as by a replica: GRANT SET ON "
					 "PARAMETER session_replication_role TO the role"
				   : ". The role needs CREATE on the database, or a schema "
					 "outflow_client of its own";
	if (fault != FAULT_PASSES)
		client_exit(EXIT_TARGET, "%s: %s%s", session->name, message, hint);
	postgres_session_lost(session, message);
}

static void
session_connect_failed(PostgresSession *session)
{
	char *message = pq_message(PQerrorMessage(session->conn));
	char  sqlstate[6];

	pq_forget_places(&session->places);
	pq_find_sqlstate(message, sqlstate);
	if (PQconnectionNeedsPassword(session->conn))
		client_exit(EXIT_TARGET, "%s: %s", session->name, message);
	session_refused(session, postgres_fault(sqlstate[0] ? sqlstate : "08006"),
					sqlstate, message);
	free(message);
}

static void
session_connect(PostgresSession *session)
{
	session->conn =
		pq_start(&session->places, session->url->text, "pg_outflow", "sslmode",
				 session_sslmode(session->url));
	pq_log_notices(session->conn, &session->notices);
	/* an error then tells its SQLSTATE, even of the connection itself */
	PQsetErrorVerbosity(session->conn, PQERRORS_VERBOSE);
	session->phase = SESSION_CONNECTING;
	session->retry_at =
		pq_patience(&session->places, session->conn, CONNECT_MS);
	if (PQstatus(session->conn) != CONNECTION_BAD)
		session_watch(session, POLLOUT);
}

static void
session_ask_next(PostgresSession *session)
{
	Bytes question = {0};

	session->retry_at = clock_ms() + CONNECT_MS;
	if (postgres_ask(session, &question))
	{
		if (PQsendQuery(session->conn, question.data))
			session_watch(session, POLLIN);
		else
			postgres_session_lost(session, PQerrorMessage(session->conn));
	}
	else if (PQsetnonblocking(session->conn, 1) != 0 ||
			 !PQenterPipelineMode(session->conn))
		postgres_session_lost(session, PQerrorMessage(session->conn));
	else
	{
		session->phase = SESSION_READY;
		session->retry_at = NEVER;
	}
	mem_free(&question);
}

static void
session_go_on_connecting(PostgresSession *session)
{
	switch (PQconnectPoll(session->conn))
	{
		case PGRES_POLLING_READING:
			session_watch(session, POLLIN);
			break;
		case PGRES_POLLING_WRITING:
			session_watch(session, POLLOUT);
			break;
		case PGRES_POLLING_OK:
			pq_forget_places(&session->places);
			PQsetErrorVerbosity(session->conn, PQERRORS_DEFAULT);
			session->phase = SESSION_PREPARING;
			session->step = 0;
			session_ask_next(session);
			return;
		default:
			session_connect_failed(session);
			return;
	}
	session->retry_at =
		pq_patience(&session->places, session->conn, CONNECT_MS);
}

static void
session_stop_waiting(PostgresSession *session)
{
	if (pq_pass_over(&session->places, session->conn))
	{
		postgres_session_close(session);
		session_connect(session);
	}
	else
		postgres_session_lost(session, "the server doesn't answer");
}

static void
session_take_answer(PostgresSession *session, PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);
	char		  *message;
	const char	  *sqlstate;

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
	{
		postgres_answer(session, result);
		return;
	}
	sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	message = pq_message(PQresultErrorMessage(result));
	if (sqlstate && postgres_goes_on_after(session, sqlstate))
		log_message(LOG_INFO,
					"%s: %s; outflow_client.position gets no timeline for now",
					session->name, message);
	else
		session_refused(session, postgres_fault_of(result),
						sqlstate ? sqlstate : "", message);
	free(message);
}

static void
session_go_on_preparing(PostgresSession *session)
{
	if (!PQconsumeInput(session->conn))
	{
		postgres_session_lost(session, PQerrorMessage(session->conn));
		return;
	}
	while (session->phase == SESSION_PREPARING && !PQisBusy(session->conn))
	{
		PGresult *result = PQgetResult(session->conn);

		if (result == NULL && session->is_taken)
		{
			session->is_taken = false;
			postgres_session_lost(
				session, "another session applies this slot's changes");
			return;
		}
		if (result == NULL)
		{
			session->step++;
			session_ask_next(session);
			return;
		}
		session_take_answer(session, result);
		PQclear(result);
	}
}

void
postgres_session_work(PostgresSession *session)
{
	bool late = clock_ms() >= session->retry_at;

	if (session->phase == SESSION_DOWN && late)
		session_connect(session);
	else if (session->phase == SESSION_CONNECTING)
	{
		if (PQstatus(session->conn) == CONNECTION_BAD)
			session_connect_failed(session);
		else if (late)
			session_stop_waiting(session);
		else if (session->ready)
			session_go_on_connecting(session);
	}
	else if (session->phase == SESSION_PREPARING && late)
		postgres_session_lost(session, "the server doesn't answer");
	else if (session->phase == SESSION_PREPARING)
		session_go_on_preparing(session);
	session->ready = false;
}

bool
postgres_session_flush(PostgresSession *session)
{
	int left = PQflush(session->conn);

	if (left < 0)
	{
		postgres_session_lost(session, PQerrorMessage(session->conn));
		return false;
	}
	session_watch(session, left ? POLLIN | POLLOUT : POLLIN);
	return true;
}

/* ---- the pipeline */

void
postgres_expect(PostgresSession *session, int sent, PostgresAnswer answer)
{
	if (sent)
		mem_append(&session->expected, &answer, sizeof(answer));
	else if (PQstatus(session->conn) == CONNECTION_OK)
		client_exit(EXIT_FAILED, "%s: %s", session->name,
					PQerrorMessage(session->conn));
}

void
postgres_send(PostgresSession *session, const char *sql, PostgresAnswer answer)
{
	postgres_expect(
		session,
		PQsendQueryParams(session->conn, sql, 0, NULL, NULL, NULL, NULL, 0),
		answer);
}

void
postgres_send_sync(PostgresSession *session)
{
	postgres_expect(session, PQpipelineSync(session->conn),
					(PostgresAnswer){.kind = ANSWER_SYNC});
}
