/*
 * progress.c
 *		Asks outflow.jobs once a second.
 *
 * The job's number comes by NOTIFY: each new state of a job is announced on the
 * channel "outflow", and the first one by the process that makes it.  While the
 * server's queue of these is nearly full, the job is known by its destination,
 * where it is the only unfinished one, and its time.
 */
#include "client/progress.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/clock.h"
#include "client/json_scan.h"
#include "client/log.h"
#include "client/loop.h"
#include "client/server_call.h"

#define ASK_MS 1000

/* Workers say whose they are in pg_stat_activity. */
static const char question[] =
	"SELECT j.state, j.parts_done, j.parts_total, j.rows, j.bytes, j.rate,"
	" pg_catalog.date_part('epoch', j.eta)::bigint, j.waiting_for,"
	" (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity AS a"
	" WHERE a.backend_type OPERATOR(pg_catalog.=) 'outflow worker'"
	" AND pg_catalog.starts_with(a.query, pg_catalog.format("
	"'outflow job %s worker ', j.job)))"
	" FROM outflow.jobs AS j WHERE j.job OPERATOR(pg_catalog.=) $1::bigint";

static const char number_question[] =
	"SELECT j.job FROM outflow.jobs AS j, pg_catalog.pg_stat_activity AS a"
	" WHERE a.pid OPERATOR(pg_catalog.=) $2::int"
	" AND j.destination OPERATOR(pg_catalog.=) $1"
	" AND j.state OPERATOR(pg_catalog.=) 'running'"
	" AND j.started OPERATOR(pg_catalog.>=) a.query_start";

static void
progress_ready(int fd, short events, void *argument)
{
	(void) fd;
	(void) events;
	((Progress *) argument)->ready = true;
}

void
progress_close(Progress *progress)
{
	if (progress->conn == NULL)
		return;
	loop_forget(progress->fd);
	PQfinish(progress->conn);
	progress->conn = NULL;
}

void
progress_open(Progress *progress, const char *conninfo, int backend,
			  const char *destination, long long job)
{
	char *why = NULL;

	memset(progress, 0, sizeof(*progress));
	progress->backend = backend;
	progress->destination = destination;
	progress->status.job = job;
	if (job == 0)
		progress->next_at = clock_ms() + ASK_MS;
	progress->conn = server_try(conninfo, NULL, &why);
	if (progress->conn == NULL)
	{
		log_message(LOG_WARNING, "progress is not shown: %s", why);
		free(why);
		return;
	}
	PQclear(PQexec(progress->conn, "LISTEN outflow"));
	progress->fd = PQsocket(progress->conn);
	loop_watch(progress->fd, POLLIN, progress_ready, progress);
}

static void
progress_hear(Progress *progress)
{
	PGnotify *notice;

	while ((notice = PQnotifies(progress->conn)) != NULL)
	{
		/* one that was in its way may have come first */
		if (notice->be_pid == progress->backend &&
			strcmp(notice->relname, "outflow") == 0 &&
			strstr(notice->extra, "\"queued\"") &&
			json_find_number(notice->extra, strlen(notice->extra), "job",
							 &progress->status.job))
			progress->next_at = 0;
		PQfreemem(notice);
	}
}

static long long
number_field(const PGresult *result, int column, long long otherwise)
{
	return PQgetisnull(result, 0, column)
			   ? otherwise
			   : atoll(PQgetvalue(result, 0, column));
}

/* False if it is no answer. */
static bool
progress_take(JobStatus *status, const PGresult *result)
{
	if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
		return false;
	snprintf(status->state, sizeof(status->state), "%s",
			 PQgetvalue(result, 0, 0));
	status->parts_done = number_field(result, 1, 0);
	status->parts_total = number_field(result, 2, 0);
	status->rows = number_field(result, 3, 0);
	status->bytes = number_field(result, 4, 0);
	status->rate = number_field(result, 5, -1);
	status->eta = number_field(result, 6, -1);
	snprintf(status->waiting_for, sizeof(status->waiting_for), "%s",
			 PQgetvalue(result, 0, 7));
	status->workers = number_field(result, 8, 0);
	return true;
}

static void
progress_take_number(Progress *progress, const PGresult *result)
{
	if (progress->status.job != 0 || PQntuples(result) != 1)
		return;
	progress->status.job = atoll(PQgetvalue(result, 0, 0));
	progress->next_at = 0;
}

static bool
progress_read(Progress *progress)
{
	bool is_news = false;

	if (!PQconsumeInput(progress->conn))
	{
		progress_close(progress);
		return false;
	}
	progress_hear(progress);
	while (progress->asked && !PQisBusy(progress->conn))
	{
		PGresult *result = PQgetResult(progress->conn);

		if (result == NULL)
			progress->asked = false;
		else if (PQnfields(result) == 1)
			progress_take_number(progress, result);
		else
			is_news |= progress_take(&progress->status, result);
		PQclear(result);
	}
	progress_hear(progress);
	return is_news;
}

static void
progress_ask(Progress *progress)
{
	const JobStatus *status = &progress->status;
	char			 number[32];
	char			 backend[32];
	const char		*job_values[] = {number};
	const char		*number_values[] = {progress->destination, backend};

	snprintf(number, sizeof(number), "%lld", status->job);
	snprintf(backend, sizeof(backend), "%d", progress->backend);
	if (status->job != 0)
		progress->asked = PQsendQueryParams(progress->conn, question, 1, NULL,
											job_values, NULL, NULL, 0);
	else
		progress->asked =
			PQsendQueryParams(progress->conn, number_question, 2, NULL,
							  number_values, NULL, NULL, 0);
	progress->next_at = clock_ms() + ASK_MS;
}

bool
progress_work(Progress *progress)
{
	bool is_news = false;

	if (progress->conn && progress->ready)
	{
		progress->ready = false;
		is_news = progress_read(progress);
	}
	if (progress->conn && !progress->asked && clock_ms() >= progress->next_at)
		progress_ask(progress);
	return is_news;
}

long long
progress_wake_at(const Progress *progress)
{
	return progress->conn && !progress->asked ? progress->next_at : NEVER;
}

bool
progress_final(Progress *progress, PGconn *conn)
{
	char		number[32];
	const char *values[] = {number};
	PGresult   *result;
	bool		is_known;

	if (progress->conn)
		(void) progress_read(progress);
	if (progress->status.job == 0 || PQstatus(conn) != CONNECTION_OK)
		return false;
	snprintf(number, sizeof(number), "%lld", progress->status.job);
	result = PQexecParams(conn, question, 1, NULL, values, NULL, NULL, 0);
	is_known = progress_take(&progress->status, result);
	PQclear(result);
	return is_known;
}
