/*
 * kafka_exactly.c
 *		Transactions of Kafka, and the position in them.
 *
 * librdkafka's calls for transactions wait, and go on where they stood when they
 * are called again: here they are given a moment each time.  A commit is called
 * once.  On a busy machine a second call may time out before librdkafka's own
 * thread has taken it; librdkafka 2.0 then forgets that it commits, and aborts the
 * process when the broker's answer comes.
 */
#ifdef HAVE_RDKAFKA

#include "client/targets/kafka_exactly.h"

#include <stdlib.h>
#include <string.h>

#include "client/json_scan.h"
#include "client/memory.h"
#include "client/restart.h"

#define STEP_MS 20
/* A commit that takes longer is looked up by another producer. */
#define COMMIT_MS 2000

struct KafkaExactly
{
	char *topic;
	char *key;
	char *id;
	/* the target's, whose timeline may change */
	const Identity *identity;
	bool			initialized;
	rd_kafka_t	   *consumer; /* of the topic, while it is read */
	bool			missing;  /* it is not there, as brokers said */
	Place			found;
	char		   *found_last;
	uint32_t		found_in; /* timeline of it; 0: unknown */
	int64_t end; /* where the topic ended once it was ours; -1: not known */

	bool in_commit;
	bool doubtful;
};

KafkaExactly *
kafka_exactly_new(const char *prefix, const Identity *identity)
{
	KafkaExactly *exactly = client_alloc(sizeof(KafkaExactly));

	exactly->identity = identity;
	exactly->topic = client_format("%s.offsets", prefix);
	exactly->key = client_format("{\"system_id\":\"%s\",\"slot\":\"%s\"}",
								 identity->system_id, identity->slot);
	exactly->id =
		client_format("%s-%s-%s", prefix, identity->system_id, identity->slot);
	return exactly;
}

const char *
kafka_exactly_id(const KafkaExactly *exactly)
{
	return exactly->id;
}

const char *
kafka_exactly_topic(const KafkaExactly *exactly)
{
	return exactly->topic;
}

/*
 * Either another client has taken this one's place, or it was stopped for longer than
 * a transaction may take, and the broker has ended that.  Who has the slot goes on:
 * PostgreSQL gives it to one at a time.
 */
static void
start_over_if_fenced(const char *what, rd_kafka_resp_err_t code)
{
	if (code == RD_KAFKA_RESP_ERR__FENCED ||
		code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
		code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH)
		client_restart(
			"%s: Kafka has ended the transaction, for another pg_outflow or "
			"because it took too long",
			what);
}

bool
kafka_exactly_has_failed(rd_kafka_t *producer, rd_kafka_resp_err_t error)
{
	if (error != RD_KAFKA_RESP_ERR__STATE && error != RD_KAFKA_RESP_ERR__FATAL)
		return false;
	start_over_if_fenced("produce", rd_kafka_fatal_error(producer, NULL, 0));
	return true;
}

/* True if it is done; false to call again.  Ends the program if it never can. */
static bool
judge(const char *what, rd_kafka_error_t *error, bool *failed)
{
	rd_kafka_resp_err_t code;
	bool				retriable;

	if (error == NULL)
		return true;
	code = rd_kafka_error_code(error);
	retriable = rd_kafka_error_is_retriable(error);
	start_over_if_fenced(what, code);
	if (code == RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED ||
		code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED ||
		code == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE)
		client_exit(EXIT_TARGET, "%s: %s", what, rd_kafka_error_string(error));
	if (code == RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT)
		client_exit(
			EXIT_TARGET,
			"%s: %s; the brokers' transaction.max.timeout.ms is smaller "
			"than librdkafka's minute: use -X transaction.timeout.ms",
			what, rd_kafka_error_string(error));
	log_message(LOG_DEBUG, "%s: %s", what, rd_kafka_error_string(error));
	rd_kafka_error_destroy(error);
	*failed = !retriable;
	return false;
}

