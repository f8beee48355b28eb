/*
 * stage.h
 *		For those who write a stage; users of chains need only sink.h.
 */
#ifndef OUTFLOW_STAGE_H
#define OUTFLOW_STAGE_H

#include "sink/sink.h"

/*
 * Stages take what callers give them in slices of at most this size, with a
 * check for interrupts after each, so that one huge row can be cancelled.
 */
#define SINK_SLICE_SIZE (1024 * 1024)

/* Room for a stage's results before they go to the next one. */
#define SINK_OUT_SIZE (128 * 1024)

/* A zeroed stage of that size, whose first member is a Sink. */
extern void *sink_stage_new(size_t size, const SinkOps *ops, Sink *next);

/*
 * Calls release(argument) when the current memory context is reset or
 * deleted.  It must not throw, and must do nothing when called again.
 */
extern void sink_guard(void (*release)(void *), void *argument);

/* The message of what OpenSSL last complained about. */
extern const char *openssl_reason(void);

/* gzip.c, zstd.c, lz4.c */
extern Sink *gzip_compressor_new(Sink *next, int level);
extern Sink *gzip_decompressor_new(Sink *next);
extern Sink *zstd_compressor_new(Sink *next, int level);
extern Sink *zstd_decompressor_new(Sink *next);
extern Sink *lz4_compressor_new(Sink *next, int level);
extern Sink *lz4_decompressor_new(Sink *next);

#endif /* OUTFLOW_STAGE_H */
