import java.io.ByteArrayOutputStream;
import java.io.FileInputStream;
import java.io.InputStream;
import java.io.BufferedInputStream;
import java.util.Map;
import java.util.TreeMap;
import org.apache.nifi.util.FlowFileUnpackagerV3;

/** Takes FlowFiles apart as NiFi does: each file that is named gives a line "ATTRIBUTES<tab>CONTENT" per FlowFile, where attributes are "name=value,...". */
public final class Unpack
{
	public static void main(String[] args) throws Exception
	{
		for (String file : args)
			try (InputStream in = new BufferedInputStream(new FileInputStream(file)))
			{
				FlowFileUnpackagerV3 unpackager = new FlowFileUnpackagerV3();

				do
				{
					ByteArrayOutputStream content = new ByteArrayOutputStream();
					Map<String, String> attributes = unpackager.unpackageFlowFile(in, content);
					StringBuilder line = new StringBuilder();

					if (attributes == null)
						throw new IllegalStateException("no FlowFile in " + file);
					new TreeMap<>(attributes).forEach((name, value) -> line.append(line.isEmpty() ? "" : ",").append(name).append('=').append(value));
					System.out.println(line + "\t" + content.toString("UTF-8").strip());
				}
				while (unpackager.hasMoreData());
			}
	}
}
