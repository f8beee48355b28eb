/*
 * replay.c
 *		Records of a dead-letter file, to targets, in the order of the file.
 *
 * They keep their ids, so a target that has one of them after all can tell.  A
 * record that is rejected again follows --on-reject as before; the file that is
 * read is never changed.
 */
#include "client/replay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/dead_letter.h"
#include "client/delivery.h"
#include "client/disk.h"
#include "client/json_scan.h"
#include "client/loop.h"
#include "client/memory.h"

/* For whoever wants to know whose a run is. */
static const Identity replayed = {.system_id = "replay", .slot = "replay"};

typedef struct Replay
{
	Delivery   *delivery;
	FILE	   *file;
	const char *path;
	char	   *line;
	size_t		size;
	ssize_t		length; /* of the line that waits; 0: none */
	int			number; /* of it */
	bool		at_end;
	uint64_t	records;
	char	   *target; /* of the first line */
	bool		warned;
} Replay;

static char *
member(const Replay *replay, const char *name, const char *otherwise)
{
	char *text = json_find_text(replay->line, replay->length, name);

	return text ? text : client_strdup(otherwise);
}

/* Takes the data over. */
static void
queue_data(Delivery *delivery, Bytes *bytes, FrameKind kind, bool wanted)
{
	char  *data = (mem_append(bytes, "\n", 1), bytes->data);
	Record record = {
		.data = data,
		.length = bytes->length,
		.kind = kind,
		.wanted = wanted,
		.complete = true,
		.number = ledger_received(delivery->ledger),
	};

	record.lsn = record.number; /* they grow, which is all that is asked */
	backlog_open(&delivery->backlog, data, record.length, NULL);
	backlog_add(&delivery->backlog, &record);
	ledger_mark(delivery->ledger, record.lsn, clock_us_of_day());
}

/*
 * The key columns of its table go before it, as its schema record did in the stream:
 * not to be delivered, but targets learn them.
 */
static void
queue_key(Delivery *delivery, const JsonValue *value, const JsonValue *columns)
{
	static const char *const members[] = {"schema", "table"};
	Bytes					 data = {0};
	JsonValue				 found;
	size_t					 i;

	mem_add(&data, "{");
	for (i = 0; i < 2; i++)
	{
		if (!json_find(value->data, value->length, members[i], &found))
			continue;
		mem_format(&data, "\"%s\":", members[i]);
		mem_append(&data, found.data, found.length);
		mem_add(&data, ",");
	}
	mem_add(&data, "\"key\":");
	mem_append(&data, columns->data, columns->length);
	mem_add(&data, "}");
	queue_data(delivery, &data, FRAME_SCHEMA, false);
}

static void
queue_record(Replay *replay, const JsonValue *value)
{
	char	 *kind = member(replay, "kind", "");
	Bytes	  data = {0};
	JsonValue columns;

	if (json_find(replay->line, replay->length, "key_columns", &columns))
		queue_key(replay->delivery, value, &columns);
	mem_append(&data, value->data, value->length);
	queue_data(replay->delivery, &data, target_kind_of(kind), true);
	replay->records++;
	free(kind);
}

/*
 * The records' names begin with whose they are.  False if those before must be
 * delivered first, which are somebody else's.
 */
static bool
set_origin(const Replay *replay)
{
	Delivery		  *delivery = replay->delivery;
	Identity		   origin = {0};
	char			  *system_id = member(replay, "system", "replay");
	char			  *slot = member(replay, "slot", "replay");
	char			  *name = member(replay, "format", "json");
	const FrameFormat *format = frame_format(name);
	const Target	  *target = delivery->targets[0];
	bool			   is_same;
	int				   i;

	if (format == NULL)
		client_exit(EXIT_USAGE,
					"line %d of \"%s\" is of unknown format \"%s\"",
					replay->number, replay->path, name);
	snprintf(origin.system_id, IDENTITY_TEXT, "%s", system_id);
	snprintf(origin.slot, IDENTITY_TEXT, "%s", slot);
	free(system_id);
	free(slot);
	free(name);
	is_same = target->format == format &&
			  strcmp(target->identity.system_id, origin.system_id) == 0 &&
			  strcmp(target->identity.slot, origin.slot) == 0;
	if (is_same || !delivery_is_done(delivery))
		return is_same;
	for (i = 0; i < delivery->ntargets; i++)
	{
		delivery->targets[i]->identity = origin;
		delivery->targets[i]->format = format;
	}
	return true;
}

