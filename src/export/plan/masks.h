/*
 * masks.h
 *		What masks mean for an export: see row/mask.h.
 */
#ifndef OUTFLOW_MASKS_H
#define OUTFLOW_MASKS_H

#include "export/job/job.h"
#include "row/mask.h"
#include "utils/relcache.h"

/*
 * A new job keeps the setting's rules with its own, and which columns they mask,
 * so that its workers and resumes have them whatever they are set to, and
 * whatever table and columns are called by then.  Errors when one of its own is
 * for no column, or the key is missing.
 */
extern void masks_begin(Job *job);

/* Gives a source's shape its masks.  Errors when a column that had one is gone. */
extern void masks_set(RowShape *shape, Relation rel, const JobSource *source,
					  const Job *job);

/* Whether the setting masks a column of the relation. */
extern bool masks_cover(Oid relid);

/*
 * Errors if a filter of the current user's would tell of clear values that
 * the setting masks.  A publication's filter is the table owner's choice.
 */
extern void masks_check_filter(Node *filter, Relation rel, const Job *job);

#endif /* OUTFLOW_MASKS_H */
