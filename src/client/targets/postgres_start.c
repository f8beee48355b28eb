/*
 * postgres_start.c
 *		What a session is asked and told before changes are applied, and what
 *		its errors mean.
 *
 * Each step is a question, in the order of a table.
 */
#include <stdlib.h>
#include <string.h>

#include "client/targets/postgres_session.h"

/*
 * The text of values means what it meant at the source, nothing ends a
 * transaction that waits for the rest of a source's, and a lost client is
 * noticed.  What the source's triggers and foreign keys did comes as changes of
 * its own, so they don't act again.  A commit that isn't on disk would let the
 * source forget what is lost.  The key's index is the right plan also while
 * statistics say that the table is empty.
 */
static const char settings[] =
	"SET search_path = pg_catalog, pg_temp;"
	"SET session_replication_role = replica;"
	"SET DateStyle = 'ISO, YMD';"
	"SET TimeZone = 'UTC';"
	"SET IntervalStyle = postgres;"
	"SET lc_monetary = 'C';"
	"SET array_nulls = on;"
	"SET xmloption = content;"
	"SET row_security = off;"
	"SET statement_timeout = 0;"
	"SET lock_timeout = 0;"
	"SET idle_in_transaction_session_timeout = 0;"
	"SET idle_session_timeout = 0;"
	"SET default_transaction_isolation = 'read committed';"
	"SET default_transaction_read_only = off;"
	"SET default_transaction_deferrable = off;"
	"SET tcp_keepalives_idle = 30;"
	"SET tcp_keepalives_interval = 10;"
	"SET tcp_keepalives_count = 3;"
	"SET enable_seqscan = off;"
	"SET plan_cache_mode = force_generic_plan;"
	"SET jit = off;"
	"SELECT set_config('synchronous_commit', 'on', false)"
	" WHERE current_setting('synchronous_commit') = 'off';"
	/* of 17 and later */
	"SELECT set_config(name, '0', false) FROM pg_settings"
	" WHERE name = 'transaction_timeout'";

/* When a step is taken: a position is only needed for a slot. */
typedef enum StepUse
{
	STEP_ALWAYS,
	STEP_OF_SLOT,
	STEP_OF_SLOT_OR_PROBE,
	STEP_OF_PROBE,
} StepUse;

typedef struct SessionStep
{
	StepUse use;
	/* false: not needed */
	bool (*ask)(PostgresSession *session, Bytes *question);
	void (*answer)(PostgresSession *session, PGresult *result);
} SessionStep;

static void
session_append_literal(PostgresSession *session, Bytes *question,
					   const char *text)
{
	char *quoted = PQescapeLiteral(session->conn, text, strlen(text));

	if (quoted == NULL)
		client_exit(EXIT_FAILED, "\"%s\" can't be quoted: %s", text,
					PQerrorMessage(session->conn));
	mem_add(question, quoted);
	PQfreemem(quoted);
}

static void
session_append_slot(PostgresSession *session, Bytes *question)
{
	session_append_literal(session, question, session->identity.system_id);
	mem_add(question, ", ");
	session_append_literal(session, question, session->identity.slot);
}

static bool
start_ask_settings(PostgresSession *session, Bytes *question)
{
	(void) session;
	mem_add(question, settings);
	return true;
}

static void
start_answer_nothing(PostgresSession *session, PGresult *result)
{
	(void) session;
	(void) result;
}

/* A table of somebody else could have triggers that would run as us. */
static bool
start_ask_owner(PostgresSession *session, Bytes *question)
{
	(void) session;
	mem_add(question,
			"SELECT n.oid IS NOT NULL, c.oid IS NOT NULL, r.rolname,"
			" EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid"
			"  AND attname = 'timeline' AND NOT attisdropped),"
			" pg_has_role(relowner, 'USAGE')"
			" FROM (SELECT) AS one"
			" LEFT JOIN pg_namespace AS n ON nspname = 'outflow_client'"
			" LEFT JOIN pg_class AS c"
			"  ON relnamespace = n.oid AND relname = 'position'"
			" LEFT JOIN pg_roles AS r ON r.oid IN (nspowner, relowner)"
			"  AND NOT rolsuper AND rolname <> current_user");
	return true;
}

