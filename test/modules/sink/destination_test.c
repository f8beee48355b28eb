/*
 * destination_test.c
 *		One test for all drivers of sink/destination.h: what each member
 *		promises, and a whole export's steps that any of them may interrupt.
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "sink/s3/s3.h"
#include "sink/server.h"
#include "sink/stage.h"
#include "sink_test.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(destination_do);
PG_FUNCTION_INFO_V1(destination_flow);

extern PGDLLEXPORT Datum destination_do(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum destination_flow(PG_FUNCTION_ARGS);

#define MINE "mine"

static Destination *
open_place(const char *text, DestinationMode mode)
{
	static const DestinationDriver *const drivers[] = {
		&file_driver, &memory_driver, &s3_driver};

	for (int i = 0; i < lengthof(drivers); i++)
		if (drivers[i]->scheme
				? strncmp(text, drivers[i]->scheme,
						  strlen(drivers[i]->scheme)) == 0
				: strcmp(drivers[i]->wrapper, server_wrapper(text)) == 0)
		{
			char *place = drivers[i]->parse(text);

			if (mode == DESTINATION_KNOWN || mode == DESTINATION_TRY)
				place = drivers[i]->locate(place, NULL);
			return drivers[i]->open(place, NULL, mode, 0, NULL);
		}
	elog(ERROR, "no driver for \"%s\"", text);
}

static char *
list_text(Destination *to, const char *folder)
{
	StringInfoData text;
	ListCell	  *cell;

	initStringInfo(&text);
	foreach (cell, to->driver->list(to, folder, NULL))
	{
		DestinationEntry *entry = lfirst(cell);

		appendStringInfo(&text, "%s%s%s", text.len > 0 ? " " : "", entry->name,
						 entry->is_directory
							 ? "/"
							 : psprintf(":" UINT64_FORMAT, entry->size));
	}
	return text.data;
}

static char *
claim_text(DestinationClaim claim)
{
	static const char *const names[] = {"granted", "missing", "locked",
										"foreign"};

	return pstrdup(names[claim]);
}

static void
write_part(Destination *to, const char *key, const char *data, bool finish)
{
	Sink *sink = to->driver->new_part(to, key);

	sink_write(sink, data, strlen(data));
	if (!finish)
		ereport(ERROR, (errmsg("error in the middle")));
	sink_finish(sink);
	sink_cleanup(sink);
}

static char *
read_text(Destination *to, DestinationPlace place, const char *key)
{
	Meter meter = {0};
	int	  error;
	Sink *sink = meter_new(sink_null_new(), &meter, true, NULL);

	if (!to->driver->read(to, place, key, sink, &error))
		return psprintf("none %d", error == 0 || error == ENOENT ? 0 : error);
	return psprintf(UINT64_FORMAT " %08X", meter.bytes, meter.crc);
}

static char *
boolean(bool value)
{
	return pstrdup(value ? "true" : "false");
}

/* Operations of somebody who has not claimed anything; NULL for others. */
static char *
do_outside(Destination *to, const char *op, const char *key, const char *data)
{
	size_t len;

	if (strcmp(op, "claim") == 0)
		return claim_text(to->driver->claim(to, "job", data, ACCESS_CREATE));
	if (strcmp(op, "take") == 0)
		return claim_text(to->driver->claim(to, "job", data, ACCESS_TAKE));
	if (strcmp(op, "left") == 0)
		return claim_text(to->driver->claim(to, "job", data, ACCESS_LEFT));
	if (strcmp(op, "join") == 0)
		return claim_text(to->driver->claim(to, "job", data, ACCESS_JOIN));
	if (strcmp(op, "free") == 0)
	{
		char *other = to->driver->check_free(to, key);

		return other ? other : pstrdup("free");
	}
	if (strcmp(op, "list") == 0)
		return list_text(to, key);
	if (strcmp(op, "read") == 0)
		return read_text(to, DESTINATION_FINAL, key);
	if (strcmp(op, "get") == 0)
	{
		char *text = to->driver->get(to, key, atoi(data), &len);

		return text ? text : pstrdup("none");
	}
	if (strcmp(op, "remove place") == 0)
	{
		to->driver->remove_place(to);
		return "done";
	}
	if (strcmp(op, "remove") == 0)
		return boolean(to->driver->remove(to, key));
	return NULL;
}

