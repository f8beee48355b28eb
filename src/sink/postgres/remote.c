/*
 * remote.c
 *		Commands and COPY over a connection to another PostgreSQL.
 */
#include "postgres.h"

#include <malloc.h>
#include <sys/ioctl.h>

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "sink/postgres/remote.h"
#include "sink/stage.h"

/* What is handed to libpq at once; it holds no more of it than that. */
#define COPY_SLICE (64 * 1024)
/* What a query of ours can return at most as a value. */
#define MAX_VALUE (1024 * 1024)
/* A row in COPY's data: what PostgreSQL allocates at most, and what comes with
 * it. */
#define MAX_ROW (MaxAllocSize + (int64) REMOTE_MAX_ANSWER)

void
remote_wait(Remote *remote, int events)
{
	int happened =
		WaitLatchOrSocket(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | events,
						  PQsocket(remote->conn), -1, PG_WAIT_EXTENSION);

	if (happened & WL_LATCH_SET)
	{
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* 0 where the system doesn't say. */
static int
bytes_to_read(const Remote *remote)
{
	int bytes;

	return ioctl(PQsocket(remote->conn), FIONREAD, &bytes) == 0 ? bytes : 0;
}

/* What the process has allocated by malloc(), as libpq does. */
static int64
allocated(void)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
	struct mallinfo2 info = mallinfo2();

	return (int64) (info.uordblks + info.hblkhd);
#else
	return 0;
#endif
}

void
remote_before_read(Remote *remote)
{
	remote->received += Max(bytes_to_read(remote) - remote->waiting, 0);
	/* libpq doubles what it has */
	if (remote->received <= remote->expected &&
		allocated() - remote->memory <= 3 * remote->expected)
		return;
	remote_close(remote);
	remote_distrusted(remote);
}

void
remote_after_read(Remote *remote)
{
	remote->waiting = bytes_to_read(remote);
}

static void
remote_read(Remote *remote)
{
	remote_before_read(remote);
	if (PQconsumeInput(remote->conn) == 0)
		remote_lost(remote);
	remote_after_read(remote);
}

/* Sends what libpq holds; reads meanwhile, lest both sides wait. */
static void
remote_flush(Remote *remote)
{
	for (;;)
	{
		int left = PQflush(remote->conn);

		if (left == 0)
			return;
		if (left < 0)
			remote_lost(remote);
		remote->memory = allocated();
		remote_wait(remote, WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE);
		remote_read(remote);
	}
}

static PGresult *
next_result(Remote *remote)
{
	remote->memory = allocated();
	while (PQisBusy(remote->conn))
	{
		remote_wait(remote, WL_SOCKET_READABLE);
		remote_read(remote);
	}
	return PQgetResult(remote->conn);
}

static void
forget_result(Remote *remote)
{
	PGnotify *notify;

	/* nobody has asked for any */
	while ((notify = PQnotifies(remote->conn)) != NULL)
		PQfreemem(notify);
	if (remote->result)
		PQclear(remote->result);
	remote->result = NULL;
}

/*
 * Who makes the same waits for the other one, and is told this by its index, or
 * by the look-up before that (42710: a table's row type).
 */
static bool
says_is_there(const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	return state &&
		   (strcmp(state, "42P06") == 0 || strcmp(state, "42P07") == 0 ||
			strcmp(state, "42710") == 0 || strcmp(state, "23505") == 0);
}

/* Keeps the command's only result, once it is complete. */
static void
take_result(Remote *remote, bool may_be_there)
{
	PGresult *more;

	forget_result(remote);
	remote->result = next_result(remote);
	if (remote->result == NULL)
		remote_lost(remote);
	switch (PQresultStatus(remote->result))
	{
		case PGRES_COMMAND_OK:
		case PGRES_TUPLES_OK:
			break;
		case PGRES_COPY_IN:
		case PGRES_COPY_OUT:
			return;
		default:
			if (!may_be_there || !says_is_there(remote->result))
				remote_failed(remote, remote->result);
	}
	while ((more = next_result(remote)) != NULL)
	{
		bool failed = PQresultStatus(more) == PGRES_FATAL_ERROR;

		if (failed)
		{
			forget_result(remote);
			remote->result = more;
			remote_failed(remote, more);
		}
		PQclear(more);
	}
}

static void
do_command(Remote *remote, const char *command, int count,
		   const char *const *values, bool may_be_there)
{
	remote->received = 0;
	remote->expected = REMOTE_MAX_ANSWER;
	if (!PQsendQueryParams(remote->conn, command, count, NULL, values, NULL,
						   NULL, 0))
		remote_lost(remote);
	remote_flush(remote);
	take_result(remote, may_be_there);
}

void
remote_run(Remote *remote, const char *command, int count,
		   const char *const *values)
{
	do_command(remote, command, count, values, false);
}

void
remote_command(Remote *remote, const char *command)
{
	do_command(remote, command, 0, NULL, false);
}

void
remote_create(Remote *remote, const char *command)
{
	do_command(remote, command, 0, NULL, true);
}

uint64
remote_changed(const Remote *remote)
{
	return strtou64(PQcmdTuples(remote->result), NULL, 10);
}

int
remote_rows(const Remote *remote)
{
	return PQntuples(remote->result);
}

void
remote_distrusted(const Remote *remote)
{
	ereport(ERROR, (errcode(ERRCODE_FDW_ERROR),
					errmsg("server \"%s\" answers otherwise than "
						   "PostgreSQL does",
						   remote->name)));
}

static bool
has_value(const Remote *remote, int row, int column)
{
	return row < PQntuples(remote->result) &&
		   column < PQnfields(remote->result) &&
		   !PQgetisnull(remote->result, row, column);
}

char *
remote_value(const Remote *remote, int row, int column)
{
	if (!has_value(remote, row, column) ||
		PQgetlength(remote->result, row, column) > MAX_VALUE)
		remote_distrusted(remote);
	return pstrdup(PQgetvalue(remote->result, row, column));
}

bool
remote_is_true(const Remote *remote, int row, int column)
{
	return has_value(remote, row, column) &&
		   strcmp(remote_value(remote, row, column), "t") == 0;
}

void
remote_commit(Remote *remote)
{
	remote_command(remote, "COMMIT");
	/* of a transaction that had failed, it is a rollback */
	if (strcmp(PQcmdStatus(remote->result), "COMMIT") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_ERROR),
				 errmsg("server \"%s\" has not committed", remote->name)));
}

