/*
 * frame.c
 *		The table of formats, as far as the client must read them.
 *
 * The plugin writes the members of a record in a fixed order, so that a few
 * first bytes tell what it is.  A begin record is the only one whose LSN is
 * read from its text: it says which commit the transaction ends with.
 */
#include "client/frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/json_scan.h"

/* "commit_lsn":"0/1A2B400" */
static Lsn
json_begin_lsn(const char *data, size_t length)
{
	char *text = json_find_text(data, length, "commit_lsn");
	Lsn	  lsn = 0;

	if (text == NULL || !lsn_parse(text, &lsn))
		lsn = 0;
	free(text);
	return lsn;
}

/* "ts":"2026-11-22T06:00:00.123456Z" */
static long long
json_begin_time(const char *data, size_t length)
{
	char	 *text = json_find_text(data, length, "ts");
	struct tm day = {0};
	long	  micros = 0;
	int		  digits = 0;
	int		  end = 0;
	long long seconds = 0;

	if (text && sscanf(text, "%d-%d-%dT%d:%d:%d%n", &day.tm_year, &day.tm_mon,
					   &day.tm_mday, &day.tm_hour, &day.tm_min, &day.tm_sec,
					   &end) == 6)
	{
		if (sscanf(text + end, ".%6ld%n", &micros, &digits) == 1)
			for (; digits < 7; digits++)
				micros *= 10;
		day.tm_year -= 1900;
		day.tm_mon--;
		seconds = timegm(&day);
	}
	free(text);
	return seconds > 0 ? seconds * 1000000 + micros : 0;
}

/* "id":"726:22740344", the transaction's and the LSN in decimal */
static Lsn
debezium_begin_lsn(const char *data, size_t length)
{
	char *text = json_find_text(data, length, "id");
	char *colon = text ? strchr(text, ':') : NULL;
	Lsn	  lsn = colon ? strtoull(colon + 1, NULL, 10) : 0;

	free(text);
	return lsn;
}

/* "ts_ms":1764363600123 */
static long long
debezium_begin_time(const char *data, size_t length)
{
	long long milliseconds = 0;

	json_find_number(data, length, "ts_ms", &milliseconds);
	return milliseconds * 1000;
}

static char *
json_record_id(const char *data, size_t length)
{
	return json_find_text(data, length, "id");
}

static const FrameFormat formats[] = {
	{
		.name = "json",
		.framing_option = "include_transactions",
		.framed_by_default = true,
		.begin = "{\"op\":\"begin\"",
		.commit = "{\"op\":\"commit\"",
		.schema = "{\"op\":\"schema\"",
		.commit_lsn = json_begin_lsn,
		.committed_us = json_begin_time,
		.id = json_record_id,
	},
	{
		.name = "debezium",
		.framing_option = "include_transactions",
		.framed_by_default = false,
		.begin = "{\"status\":\"BEGIN\"",
		.commit = "{\"status\":\"END\"",
		.schema = NULL,
		.commit_lsn = debezium_begin_lsn,
		.committed_us = debezium_begin_time,
		.id = json_record_id,
	},
};

const FrameFormat *
frame_format(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (strcmp(formats[i].name, name) == 0)
			return &formats[i];
	return NULL;
}

static bool
starts_with(const char *data, size_t length, const char *start)
{
	size_t n = start ? strlen(start) : 0;

	return start && length >= n && memcmp(data, start, n) == 0;
}

FrameKind
frame_kind(const FrameFormat *format, const char *data, size_t length)
{
	if (starts_with(data, length, format->begin))
		return FRAME_BEGIN;
	if (starts_with(data, length, format->commit))
		return FRAME_COMMIT;
	if (starts_with(data, length, format->schema))
		return FRAME_SCHEMA;
	return FRAME_CHANGE;
}
