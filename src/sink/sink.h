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
 * Stages live in the memory context that is current when they are made.
 * What a library or the kernel holds for them is also released when that
 * context is reset, so that an ERROR that nobody catches leaks nothing.
 *
 * Every member of SinkOps is required.
 */
#ifndef OUTFLOW_SINK_H
#define OUTFLOW_SINK_H

#include "nodes/pg_list.h"
#include "port/pg_crc32c.h"

#include "compression.h"

typedef struct Sink Sink;

typedef struct SinkOps
{
	/* Takes all of data; the buffer is the caller's again on return. */
	void (*write)(Sink *sink, const char *data, size_t len);
	/* No more data: flush what is held back, then finish next.  After it
	 * returns from a destination the bytes are durable. */
	void (*finish)(Sink *sink);
	/* Release what an error left behind, then clean up next.  Never throws;
	 * may be called after finish and more than once, then does nothing. */
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

/* An end of the chain that forgets what it gets, for verification. */
extern Sink *sink_null_new(void);

/* ---- checksum.c: the sums of stored files, one row per method */
#define CHECKSUM_MAX_SIZE 32
typedef struct ChecksumMethod
{
	const char *name; /* as users and manifests write it */
	int			size; /* of a sum, in bytes */
	void *(*begin)(void);
	void (*add)(void *state, const char *data, size_t len);
	void (*end)(void *state, uint8 *sum); /* release() is still to come */
	void (*release)(void *state);		  /* never throws */
} ChecksumMethod;

typedef struct Checksum
{
	const ChecksumMethod *method;
	uint8				  sum[CHECKSUM_MAX_SIZE];
} Checksum;

extern const ChecksumMethod checksum_methods[]; /* ends with a NULL name */

/* NULL if there is none of that name. */
extern const ChecksumMethod *checksum_find(const char *name);
/* An error names the valid ones. */
extern const ChecksumMethod *checksum_parse(const char *name);
extern bool checksum_equal(const Checksum *a, const Checksum *b);
/* Lower case, as xxh128sum and sha256sum print it. */
extern char *checksum_hex(const Checksum *checksum);
/* "method:hex" */
extern char *checksum_to_text(const Checksum *checksum);
/* CRC-32C of bytes that are all in memory. */
extern pg_crc32c checksum_crc32c(const char *data, size_t len);
extern void		 checksum_from_text(const char *text, Checksum *checksum);

/* ---- meter.c: counts and sums what passes */
typedef struct Meter
{
	uint64	  bytes;	/* true at any time */
	pg_crc32c crc;		/* CRC-32C, if asked for; after finish */
	Checksum  checksum; /* if asked for; after finish */
} Meter;
/* method: NULL for none */
extern Sink *meter_new(Sink *next, Meter *meter, bool with_crc,
					   const ChecksumMethod *method);

/* ---- compression: one file per method, one row per method in compress.c */
typedef struct CompressMethod
{
	CompressionId id;
	const char	 *extension; /* with its dot, "" for none */
	Sink *(*compressor)(Sink *next, int level);
	/* A stage that turns stored bytes into plain ones, for verification. */
	Sink *(*decompressor)(Sink *next);
} CompressMethod;

/* Parses "zstd" or "zstd:7"; an error names the valid ones. */
extern const CompressMethod *compress_parse(const char *text, int *level);

/* ---- age.c: encryption that age(1) opens and this server can't */
typedef struct AgeRecipients AgeRecipients;

/* What is wrong with the form of one is said as below. */
extern void age_recipient_check(const char *text, int position);
/* Parses recipients ("age1..."); an error says what is wrong with which. */
extern AgeRecipients *age_recipients_parse(char *const *texts, int count);
extern Sink			 *age_new(Sink *next, const AgeRecipients *recipients);

#endif /* OUTFLOW_SINK_H */
