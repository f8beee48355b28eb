/*
 * delta_checkpoint.h
 *		A checkpoint: what the log of a Delta table says up to a version, as one
 *		Parquet file, which saves readers the older versions.
 */
#ifndef OUTFLOW_DELTA_CHECKPOINT_H
#define OUTFLOW_DELTA_CHECKPOINT_H

#include "encode/buffer.h"
#include "nodes/pg_list.h"

/* What names the file's sum in it, and has so many digits. */
#define DELTA_CHECKPOINT_SUM "outflow.crc32c"

/* The file of these actions: lines of the log, char *.  no_sum
 * are the digits of what is not known yet. */
extern void delta_checkpoint(ByteBuffer *out, const List *actions,
							 const char *no_sum);

#endif /* OUTFLOW_DELTA_CHECKPOINT_H */
