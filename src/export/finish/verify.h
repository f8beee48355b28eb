/*
 * verify.h
 *		Reading files back.
 */
#ifndef OUTFLOW_VERIFY_H
#define OUTFLOW_VERIFY_H

#include "export/job/job.h"

#define ROWS_UNKNOWN	(-1) /* of formats whose rows can't be told apart */
#define ROWS_UNREADABLE (-2) /* the bytes are none of the format */

/* An end of a chain that counts the rows of plain bytes. */
extern Sink *row_counter_new(const Job *job, int64 *rows);
/* The same for Parquet, whose files end with what they hold. */
extern Sink *tail_counter_new(int64 *rows);

#endif /* OUTFLOW_VERIFY_H */
