/*
 * fuzz_datetime.c
 *		Dates and times in many time zones against their output functions.
 *
 * Several values in a row, in zones that change in between: what is cached
 * for one value must not show in the next.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/timestamp.h"

#include "fuzz.h"

/* Odd offsets and rules; the last ones change at no quarter of an hour. */
static const char *const zones[] = {"UTC",
									"Europe/Berlin",
									"America/New_York",
									"Asia/Kathmandu",
									"Australia/Lord_Howe",
									"Africa/Monrovia",
									"Pacific/Apia",
									"Antarctica/Troll",
									"America/St_Johns",
									"Asia/Pyongyang",
									"Europe/Dublin",
									"Africa/Casablanca",
									"<+0123>-01:23:45",
									"AAA5:07BBB,M3.2.0/02:07:33,M11.1.0/1:01",
									"AAA-11BBB,0/0,J365/23:59:59"};

static const Oid  oids[] = {DATEOID,	  TIMEOID,		  TIMETZOID,
							TIMESTAMPOID, TIMESTAMPTZOID, TIMESTAMPTZOID};
static TypeShape  types[lengthof(oids)];
static TextValues text_values;

static void
init(void)
{
	for (int i = 0; i < lengthof(oids); i++)
		type_shape_init(&types[i], oids[i], -1);
	text_values_init(&text_values);
}

/* Some seconds around the next change of the zone's offset, if there is one. */
static int64
near_change(FuzzInput *in, int64 timestamp)
{
	const int64 epochs =
		(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (int64) SECS_PER_DAY;
	pg_time_t time = timestamp / USECS_PER_SEC + epochs;
	pg_time_t change;
	long	  before, after;
	int		  before_dst, after_dst;

	if (TIMESTAMP_NOT_FINITE(timestamp) ||
		timestamp > USECS_PER_DAY * 200000 ||
		timestamp < USECS_PER_DAY * -100000 ||
		pg_next_dst_boundary(&time, &before, &before_dst, &change, &after,
							 &after_dst, session_timezone) <= 0)
		return timestamp;
	return (change - epochs) * USECS_PER_SEC +
		   (int16) fuzz_bits(in, 2) * (USECS_PER_SEC / 4);
}

/* The server's text in UTC with 'T' and, for timestamptz, 'Z'. */
static char *
iso_of(TypeShape *type, Datum value)
{
	char *text;
	char *space;
	char *zone;

	fuzz_set("TimeZone", "UTC");
	text = OutputFunctionCall(&type->output, value);
	space = strchr(text, ' ');
	if ((type->kind == KIND_TIMESTAMP || type->kind == KIND_TIMESTAMPTZ) &&
		space)
		*space = 'T';
	zone = strstr(text, "+00");
	if (type->kind == KIND_TIMESTAMPTZ && zone)
	{
		*zone = 'Z';
		memmove(zone + 1, zone + 3, strlen(zone + 3) + 1);
	}
	return psprintf("\"%s\"", text);
}

static void
run(FuzzInput *in)
{
	JsonStyle style = {0};
	Datum	  last = TimestampTzGetDatum(0);

	while (in->left > 0)
	{
		TypeShape  *type = &types[fuzz_below(in, lengthof(types))];
		const char *zone = zones[fuzz_below(in, lengthof(zones))];
		Datum		value;
		const char *text;

		if (!fuzz_value(in, type, &value))
			continue;
		fuzz_set("TimeZone", zone);
		if (type->kind == KIND_TIMESTAMPTZ)
		{
			/* few values alone come near a change, or near each other */
			if (fuzz_below(in, 4) == 0)
				value = last;
			if (fuzz_below(in, 2))
				value = TimestampTzGetDatum(
					near_change(in, DatumGetTimestampTz(value)));
			last = value;
		}
		text = OutputFunctionCall(&type->output, value);
		fuzz_must_succeed(true);
		if (!text_value_plain(&text_values, type, value, &fuzz_out))
			fuzz_fail("%s is not written directly", text);
		fuzz_expect(zone, text, strlen(text));
		text = iso_of(type, value);
		json_value(&fuzz_out, &style, type, value);
		fuzz_expect("json", text, strlen(text));
		fuzz_must_succeed(false);
	}
}

const FuzzTarget fuzz_datetime = {"datetime", init, run};