static void
start_answer_owner(PostgresSession *session, PGresult *result)
{
	if (PQntuples(result) < 1)
		return;
	if (!PQgetisnull(result, 0, 2))
		client_exit(EXIT_TARGET,
					"%s: outflow_client.position belongs to role \"%s\", who "
					"could have it do anything: it must be this user's or a "
					"superuser's",
					session->name, PQgetvalue(result, 0, 2));
	session->has_schema = PQgetvalue(result, 0, 0)[0] == 't';
	session->has_table = PQgetvalue(result, 0, 1)[0] == 't';
	session->has_timeline =
		!session->has_table || PQgetvalue(result, 0, 3)[0] == 't';
	session->may_alter = PQgetvalue(result, 0, 4)[0] == 't';
}

/*
 * A table that was made without the timeline gets it from its owner; others do
 * without.  Sessions of other slots aren't kept waiting behind one of them.
 */
static bool
start_ask_creation(PostgresSession *session, Bytes *question)
{
	if (!session->has_timeline && session->may_alter)
	{
		session->has_timeline = true;
		mem_add(question, "SET lock_timeout = '1s';"
						  "ALTER TABLE outflow_client.position"
						  " ADD COLUMN IF NOT EXISTS timeline bigint;"
						  "SET lock_timeout = 0");
		return true;
	}
	if (!session->has_schema)
		mem_add(question, "CREATE SCHEMA outflow_client;");
	if (!session->has_table)
		mem_add(question,
				"CREATE TABLE outflow_client.position (system_id text, slot "
				"text, lsn pg_lsn NOT NULL, timeline bigint, changed "
				"timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (system_id, "
				"slot))");
	return !session->has_table;
}

static bool
start_ask_lock(PostgresSession *session, Bytes *question)
{
	mem_add(question, "SELECT pg_try_advisory_lock(hashtextextended("
					  "concat_ws(' ', 'pg_outflow', ");
	session_append_slot(session, question);
	mem_add(question, "), 0))");
	return true;
}

static void
start_answer_lock(PostgresSession *session, PGresult *result)
{
	session->is_taken =
		PQntuples(result) != 1 || PQgetvalue(result, 0, 0)[0] != 't';
}

static bool
start_ask_position(PostgresSession *session, Bytes *question)
{
	mem_add(question,
			"INSERT INTO outflow_client.position (system_id, slot, lsn)"
			" VALUES (");
	session_append_slot(session, question);
	mem_format(question,
			   ", '0/0') ON CONFLICT DO NOTHING;"
			   "SELECT lsn, %s FROM outflow_client.position"
			   " WHERE (system_id, slot) = (",
			   session->has_timeline ? "timeline" : "NULL");
	session_append_slot(session, question);
	mem_add(question, ")");
	return true;
}

static void
start_answer_position(PostgresSession *session, PGresult *result)
{
	if (PQntuples(result) == 1 &&
		!lsn_parse(PQgetvalue(result, 0, 0), &session->position))
		client_exit(EXIT_TARGET,
					"%s: outflow_client.position holds no "
					"position",
					session->name);
	/* NULL is read as an empty text */
	if (PQntuples(result) == 1)
		session->timeline = strtoul(PQgetvalue(result, 0, 1), NULL, 10);
}

/* What the steps of a slot would fail of. */
static bool
start_ask_rights(PostgresSession *session, Bytes *question)
{
	(void) session;
	mem_add(question,
			"SELECT pg_is_in_recovery(), CASE"
			" WHEN t IS NOT NULL THEN has_table_privilege(t, 'SELECT')"
			"  AND has_table_privilege(t, 'INSERT')"
			"  AND has_table_privilege(t, 'UPDATE')"
			" WHEN n IS NOT NULL THEN has_schema_privilege(n, 'CREATE')"
			" ELSE has_database_privilege(current_database(), 'CREATE') END"
			" FROM (SELECT to_regclass('outflow_client.position') AS t,"
			" to_regnamespace('outflow_client') AS n) AS place");
	return true;
}

