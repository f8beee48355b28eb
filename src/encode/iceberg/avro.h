/*
 * avro.h
 *		Apache Avro 1.11: values in binary, and files of them.
 *
 * "Binary Encoding" and "Object Container Files" of its specification, as far as
 * Iceberg's manifests need them.
 */
#ifndef OUTFLOW_AVRO_H
#define OUTFLOW_AVRO_H

#include "encode/buffer.h"
#include "nodes/pg_list.h"

/* ---- avro.c: writing */

/* int and long are the same. */
extern void avro_put_long(ByteBuffer *out, int64 value);
/* string and bytes are the same. */
extern void avro_put_bytes(ByteBuffer *out, const char *data, size_t len);
extern void avro_put_string(ByteBuffer *out, const char *text);

#define AVRO_SYNC_SIZE 16

/*
 * A file's head.  metadata: char *, names and values in turn; sync: what its
 * blocks end with.
 */
extern void avro_put_head(ByteBuffer *out, const char *schema,
						  const List *metadata, const char *sync);
extern void avro_put_block(ByteBuffer *out, int64 count,
						   const ByteBuffer *values, const char *sync);

/* ---- avro_read.c: reading; what is not so is an ERROR */

typedef struct AvroReader
{
	const char *at;
	const char *end;
	const char *name; /* of the file, for messages */
} AvroReader;

extern int64 avro_get_long(AvroReader *reader);
/* Within the reader's bytes, and so without an end of its own. */
extern const char *avro_get_bytes(AvroReader *reader, size_t *len);
/* A copy that has one. */
extern char *avro_get_string(AvroReader *reader);

/* A file of one of these very schemas, without compression: its blocks in turn. */
typedef struct AvroFile
{
	AvroReader	reader;
	const char *sync;
	int			schema; /* which of them it is */
} AvroFile;

extern void avro_open(AvroFile *file, const char *name, const char *data,
					  size_t len, const char *const *schemas,
					  int schema_count);
/* Its values' reader, and how many they are; 0 at the end. */
extern int64 avro_next_block(AvroFile *file, AvroReader *values);

#endif /* OUTFLOW_AVRO_H */
