/*
 * kafka_record.h
 *		What a record is as a Kafka message: its topic, key and headers.
 */
#ifndef CLIENT_KAFKA_RECORD_H
#define CLIENT_KAFKA_RECORD_H

#include "client/memory.h"
#include "client/target.h"

typedef struct KafkaRecord
{
	Bytes topic;
	Bytes key; /* length 0: none */
	char *id;
	char *op;
	char  lsn[24];
	bool  tombstone; /* a message without value follows */
} KafkaRecord;

/*
 * Key columns of tables, as schema records of format json tell them: its
 * inserts have no key of their own.
 */
typedef struct KafkaKeys KafkaKeys;
extern KafkaKeys		*kafka_keys_new(void);

/*
 * Fills it for a record, using its buffers again.  Topics are PREFIX.SCHEMA.TABLE,
 * and PREFIX.transaction, .schema and .message for what belongs to no table, or
 * all the same one if fixed isn't NULL.
 */
extern void kafka_record(KafkaRecord *result, KafkaKeys *keys,
						 const Target *target, const Record *record,
						 const char *prefix, const char *fixed);

#endif