char *
remote_identifier(Remote *remote, const char *name)
{
	char *quoted = PQescapeIdentifier(remote->conn, name, strlen(name));
	char *copy;

	if (quoted == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_NAME),
						errmsg("name cannot be sent to server \"%s\"",
							   remote->name)));
	copy = MemoryContextAllocExtended(CurrentMemoryContext, strlen(quoted) + 1,
									  MCXT_ALLOC_NO_OOM);
	if (copy)
		memcpy(copy, quoted, strlen(quoted) + 1);
	PQfreemem(quoted);
	if (copy == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	return copy;
}

void
remote_copy_begin(Remote *remote, const char *command)
{
	remote_command(remote, command);
	if (PQresultStatus(remote->result) != PGRES_COPY_IN)
		ereport(ERROR, (errcode(ERRCODE_FDW_ERROR),
						errmsg("server \"%s\" does not begin to copy",
							   remote->name)));
}

/* The remote has ended the COPY by itself: it says why. */
pg_noreturn static void
copy_refused(Remote *remote)
{
	if (PQstatus(remote->conn) == CONNECTION_OK)
		take_result(remote, false);
	remote_lost(remote);
}

void
remote_copy_data(Remote *remote, const char *data, size_t len)
{
	while (len > 0)
	{
		int slice = (int) Min(len, COPY_SLICE);

		if (PQputCopyData(remote->conn, data, slice) != 1)
			copy_refused(remote);
		remote_flush(remote);
		CHECK_FOR_INTERRUPTS();
		data += slice;
		len -= slice;
	}
}

uint64
remote_copy_end(Remote *remote)
{
	if (PQputCopyEnd(remote->conn, NULL) != 1)
		copy_refused(remote);
	remote_flush(remote);
	take_result(remote, false);
	return remote_changed(remote);
}

/* A message of COPY's data, to be freed; NULL after the last one. */
static char *
next_data(Remote *remote, int *len)
{
	char *data = NULL;

	remote->memory = allocated();
	while ((*len = PQgetCopyData(remote->conn, &data, 1)) == 0)
	{
		remote_wait(remote, WL_SOCKET_READABLE);
		remote_read(remote);
	}
	return *len > 0 ? data : NULL;
}

void
remote_copy_out(Remote *remote, const char *command,
				void (*take)(void *argument, const char *data, size_t len),
				void *argument)
{
	char *data;
	int	  len;

	remote_command(remote, command);
	if (PQresultStatus(remote->result) != PGRES_COPY_OUT)
		remote_distrusted(remote);
	remote->expected = MAX_ROW;
	while ((data = next_data(remote, &len)) != NULL)
	{
		take(argument, data, len);
		PQfreemem(data);
		remote->received = 0;
		CHECK_FOR_INTERRUPTS();
	}
	if (len == -2)
		remote_lost(remote);
	take_result(remote, false);
}
