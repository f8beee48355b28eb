/*
 * kafka_send.h
 *		Records into the producer of a Kafka target.
 */
#ifndef CLIENT_KAFKA_SEND_H
#define CLIENT_KAFKA_SEND_H

#include "client/targets/kafka_producer.h"

/*
 * False if it must wait: the producer's queue is full, or its topic is new.  So it
 * must if the open transaction has failed, which sets in_doubt: then another producer
 * is needed.
 */
extern bool kafka_send(KafkaTarget *self, const Record *record);

/* Another producer; what the one before had not sent goes with it. */
extern void kafka_make_anew(KafkaTarget *self);

#endif
