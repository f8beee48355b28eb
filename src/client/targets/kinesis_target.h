/*
 * kinesis_target.h
 *		A Kinesis data stream as a target: its state.
 */
#ifndef CLIENT_KINESIS_TARGET_H
#define CLIENT_KINESIS_TARGET_H

#include "client/target.h"
#include "client/targets/aws_credentials.h"
#include "client/targets/curl_loop.h"
#include "client/targets/facts.h"
#include "client/targets/kinesis_request.h"
#include "client/targets/kinesis_shards.h"

#define KINESIS_LOOK_AHEAD 4 /* requests' worth of records are held */

typedef enum EntryState
{
	ENTRY_WAITING,
	ENTRY_SENT,
	ENTRY_DONE,
} EntryState;

typedef struct KinesisEntry
{
	Record	   record;
	EntryState state;
	char	   key[KINESIS_KEY_SIZE];
} KinesisEntry;

typedef enum KinesisPhase
{
	KINESIS_UNUSED,		/* whose changes will come is not known yet */
	KINESIS_DESCRIBING, /* asking what the stream takes */
	KINESIS_LISTING,	/* ... and for its shards */
	KINESIS_READY,
} KinesisPhase;

typedef struct KinesisTarget
{
	Target			   base;
	const char		  *region;
	const char		  *stream;
	char			  *endpoint;
	AwsCredentials	   credentials;
	CurlLoop		   curl;
	struct curl_slist *headers;
	Bytes			   body;
	KinesisPhase	   phase;
	size_t			   max_records;
	size_t			   max_bytes;
	size_t			   max_record;
	KinesisShards	   shards;
	KinesisShards	   listing; /* those of an answer that has more to come */
	long long		   listed_at;

	/* what is not acknowledged, in order, a ring */
	KinesisEntry *entries;
	size_t		  allocated; /* also the most that are held */
	size_t		  first;
	size_t		  count;
	size_t		  bytes;
	long long	  since; /* there has been something */

	KinesisEntry **sent; /* of the request under way */
	size_t		   nsent;
	size_t		   alone; /* so many go one by one, to find who is rejected */
	const char	 **busy;  /* keys of a request that is built: a hash table */
	size_t		   nbusy; /* its size, a power of two */

	unsigned  attempt;
	long long retry_at;
	Facts	  facts;
} KinesisTarget;

/* Checks the options, and reaches nothing yet (kinesis_open.c). */
extern Target *kinesis_open(const Url *url, const Settings *settings);

/* ---- kinesis_ring.c */

/* Takes records from the queue as long as there is room. */
extern void kinesis_fill(KinesisTarget *self);

/* The body of the next PutRecords and what it sends; false: there is nothing. */
extern bool kinesis_build_request(KinesisTarget *self);

/* A record is acknowledged, or rejected. */
extern void kinesis_done(KinesisTarget *self, KinesisEntry *entry);
extern void kinesis_reject(KinesisTarget *self, KinesisEntry *entry,
						   const char *reason);

/* Makes room: the first ones that are done go. */
extern void kinesis_shift(KinesisTarget *self);

#endif /* CLIENT_KINESIS_TARGET_H */
