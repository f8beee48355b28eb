/*
 * kafka_record.c
 *		The topic of a record, and whether it is followed by a tombstone.
 */
#include "client/targets/kafka_record.h"

#include <ctype.h>
#include <string.h>

#define MAX_TOPIC 249 /* Kafka's limit */

/* Kafka's names have letters, digits, dots, dashes and underscores. */
static void
add_to_topic(Bytes *topic, const char *name)
{
	const unsigned char *p;

	for (p = (const unsigned char *) name; *p; p++)
		if (isalnum(*p) || strchr("._-", *p))
			mem_append(topic, p, 1);
		else
			mem_format(topic, "_%02x", *p);
}

static void
find_topic(KafkaRecord *result, const Record *record, const char *prefix)
{
	add_to_topic(&result->topic, prefix);
	mem_add(&result->topic, ".");
	if (facts_of_table(&result->facts, record))
	{
		add_to_topic(&result->topic, result->facts.schema);
		mem_add(&result->topic, ".");
		add_to_topic(&result->topic, result->facts.table);
	}
	else
		mem_add(&result->topic, facts_kind(record));
	if (result->topic.length > MAX_TOPIC)
		client_exit(EXIT_TARGET,
					"\"%s\" is too long for the name of a topic: choose one "
					"with --kafka-topic",
					result->topic.data);
}

void
kafka_record(KafkaRecord *result, const Target *target, const Record *record,
			 const char *prefix, const char *fixed)
{
	facts_read(&result->facts, target, record);
	mem_reset(&result->topic);
	if (fixed)
		mem_add(&result->topic, fixed);
	else
		find_topic(result, record, prefix);
	result->tombstone =
		result->facts.key.length > 0 && result->facts.is_delete;
}
