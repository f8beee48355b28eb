/*
 * kafka_exactly.h
 *		Exactly once: records and the position that they reach in one Kafka
 *		transaction.
 *
 * The position is a message of the compacted topic PREFIX.offsets, whose key is
 * system and slot.  Whoever starts takes the transactional id over, which fences
 * the one before, and reads the topic to its end: with assign(), never as a
 * group.
 *
 * librdkafka lacks KIP-890: the end of a transaction that was sent again may
 * arrive late and end a later one.  So after each commit that was in doubt (an
 * error came by, or it took long) the producer is thrown away, a new one fences
 * what is under way, and the topic is read again.
 */
#ifndef CLIENT_KAFKA_EXACTLY_H
#define CLIENT_KAFKA_EXACTLY_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>

#include "client/target.h"

typedef struct KafkaExactly KafkaExactly;

/* The identity stays the caller's: positions are of the timeline it has then. */
extern KafkaExactly *kafka_exactly_new(const char	  *prefix,
									   const Identity *identity);

/* Of the producer: the option that names it. */
extern const char *kafka_exactly_id(const KafkaExactly *exactly);

/* Of the positions. */
extern const char *kafka_exactly_topic(const KafkaExactly *exactly);

typedef enum KafkaOutcome
{
	KAFKA_PENDING, /* ask again */
	KAFKA_DONE,
	KAFKA_MISSING,	/* there is no topic of positions (yet) */
	KAFKA_DOUBTFUL, /* committed or not: a new producer must find out */
} KafkaOutcome;

/*
 * A new producer: goes a step towards being ready, without waiting long.  Done
 * once the place is known; in doubt, it takes another one.
 */
extern KafkaOutcome
kafka_exactly_ready(KafkaExactly *exactly, rd_kafka_t				*producer,
					rd_kafka_conf_t *(*consumer_conf)(void *), void *argument,
					Place *place);

/* The id of the last record of a part that is in that place; NULL: unknown. */
extern const char *kafka_exactly_last(const KafkaExactly *exactly);

/* In which timeline it got to that place; 0: unknown. */
extern uint32_t kafka_exactly_timeline(const KafkaExactly *exactly);

/* Whether an error says that the topic does not exist. */
extern bool kafka_is_missing_topic(rd_kafka_resp_err_t error);

extern bool kafka_exactly_begin(KafkaExactly *exactly, rd_kafka_t *producer);

/*
 * Ends the transaction with that position, in steps.  last is the id of the last
 * record before it, if that is in the middle of a transaction.
 */
extern KafkaOutcome kafka_exactly_commit(KafkaExactly *exactly,
										 rd_kafka_t	  *producer,
										 const Place *place, const char *last);

/*
 * Whether an error of produce says that the open transaction has failed.  Starts
 * the program over if that is because the producer was fenced.
 */
extern bool kafka_exactly_has_failed(rd_kafka_t			*producer,
									 rd_kafka_resp_err_t error);

/* The reader of positions was told that their topic isn't there. */
extern void kafka_exactly_missing(KafkaExactly *exactly);

/* An error came by: a commit under way is in doubt. */
extern void kafka_exactly_doubt(KafkaExactly *exactly);

/* The producer goes away. */
extern void kafka_exactly_reset(KafkaExactly *exactly);

#endif
