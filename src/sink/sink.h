/*
 * sink.h
 *		Bytes -> somewhere: a chain of small stages that ends in a destination.
 *
 * A stage receives data, does its one task and passes the result to next.
 * Build a chain from its end: the destination first, then (from back to
 * front) meter of stored bytes, encryption, compression, meter of plain
 * bytes.  Callers use sink_write(), then either sink_finish() or, after an
 * error, only sink_cleanup().
 *
 * Every member of SinkOps is required; stages without a task in one of them
 * use the forwarders.
 */
#ifndef OUTFLOW_SINK_H
#define OUTFLOW_SINK_H

#include "port/pg_crc32c.h"

typedef struct Sink Sink;

typedef struct SinkOps
{
	/* Takes all of data; the buffer is the caller's again on return. */
	void (*write)(Sink *sink, const char *data, size_t len);
	/* No more data: flush what is held back, then finish next.  After it
	 * returns from a destination the bytes are durable. */
	void (*finish)(Sink *sink);
	/* Release what an error left behind.  Never throws; may be called after
	 * finish, then does nothing. */
	void (*cleanup)(Sink *sink);
} SinkOps;

struct Sink
{
	const SinkOps *ops;
	Sink		  *next; /* NULL at the end of the chain */
};

static inline void
sink_write(Sink *sink, const char *data, size_t len)
{
	if (len > 0)
		sink->ops->write(sink, data, len);
}

static inline void
sink_finish(Sink *sink)
{
	sink->ops->finish(sink);
}

static inline void
sink_cleanup(Sink *sink)
{
	sink->ops->cleanup(sink);
}

extern void sink_forward_finish(Sink *sink);
extern void sink_forward_cleanup(Sink *sink);

/* ---- meter.c: counts and sums what passes */
#define SHA256_LEN 32
typedef struct Meter
{
	uint64	  bytes;
	pg_crc32c crc;				  /* CRC-32C, if asked for */
	uint8	  sha256[SHA256_LEN]; /* if asked for; valid after finish */
} Meter;
extern Sink *meter_new(Sink *next, Meter *meter, bool with_crc,
					   bool with_sha256);

/* ---- compression: one file per method, one row per method in compress.c */
typedef struct CompressMethod
{
	const char *name;	   /* as users write it */
	const char *extension; /* with its dot, "" for none */
	int			min_level, max_level, default_level;
	Sink *(*compressor)(Sink *next, int level);
	/* A stage that turns stored bytes into plain ones, for verification. */
	Sink *(*decompressor)(Sink *next);
} CompressMethod;

extern const CompressMethod compress_methods[]; /* ends with a NULL name */

/* Parses "zstd" or "zstd:7"; an error names the valid ones. */
extern const CompressMethod *compress_parse(const char *text, int *level);

/* ---- file.c: the destination of parts and small files in a directory */

/* One opened destination directory; see file.c for what is refused. */
typedef struct FileRoot FileRoot;

#endif /* OUTFLOW_SINK_H */