static void
compare_target(Replay *replay)
{
	char *target = member(replay, "target", "");

	if (replay->target == NULL)
		replay->target = client_strdup(target);
	else if (!replay->warned && strcmp(replay->target, target) != 0)
	{
		replay->warned = true;
		log_message(LOG_WARNING,
					"\"%s\" has records that \"%s\" rejected and, from line "
					"%d on, of \"%s\": all of them are sent",
					replay->path, replay->target, replay->number, target);
	}
	free(target);
}

/* The next line; false if it must wait, or at the end of the file. */
static bool
read_line(Replay *replay)
{
	JsonValue value;

	if (replay->length == 0)
	{
		replay->length = disk_read_line(replay->file, replay->path,
										&replay->line, &replay->size);
		replay->at_end = replay->length <= 0;
		replay->number++;
	}
	if (replay->at_end)
		return false;
	if (!json_find(replay->line, replay->length, "record", &value) ||
		value.data[0] != '{')
		log_message(LOG_WARNING, "line %d of \"%s\" has no record",
					replay->number, replay->path);
	else if (!set_origin(replay))
		return false;
	else
	{
		compare_target(replay);
		queue_record(replay, &value);
	}
	replay->length = 0;
	return true;
}

/* Those that not all targets have. */
static uint64_t
waiting_records(const Delivery *delivery)
{
	uint64_t prefix = ledger_common_prefix(delivery->ledger);
	uint64_t waiting = 0;
	Cursor	 cursor = {0};
	Record	 record;

	while (backlog_peek(&delivery->backlog, &cursor, &record))
	{
		if (record.wanted && record.number > prefix)
			waiting++;
		backlog_advance(&cursor);
	}
	return waiting;
}

/* What grows while it is read has no end. */
static void
check_output(const Replay *replay, int fd, const char *what)
{
	struct stat in;
	struct stat out;

	if (fd >= 0 && fstat(fileno(replay->file), &in) == 0 &&
		fstat(fd, &out) == 0 && S_ISREG(in.st_mode) &&
		in.st_dev == out.st_dev && in.st_ino == out.st_ino)
		client_exit(EXIT_USAGE,
					"\"%s\" is the file that is read, and %s as well: choose "
					"another one",
					replay->path, what);
}

ExitCode
replay_run(const Settings *settings)
{
	Replay replay = {.path = settings->arguments.items[0]};
	/* there is one a process, and what it has is not freed before the end */
	static Delivery *delivery;
	long long		 give_up_at = NEVER;
	long long		 wake_at;
	int				 i;

	replay.file = fopen(replay.path, "r");
	if (replay.file == NULL)
		client_exit(EXIT_USAGE, "could not open file \"%s\": %s", replay.path,
					strerror(errno));
	loop_catch_signals();
	delivery = delivery_open(settings, frame_format("json"));
	replay.delivery = delivery;
	check_output(&replay, dead_letter_fd(), "--dead-letter");
	check_output(&replay, STDOUT_FILENO, "stdout");
	for (i = 0; i < delivery->ntargets; i++)
	{
		delivery->targets[i]->identity = replayed;
		delivery->targets[i]->ops->resume(delivery->targets[i], &replayed);
	}
	while (!replay.at_end || !delivery_is_done(delivery))
	{
		while (!replay.at_end && !loop_stop_wanted() &&
			   delivery_has_room(delivery) && read_line(&replay))
			;
		if (loop_stop_wanted() && give_up_at == NEVER)
		{
			replay.at_end = true;
			give_up_at = clock_ms() + settings->stop_ms;
		}
		if (replay.at_end)
			delivery_drain(delivery);
		delivery_work(delivery);
		if (!replay.at_end && delivery_is_done(delivery))
			continue;
		wake_at = delivery_wake_at(delivery);
		if (!delivery_is_done(delivery) && clock_ms() < give_up_at)
			loop_wait(wake_at < give_up_at ? wake_at : give_up_at);
		else if (replay.at_end)
			break;
	}
	log_message(
		LOG_INFO, "sent %llu records again",
		(unsigned long long) (replay.records - waiting_records(delivery)));
	fclose(replay.file);
	free(replay.line);
	free(replay.target);
	delivery_close(delivery);
	return give_up_at == NEVER ? EXIT_OK : EXIT_UNFINISHED;
}
