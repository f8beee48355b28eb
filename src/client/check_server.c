/*
 * check_server.c
 *		One query for each thing that a stream needs of the server.  They need
 *		neither the extension nor more rights than any role has; what a role may
 *		not see is noted.
 */
#include "client/check_server.h"

#include <string.h>

#include "client/server_call.h"

/* the names in $3, which are quoted as the option of the plugin reads them */
#define PUBLICATIONS                                                          \
	"(SELECT replace(replace(replace(btrim(l[1]), '\"\"', E'\\1'), '\"', "    \
	"''),"                                                                    \
	" E'\\1', '\"') AS n"                                                     \
	" FROM regexp_matches($3, '(?:[^,\"]|\"[^\"]*\")+', 'g') AS l)"

/*
 * Each returns rows of item, ok (null: a note), detail and fix.  $1 is the slot
 * or null, $2 the plugin, $3 the publications or null.
 */
static const char *const questions[] = {
	"SELECT 'server', current_setting('server_version_num')::int >= 150000,"
	" format('PostgreSQL %s, database %I, role %I',"
	" current_setting('server_version'), current_database(), current_user),"
	" 'PostgreSQL 15 or later is needed'",

	/* from 19 on the first slot of a primary raises replica to logical */
	"SELECT 'wal_level', coalesce(e, w) = 'logical'"
	" OR (e = 'replica' AND NOT pg_is_in_recovery()),"
	" concat(w, ', at present ' || nullif(e, w)),"
	" 'ALTER SYSTEM SET wal_level = logical; -- then restart the server'"
	" FROM current_setting('wal_level') AS w,"
	" current_setting('effective_wal_level', true) AS e",

	/* the setting doesn't exist before 15.19, 16.15, 17.11 and 18.6 */
	"SELECT 'output_plugin_libraries', v IS NULL OR EXISTS ("
	"SELECT FROM string_to_table(v, ',') AS l"
	" WHERE btrim(l, E' \"\\t\\n') IN ($2, '$libdir/' || $2)),"
	" coalesce('the server allows ' || v,"
	" 'this server has no such setting and allows every plugin'),"
	" format('ALTER SYSTEM SET output_plugin_libraries = %s;"
	" -- then SELECT pg_reload_conf();',"
	" concat_ws(', ', nullif(v, ''), $2::text))"
	" FROM current_setting('output_plugin_libraries', true) AS v",

	/* its control file stands for the library, which only superusers see */
	"SELECT 'plugin ' || $2, count(*) > 0,"
	" CASE WHEN count(*) = 0 THEN 'the extension outflow is not installed on"
	" the server' WHEN bool_or(installed_version IS NOT NULL)"
	" THEN 'installed; this database has the extension'"
	" ELSE 'installed; this database is without the extension, which only"
	" exports need' END,"
	" 'install outflow on the server: make install, or its package'"
	" FROM pg_available_extensions WHERE name = 'outflow'"
	" HAVING $2::text IN ('outflow', 'outflow_wal2json')",

	"SELECT 'role', rolreplication OR rolsuper,"
	" CASE WHEN rolreplication OR rolsuper THEN 'may replicate'"
	" ELSE 'lacks the attribute REPLICATION' END,"
	" format('ALTER ROLE %I REPLICATION;', rolname)"
	" FROM pg_roles WHERE rolname = current_user",

	"SELECT 'room for a slot', used < most,"
	" format('%s of %s slots are used', used, most),"
	" 'drop a slot that nobody needs, or raise max_replication_slots and"
	" restart the server'"
	" FROM (SELECT count(*) AS used,"
	" current_setting('max_replication_slots')::int AS most"
	" FROM pg_replication_slots) AS s"
	" WHERE NOT EXISTS (SELECT FROM pg_replication_slots"
	" WHERE slot_name = $1)",

	/* columns that only newer servers have are asked for by name, in json */
	"SELECT 'slot ' || $1, CASE WHEN s.slot_name IS NULL"
	" OR s.plugin IS DISTINCT FROM $2 OR s.database <> current_database()"
	" OR s.wal_status = 'lost' OR j->>'invalidation_reason' IS NOT NULL"
	" OR s.two_phase THEN false WHEN s.active OR s.wal_status <> 'reserved' "
	"THEN NULL"
	" ELSE true END,"
	" CASE WHEN s.slot_name IS NULL THEN 'does not exist'"
	" WHEN s.plugin IS NULL THEN 'is no logical slot'"
	" ELSE concat_ws(', ', 'plugin ' || s.plugin,"
	" CASE WHEN s.database <> current_database()"
	" THEN format('of database %I', s.database) END,"
	" 'WAL ' || s.wal_status, j->>'invalidation_reason',"
	" CASE WHEN NOT pg_is_in_recovery() THEN pg_size_pretty("
	"pg_wal_lsn_diff(pg_current_wal_lsn(), s.confirmed_flush_lsn))"
	" || ' behind' END,"
	" CASE WHEN s.two_phase THEN 'two_phase' END,"
	" CASE WHEN (j->>'failover')::boolean THEN 'failover' END,"
	" 'in use by process ' || s.active_pid) END,"
	" CASE WHEN s.slot_name IS NULL THEN 'start the stream with"
	" --create-slot' WHEN s.plugin IS NULL OR s.database <>"
	" current_database() THEN 'another name, or that slot''s database'"
	" WHEN s.plugin <> $2 THEN format('another name; or drop it and make it"
	" with the plugin %s', $2::text)"
	" WHEN s.wal_status = 'lost' OR j->>'invalidation_reason' IS NOT NULL"
	" THEN 'drop the slot, export the tables again with a new one, and"
	" stream that with --after-job'"
	" WHEN s.two_phase THEN 'a slot without two_phase: what was delivered"
	" cannot be taken back'"
	" WHEN s.active THEN 'a second stream waits until the first one ends'"
	" WHEN s.wal_status <> 'reserved' THEN 'start the stream before the"
	" server removes WAL that it needs' END"
	" FROM (SELECT $1::name AS name) AS n LEFT JOIN (pg_replication_slots AS s"
	" CROSS JOIN LATERAL to_json(s) AS j) ON s.slot_name = n.name"
	" WHERE $1::name IS NOT NULL",

	"SELECT 'publication ' || n, p.oid IS NOT NULL,"
	" CASE WHEN p.oid IS NULL THEN 'does not exist' ELSE"
	" (SELECT concat(count(*), ' table', CASE WHEN count(*) <> 1 THEN 's' END)"
	" FROM pg_publication_tables AS t WHERE t.pubname = n) END, "
	"format('CREATE PUBLICATION %I FOR TABLE ...;', n)"
	" FROM " PUBLICATIONS " AS names"
	" LEFT JOIN pg_publication AS p ON p.pubname = n",

	/* a publication of updates makes them fail; else they come without a key */
	"SELECT 'replica identity', CASE WHEN count(*) = 0 THEN true"
	" WHEN $3::text IS NOT NULL THEN false END,"
	" CASE count(*) WHEN 0 THEN 'all tables have one' ELSE"
	" format(CASE count(*) WHEN 1 THEN '%2$s has none: its'"
	" ELSE '%1$s tables have none, such as %2$s: their' END"
	" || ' updates and deletes '"
	" || CASE WHEN $3::text IS NULL THEN 'come without a key' ELSE 'fail' END,"
	" count(*), min(t.oid::regclass::text)) END,"
	" format('ALTER TABLE %s REPLICA IDENTITY FULL; -- or a primary key',"
	" min(t.oid::regclass::text))"
	" FROM pg_class AS t JOIN pg_namespace AS n ON n.oid = t.relnamespace"
	" WHERE t.relkind = 'r' AND t.relpersistence = 'p'"
	" AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'outflow')"
	" AND ($3::text IS NULL OR EXISTS (SELECT FROM pg_publication_tables AS p"
	" JOIN pg_publication AS b USING (pubname)"
	" WHERE p.schemaname = n.nspname AND p.tablename = t.relname"
	" AND (b.pubupdate OR b.pubdelete) AND p.pubname IN " PUBLICATIONS "))"
	" AND NOT (t.relreplident = 'f' OR EXISTS (SELECT FROM pg_index AS i"
	" WHERE i.indrelid = t.oid AND i.indisvalid AND CASE t.relreplident"
	" WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident END))",
};

