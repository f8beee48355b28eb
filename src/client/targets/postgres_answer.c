/*
 * postgres_answer.c
 *		What became of what was sent: it is committed, or rolled back without
 *		the record that failed.
 */
#include <stdlib.h>
#include <string.h>

#include "client/dead_letter.h"
#include "client/targets/postgres_target.h"

/* ---- what was sent failed */

bool
postgres_has_failed(const PostgresTarget *self)
{
	return self->failed != 0 && !self->is_undone;
}

void
postgres_failed(PostgresTarget *self, uint64_t number, const char *reason)
{
	if (postgres_has_failed(self))
		return; /* the first one counts */
	free(self->reason);
	self->failed = number;
	self->reason = client_strdup(reason);
	self->is_undone = self->is_told = false;
}

bool
postgres_put_aside(PostgresTarget *self, const Record *record,
				   const char *reason)
{
	size_t n = self->nunsent;

	if (self->base.settings->dead_letter == NULL)
	{
		postgres_failed(self, record->number, reason);
		return false;
	}
	if ((n & (n - 1)) == 0) /* a power of two: no more have room */
		self->unsent = client_realloc(self->unsent,
									  (n ? n * 2 : 1) * sizeof(*self->unsent));
	self->unsent[self->nunsent++] =
		(PostgresUnsent){self->base.cursor, reason};
	return true;
}

