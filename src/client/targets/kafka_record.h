/*
 * kafka_record.h
 *		What a record is as a Kafka message: its topic, key and headers.
 */
#ifndef CLIENT_KAFKA_RECORD_H
#define CLIENT_KAFKA_RECORD_H

#include "client/targets/facts.h"

typedef struct KafkaRecord
{
	Facts facts;
	Bytes topic;
	bool  tombstone; /* a message without value follows */
} KafkaRecord;

/*
 * Fills it for a record, using its buffers again.  Topics are PREFIX.SCHEMA.TABLE,
 * and PREFIX.transaction, .schema and .message for what belongs to no table, or
 * all the same one if fixed isn't NULL.
 */
extern void kafka_record(KafkaRecord *result, const Target *target,
						 const Record *record, const char *prefix,
						 const char *fixed);

#endif
