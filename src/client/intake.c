/*
 * intake.c
 *		Takes messages apart, and finds where transactions end.
 */
#include "client/intake.h"

#include <stdlib.h>
#include <string.h>

#include "client/log.h"

/* The connection was lost amid a transaction that has not begun again. */
static bool
is_cut_off(const Intake *intake)
{
	return !intake->in_transaction && intake->nrecords > 0;
}

bool
intake_is_amid(const Intake *intake)
{
	return intake->in_transaction || is_cut_off(intake);
}

/*
 * The first record after a lost connection must be where the cut-off
 * transaction begins.  Everything else would leave a hole or a doubled row.
 */
static void
check_again(Intake *intake, FrameKind kind, Lsn lsn)
{
	if (kind != FRAME_BEGIN || lsn != intake->commit_lsn)
		client_exit(EXIT_IDENTITY,
					"the server doesn't repeat the transaction that commits "
					"at " LSN_FORMAT
					" and was cut off: its history is another one",
					LSN_ARGS(intake->commit_lsn));
	intake->to_skip = intake->nrecords;
	intake->nrecords = 0;
	intake->in_transaction = true;
}

/* A server that is past its commit has left it out. */
static void
check_keepalive(const Intake *intake, Lsn lsn)
{
	if (lsn > intake->commit_lsn)
		client_exit(EXIT_IDENTITY,
					"the server doesn't repeat the transaction that commits "
					"at " LSN_FORMAT " and was cut off: it is at " LSN_FORMAT
					" already. What is streamed of it has changed: the next "
					"start takes all of it as it is now",
					LSN_ARGS(intake->commit_lsn), LSN_ARGS(lsn));
}

/* A new text; NULL for what begins or ends a transaction. */
static char *
change_id(const Intake *intake, const Record *record)
{
	return record->kind == FRAME_CHANGE
			   ? intake->format->id(record->data, record->length - 1)
			   : NULL;
}

/*
 * Records are counted and no id is there twice: what has come or gone among them
 * has moved the last one.  The end has never come before.
 */
static void
check_repeated(const Intake *intake, const Record *record)
{
	const char *was = intake->last_id ? intake->last_id : "its beginning";
	char	   *id = change_id(intake, record);
	const char *is = id ? id : record->kind == FRAME_COMMIT ? "its end" : was;

	if (record->kind == FRAME_COMMIT ||
		(intake->to_skip == 0 && strcmp(is, was) != 0))
		client_exit(
			EXIT_IDENTITY,
			"the server doesn't repeat the transaction that commits "
			"at " LSN_FORMAT
			" and was cut off: record %llu of it is %s, and the "
			"last of %llu was %s. What is streamed of it has changed: the "
			"next start takes all of it as it is now",
			LSN_ARGS(intake->commit_lsn),
			(unsigned long long) intake->nrecords, is,
			(unsigned long long) (intake->nrecords + intake->to_skip), was);
	free(id);
}

/* Was it received before?  Counts what comes. */
static bool
is_repeated(Intake *intake, const Record *record)
{
	if (record->kind == FRAME_SCHEMA)
		return intake->to_skip > 0;
	intake->nrecords++;
	if (intake->to_skip == 0)
		return false;
	intake->to_skip--;
	check_repeated(intake, record);
	return true;
}

static void
begin_transaction(Intake *intake, const Record *record)
{
	if (record->lsn == 0 || intake->in_transaction)
		client_exit(EXIT_FAILED, "unexpected record: %.*s",
					(int) (record->length < 200 ? record->length : 200),
					record->data);
	intake->in_transaction = true;
	intake->commit_lsn = record->lsn;
	intake->nrecords = 0;
	intake->transactions++;
	if (intake->endpos != 0 && record->lsn >= intake->endpos)
		intake->ended = true;
}

static void
read_begin(Intake *intake, Record *record)
{
	const FrameFormat *format = intake->format;
	long long		   committed_us =
		format->committed_us(record->data, record->length - 1);

	record->lsn = format->commit_lsn(record->data, record->length - 1);
	if (committed_us > 0)
		intake->committed_us = committed_us;
}

/* One record; lsn is that of the message if the record is its last, else 0. */
static void
take_record(Intake *intake, Record *record, Lsn lsn)
{
	bool cut_off = is_cut_off(intake);

	record->kind =
		frame_kind(intake->format, record->data, record->length - 1);
	record->wanted = intake->deliver_framing || record->kind == FRAME_CHANGE ||
					 record->kind == FRAME_SCHEMA;
	if (record->kind == FRAME_BEGIN)
		read_begin(intake, record);
	if (cut_off)
		check_again(intake, record->kind, record->lsn);
	else if (record->kind == FRAME_BEGIN)
		begin_transaction(intake, record);
	if (intake->ended)
		return;
	if (intake->in_transaction && is_repeated(intake, record))
		return;
	record->complete =
		record->kind == FRAME_COMMIT ||
		(!intake->in_transaction && record->kind == FRAME_CHANGE);
	if (record->complete)
	{
		if (lsn == 0)
			client_exit(EXIT_FAILED, "a transaction ends within a message");
		record->lsn = lsn;
	}
	record->number = ledger_received(intake->ledger);
	backlog_add(intake->backlog, record);
	if (!record->complete)
		return;
	intake->in_transaction = false;
	intake->nrecords = 0;
	ledger_mark(intake->ledger, lsn, intake->committed_us);
	if (intake->endpos != 0 && lsn >= intake->endpos)
		intake->ended = true;
}

/* What was received last, should it be cut off after this. */
static void
keep_last_id(Intake *intake, const Record *last)
{
	if (!intake->in_transaction || last->number == 0)
		return;
	free(intake->last_id);
	intake->last_id = change_id(intake, last);
}

void
intake_message(Intake *intake, char *start, char *data, size_t length, Lsn lsn,
			   long long sent_us, void (*release)(void *))
{
	char  *end = data + length;
	char  *p = data;
	Record last = {0};

	intake->bytes += length;
	if (!intake->in_transaction)
		intake->committed_us = sent_us;
	*end++ = '\n';
	backlog_open(intake->backlog, start, end - start, release);
	while (p < end && !intake->ended)
	{
		char  *newline = memchr(p, '\n', end - p);
		Record record = {.data = p, .length = newline + 1 - p};

		take_record(intake, &record, newline + 1 == end ? lsn : 0);
		if (record.number > 0 && record.kind != FRAME_SCHEMA)
			last = record;
		p = newline + 1;
	}
	keep_last_id(intake, &last);
}

void
intake_keepalive(Intake *intake, Lsn lsn, long long sent_us)
{
	if (is_cut_off(intake))
		check_keepalive(intake, lsn);
	if (intake_is_amid(intake))
		return;
	ledger_mark(intake->ledger, lsn, sent_us);
	if (intake->endpos != 0 && lsn >= intake->endpos)
		intake->ended = true;
}

void
intake_restart(Intake *intake)
{
	/* cut off again while the beginning was repeated */
	if (intake->to_skip > 0)
		intake->nrecords += intake->to_skip;
	intake->to_skip = 0;
	intake->in_transaction = false;
}
