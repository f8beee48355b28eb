/*
 * log.h
 *		What the client says on stderr, as text or as JSON, and the codes that
 *		it ends with.
 */
#ifndef CLIENT_LOG_H
#define CLIENT_LOG_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Exit codes are part of the interface: README.md lists them.  What may mend
 * itself (a server that restarts, a target that is away) is no exit but
 * patience.
 */
typedef enum ExitCode
{
	EXIT_OK = 0,
	EXIT_FAILED = 1,	 /* the operating system, memory, a bug */
	EXIT_USAGE = 2,		 /* arguments or configuration */
	EXIT_SERVER = 3,	 /* PostgreSQL refuses for good */
	EXIT_SLOT_LOST = 4,	 /* the slot is gone or invalidated */
	EXIT_IDENTITY = 5,	 /* not the slot, system or history of last time */
	EXIT_TARGET = 6,	 /* a target refuses for good */
	EXIT_REJECTED = 7,	 /* a target rejected a record */
	EXIT_UNFINISHED = 8, /* stopped before it was done */
	EXIT_WRONG = 9,		 /* what was looked at is not right */
} ExitCode;

typedef enum LogLevel
{
	LOG_DEBUG,
	LOG_INFO,
	LOG_WARNING,
	LOG_ERROR,
} LogLevel;

extern void log_setup(LogLevel least, bool json);
extern void log_message(LogLevel level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Of a kind of message that may repeat, the first and then one every 30
 * seconds, which tells how many were left out.
 */
typedef struct LogLimit
{
	long long last;
	unsigned  suppressed;
} LogLimit;
extern void log_limited(LogLimit *limit, LogLevel level, const char *format,
						...) __attribute__((format(printf, 3, 4)));

/*
 * The same for texts whose kinds nobody knows, such as those of a peer: each is a
 * kind of its own, and what is more than so many in that time is one.
 */
#define LOG_TEXTS 64
typedef struct LogTexts
{
	uint64_t hashes[LOG_TEXTS];
	LogLimit limits[LOG_TEXTS]; /* of each */
	LogLimit others;
} LogTexts;
extern void log_text(LogTexts *texts, LogLevel level, const char *text);

/* Says why and ends the program at once: for what can't be mended by waiting. */
extern void client_exit(ExitCode code, const char *format, ...)
	__attribute__((format(printf, 2, 3), noreturn));

/*
 * How many bytes of an argument may be shown, with "%.*s": what comes before a
 * value, a password or a path, all of which may be secrets.
 */
extern int log_shown(const char *argument);

#endif
