/*
 * part_key.h
 *		Columns of a query's result whose equal values stay in one part.
 */
#ifndef OUTFLOW_PART_KEY_H
#define OUTFLOW_PART_KEY_H

#include "executor/tuptable.h"
#include "export/job/job.h"

typedef struct PartKey PartKey;

/* Errors if a column of option "part_key" is none of the result's, or has no
 * equality. */
extern void part_key_check(const Job *job, TupleDesc desc);

/* In the current context; NULL if the job has none. */
extern PartKey *part_key_new(const Job *job, TupleDesc desc);

/* The next rows are compared with this one. */
extern void part_key_keep(PartKey *key, TupleTableSlot *row);
extern void part_key_forget(PartKey *key);

/* Whether a row is kept, and has the same key; nulls are equal. */
extern bool part_key_is_kept(const PartKey *key);
extern bool part_key_matches(PartKey *key, TupleTableSlot *row);

#endif /* OUTFLOW_PART_KEY_H */
