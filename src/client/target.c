/*
 * target.c
 *		What all targets share: reading the queue, acknowledging, rejecting.
 */
#include "client/target.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "client/dead_letter.h"
#include "client/loop.h"
#include "client/memory.h"
#include "client/notify.h"

void
target_begin_probe(Target *target, const Url *url, const Settings *settings)
{
	target->name = url->display;
	target->settings = settings;
	target->wake_at = NEVER;
	target->backlog = client_alloc(sizeof(Backlog));
}

/* ---- a transaction of which it has a part */

/* What comes doesn't go on with it. */
static void
refuse_part(const Target *target, const char *why)
{
	const Place *part = &target->has_part;

	client_exit(EXIT_IDENTITY,
				"%s has %llu records of the transaction that commits "
				"at " LSN_FORMAT
				", %s: what is streamed has changed, by other options or "
				"publications. Stream it as before, or set the position in %s "
				"to " LSN_FORMAT ", which leaves out the rest",
				target->name, (unsigned long long) part->records,
				LSN_ARGS(part->commit_lsn), why, target->stored_in,
				LSN_ARGS(part->commit_lsn + 1));
}

/* The sum of a place, with one more record. */
static uint32_t
sum_with(const Target *target, const Record *record)
{
	uint32_t sum = target->place.sum;
	char	*id = target->stores_parts && record->kind == FRAME_CHANGE
					  ? target->format->id(record->data, record->length - 1)
					  : NULL;

	if (id)
		sum = crc32(sum, (const Bytef *) id, (uInt) strlen(id));
	free(id);
	return sum;
}

/* Of the part that it has only this is known: how many, their sum, the last. */
static void
check_part(const Target *target, const Record *record)
{
	const Place *part = &target->has_part;
	bool		 is_last = target->place.records + 1 == part->records;
	char		*id;

	if (target->part_last == NULL || record->kind == FRAME_SCHEMA ||
		!(is_last || record->complete))
		return;
	id = target_record_id(target, record);
	if (record->complete || strcmp(id, target->part_last) != 0)
		refuse_part(
			target,
			client_format("of which the last was %s, and record %llu is %s "
						  "now",
						  target->part_last,
						  (unsigned long long) target->place.records + 1, id));
	if (part->sum != 0 && sum_with(target, record) != part->sum)
		refuse_part(target,
					client_format("of which the last was %s, and those before "
								  "it are not the same now",
								  target->part_last));
	free(id);
}

/*
 * Its rest comes before all that it doesn't have.  What comes earlier instead
 * would make it forget the part, and what comes later leave out the rest.  That
 * the end of a part without a sum came need not have been stored.
 */
static void
check_part_comes(const Target *target, const Record *record)
{
	const Place *part = &target->has_part;

	if (part->sum == 0 || target->place.commit_lsn != 0 ||
		record->kind == FRAME_SCHEMA)
		return;
	refuse_part(
		target,
		client_format("and what comes instead is of " LSN_FORMAT ", %s it",
					  LSN_ARGS(record->lsn),
					  record->lsn > part->commit_lsn ? "after" : "before"));
}

void
target_check_passed(const Target *target, Lsn lsn)
{
	const Place *part = &target->has_part;

	if (part->sum != 0 && lsn > part->commit_lsn)
		refuse_part(target,
					client_format("and the server, without the rest of it, is "
								  "at " LSN_FORMAT " already",
								  LSN_ARGS(lsn)));
}

void
target_check_slot(const Target *target, Lsn lsn)
{
	const Place *part = &target->has_part;

	if (part->sum != 0 && lsn > part->commit_lsn)
		client_exit(EXIT_IDENTITY,
					"slot \"%s\" is at " LSN_FORMAT
					", and %s has only %llu records of the transaction that "
					"commits at " LSN_FORMAT
					": the slot was made again or moved by somebody else, "
					"and what lies between is missing. The way back: export "
					"the tables again with outflow.export_publication(), "
					"which makes a new slot, of another name, and stream that "
					"one with --after-job; to accept the difference, set the "
					"position in %s to " LSN_FORMAT,
					target->identity.slot, LSN_ARGS(lsn), target->name,
					(unsigned long long) part->records,
					LSN_ARGS(part->commit_lsn), target->stored_in,
					LSN_ARGS(lsn));
}

/* ---- the next record */

/*
 * Transactions that a target has by its own memory are noted as taken and not
 * shown to it; a begin record tells which commit will end one.
 */
static bool
has_already(Target *target, const Record *record)
{
	const Place *part = &target->has_part;
	Lsn			 commit_lsn = target->place.commit_lsn;
	bool		 has;

	if (target->position == 0 && part->commit_lsn == 0)
		return false;
	/* of one transaction it has a part */
	if (part->commit_lsn != 0 && record->kind == FRAME_BEGIN &&
		record->lsn == part->commit_lsn)
		return part->records > 0;
	if (part->commit_lsn != 0 && commit_lsn == part->commit_lsn &&
		target->place.records < part->records)
	{
		check_part(target, record);
		return true;
	}
	if (record->kind == FRAME_BEGIN)
		target->passing_over = record->lsn < target->position;
	has = target->passing_over;
	/* a record that stands alone */
	if (!has && record->complete && record->kind != FRAME_COMMIT)
		has = record->lsn <= target->position;
	if (!has)
		check_part_comes(target, record);
	if (record->complete)
		target->passing_over = false;
	return has;
}

