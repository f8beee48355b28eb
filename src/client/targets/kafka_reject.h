/*
 * kafka_reject.h
 *		Records that Kafka refuses.
 *
 * At least once, they are taken once they are dead letters.  Exactly once they
 * are taken with the transaction that they would be in, so that its position counts
 * them: until then they are remembered, as they may come by again.
 */
#ifndef CLIENT_KAFKA_REJECT_H
#define CLIENT_KAFKA_REJECT_H

#include "client/targets/kafka_producer.h"

extern void kafka_reject(KafkaTarget *self, const Record *record,
						 const char *reason);

/* In the open transaction, or one before it that failed? */
extern bool kafka_was_rejected(const KafkaTarget *self, const Record *record);

#endif
