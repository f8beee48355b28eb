/*
 * dead_letter.h
 *		The file of records that a target rejected: a JSON object a line, with
 *		the members ts, target, system, slot, format, kind, reason, id,
 *		key_columns where they are known, and record.
 */
#ifndef CLIENT_DEAD_LETTER_H
#define CLIENT_DEAD_LETTER_H

#include <stdbool.h>
#include <stddef.h>

/* NULL: rejected records end the program. */
extern void dead_letter_open(const char *path);

/* Its descriptor, to look at; -1: there is no file. */
extern int dead_letter_fd(void);

typedef struct DeadLetter
{
	const char *target;
	const char *system_id; /* where the record is from */
	const char *slot;
	const char *format;
	const char *kind;
	const char *id;
	const char *reason;
	const char *key_columns; /* a JSON array, or NULL */
	const char *record;
	size_t		length;
} DeadLetter;

/* False if there is no such file. */
extern bool dead_letter_write(const DeadLetter *letter);

/*
 * Makes what was written durable, for all letters at once: before a position that
 * covers their records is stored or confirmed anywhere.
 */
extern void dead_letter_sync(void);

#endif
