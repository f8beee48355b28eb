/*
 * kafka_topics.c
 *		Topics that are made as their first record comes.
 */
#ifdef HAVE_RDKAFKA

#include "client/targets/kafka_topics.h"

#include <string.h>

#include "client/memory.h"

static void
create_topic(KafkaTarget *self, const char *topic)
{
	const Settings *settings = self->settings;
	bool is_offsets = self->exactly && self->phase == KAFKA_PREPARING;
	rd_kafka_NewTopic_t *new_topic;
	char				 error[512];

	new_topic = rd_kafka_NewTopic_new(
		topic, is_offsets ? 1 : (int) settings->kafka_partitions, -1, error,
		sizeof(error));
	if (new_topic == NULL)
		client_exit(EXIT_TARGET, "topic \"%s\": %s", topic, error);
	/* brokers refuse what has no key in a compacted topic */
	if (is_offsets ||
		(settings->kafka_compact && self->record.facts.key.length > 0))
		rd_kafka_NewTopic_set_config(new_topic, "cleanup.policy", "compact");
	rd_kafka_CreateTopics(self->producer, &new_topic, 1, NULL, self->answers);
	rd_kafka_NewTopic_destroy(new_topic);
	self->is_creating = true;
}

/* It may be there all the same: its absence would tell. */
static bool
may_not_create(rd_kafka_resp_err_t error)
{
	return error == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
		   error == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED ||
		   error == RD_KAFKA_RESP_ERR_POLICY_VIOLATION ||
		   error == RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION ||
		   error == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE;
}

/* The answer to create_topic(), if it has come. */
void
kafka_take_answer(KafkaTarget *self)
{
	rd_kafka_event_t *event = rd_kafka_queue_poll(self->answers, 0);
	const rd_kafka_CreateTopics_result_t *result;
	const rd_kafka_topic_result_t		**topics;
	const char		   *topic = self->topics[self->ntopics - 1];
	size_t				count = 0;
	rd_kafka_resp_err_t error;

	if (event == NULL)
		return;
	error = rd_kafka_event_error(event);
	result = rd_kafka_event_CreateTopics_result(event);
	if (error == 0 && result)
	{
		topics = rd_kafka_CreateTopics_result_topics(result, &count);
		if (count > 0)
			error = rd_kafka_topic_result_error(topics[0]);
	}
	rd_kafka_event_destroy(event);
	self->is_creating = false;
	if (error == 0)
		log_message(LOG_INFO, "created topic \"%s\"", topic);
	else if (error == RD_KAFKA_RESP_ERR__TIMED_OUT ||
			 error == RD_KAFKA_RESP_ERR__TRANSPORT ||
			 error == RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT ||
			 error == RD_KAFKA_RESP_ERR_NOT_CONTROLLER)
		create_topic(self, topic);
	else if (may_not_create(error))
	{
		log_message(LOG_WARNING, "%s: topic \"%s\" cannot be created: %s",
					self->base.name, topic, rd_kafka_err2str(error));
		self->creation_error = error;
	}
	else if (error != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
		kafka_refused(self, error, topic);
}

void
kafka_add_topic(KafkaTarget *self, const char *topic)
{
	self->topics =
		client_realloc(self->topics, (self->ntopics + 1) * sizeof(char *));
	self->topics[self->ntopics++] = client_strdup(topic);
	create_topic(self, topic);
}

/* May messages go to that topic now? */
bool
kafka_topic_is_ready(KafkaTarget *self, const char *topic)
{
	size_t i;

	if (self->base.settings->kafka_partitions == 0)
		return true;
	if (self->is_creating)
		return false;
	for (i = 0; i < self->ntopics; i++)
		if (strcmp(self->topics[i], topic) == 0)
			return true;
	kafka_add_topic(self, topic);
	return false;
}

#endif /* HAVE_RDKAFKA */