static void
begin_reading(KafkaExactly *exactly, rd_kafka_conf_t *conf)
{
	char							 error[512];
	rd_kafka_topic_partition_list_t *list =
		rd_kafka_topic_partition_list_new(1);

	rd_kafka_conf_set(conf, "group.id", "pg_outflow", NULL, 0);
	rd_kafka_conf_set(conf, "enable.auto.commit", "false", NULL, 0);
	rd_kafka_conf_set(conf, "isolation.level", "read_committed", NULL, 0);
	rd_kafka_conf_set(conf, "enable.partition.eof", "true", NULL, 0);
	exactly->consumer =
		rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof(error));
	if (exactly->consumer == NULL)
		client_exit(EXIT_FAILED, "could not read topic \"%s\": %s",
					exactly->topic, error);
	rd_kafka_poll_set_consumer(exactly->consumer);
	rd_kafka_topic_partition_list_add(list, exactly->topic, 0)->offset =
		RD_KAFKA_OFFSET_BEGINNING;
	rd_kafka_assign(exactly->consumer, list);
	rd_kafka_topic_partition_list_destroy(list);
	exactly->end = -1;
	exactly->found = (Place){0};
	free(exactly->found_last);
	exactly->found_last = NULL;
	exactly->found_in = 0;
}

static void
read_position(KafkaExactly *exactly, const rd_kafka_message_t *message)
{
	const char *value = message->payload;
	char	   *position;
	char	   *commit;
	char	   *sum;
	long long	records = 0;
	long long	timeline = 0;

	if (value == NULL || message->key_len != strlen(exactly->key) ||
		memcmp(message->key, exactly->key, message->key_len) != 0)
		return;
	position = json_find_text(value, message->len, "position");
	commit = json_find_text(value, message->len, "commit_lsn");
	exactly->found = (Place){0};
	if (position == NULL || commit == NULL ||
		!lsn_parse(position, &exactly->found.end) ||
		!lsn_parse(commit, &exactly->found.commit_lsn) ||
		!json_find_number(value, message->len, "records", &records))
		client_exit(EXIT_TARGET, "topic \"%s\" holds no position: %.*s",
					exactly->topic, (int) message->len, value);
	exactly->found.records = records;
	sum = json_find_text(value, message->len, "sum");
	exactly->found.sum = sum ? strtoul(sum, NULL, 16) : 0;
	free(exactly->found_last);
	exactly->found_last = json_find_text(value, message->len, "last");
	exactly->found_in =
		json_find_number(value, message->len, "timeline", &timeline) ? timeline
																	 : 0;
	free(position);
	free(commit);
	free(sum);
}

bool
kafka_is_missing_topic(rd_kafka_resp_err_t error)
{
	return error == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
		   error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
}

/*
 * Readers of what is committed are told of an end where another slot's open
 * transaction begins.  Ours are all ended by now, and lie before the true one.
 */
static bool
is_at_end(KafkaExactly *exactly, int64_t offset)
{
	int64_t low;
	int64_t high;

	if (exactly->end < 0 &&
		rd_kafka_get_watermark_offsets(exactly->consumer, exactly->topic, 0,
									   &low, &high) == 0)
		exactly->end = high;
	return offset >= exactly->end;
}