/* Operations of the job. */
static char *
do_inside(Destination *to, const char *op, const char *key, const char *data)
{
	if (strcmp(op, "locked") == 0)
	{
		Destination *other = open_place(data, DESTINATION_CREATE);

		return claim_text(
			other->driver->claim(other, "job", MINE, ACCESS_TAKE));
	}
	if (strcmp(op, "write") == 0)
		write_part(to, key, data, true);
	else if (strcmp(op, "break") == 0)
		write_part(to, key, data, false);
	else if (strcmp(op, "put") == 0)
		to->driver->put(to, key, data, strlen(data), false);
	else if (strcmp(op, "replace") == 0)
		to->driver->put(to, key, data, strlen(data), true);
	else if (strcmp(op, "put new") == 0)
		return boolean(to->driver->put_new(to, key, data, strlen(data), NULL));
	else if (strcmp(op, "staged") == 0)
		return boolean(to->driver->is_staged(to, key));
	else if (strcmp(op, "read staged") == 0)
		return read_text(to, DESTINATION_STAGED, key);
	else if (strcmp(op, "publish") == 0)
		return boolean(to->driver->publish(to, key, NULL));
	else if (strcmp(op, "carry") == 0)
	{
		Destination *from = open_place(data, DESTINATION_KNOWN);

		return boolean(to->driver->carry(to, key, from, key));
	}
	else if (strcmp(op, "discard") == 0)
	{
		to->driver->discard(to);
		return boolean(to->driver->is_claimed(to));
	}
	else if (strcmp(op, "abandon") == 0)
	{
		/* as a killed process does: nothing is released */
		MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
		Destination	 *gone = open_place(data, DESTINATION_CREATE);

		(void) gone->driver->claim(gone, "job", MINE, ACCESS_JOIN);
		sink_write(gone->driver->new_part(gone, key), "half", 4);
		MemoryContextSwitchTo(caller);
	}
	else if (strcmp(op, "sweep") == 0)
		to->driver->sweep(to);
	else
		elog(ERROR, "unknown operation \"%s\"", op);
	return pstrdup("done");
}

/* destination_do(place, operation, key, data) */
Datum
destination_do(PG_FUNCTION_ARGS)
{
	char		*place = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char		*op = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char		*key = text_to_cstring(PG_GETARG_TEXT_PP(2));
	char		*data = text_to_cstring(PG_GETARG_TEXT_PP(3));
	Destination *to =
		open_place(place, strcmp(op, "known") == 0 ? DESTINATION_TRY
												   : DESTINATION_CREATE);
	char *result;

	if (strcmp(op, "known") == 0)
		PG_RETURN_TEXT_P(cstring_to_text(to ? "known" : "unknown"));
	to->driver->check_writable(to);
	to->driver->check_place(to);
	result = do_outside(to, op, key, data);
	if (result == NULL)
	{
		DestinationClaim claim =
			to->driver->claim(to, "job", MINE, ACCESS_CREATE);

		if (claim != CLAIM_GRANTED)
			elog(ERROR, "claim: %s", claim_text(claim));
		result = do_inside(to, op, key, data);
	}
	to->driver->close(to);
	PG_RETURN_TEXT_P(cstring_to_text(result));
}

/*
 * destination_flow(place): what an export does, from whatever an earlier
 * attempt at it has left.
 */
Datum
destination_flow(PG_FUNCTION_ARGS)
{
	static const char *const keys[] = {"a/part-1", "a/part-2", "b/part-3"};
	char					*place = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Destination				*to = open_place(place, DESTINATION_CREATE);
	const DestinationDriver *driver = to->driver;
	uint64					 size;

	if (driver->claim(to, "job", MINE, ACCESS_CREATE) != CLAIM_GRANTED)
		elog(ERROR, "the claim was not granted");
	driver->sweep(to);
	for (int i = 0; i < lengthof(keys); i++)
		if (!driver->stat(to, keys[i], &size, NULL) &&
			!driver->is_staged(to, keys[i]))
			write_part(to, keys[i], keys[i], true);
	for (int i = 0; i < lengthof(keys); i++)
		(void) driver->publish(to, keys[i], NULL);
	driver->sync(to, "a");
	driver->sync(to, "b");
	driver->put(to, "_SUCCESS", "", 0,
				driver->stat(to, "_SUCCESS", &size, NULL));
	driver->discard(to);
	driver->sync(to, "");
	place = psprintf("%s a: %s b: %s", list_text(to, ""), list_text(to, "a"),
					 list_text(to, "b"));
	driver->close(to);
	PG_RETURN_TEXT_P(cstring_to_text(place));
}
