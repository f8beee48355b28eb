/*
 * key_memory.h
 *		The key columns of tables, as schema records of format json tell them.
 *
 * Inserts have no key of their own, and a table's schema record comes once a
 * connection.  So each target remembers them, of whatever record went by, also of
 * those that it has already.  A record may be read again, or judged later: what
 * holds for it is what was told before it.
 */
#ifndef CLIENT_KEY_MEMORY_H
#define CLIENT_KEY_MEMORY_H

#include "client/backlog.h"

typedef struct KeyMemory KeyMemory;

extern KeyMemory *key_memory_new(void);

/*
 * That schema record goes by.  Records up to number taken won't be asked about any
 * more.
 */
extern void key_memory_learn(KeyMemory *memory, const Record *record,
							 uint64_t taken);

/*
 * The key columns of a table for the record of that number: ["id",..], or NULL if
 * there are none, or it isn't known.
 */
extern const char *key_memory_columns(const KeyMemory *memory,
									  const char *schema, const char *table,
									  uint64_t number);

/* The same for a change of a table. */
extern const char *key_memory_of_record(const KeyMemory *memory,
										const Record	*record);

#endif
