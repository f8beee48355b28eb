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

#include "client/delivery.h"
#include "client/disk.h"
#include "client/json_scan.h"
#include "client/loop.h"
#include "client/memory.h"

/* The identity that these records had: where they are from is in their ids. */
static const Identity replayed = {.system_id = "replay", .slot = "replay"};

/* Takes the data over. */
static void
queue_data(Delivery *delivery, Bytes *bytes, FrameKind kind)
{
	char  *data = (mem_append(bytes, "\n", 1), bytes->data);
	Record record = {
		.data = data,
		.length = bytes->length,
		.kind = kind,
		.wanted = kind == FRAME_CHANGE,
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
	JsonValue				 member;
	size_t					 i;

	mem_add(&data, "{");
	for (i = 0; i < 2; i++)
	{
		if (!json_find(value->data, value->length, members[i], &member))
			continue;
		mem_format(&data, "\"%s\":", members[i]);
		mem_append(&data, member.data, member.length);
		mem_add(&data, ",");
	}
	mem_add(&data, "\"key\":");
	mem_append(&data, columns->data, columns->length);
	mem_add(&data, "}");
	queue_data(delivery, &data, FRAME_SCHEMA);
}

static void
queue_record(Delivery *delivery, const JsonValue *value)
{
	Bytes data = {0};

	mem_append(&data, value->data, value->length);
	queue_data(delivery, &data, FRAME_CHANGE);
}

/* The next line, counted if it is a record; false at the end of the file. */
static bool
read_line(Delivery *delivery, FILE *file, const char *path, uint64_t *records)
{
	static char	 *line = NULL;
	static size_t size = 0;
	static int	  number = 0;
	ssize_t		  length = disk_read_line(file, path, &line, &size);
	JsonValue	  value;
	JsonValue	  columns;

	if (length <= 0)
	{
		free(line);
		line = NULL;
		return false;
	}
	number++;
	if (json_find(line, length, "record", &value) && value.data[0] == '{')
	{
		if (json_find(line, length, "key_columns", &columns))
			queue_key(delivery, &value, &columns);
		queue_record(delivery, &value);
		(*records)++;
	}
	else
		log_message(LOG_WARNING, "line %d of \"%s\" has no record", number,
					path);
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

static void
check_target(const Target *target)
{
	if (target->state)
		client_exit(EXIT_USAGE,
					"%s keeps the order of a slot, and replayed records "
					"have none: choose another target",
					target->name);
}

ExitCode
replay_run(const Settings *settings)
{
	const char *path = settings->arguments.items[0];
	Delivery   *delivery;
	FILE	   *file = fopen(path, "r");
	uint64_t	records = 0;
	bool		more = true;
	long long	give_up_at = NEVER;
	int			i;

	if (file == NULL)
		client_exit(EXIT_USAGE, "could not open file \"%s\": %s", path,
					strerror(errno));
	loop_catch_signals();
	delivery = delivery_open(settings, frame_format("json"));
	for (i = 0; i < delivery->ntargets; i++)
	{
		check_target(delivery->targets[i]);
		delivery->targets[i]->ops->resume(delivery->targets[i], &replayed);
	}
	while (more || !delivery_is_done(delivery))
	{
		while (more && !loop_stop_wanted() && delivery_has_room(delivery))
			more = read_line(delivery, file, path, &records);
		if (loop_stop_wanted() && give_up_at == NEVER)
		{
			more = false;
			give_up_at = clock_ms() + settings->stop_ms;
		}
		if (!more)
			delivery_drain(delivery);
		delivery_work(delivery);
		if (!delivery_is_done(delivery) && clock_ms() < give_up_at)
			loop_wait(delivery_wake_at(delivery));
		else if (!more)
			break;
	}
	log_message(LOG_INFO, "sent %llu records again",
				(unsigned long long) (records - waiting_records(delivery)));
	fclose(file);
	delivery_close(delivery);
	return give_up_at == NEVER ? EXIT_OK : EXIT_UNFINISHED;
}
