import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import org.apache.nifi.flowfile.FlowFile;
import org.apache.nifi.processor.ProcessContext;
import org.apache.nifi.processor.ProcessSession;
import org.apache.nifi.processor.ProcessSessionFactory;
import org.apache.nifi.processors.standard.ListenHTTP;
import org.apache.nifi.util.TestRunner;
import org.apache.nifi.util.TestRunners;

/**
 * NiFi's ListenHTTP on a port, without the rest of NiFi: "Listen DIRECTORY PORT".
 *
 * Each FlowFile becomes a line of DIRECTORY/flowfiles, with its attributes and content,
 * when its session is committed, which is before the request is answered; NiFi's
 * repositories keep them then, too. While DIRECTORY/full is there, the queue behind is
 * full.
 */
public final class Listen extends ListenHTTP
{
	private static final ObjectMapper json = new ObjectMapper();
	private static final Object lock = new Object();
	private static OutputStream out;

	public static void main(String[] args) throws Exception
	{
		Path directory = Path.of(args[0]);
		TestRunner runner = TestRunners.newTestRunner(Listen.class);

		out = new FileOutputStream(directory.resolve("flowfiles").toFile(), true);
		runner.setProperty("Listening Port", args[1]);
		runner.run(1, false, true);
		while (true)
		{
			synchronized (lock)
			{
				runner.clearTransferState();
				if (Files.exists(directory.resolve("full")))
					runner.setRelationshipUnavailable(RELATIONSHIP_SUCCESS);
				else
					runner.setRelationshipAvailable(RELATIONSHIP_SUCCESS);
			}
			Thread.sleep(20);
		}
	}

	@Override
	public void onTrigger(ProcessContext context, ProcessSessionFactory factory)
	{
		super.onTrigger(context, () -> keeping(factory.createSession()));
	}

	/** The session, but what is transferred is kept when it is committed. */
	private static ProcessSession keeping(ProcessSession session)
	{
		ByteArrayOutputStream transferred = new ByteArrayOutputStream();

		return (ProcessSession) Proxy.newProxyInstance(Listen.class.getClassLoader(), new Class<?>[] {ProcessSession.class},
			(proxy, method, arguments) ->
			{
				synchronized (lock)
				{
					if (method.getName().equals("transfer"))
						append(transferred, session, arguments[0] instanceof Collection<?> several ? several : List.of(arguments[0]));
					else if (method.getName().startsWith("commit"))
					{
						out.write(transferred.toByteArray());
						transferred.reset();
					}
					try
					{
						return method.invoke(session, arguments);
					}
					catch (InvocationTargetException e)
					{
						throw e.getCause();
					}
				}
			});
	}

	/** In the order in which they were made: ListenHTTP has those of a request in a set. */
	private static void append(ByteArrayOutputStream lines, ProcessSession session, Collection<?> flowFiles) throws IOException
	{
		List<FlowFile> sorted = new ArrayList<>();

		flowFiles.forEach(one -> sorted.add((FlowFile) one));
		sorted.sort(Comparator.comparingLong(FlowFile::getId));
		for (FlowFile one : sorted)
		{
			ByteArrayOutputStream content = new ByteArrayOutputStream();

			session.exportTo(one, content);
			lines.writeBytes(json.writeValueAsBytes(Map.of("attributes", one.getAttributes(), "content", content.toString(StandardCharsets.UTF_8))));
			lines.write('\n');
		}
	}
}
