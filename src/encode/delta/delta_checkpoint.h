/*
 * delta_checkpoint.h
 *		A checkpoint: what the log of a Delta table says up to a version, as one
 *		Parquet file, which saves readers the older versions.
 */
#ifndef OUTFLOW_DELTA_CHECKPOINT_H
#define OUTFLOW_DELTA_CHECKPOINT_H

#include "encode/buffer.h"
#include "nodes/pg_list.h"

/* The file of these actions: lines of the log, char *. */
extern void delta_checkpoint(ByteBuffer *out, const List *actions);

#endif /* OUTFLOW_DELTA_CHECKPOINT_H */