/* The cursor moves over it. */
static void
pass_record(Target *target, const Record *record)
{
	Place *place = &target->place;

	backlog_advance(&target->cursor);
	if (record->kind == FRAME_SCHEMA)
		key_memory_learn(target->keys, record,
						 ledger_prefix(target->ledger, target->number));
	if (record->kind == FRAME_BEGIN)
	{
		place->commit_lsn = record->lsn;
		place->records = 0;
		place->sum = target->stores_parts; /* of none */
	}
	if (record->kind != FRAME_SCHEMA)
		place->records++;
	place->sum = sum_with(target, record);
	if (!record->complete)
		return;
	if (place->commit_lsn == target->has_part.commit_lsn)
		target->has_part = (Place){0};
	*place = (Place){.end = record->lsn};
}

void
target_rewind(Target *target, const Place *place)
{
	uint64_t prefix = ledger_prefix(target->ledger, target->number);
	Record	 record;

	target->cursor = (Cursor){NULL, 0};
	while (backlog_peek(target->backlog, &target->cursor, &record) &&
		   record.number <= prefix)
		backlog_advance(&target->cursor);
	target->place = *place;
	target->passing_over =
		place->commit_lsn != 0 && place->commit_lsn < target->position;
}

bool
target_peek(Target *target, Record *record)
{
	while (backlog_peek(target->backlog, &target->cursor, record))
	{
		if (!has_already(target, record))
			return true;
		pass_record(target, record);
		ledger_taken(target->ledger, target->number, record->number, 1);
	}
	return false;
}

static const char *const kinds[] = {
	[FRAME_CHANGE] = "record",
	[FRAME_SCHEMA] = "schema",
	[FRAME_BEGIN] = "begin",
	[FRAME_COMMIT] = "commit",
};

const char *
target_kind_name(FrameKind kind)
{
	return kinds[kind];
}

FrameKind
target_kind_of(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i], name) == 0)
			return i;
	return FRAME_CHANGE;
}

/* A checksum tells apart what has no position of its own. */
char *
target_record_id(const Target *target, const Record *record)
{
	char *id = NULL;

	if (record->kind == FRAME_CHANGE)
		id = target->format->id(record->data, record->length - 1);
	if (id == NULL)
		id = client_format(
			"%s/%08lx", kinds[record->kind],
			crc32(0L, (const Bytef *) record->data, (uInt) record->length));
	return id;
}

bool
target_next(Target *target, Record *record)
{
	if (!target_peek(target, record))
		return false;
	pass_record(target, record);
	return true;
}

bool
target_has_more(Target *target)
{
	Record record;

	return target_peek(target, &record);
}

void
target_taken(Target *target, uint64_t first, uint64_t last)
{
	ledger_taken(target->ledger, target->number, first, last - first + 1);
}

double
target_waits_seconds(const Target *target)
{
	long long since = backlog_waiting_since(
		target->backlog, ledger_prefix(target->ledger, target->number));

	return since ? (clock_ms() - since) / 1000.0 : 0;
}

void
target_set_aside(Target *target, const Record *record, const char *reason)
{
	char			*id = target_record_id(target, record);
	const DeadLetter letter = {
		.target = target->name,
		.system_id = target->identity.system_id,
		.slot = target->identity.slot,
		.format = target->format->name,
		.kind = target_kind_name(record->kind),
		.id = id,
		.reason = reason,
		.key_columns = key_memory_of_record(target->keys, record),
		.record = record->data,
		.length = record->length - 1,
	};

	target->counts.rejected++;
	if (!dead_letter_write(&letter))
		client_exit(EXIT_REJECTED,
					"%s rejected record %s: %s; with --on-reject dead-letter "
					"such records go into a file",
					target->name, id, reason);
	log_message(LOG_WARNING,
				"%s rejected record %s, which is now in \"%s\": %s",
				target->name, id, target->settings->dead_letter, reason);
	free(id);
}

void
target_rejected(Target *target, const Record *record, const char *reason)
{
	target_set_aside(target, record, reason);
	target_taken(target, record->number, record->number);
}

long long
target_backoff(unsigned attempt)
{
	long long most = 100LL << (attempt < 9 ? attempt : 9);

	if (most > 30000)
		most = 30000;
	return most / 2 + random() % (most / 2 + 1);
}

/* One that started over has been ready before, and is watched. */
void
target_await(const Target *target)
{
	long long watched = notify_watchdog();

	if (loop_stop_wanted())
		client_exit(EXIT_UNFINISHED, "stopped before %s was reached",
					target->name);
	loop_wait(watched < target->wake_at ? watched : target->wake_at);
}

void
target_resume_nothing(Target *target, const Identity *identity)
{
	(void) target;
	(void) identity;
}

void
target_remember_nothing(Target *target, Lsn confirmed)
{
	(void) target;
	(void) confirmed;
}

long long
target_linger(const Target *target, long long own)
{
	return target->settings->linger_ms >= 0 ? target->settings->linger_ms
											: own;
}

size_t
target_batch_bytes(const Target *target, size_t own)
{
	return target->settings->batch_bytes >= 0
			   ? (size_t) target->settings->batch_bytes
			   : own;
}
