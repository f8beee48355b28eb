/*
 * dead_letter.h
 *		The file of records that a target rejected: a JSON object a line, with
 *		the members ts, target, reason, id, key_columns where they are known, and
 *		record.
 */
#ifndef CLIENT_DEAD_LETTER_H
#define CLIENT_DEAD_LETTER_H

#include <stdbool.h>
#include <stddef.h>

/* NULL: rejected records end the program. */
extern void dead_letter_open(const char *path);

/* Durable once this returns; false if there is no such file. */
extern bool dead_letter_write(const char *target, const char *id,
							  const char *reason, const char *key_columns,
							  const char *record, size_t length);

#endif