static const char *
check_field(const PGresult *result, int row, int column)
{
	return PQgetisnull(result, row, column) ? NULL
											: PQgetvalue(result, row, column);
}

static void
ask_server(const Settings *settings, PGconn *conn, const char *question,
		   CheckTell tell)
{
	const char *values[] = {
		settings->slot, settings->plugin,
		pairs_find(&settings->options, "publication_names")};
	/* without types of their own some would have none */
	const Oid types[] = {19, 25, 25}; /* name, text, text */
	PGresult *result =
		PQexecParams(conn, question, 3, types, values, NULL, NULL, 0);
	int row;

	if (PQresultStatus(result) != PGRES_TUPLES_OK)
	{
		const char *why = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

		tell(VERDICT_NOTE, "not found out", why ? why : PQerrorMessage(conn),
			 NULL);
	}
	for (row = 0; row < PQntuples(result); row++)
	{
		const char *ok = check_field(result, row, 1);
		Verdict		verdict = ok == NULL   ? VERDICT_NOTE
							  : *ok == 't' ? VERDICT_OK
										   : VERDICT_NOT;

		tell(verdict, check_field(result, row, 0), check_field(result, row, 2),
			 check_field(result, row, 3));
	}
	PQclear(result);
}

/* What the stream itself would use: its line of pg_hba.conf, its password. */
static void
check_replication(const Settings *settings, CheckTell tell)
{
	static const char item[] = "replication connection";
	char			 *why = NULL;
	PGconn			 *conn = server_try(settings->conninfo, "database", &why);
	PGresult		 *result;

	if (conn == NULL)
	{
		tell(VERDICT_NOT, item, why,
			 "a role with REPLICATION, max_wal_senders that are free, and a "
			 "line of pg_hba.conf for the database");
		return;
	}
	result = PQexec(conn, "IDENTIFY_SYSTEM");
	if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
		tell(VERDICT_OK, item, PQgetvalue(result, 0, 0), NULL);
	else
		tell(VERDICT_NOT, item, PQerrorMessage(conn), NULL);
	PQclear(result);
	PQfinish(conn);
}

void
check_server(const Settings *settings, CheckTell tell)
{
	char   *why = NULL;
	PGconn *conn = server_try(settings->conninfo, NULL, &why);
	size_t	i;

	if (conn == NULL)
	{
		tell(VERDICT_NOT, "server", why, "all else waits for that");
		return;
	}
	PQclear(PQexec(conn, "SET search_path = pg_catalog"));
	for (i = 0; i < sizeof(questions) / sizeof(questions[0]); i++)
		ask_server(settings, conn, questions[i], tell);
	PQfinish(conn);
	check_replication(settings, tell);
}
