/*
 * kafka_reject.h
 *		Records that Kafka refuses.
 *
 * Exactly once, they are taken with the transaction that they would be in, so that
 * its position counts them; at least once, when nothing of them is under way.  Until
 * what is before them is taken, too, they are remembered, as they may come by again.
 */
#ifndef CLIENT_KAFKA_REJECT_H
#define CLIENT_KAFKA_REJECT_H

#include "client/targets/kafka_producer.h"

/* The record is set aside, and remembered; the caller has it taken. */
extern void kafka_reject(KafkaTarget *self, const Record *record,
						 const char *reason);

/* Of those that may come by again: was it set aside? */
extern bool kafka_was_rejected(const KafkaTarget *self, const Record *record);

/* What is up to the prefix doesn't come again. */
extern void kafka_forget_rejected(KafkaTarget *self);

/*
 * A broker refuses batches, not records: one that is too large for the topic takes
 * those beside it along, and a batch may be too large as a whole.  So the
 * producer is made anew, all that isn't acknowledged goes again, each record in a
 * batch of its own, and what is refused then is rejected.
 *
 * Until then nothing may overtake what was refused.  In transactions they see to
 * that; else the producer is told to stop at once when a batch fails for good.
 *
 * The number is that of the record of one refused message; it may have another one,
 * after this one: its tombstone.  Of two that are refused alone the record is rejected once.
 */
extern void kafka_refused_batch(KafkaTarget *self, uint64_t number, bool more,
								rd_kafka_resp_err_t error);

/* The part of the configuration that this depends on. */
extern void kafka_set_batches(KafkaTarget *self, rd_kafka_conf_t *conf);

/* A producer will be made anew: its records go alone, or together again. */
extern void kafka_change_batches(KafkaTarget *self);

/* Records go together again once the last that had to go alone is acknowledged. */
extern bool kafka_may_join(const KafkaTarget *self, uint64_t acknowledged);

#endif