/* Done at the end of the topic. */
static KafkaOutcome
read_on(KafkaExactly *exactly)
{
	rd_kafka_message_t *message;
	KafkaOutcome		outcome = KAFKA_PENDING;

	exactly->missing = false;
	while (outcome != KAFKA_DONE &&
		   (message = rd_kafka_consumer_poll(exactly->consumer, STEP_MS)))
	{
		if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
			outcome = is_at_end(exactly, message->offset) ? KAFKA_DONE
														  : KAFKA_PENDING;
		else if (message->err == 0)
			read_position(exactly, message);
		else if (kafka_is_missing_topic(message->err))
			outcome = KAFKA_MISSING;
		else if (message->err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
			client_exit(EXIT_TARGET, "topic \"%s\": %s", exactly->topic,
						rd_kafka_err2str(message->err));
		rd_kafka_message_destroy(message);
	}
	if (exactly->missing)
		outcome = KAFKA_MISSING;
	return outcome;
}

static void
end_reading(KafkaExactly *exactly)
{
	if (exactly->consumer == NULL)
		return;
	rd_kafka_assign(exactly->consumer, NULL);
	rd_kafka_destroy_flags(exactly->consumer,
						   RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	exactly->consumer = NULL;
}

const char *
kafka_exactly_last(const KafkaExactly *exactly)
{
	return exactly->found_last;
}

uint32_t
kafka_exactly_timeline(const KafkaExactly *exactly)
{
	return exactly->found_in;
}

KafkaOutcome
kafka_exactly_ready(KafkaExactly *exactly, rd_kafka_t				*producer,
					rd_kafka_conf_t *(*consumer_conf)(void *), void *argument,
					Place *place)
{
	bool		 failed = false;
	KafkaOutcome outcome;

	if (!exactly->initialized)
	{
		if (!judge("init_transactions",
				   rd_kafka_init_transactions(producer, STEP_MS), &failed))
			return failed ? KAFKA_DOUBTFUL : KAFKA_PENDING;
		/* nobody else adds to the topic from here on */
		exactly->initialized = true;
	}
	if (exactly->consumer == NULL)
		begin_reading(exactly, consumer_conf(argument));
	outcome = read_on(exactly);
	if (outcome != KAFKA_PENDING)
		end_reading(exactly);
	*place = exactly->found;
	return outcome;
}

bool
kafka_exactly_begin(KafkaExactly *exactly, rd_kafka_t *producer)
{
	bool failed;

	exactly->in_commit = exactly->doubtful = false;
	return judge("begin_transaction", rd_kafka_begin_transaction(producer),
				 &failed);
}

static rd_kafka_resp_err_t
produce_position(KafkaExactly *exactly, rd_kafka_t *producer,
				 const Place *place, const char *last)
{
	char *value = client_format(
		"{\"position\":\"" LSN_FORMAT "\",\"commit_lsn\":\"" LSN_FORMAT
		"\",\"records\":%llu,\"sum\":\"%08x\",%s%s%s\"timeline\":%u}",
		LSN_ARGS(place->end), LSN_ARGS(place->commit_lsn),
		(unsigned long long) place->records, place->sum,
		last ? "\"last\":\"" : "", last ? last : "", last ? "\"," : "",
		exactly->identity->timeline);
	rd_kafka_resp_err_t error = rd_kafka_producev(
		producer, RD_KAFKA_V_TOPIC(exactly->topic), RD_KAFKA_V_PARTITION(0),
		RD_KAFKA_V_KEY(exactly->key, strlen(exactly->key)),
		RD_KAFKA_V_VALUE(value, strlen(value)),
		RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);

	free(value);
	return error;
}

KafkaOutcome
kafka_exactly_commit(KafkaExactly *exactly, rd_kafka_t *producer,
					 const Place *place, const char *last)
{
	bool				failed = false;
	rd_kafka_resp_err_t error;

	if (!exactly->in_commit)
	{
		error = produce_position(exactly, producer, place, last);
		/* a full queue: once more when reports have come */
		if (error)
			return kafka_exactly_has_failed(producer, error) ? KAFKA_DOUBTFUL
															 : KAFKA_PENDING;
		exactly->in_commit = true;
	}
	if (rd_kafka_flush(producer, STEP_MS))
		return KAFKA_PENDING;
	if (!judge("commit_transaction",
			   rd_kafka_commit_transaction(producer, COMMIT_MS), &failed))
		return KAFKA_DOUBTFUL;
	exactly->in_commit = false;
	/* a connection that was lost meanwhile has been told before */
	while (rd_kafka_poll(producer, 0) > 0)
		;
	return exactly->doubtful ? KAFKA_DOUBTFUL : KAFKA_DONE;
}

void
kafka_exactly_missing(KafkaExactly *exactly)
{
	exactly->missing = true;
}

void
kafka_exactly_doubt(KafkaExactly *exactly)
{
	exactly->doubtful = true;
}

void
kafka_exactly_reset(KafkaExactly *exactly)
{
	end_reading(exactly);
	exactly->initialized = exactly->in_commit = exactly->doubtful = false;
}

#endif /* HAVE_RDKAFKA */
