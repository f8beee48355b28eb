/*
 * kinesis_shards.h
 *		The open shards of a stream, as it last told them, and the one that takes
 *		a partition key.
 *
 * A stream is split and merged whenever its owner, or Amazon, wants it.  The order
 * of a key doesn't depend on that: see deliver_kinesis.c.  What is foreseen here
 * tells that it happened, and which shard is too hot.
 */
#ifndef CLIENT_KINESIS_SHARDS_H
#define CLIENT_KINESIS_SHARDS_H

#include "client/memory.h"

#define KINESIS_HASH_BYTES 16

typedef struct KinesisShard
{
	unsigned char first[KINESIS_HASH_BYTES]; /* of the hashes it takes */
	unsigned char last[KINESIS_HASH_BYTES];
	char		 *id;
} KinesisShard;

typedef struct KinesisShards
{
	KinesisShard *shards;
	size_t		  count; /* 0: they are not known */
	char		 *next;	 /* where ListShards goes on; NULL: it is at its end */
	unsigned	  pages; /* that had more after them */
} KinesisShards;

/* The body of a ListShards request: the first one, or what follows. */
extern void kinesis_shards_ask(const KinesisShards *shards, Bytes *body,
							   const char *stream);

/* Takes its answer; true if there is more to ask for, within reason. */
extern bool kinesis_shards_take(KinesisShards *shards, const Bytes *answer);

extern void kinesis_shards_forget(KinesisShards *shards);

/* Of the shard that takes that partition key; NULL: nobody knows. */
extern const char *kinesis_shards_find(const KinesisShards *shards,
									   const char		   *partition_key);

#endif
