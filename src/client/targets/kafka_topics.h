/*
 * kafka_topics.h
 *		The topics that a Kafka target creates, on request.
 */
#ifndef CLIENT_KAFKA_TOPICS_H
#define CLIENT_KAFKA_TOPICS_H

#include "client/targets/kafka_producer.h"

/* Has a topic created; kafka_take_answer() ends that. */
extern void kafka_add_topic(KafkaTarget *self, const char *topic);
extern void kafka_take_answer(KafkaTarget *self);

/* May messages go to that topic now?  Else the record that waits for it stays in "record". */
extern bool kafka_topic_is_ready(KafkaTarget *self, const char *topic);

#endif