static void
start_answer_rights(PostgresSession *session, PGresult *result)
{
	if (PQntuples(result) != 1)
		return;
	if (PQgetvalue(result, 0, 0)[0] == 't')
		client_exit(EXIT_TARGET, "%s: it is a standby: promote it first",
					session->name);
	if (PQgetvalue(result, 0, 1)[0] != 't')
		client_exit(EXIT_TARGET,
					"%s: the role cannot keep its position in "
					"outflow_client.position: grant CREATE on the database, "
					"or make it the owner of that schema",
					session->name);
}

static bool
is_used(const PostgresSession *session, StepUse use)
{
	return use == STEP_ALWAYS || (session->of_slot && use != STEP_OF_PROBE) ||
		   (session->is_probe && use != STEP_OF_SLOT);
}

static const SessionStep steps[] = {
	{STEP_ALWAYS, start_ask_settings, start_answer_nothing},
	{STEP_OF_SLOT_OR_PROBE, start_ask_owner, start_answer_owner},
	{STEP_OF_PROBE, start_ask_rights, start_answer_rights},
	{STEP_OF_SLOT, start_ask_creation, start_answer_nothing},
	{STEP_OF_SLOT, start_ask_lock, start_answer_lock},
	{STEP_OF_SLOT, start_ask_position, start_answer_position},
};

bool
postgres_ask(PostgresSession *session, Bytes *question)
{
	for (; session->step < sizeof(steps) / sizeof(steps[0]); session->step++)
	{
		const SessionStep *step = &steps[session->step];

		mem_reset(question);
		if (is_used(session, step->use) && step->ask(session, question))
			return true;
	}
	return false;
}

void
postgres_answer(PostgresSession *session, PGresult *result)
{
	steps[session->step].answer(session, result);
}

/*
 * It is only added when nobody holds the table: a dump that runs for hours must not
 * keep changes waiting.  The next session tries again.
 */
bool
postgres_goes_on_after(PostgresSession *session, const char *sqlstate)
{
	bool is_altering =
		steps[session->step].ask == start_ask_creation && session->has_table;

	if (!is_altering ||
		(strcmp(sqlstate, "55P03") != 0 && strcmp(sqlstate, "42501") != 0))
		return false;
	session->has_timeline = false;
	return true;
}

/*
 * The first prefix of the SQLSTATE decides; the values are to blame for all
 * that isn't here.
 */
static const struct
{
	const char	 *sqlstate;
	PostgresFault fault;
} faults[] = {
	{"08", FAULT_PASSES},	 /* the connection */
	{"25006", FAULT_PASSES}, /* a standby, until it is promoted */
	{"25P0", FAULT_PASSES},	 /* timeouts of a transaction */
	{"28", FAULT_STAYS},	 /* login */
	{"3D", FAULT_STAYS},	 /* no such database */
	{"3F", FAULT_STAYS},	 /* no such schema */
	{"40", FAULT_PASSES},	 /* deadlock, serialization */
	{"42", FAULT_STAYS},	 /* rights, definitions */
	{"0A", FAULT_STAYS},
	{"26", FAULT_STAYS},  /* a pooler gives statements to somebody else */
	{"53", FAULT_PASSES}, /* disk, memory, connections */
	{"55000", FAULT_STAYS},
	{"55", FAULT_PASSES}, /* locks */
	{"57", FAULT_PASSES}, /* shutdown, restart, somebody's cancel */
	{"58", FAULT_PASSES}, /* the system */
	{"XX", FAULT_STAYS},
};

PostgresFault
postgres_fault(const char *sqlstate)
{
	size_t i;

	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (strncmp(sqlstate, faults[i].sqlstate,
					strlen(faults[i].sqlstate)) == 0)
			return faults[i].fault;
	return FAULT_RECORD;
}

/* What ends the session is no verdict on what was under way. */
PostgresFault
postgres_fault_of(const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *severity =
		PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
	PostgresFault fault = postgres_fault(sqlstate ? sqlstate : "08006");

	return fault == FAULT_RECORD && severity && strcmp(severity, "ERROR") != 0
			   ? FAULT_PASSES
			   : fault;
}
