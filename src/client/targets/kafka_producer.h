/*
 * kafka_producer.h
 *		The producer of a Kafka target: its configuration and its reports.
 */
#ifndef CLIENT_KAFKA_PRODUCER_H
#define CLIENT_KAFKA_PRODUCER_H

#include <librdkafka/rdkafka.h>

#include "client/targets/kafka_exactly.h"
#include "client/targets/kafka_record.h"

#define KAFKA_STEP_MS 10 /* between steps of what librdkafka does meanwhile */

/* With --kafka-exactly-once: what the producer is at. */
typedef enum KafkaPhase
{
	KAFKA_PREPARING, /* fencing others, reading the position */
	KAFKA_READY,
	KAFKA_COMMITTING,
} KafkaPhase;

typedef struct KafkaTarget
{
	Target			  base;
	char			 *prefix;
	rd_kafka_t		 *producer;
	rd_kafka_queue_t *reports;
	int				  wake[2]; /* a pipe */
	KafkaRecord		  record;

	/* topics that are known to exist, when they are created on request */
	rd_kafka_queue_t *answers;
	size_t			  ntopics;
	char			**topics;
	bool			  is_creating; /* the last of them */
	rd_kafka_resp_err_t
		 creation_error; /* why one may have to be there already */
	bool owes_tombstone; /* of the next record, which is sent otherwise */

	/* kafka_reject.h */
	uint64_t sent; /* number of the last record given to the producer */
	uint64_t
		 alone_until; /* up to that number each record goes alone; 0: none */
	bool batch_refused;
	bool renews; /* the producer must be made anew */
	bool has_rejected;
	int	 batch_size; /* of librdkafka, at most; 0: its own */

	/* exactly once; NULL: at least once */
	KafkaExactly   *exactly;
	const Url	   *url;
	const Settings *settings;
	KafkaPhase		phase;
	bool			has_started;
	Place			committed; /* where the open transaction of Kafka began */
	uint64_t		last;	   /* number up to which the open one reaches; 0 */
	Record			last_counted; /* of the backlog; length 0: none in it */
	char		   *last_id; /* of the last one that a place counts; NULL */
	bool			stores_part; /* Kafka's place is amid a transaction */
	bool			is_open;
	bool			in_doubt; /* another producer is needed, which finds out */
	size_t			bytes;	  /* in it */
	size_t			nrejected;
	uint64_t	   *rejected; /* numbers of its records that are set aside */
	long long		commit_at;
	LogLimit		doubt_limit;
} KafkaTarget;

extern void kafka_open_producer(KafkaTarget *self);
extern void kafka_close_producer(KafkaTarget *self);

/* Of a client of the same brokers; argument is the target. */
extern rd_kafka_conf_t *kafka_client_conf(void *argument);

/* Errors that concern a record, and only that one. */
extern bool kafka_is_record_error(rd_kafka_resp_err_t error);

/* What a failed login may come from; "" if nothing is known. */
extern const char *kafka_login_hint(const char *reason);

/* All is refused, for good: ends the program. */
extern void kafka_refused(KafkaTarget *self, rd_kafka_resp_err_t error,
						  const char *topic);

/*
 * What a message carries: the number of its record, times two, and one more if
 * another message of the record follows, whose report counts.
 */
extern void *kafka_opaque(uint64_t number, bool more);

#endif