/* Where the number is among those rejected, or belongs. */
static size_t
rejected_place(const PostgresTarget *self, uint64_t number)
{
	size_t low = 0;
	size_t high = self->nrejected;

	while (low < high)
	{
		size_t middle = (low + high) / 2;

		if (self->rejected[middle] < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Those up to the number never come again. */
static void
forget_rejected(PostgresTarget *self, uint64_t last)
{
	size_t gone = rejected_place(self, last + 1);

	if (gone == 0)
		return;
	self->nrejected -= gone;
	memmove(self->rejected, self->rejected + gone,
			self->nrejected * sizeof(uint64_t));
}

/* Without a file for it, this ends the program. */
static void
write_letter(PostgresTarget *self, const Record *record, const char *reason)
{
	size_t at = rejected_place(self, record->number);
	size_t n = self->nrejected;

	target_set_aside(&self->base, record, reason);
	if ((n & (n - 1)) == 0)
		self->rejected =
			client_realloc(self->rejected, (n ? n * 2 : 1) * sizeof(uint64_t));
	memmove(self->rejected + at + 1, self->rejected + at,
			(n - at) * sizeof(uint64_t));
	self->rejected[at] = record->number;
	self->nrejected++;
}

/*
 * Only once it is known what becomes of all that was sent before them: letters
 * are in the order of their records.
 */
static void
write_unsent(PostgresTarget *self)
{
	Record record;

	for (size_t i = 0; i < self->nunsent; i++)
		if (backlog_peek(self->base.backlog, &self->unsent[i].at, &record))
			write_letter(self, &record, self->unsent[i].reason);
	self->nunsent = 0;
}

/* Another one is sent for the same records, without those rejected. */
static void
roll_back(PostgresTarget *self)
{
	postgres_send(&self->session,
				  self->released ? "ROLLBACK TO SAVEPOINT outflow"
								 : "ROLLBACK",
				  (PostgresAnswer){.kind = ANSWER_NOTHING});
	postgres_send(&self->session, "DEALLOCATE ALL",
				  (PostgresAnswer){.kind = ANSWER_NOTHING});
	postgres_send_sync(&self->session);
	self->await = AWAIT_ROLLBACK;
}

void
postgres_start_again(PostgresTarget *self)
{
	target_rewind(&self->base, &self->start);
	postgres_apply_reset(&self->apply);
	self->is_open = self->released != 0;
	self->bytes = self->records = 0;
	self->nunsent = 0;
	self->is_undone = true;
	self->await = AWAIT_NOTHING;
}

bool
postgres_is_rejected(PostgresTarget *self, const Record *record)
{
	size_t at;

	if (record->number == self->failed && !self->is_told)
	{
		write_unsent(self);
		write_letter(self, record, self->reason);
		self->is_told = true;
	}
	at = rejected_place(self, record->number);
	return at < self->nrejected && self->rejected[at] == record->number;
}

/* ---- answers */

static void
take_error(PostgresTarget *self, const PostgresAnswer *answer,
		   PGresult *result)
{
	const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
	PostgresFault fault = postgres_fault_of(result);
	char		 *message = client_format(
				"%s%s%s", primary ? primary : PQresultErrorMessage(result),
		detail ? ": " : "", detail ? detail : "");

	if (fault == FAULT_PASSES)
		postgres_session_lost(&self->session, message);
	else if (fault == FAULT_RECORD && answer->number != 0)
		postgres_failed(self, answer->number, message);
	else
		client_exit(EXIT_TARGET, "%s: %s", self->base.name, message);
	free(message);
}

static void
check_rows(PostgresTarget *self, const PostgresAnswer *answer,
		   PGresult *result)
{
	const char *rows = PQcmdTuples(result);

	if (strcmp(rows, "1") == 0)
		return;
	if (answer->kind == ANSWER_POSITION)
		postgres_session_lost(&self->session,
							  "somebody else moved the slot's position");
	else if (strcmp(rows, "0") == 0)
		postgres_failed(self, answer->number, "the target has no such row");
	else
	{
		char *reason =
			client_format("the target has %s rows that it fits", rows);

		postgres_failed(self, answer->number, reason);
		free(reason);
	}
}

static void
committed(PostgresTarget *self)
{
	Target *target = &self->base;

	self->position = self->reaches;
	self->session.attempt = 0;
	self->is_open = false;
	self->released = 0;
	forget_rejected(self, self->last);
	target->counts.requests++;
	target->counts.records += self->records;
	target->counts.bytes += self->bytes;
	self->await = AWAIT_NOTHING;
	target_taken(target, 1, self->last);
}

/*
 * What was sent until here is known to be right: it is never sent again.  What
 * follows needn't wait for the savepoint.  If that fails, the session ends.
 */
static void
checkpoint(PostgresTarget *self)
{
	Target *target = &self->base;

	write_unsent(self);
	if (self->released)
		postgres_send(&self->session, "RELEASE SAVEPOINT outflow",
					  (PostgresAnswer){.kind = ANSWER_NOTHING});
	postgres_send(&self->session, "SAVEPOINT outflow",
				  (PostgresAnswer){.kind = ANSWER_NOTHING});
	self->released = target->place.commit_lsn;
	self->start = target->place;
	self->nrejected = 0;
	target->counts.records += self->records;
	target->counts.bytes += self->bytes;
	self->bytes = self->records = 0;
	self->await = AWAIT_NOTHING;
	target_taken(target, 1, self->last);
}

/* All that was sent has been answered. */
static void
answered(PostgresTarget *self)
{
	if (postgres_has_failed(self) && self->await != AWAIT_ROLLBACK)
	{
		roll_back(self);
		return;
	}
	switch (self->await)
	{
		case AWAIT_PROOF:
			write_unsent(self);
			/* it commits a position after them */
			dead_letter_sync();
			postgres_send(&self->session, "COMMIT",
						  (PostgresAnswer){.kind = ANSWER_COMMIT});
			postgres_send_sync(&self->session);
			self->await = AWAIT_COMMIT;
			break;
		case AWAIT_CHECKPOINT:
			checkpoint(self);
			break;
		case AWAIT_COMMIT:
			committed(self);
			break;
		case AWAIT_ROLLBACK:
			postgres_start_again(self);
			break;
		case AWAIT_NOTHING:
		case AWAIT_TABLE:
		case AWAIT_FAILURE:
			break;
	}
}

static void
judge_answer(PostgresTarget *self, const PostgresAnswer *answer,
			 PGresult *result)
{
	switch (PQresultStatus(result))
	{
		case PGRES_PIPELINE_ABORTED:
			return;
		case PGRES_COMMAND_OK:
		case PGRES_TUPLES_OK:
		case PGRES_PIPELINE_SYNC:
			break;
		default:
			take_error(self, answer, result);
			return;
	}
	switch (answer->kind)
	{
		case ANSWER_CHANGE:
		case ANSWER_POSITION:
			check_rows(self, answer, result);
			break;
		case ANSWER_COLUMNS:
			postgres_table_columns(answer->table, result, self->session.conn);
			break;
		case ANSWER_INDEXES:
			postgres_table_indexes(answer->table, result, self->session.conn);
			if (self->await == AWAIT_TABLE)
				self->await = AWAIT_NOTHING;
			break;
		case ANSWER_SYNC:
			answered(self);
			break;
		case ANSWER_NOTHING:
		case ANSWER_COMMAND:
		case ANSWER_COMMIT:
			break;
	}
}

void
postgres_read_answers(PostgresTarget *self)
{
	PostgresSession *session = &self->session;

	if (!PQconsumeInput(session->conn))
		postgres_session_lost(session, PQerrorMessage(session->conn));
	while (session->phase == SESSION_READY &&
		   session->answered < session->expected.length &&
		   !PQisBusy(session->conn))
	{
		PGresult	  *result = PQgetResult(session->conn);
		PostgresAnswer answer;

		if (result == NULL)
			continue; /* between two answers */
		memcpy(&answer, session->expected.data + session->answered,
			   sizeof(answer));
		session->answered += sizeof(answer);
		if (session->answered == session->expected.length)
		{
			mem_reset(&session->expected);
			session->answered = 0;
		}
		judge_answer(self, &answer, result);
		PQclear(result);
	}
}
