/*
 * kafka_mock.c
 *		librdkafka's mock cluster, by itself: one broker, for tests only.
 *
 * The first line of stdout is its address.  A line of stdin is a command, and
 * "ok" the answer; the cluster ends with stdin.
 *
 *	 topic NAME PARTITIONS		makes a topic
 *	 errors API CODE COUNT		the next requests of that API key fail so
 *								(code 0: they don't)
 *	 rtt MS						answers take that long
 *	 down, up					the broker goes, and comes again
 */
#include <stdio.h>
#include <string.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

static int
obey(rd_kafka_mock_cluster_t *cluster, const char *line)
{
	char topic[300];
	int	 api;
	int	 code;
	int	 count;

	if (sscanf(line, "topic %299s %d", topic, &count) == 2)
		return rd_kafka_mock_topic_create(cluster, topic, count, 1);
	if (sscanf(line, "errors %d %d %d", &api, &code, &count) == 3)
	{
		while (count-- > 0)
			rd_kafka_mock_push_request_errors(cluster, api, 1, code);
		return 0;
	}
	if (sscanf(line, "rtt %d", &count) == 1)
		return rd_kafka_mock_broker_set_rtt(cluster, 1, count);
	if (strcmp(line, "down\n") == 0)
		return rd_kafka_mock_broker_set_down(cluster, 1);
	if (strcmp(line, "up\n") == 0)
		return rd_kafka_mock_broker_set_up(cluster, 1);
	return -1;
}

int
main(void)
{
	char		error[512];
	char		line[512];
	rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(),
									  error, sizeof(error));
	rd_kafka_mock_cluster_t *cluster;

	if (client == NULL ||
		(cluster = rd_kafka_mock_cluster_new(client, 1)) == NULL)
	{
		fprintf(stderr, "could not make a cluster\n");
		return 1;
	}
	puts(rd_kafka_mock_cluster_bootstraps(cluster));
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
	{
		puts(obey(cluster, line) == 0 ? "ok" : "failed");
		fflush(stdout);
	}
	rd_kafka_mock_cluster_destroy(cluster);
	rd_kafka_destroy(client);
	return 0;
}
