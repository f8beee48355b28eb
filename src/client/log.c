/*
 * log.c
 *		Messages on stderr, each a line and, after a tab, what follows it.
 */
#include "client/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/clock.h"
#include "client/json_scan.h"
#include "client/memory.h"

#define REPEAT_AFTER 30000 /* ms */

static LogLevel least_level = LOG_INFO;
static bool		as_json = false;

static const char *const level_names[] = {"debug", "info", "warning", "error"};

void
log_setup(LogLevel least, bool json)
{
	least_level = least;
	as_json = json;
}

/*
 * Part of it may be what a peer said, which is not to look like a message of ours
 * nor to move a terminal's cursor.  As in PostgreSQL's log, a line that is none of
 * a message's first begins with a tab.
 */
static void
append_shown(Bytes *line, const char *text)
{
	for (; *text; text++)
		if (*text == '\n')
			mem_add(line, "\n\t");
		else if (((unsigned char) *text < 0x20 && *text != '\t') ||
				 *text == 0x7f)
			mem_format(line, "\\x%02x", (unsigned char) *text);
		else
			mem_append(line, text, 1);
}

static void
log_write(LogLevel level, const char *text)
{
	Bytes	  line = {0};
	struct tm broken;
	time_t	  now = time(NULL);
	char	  stamp[32];

	gmtime_r(&now, &broken);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &broken);
	if (as_json)
	{
		mem_format(&line,
				   "{\"ts\":\"%s\",\"level\":\"%s\",\"message\":", stamp,
				   level_names[level]);
		json_append_text(&line, text);
		mem_add(&line, "}\n");
	}
	else
	{
		mem_format(&line, "pg_outflow: %s%s",
				   level == LOG_INFO ? "" : level_names[level],
				   level == LOG_INFO ? "" : ": ");
		append_shown(&line, text);
		mem_add(&line, "\n");
	}
	fwrite(line.data, 1, line.length, stderr);
	fflush(stderr);
	mem_free(&line);
}

/* Not amid a character of UTF-8. */
static void
cut_text(char *text, size_t length)
{
	while (length > 0 && ((unsigned char) text[length - 1] & 0xC0) == 0x80)
		length--;
	if (length > 0 && (unsigned char) text[length - 1] >= 0xC0)
		length--;
	text[length] = '\0';
}

static void log_arguments(LogLevel level, const char *format,
						  va_list arguments, unsigned suppressed)
	__attribute__((format(printf, 2, 0)));

static void
log_arguments(LogLevel level, const char *format, va_list arguments,
			  unsigned suppressed)
{
	char text[4096];
	int	 length = vsnprintf(text, sizeof(text), format, arguments);

	if (length >= (int) sizeof(text))
		cut_text(text, sizeof(text) - 1);
	else if (suppressed > 0 && length >= 0)
		snprintf(text + length, sizeof(text) - length,
				 " (%u more like this were left out)", suppressed);
	log_write(level, text);
}

void
log_message(LogLevel level, const char *format, ...)
{
	va_list arguments;

	if (level < least_level)
		return;
	va_start(arguments, format);
	log_arguments(level, format, arguments, 0);
	va_end(arguments);
}

void
log_limited(LogLimit *limit, LogLevel level, const char *format, ...)
{
	long long now = clock_ms();
	va_list	  arguments;

	if (level < least_level)
		return;
	if (limit->last != 0 && now - limit->last < REPEAT_AFTER)
	{
		limit->suppressed++;
		return;
	}
	va_start(arguments, format);
	log_arguments(level, format, arguments, limit->suppressed);
	va_end(arguments);
	limit->last = now;
	limit->suppressed = 0;
}

/* FNV-1a */
static uint64_t
text_hash(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (; *text; text++)
		hash = (hash ^ (unsigned char) *text) * 0x100000001b3;
	return hash;
}

void
log_text(LogTexts *texts, LogLevel level, const char *text)
{
	uint64_t  hash = text_hash(text);
	LogLimit *limit = &texts->others;
	int		  oldest = 0;
	int		  i;

	for (i = 0; i < LOG_TEXTS; i++)
	{
		if (texts->limits[i].last != 0 && texts->hashes[i] == hash)
			break;
		if (texts->limits[i].last < texts->limits[oldest].last)
			oldest = i;
	}
	if (i < LOG_TEXTS)
		limit = &texts->limits[i];
	else if (texts->limits[oldest].last == 0 ||
			 clock_ms() - texts->limits[oldest].last >= REPEAT_AFTER)
	{
		texts->hashes[oldest] = hash;
		limit = &texts->limits[oldest];
		*limit = (LogLimit){0};
	}
	log_limited(limit, level, "%s", text);
}

void
client_exit(ExitCode code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	log_arguments(LOG_ERROR, format, arguments, 0);
	va_end(arguments);
	exit(code);
}

int
log_shown(const char *argument)
{
	return (int) strcspn(argument, "=:@");
}
