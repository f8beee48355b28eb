/*
 * milvus_target.h
 *		The state of a target milvus://, for the files that make and move it: the
 *		requests (deliver_milvus.c) and the batch (milvus_batch.c).
 */
#ifndef CLIENT_MILVUS_TARGET_H
#define CLIENT_MILVUS_TARGET_H

#include "client/targets/curl_loop.h"
#include "client/targets/milvus.h"

typedef enum MilvusRequest
{
	MILVUS_ASK_PARTIAL, /* does the server know partial updates? */
	MILVUS_ASK_COLLECTION,
	MILVUS_ASK_ROW, /* is it there? */
	MILVUS_WRITE,
} MilvusRequest;

/* A partial update of a row that wasn't there. */
typedef struct MilvusWaiting
{
	Record		 record;
	MilvusTable *table;
	char		*key;
	char		*reason; /* Milvus's */
} MilvusWaiting;

typedef struct MilvusTarget
{
	Target			   base;
	char			  *address; /* http://HOST:PORT */
	const char		  *database;
	CurlLoop		   curl;
	struct curl_slist *headers;
	Bytes			   body;
	bool			   is_active; /* records will come */
	bool			   has_asked;
	bool			   has_partial;
	Lsn				   horizon; /* whatever was sent before is older */
	MilvusTable		  *tables;
	MilvusTable		  *to_describe;

	Record	 *records; /* of the batch */
	size_t	  nrecords;
	size_t	  allocated;
	size_t	  bytes;
	uint64_t  first; /* numbers that the batch spans, also of what is not */
	uint64_t  last;	 /* delivered; 0: none */
	long long since;
	bool	  is_complete; /* it is being sent */
	bool	  alone;	   /* one by one */
	size_t	  done;		   /* so many of them */

	MilvusBatch	  batch;
	MilvusRequest request;
	size_t		 *places; /* operations of the request */
	size_t		  nplaces;
	size_t		  nplaces_allocated;
	char		 *rejection; /* of the row that is asked for */

	MilvusWaiting *waiting; /* by their numbers */
	size_t		   nwaiting;

	unsigned  attempt;
	unsigned  unclear;
	long long retry_at;
} MilvusTarget;

/* Checks the options, and reaches nothing yet (milvus_open.c). */
extern Target *milvus_open(const Url *url, const Settings *settings);

/* ---- milvus_batch.c */

/* Reads from the queue; true when the batch should go. */
extern bool milvus_fill_batch(MilvusTarget *self);

/* Everything up to its end is dealt with, but for what waits. */
extern void milvus_finish_batch(MilvusTarget *self);

/* One by one: the operations of the next record. */
extern void milvus_load_record(MilvusTarget *self);

/* All operations are done: of the batch, or of its record whose turn it was. */
extern void milvus_operations_done(MilvusTarget *self);

/* The record whose turn it is waits for its row. */
extern void milvus_wait_for_row(MilvusTarget		  *self,
								const MilvusOperation *operation);

/* Rejects those that have waited in vain. */
extern void milvus_judge_waiting(MilvusTarget *self);

#endif
