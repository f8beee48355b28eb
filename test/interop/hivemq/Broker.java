/*
 * Broker DIRECTORY: HiveMQ, with conf, data and extensions there, until it is ended.
 */
import com.hivemq.embedded.EmbeddedHiveMQ;
import java.nio.file.Path;

public class Broker
{
	public static void main(String[] arguments) throws Exception
	{
		Path home = Path.of(arguments[0]);

		EmbeddedHiveMQ.builder().withConfigurationFolder(home.resolve("conf")).withDataFolder(home.resolve("data"))
			.withExtensionsFolder(home.resolve("extensions")).build().start().join();
		Thread.currentThread().join();
	}
}
