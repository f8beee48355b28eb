// RestCatalog DIRECTORY: Apache Iceberg's own REST catalog, kept in a file of that
// directory; says on which port of 127.0.0.1 it listens.
import java.net.InetSocketAddress;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.iceberg.jdbc.JdbcCatalog;
import org.apache.iceberg.rest.RESTCatalogAdapter;
import org.apache.iceberg.rest.RESTCatalogServlet;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.servlet.ServletContextHandler;
import org.eclipse.jetty.servlet.ServletHolder;

public class RestCatalog {
	public static void main(String[] arguments) throws Exception {
		JdbcCatalog catalog = new JdbcCatalog();
		Server server = new Server(new InetSocketAddress("127.0.0.1", 0));
		ServletContextHandler context = new ServletContextHandler();

		catalog.setConf(new Configuration());
		catalog.initialize("catalog", Map.of(
			"uri", "jdbc:sqlite:" + arguments[0] + "/catalog.db",
			"jdbc.schema-version", "V1",
			"warehouse", "file://" + arguments[0] + "/warehouse",
			"clients", "1"));
		context.addServlet(new ServletHolder(new RESTCatalogServlet(new RESTCatalogAdapter(catalog))), "/*");
		server.setHandler(context);
		server.start();
		System.out.println("port " + ((ServerConnector) server.getConnectors()[0]).getLocalPort());
		System.out.flush();
		server.join();
	}
}
