/*
 * kafka_transactions.h
 *		With --exactly-once: records into transactions of Kafka.
 *
 * kafka_exactly.h has what one of them is made of; here is decided when one begins and
 * ends, and where the records go on after one that failed or is in doubt.
 */
#ifndef CLIENT_KAFKA_TRANSACTIONS_H
#define CLIENT_KAFKA_TRANSACTIONS_H

#include "client/targets/kafka_producer.h"

/* Waits for Kafka, however long, so that the stream starts where it must. */
extern void kafka_transactions_resume(KafkaTarget	 *self,
									  const Identity *identity);

extern void kafka_transactions_work(KafkaTarget *self);

#endif
