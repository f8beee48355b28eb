/*
 * verify.h
 *		Reading files back.
 */
#ifndef OUTFLOW_VERIFY_H
#define OUTFLOW_VERIFY_H

#include "export/job.h"

/*
 * An end of a chain that counts the rows of plain bytes.  *rows stays -1 for
 * formats whose rows it can't tell apart.
 */
extern Sink *row_counter_new(const Job *job, int64 *rows);

#endif /* OUTFLOW_VERIFY_H */
