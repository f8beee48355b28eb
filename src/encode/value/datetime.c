/*
 * datetime.c
 *		Dates and times in ISO 8601, as PostgreSQL's output functions write
 *		them under DateStyle ISO.
 */
#include "postgres.h"

#include "datatype/timestamp.h"
#include "pgtime.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "encode/value/digits.h"
#include "encode/encode.h"

#define UNIX_EPOCH_SECONDS                                                    \
	((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * INT64CONST(86400))

/* At least four digits, as PostgreSQL pads years. */
static char *
write_year(char *dst, int year)
{
	if (year <= 9999)
		return write_four(dst, year);
	return dst + text_uint32(dst, year);
}

static char *
write_bc(char *dst)
{
	memcpy(dst, " BC", 3);
	return dst + 3;
}

/* Days from the first of March of the year 0 to the first of 2000. */
#define DAYS_BEFORE_2000	730425
#define FIRST_PLAIN_DATE	(-730119) /* 0001-01-01 */
#define LAST_PLAIN_DATE		2921939	  /* 9999-12-31 */
#define DAYS_OF_4_CENTURIES 146097

/*
 * The civil date of a day from the year 1 to 9999, counted from 2000-01-01.
 * Years begin in March here, so that leap days come last; divisions are by
 * constants (C. Neri and L. Schneider, "Euclidean affine functions and their
 * application to calendar algorithms", 2022).
 */
static inline void
civil_date(int32 date, int *year, int *month, int *day)
{
	uint32 quarters = (uint32) (date + DAYS_BEFORE_2000) * 4 + 3;
	uint32 century = quarters / DAYS_OF_4_CENTURIES;
	uint32 of_century = quarters % DAYS_OF_4_CENTURIES | 3;
	uint64 years = UINT64CONST(2939745) * of_century;
	uint32 of_year = (uint32) years / 2939745 / 4;
	uint32 months = 2141 * of_year + 197913;
	bool   next_year = of_year >= 306;

	*year = century * 100 + (years >> 32) + next_year;
	*month = (months >> 16) - (next_year ? 12 : 0);
	*day = (months & 0xFFFF) / 2141 + 1;
}

/*
 * The civil date of a day number counted from 2000-01-01, without its era;
 * *bc tells whether " BC" is due.
 */
static char *
write_civil_date(char *dst, int32 date, bool *bc)
{
	int year, month, day;

	if (likely(date >= FIRST_PLAIN_DATE && date <= LAST_PLAIN_DATE))
		civil_date(date, &year, &month, &day);
	else
		j2date(date + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	*bc = year <= 0;
	dst = write_year(dst, *bc ? -(year - 1) : year);
	*dst++ = '-';
	dst = write_two(dst, month);
	*dst++ = '-';
	return write_two(dst, day);
}

/* hh:mm:ss[.ffffff] of microseconds since midnight, zeros at the end cut */
static char *
write_time(char *dst, int64 time)
{
	int seconds = time / USECS_PER_SEC;
	int fraction = time % USECS_PER_SEC;

	dst = write_two(dst, seconds / SECS_PER_HOUR);
	*dst++ = ':';
	dst = write_two(dst, seconds / SECS_PER_MINUTE % MINS_PER_HOUR);
	*dst++ = ':';
	dst = write_two(dst, seconds % SECS_PER_MINUTE);
	if (fraction != 0)
	{
		*dst++ = '.';
		dst = write_two(dst, fraction / 10000);
		dst = write_four(dst, fraction % 10000);
		while (dst[-1] == '0')
			dst--;
	}
	return dst;
}

/* +hh[:mm[:ss]] of a zone in seconds west of UTC */
static char *
write_zone(char *dst, int zone)
{
	int seconds = abs(zone);

	*dst++ = zone <= 0 ? '+' : '-';
	dst = write_two(dst, seconds / SECS_PER_HOUR);
	if (seconds % SECS_PER_HOUR != 0)
	{
		*dst++ = ':';
		dst = write_two(dst, seconds / SECS_PER_MINUTE % MINS_PER_HOUR);
		if (seconds % SECS_PER_MINUTE != 0)
		{
			*dst++ = ':';
			dst = write_two(dst, seconds % SECS_PER_MINUTE);
		}
	}
	return dst;
}

static int
text_infinity(char *dst, bool negative)
{
	const char *text = negative ? "-infinity" : "infinity";
	int			len = strlen(text);

	memcpy(dst, text, len);
	return len;
}

int
text_date(char *dst, int32 date)
{
	char *end;
	bool  bc;

	if (DATE_NOT_FINITE(date))
		return text_infinity(dst, DATE_IS_NOBEGIN(date));
	end = write_civil_date(dst, date, &bc);
	if (bc)
		end = write_bc(end);
	return end - dst;
}

int
text_time(char *dst, int64 time)
{
	return write_time(dst, time) - dst;
}

int
text_timetz(char *dst, int64 time, int32 zone)
{
	return write_zone(write_time(dst, time), zone) - dst;
}

/* Date and time without zone and era; not for infinities. */
static char *
write_timestamp(char *dst, int64 timestamp, char separator, bool *bc)
{
	int64 date = timestamp / USECS_PER_DAY;
	int64 time = timestamp % USECS_PER_DAY;

	if (time < 0)
	{
		time += USECS_PER_DAY;
		date--;
	}
	dst = write_civil_date(dst, (int32) date, bc);
	*dst++ = separator;
	return write_time(dst, time);
}

int
text_timestamp(char *dst, int64 timestamp, char separator)
{
	char *end;
	bool  bc;

	if (TIMESTAMP_NOT_FINITE(timestamp))
		return text_infinity(dst, TIMESTAMP_IS_NOBEGIN(timestamp));
	end = write_timestamp(dst, timestamp, separator, &bc);
	if (bc)
		end = write_bc(end);
	return end - dst;
}

int
text_timestamptz_utc(char *dst, int64 timestamp, char separator,
					 const char *zone)
{
	char *end;
	bool  bc;

	if (TIMESTAMP_NOT_FINITE(timestamp))
		return text_infinity(dst, TIMESTAMP_IS_NOBEGIN(timestamp));
	end = write_timestamp(dst, timestamp, separator, &bc);
	while (*zone)
		*end++ = *zone++;
	if (bc)
		end = write_bc(end);
	return end - dst;
}

/* Seconds since 1970 of the second that a timestamp falls into. */
static pg_time_t
unix_time(int64 timestamp)
{
	int64 seconds = timestamp / USECS_PER_SEC;

	if (timestamp % USECS_PER_SEC < 0)
		seconds--;
	return seconds + UNIX_EPOCH_SECONDS;
}

/*
 * The first timestamp from which on the session's time zone may have another
 * offset.  Zones change at any second: St. John's did at one minute past
 * midnight, and users write rules of their own.
 */
static int64
next_zone_change(int64 timestamp)
{
	pg_time_t time = unix_time(timestamp);
	pg_time_t change;
	long	  before, after;
	int		  before_dst, after_dst;
	int found = pg_next_dst_boundary(&time, &before, &before_dst, &change,
									 &after, &after_dst, session_timezone);

	if (found < 0)
		return timestamp;
	if (found == 0 || change >= unix_time(END_TIMESTAMP - 1))
		return END_TIMESTAMP;
	return (change - UNIX_EPOCH_SECONDS) * USECS_PER_SEC;
}

/*
 * Seconds west of UTC that the session's time zone has at a time.  Time zones
 * are slow to ask, so the span without a change is remembered, from the
 * earliest time that was asked for on.
 */
static int
session_zone(int64 timestamp)
{
	static pg_tz *span_tz = NULL;
	static int64  span_start, span_end;
	static int	  span_zone;
	struct pg_tm  tm;
	fsec_t		  fsec;
	int			  zone;

	if (session_timezone == span_tz && timestamp >= span_start &&
		timestamp < span_end)
		return span_zone;
	if (timestamp2tm(timestamp, &zone, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						errmsg("timestamp out of range")));
	span_start = timestamp;
	span_end = next_zone_change(timestamp);
	span_tz = session_timezone;
	span_zone = zone;
	return zone;
}

int
text_timestamptz_session(char *dst, int64 timestamp)
{
	char *end;
	bool  bc;
	int	  zone;

	if (TIMESTAMP_NOT_FINITE(timestamp))
		return text_infinity(dst, TIMESTAMP_IS_NOBEGIN(timestamp));
	zone = session_zone(timestamp);
	end = write_timestamp(dst, timestamp - zone * USECS_PER_SEC, ' ', &bc);
	end = write_zone(end, zone);
	if (bc)
		end = write_bc(end);
	return end - dst;
}
