import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.Temporal;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.api.TableResult;
import org.apache.flink.types.Row;
import org.apache.flink.types.RowKind;
import org.apache.flink.util.CloseableIterator;

/**
 * Runs a script of Flink SQL in a cluster inside this process, in streaming mode, and writes what each of its queries has come to as
 * one JSON object per row, in a form that PostgreSQL's json_populate_record reads.
 *
 * <pre>
 * ReadChanges SCRIPT END OUTPUT [SETTING=VALUE...]
 * </pre>
 *
 * The statements of SCRIPT end in a semicolon and a line's end. A query's rows are added and taken back as Flink's changelog says,
 * until a row with the text END has been added; then the rows that are left go to OUTPUT/N, N being 0 for the first query. To standard
 * output goes a line "N VALUE" for each entry of the changelog, with the value of its first column.
 */
public final class ReadChanges
{
	public static void main(String[] args) throws Exception
	{
		TableEnvironment environment = TableEnvironment.create(
			EnvironmentSettings.newInstance().inStreamingMode().build());
		List<Thread> readers = new ArrayList<>();

		// changes keep their order with one task, and only so
		environment.getConfig().set("parallelism.default", "1");
		environment.getConfig().set("table.local-time-zone", "UTC");
		for (int i = 3; i < args.length; i++)
		{
			String[] setting = args[i].split("=", 2);
			environment.getConfig().set(setting[0], setting[1]);
		}
		for (String statement : Files.readString(Path.of(args[0])).split(";\\s*\\n"))
		{
			if (statement.isBlank())
				continue;
			TableResult result = environment.executeSql(statement);
			if (!statement.strip().startsWith("SELECT"))
				continue;
			int query = readers.size();
			Thread reader = new Thread(() -> read(result, query, args[1], Path.of(args[2])));
			readers.add(reader);
			reader.start();
		}
		for (Thread reader : readers)
			reader.join();
		System.exit(0);
	}

	/** Follows one query to its end. A failure ends the program, whose exit status the test looks at. */
	private static void read(TableResult result, int query, String end, Path output)
	{
		Map<String, Integer> rows = new TreeMap<>();
		List<String> names = result.getResolvedSchema().getColumnNames();

		try (CloseableIterator<Row> changes = result.collect())
		{
			while (changes.hasNext())
			{
				Row row = changes.next();
				boolean added = row.getKind() == RowKind.INSERT || row.getKind() == RowKind.UPDATE_AFTER;
				StringBuilder json = new StringBuilder();

				object(json, names, row);
				int left = rows.merge(json.toString(), added ? 1 : -1, Integer::sum);
				if (left < 0)
					throw new IllegalStateException("taken back without having been there: " + json);
				if (left == 0)
					rows.remove(json.toString());
				System.out.println(query + " " + row.getField(0));
				if (added && json.indexOf(end) >= 0)
					break;
			}
			List<String> lines = new ArrayList<>();
			rows.forEach((json, times) -> {
				for (int i = 0; i < times; i++)
					lines.add(json);
			});
			Files.write(output.resolve(String.valueOf(query)), lines);
		}
		catch (Throwable problem)
		{
			problem.printStackTrace();
			Runtime.getRuntime().halt(1);
		}
	}

	private static void object(StringBuilder json, Iterable<String> names, Row row)
	{
		int i = 0;

		json.append('{');
		for (String name : names)
		{
			if (i > 0)
				json.append(',');
			string(json, name);
			json.append(':');
			value(json, row.getField(i++));
		}
		json.append('}');
	}

	private static void value(StringBuilder json, Object value)
	{
		if (value == null)
			json.append("null");
		else if (value instanceof Boolean)
			json.append(value);
		else if (value instanceof java.math.BigDecimal decimal)
			json.append(decimal.toPlainString());
		else if (value instanceof Number number && !Double.isNaN(number.doubleValue())
			&& !Double.isInfinite(number.doubleValue()))
			json.append(value);
		else if (value instanceof byte[] bytes)
			string(json, "\\x" + HexFormat.of().formatHex(bytes));
		else if (value instanceof Row row)
			object(json, row.getFieldNames(true), row);
		else if (value instanceof Object[] array)
		{
			json.append('[');
			for (int i = 0; i < array.length; i++)
			{
				if (i > 0)
					json.append(',');
				value(json, array[i]);
			}
			json.append(']');
		}
		else if (value instanceof String || value instanceof Number || value instanceof Temporal)
			string(json, value.toString());
		else
			throw new IllegalArgumentException("no JSON for a value of " + value.getClass());
	}

	private static void string(StringBuilder json, String text)
	{
		json.append('"');
		for (char c : text.toCharArray())
			if (c < ' ' || c == '"' || c == '\\')
				json.append(String.format("\\u%04x", (int) c));
			else
				json.append(c);
		json.append('"');
	}
}
