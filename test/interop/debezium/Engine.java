import io.debezium.engine.ChangeEvent;
import io.debezium.engine.DebeziumEngine;
import io.debezium.engine.format.Json;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;

/**
 * Debezium's engine with a sink to Kafka as its server has one: "Engine PORT SLOT BROKERS TOPIC CHANGES".
 *
 * Each batch of the engine is sent, waited for, and marked as processed. Ends once as many changes are
 * there.
 */
public final class Engine
{
	public static void main(String[] args) throws Exception
	{
		String topic = args[3];
		long changes = Long.parseLong(args[4]);
		CountDownLatch all = new CountDownLatch(1);
		KafkaProducer<String, String> producer = new KafkaProducer<>(sinkProperties(args[2]));
		long[] seen = {0};
		var engine = DebeziumEngine.create(Json.class).using(sourceProperties(args[0], args[1])).notifying(
			(List<ChangeEvent<String, String>> events, DebeziumEngine.RecordCommitter<ChangeEvent<String, String>> committer) ->
			{
				List<Future<RecordMetadata>> sent = new ArrayList<>(events.size());

				for (var event : events)
					sent.add(producer.send(new ProducerRecord<>(topic, event.key(), event.value())));
				for (int i = 0; i < sent.size(); i++)
				{
					try
					{
						sent.get(i).get();
					}
					catch (ExecutionException e)
					{
						throw new IllegalStateException(e);
					}
					committer.markProcessed(events.get(i));
					if (events.get(i).value() != null) /* no tombstone */
						seen[0]++;
				}
				committer.markBatchFinished();
				if (seen[0] >= changes)
					all.countDown();
			}).using((success, message, error) ->
			{
				if (!success)
				{
					System.err.println(message + ": " + error);
					Runtime.getRuntime().halt(1);
				}
			}).build();

		Executors.newSingleThreadExecutor().execute(engine);
		all.await();
		producer.close();
		/* as it would go on for ever; what is left to do is not what is measured */
		Runtime.getRuntime().halt(0);
	}

	private static Properties sinkProperties(String brokers)
	{
		Properties properties = new Properties();

		properties.put("bootstrap.servers", brokers);
		properties.put("acks", "all");
		properties.put("compression.type", "lz4");
		properties.put("key.serializer", "org.apache.kafka.common.serialization.StringSerializer");
		properties.put("value.serializer", "org.apache.kafka.common.serialization.StringSerializer");
		return properties;
	}

	private static Properties sourceProperties(String port, String slot)
	{
		Properties properties = new Properties();

		properties.put("name", "bench");
		properties.put("connector.class", "io.debezium.connector.postgresql.PostgresConnector");
		properties.put("offset.storage", "org.apache.kafka.connect.storage.MemoryOffsetBackingStore");
		properties.put("topic.prefix", "bench");
		properties.put("database.hostname", "127.0.0.1");
		properties.put("database.port", port);
		properties.put("database.user", "postgres");
		properties.put("database.password", "none");
		properties.put("database.dbname", "postgres");
		properties.put("plugin.name", "pgoutput");
		properties.put("publication.name", "bench");
		properties.put("publication.autocreate.mode", "disabled");
		properties.put("slot.name", slot);
		properties.put("snapshot.mode", "no_data");
		properties.put("converter.schemas.enable", "false");
		return properties;
	}
}
