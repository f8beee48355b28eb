/*
 * facts.h
 *		What a record is about: its table, its key, what happened; for targets
 *		that address records by it.
 */
#ifndef CLIENT_FACTS_H
#define CLIENT_FACTS_H

#include "client/json_scan.h"
#include "client/memory.h"
#include "client/target.h"

/* Texts are NULL where the record has none. */
typedef struct Facts
{
	const char *id; /* target_record_id() */
	const char *op;
	const char *schema;
	const char *table;
	char		lsn[24]; /* of the commit, as the id has it; or empty */
	Bytes		key;	 /* a JSON object; length 0: none */
	bool		is_delete;
	Bytes		texts[4]; /* where the texts stand */
} Facts;

/* Fills it for a record, using its buffers again. */
extern void facts_read(Facts *facts, const Target *target,
					   const Record *record);

/*
 * The key of a record's new row, of format json; length 0: there is no row, or
 * the columns are not known.  Unlike the key of the record it is the one after
 * an update.
 */
extern void facts_row_key(const Facts *facts, const Target *target,
						  const Record *record, Bytes *key);

/* Is it a change of a table? */
extern bool facts_of_table(const Facts *facts, const Record *record);

/* What those that aren't are called: transaction, schema, message. */
extern const char *facts_kind(const Record *record);

#endif
