/*
 * postgres_session.c
 *		Connecting to the PostgreSQL that changes are applied to.
 *
 * Each step is a question, in the order of the table below.
 */
#include "client/targets/postgres_session.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "client/clock.h"
#include "client/loop.h"
#include "client/pq_error.h"
#include "client/target.h"

#define CONNECT_MS 30000 /* for the connection and each question */

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
	" WHERE current_setting('synchronous_commit') = 'off'";

typedef struct SessionStep
{
	bool of_slot; /* only needed for a position */
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
ask_settings(PostgresSession *session, Bytes *question)
{
	(void) session;
	mem_add(question, settings);
	return true;
}

static void
answer_nothing(PostgresSession *session, PGresult *result)
{
	(void) session;
	(void) result;
}

/* A table of somebody else could have triggers that would run as us. */
static bool
ask_table(PostgresSession *session, Bytes *question)
{
	(void) session;
	mem_add(question,
			"SELECT n.oid IS NOT NULL, c.oid IS NOT NULL, r.rolname"
			" FROM (SELECT) AS one"
			" LEFT JOIN pg_namespace AS n ON nspname = 'outflow_client'"
			" LEFT JOIN pg_class AS c"
			"  ON relnamespace = n.oid AND relname = 'position'"
			" LEFT JOIN pg_roles AS r ON r.oid IN (nspowner, relowner)"
			"  AND NOT rolsuper AND rolname <> current_user");
	return true;
}

static void
answer_table(PostgresSession *session, PGresult *result)
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
}

static bool
ask_creation(PostgresSession *session, Bytes *question)
{
	if (!session->has_schema)
		mem_add(question, "CREATE SCHEMA outflow_client;");
	if (!session->has_table)
		mem_add(question,
				"CREATE TABLE outflow_client.position (system_id text, slot "
				"text, lsn pg_lsn NOT NULL, changed timestamptz NOT NULL "
				"DEFAULT now(), PRIMARY KEY (system_id, slot))");
	return !session->has_table;
}

static bool
ask_lock(PostgresSession *session, Bytes *question)
{
	mem_add(question, "SELECT pg_try_advisory_lock(hashtextextended("
					  "concat_ws(' ', 'pg_outflow', ");
	session_append_slot(session, question);
	mem_add(question, "), 0))");
	return true;
}

static void
answer_lock(PostgresSession *session, PGresult *result)
{
	if (PQntuples(result) != 1 || PQgetvalue(result, 0, 0)[0] != 't')
		postgres_session_lost(session, "another session applies this slot's "
									   "changes");
}

static bool
ask_position(PostgresSession *session, Bytes *question)
{
	mem_add(question,
			"INSERT INTO outflow_client.position (system_id, slot, lsn)"
			" VALUES (");
	session_append_slot(session, question);
	mem_add(question, ", '0/0') ON CONFLICT DO NOTHING;"
					  "SELECT lsn FROM outflow_client.position"
					  " WHERE (system_id, slot) = (");
	session_append_slot(session, question);
	mem_add(question, ")");
	return true;
}

static void
answer_position(PostgresSession *session, PGresult *result)
{
	if (PQntuples(result) == 1 &&
		!lsn_parse(PQgetvalue(result, 0, 0), &session->position))
		client_exit(EXIT_TARGET, "%s: outflow_client.position holds no "
								 "position",
					session->name);
}

static const SessionStep steps[] = {
	{false, ask_settings, answer_nothing}, {true, ask_table, answer_table},
	{true, ask_creation, answer_nothing},  {true, ask_lock, answer_lock},
	{true, ask_position, answer_position},
};

#define NSTEPS (sizeof(steps) / sizeof(steps[0]))

/*
 * The first prefix of the SQLSTATE decides; the values are to blame for all
 * that isn't here.
 */
static const struct
{
	const char	 *sqlstate;
	PostgresFault fault;
} faults[] = {
	{"08", FAULT_PASSES}, /* the connection */
	{"25006", FAULT_PASSES}, /* a standby, until it is promoted */
	{"28", FAULT_STAYS},	 /* login */
	{"3D", FAULT_STAYS},	 /* no such database */
	{"3F", FAULT_STAYS},	 /* no such schema */
	{"40", FAULT_PASSES},	 /* deadlock, serialization */
	{"42", FAULT_STAYS},	 /* rights, definitions */
	{"0A", FAULT_STAYS},
	{"26", FAULT_STAYS}, /* a pooler gives statements to somebody else */
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

/* ---- the connection */

static const char *
conninfo_value(PQconninfoOption *options, const char *keyword)
{
	for (; options && options->keyword; options++)
		if (strcmp(options->keyword, keyword) == 0 && options->val &&
			options->val[0])
			return options->val;
	return NULL;
}

/* All hosts of a list are this machine. */
static bool
hosts_are_local(const char *hosts)
{
	static const char local[] = ",localhost,127.0.0.1,::1,";
	const char		 *p = hosts;

	for (;;)
	{
		size_t length = strcspn(p, ",");
		char  *host = client_format(",%.*s,", (int) length, p);
		bool   is_local =
			length == 0 || *p == '/' || *p == '@' || strstr(local, host);

		free(host);
		if (!is_local)
			return false;
		if (p[length] == '\0')
			return true;
		p += length + 1;
	}
}

/*
 * Changes go to other machines only over TLS and to whom the certificate names,
 * unless the user says otherwise.  What a service's file says can't be seen.
 */
static const char *
session_sslmode(const Url *url)
{
	PQconninfoOption *given = PQconninfoParse(url->text, NULL);
	PQconninfoOption *defaults = PQconndefaults();
	const char		 *host = conninfo_value(given, "hostaddr");
	bool			  chosen;
	bool			  is_local;

	if (host == NULL)
		host = conninfo_value(given, "host");
	if (host == NULL)
		host = conninfo_value(defaults, "hostaddr");
	if (host == NULL)
		host = conninfo_value(defaults, "host");
	is_local = !conninfo_value(given, "service") && !getenv("PGSERVICE") &&
			   (host == NULL || hosts_are_local(host));
	chosen = conninfo_value(given, "sslmode") || getenv("PGSSLMODE");
	PQconninfoFree(given);
	PQconninfoFree(defaults);
	return chosen || is_local ? NULL : "verify-full";
}

void
postgres_session_open(PostgresSession *session, const Url *url)
{
	PQconninfoOption *options = PQconninfoParse(url->text, NULL);
	const char		 *ports = conninfo_value(options, "port");

	/*
	 * Nothing of it is shown: a password with a slash in it may be what is
	 * wrong, and taken for a port or a database.
	 */
	if (options == NULL ||
		(ports && ports[strspn(ports, "0123456789,")] != '\0') ||
		(url->path && strchr(url->path, '@')))
		client_exit(EXIT_USAGE,
					"a %s: URL of --to is none that libpq can read; other "
					"characters than letters and digits may have to be "
					"percent-encoded",
					url->scheme);
	PQconninfoFree(options);
	session->url = url;
	session->name = url->display;
	session->fd = -1;
}

static void
session_ready(int fd, short events, void *argument)
{
	PostgresSession *session = argument;

	(void) fd;
	(void) events;
	session->ready = true;
}

static void
session_watch(PostgresSession *session, short events)
{
	int fd = PQsocket(session->conn);

	if (session->fd >= 0 && session->fd != fd)
		loop_forget(session->fd);
	session->fd = fd;
	if (fd >= 0)
		loop_watch(fd, events, session_ready, session);
}

void
postgres_session_close(PostgresSession *session)
{
	if (session->fd >= 0)
		loop_forget(session->fd);
	session->fd = -1;
	PQfinish(session->conn);
	session->conn = NULL;
	mem_free(&session->expected);
	session->answered = 0;
	session->phase = SESSION_DOWN;
	session->retry_at = NEVER;
}

void
postgres_session_lost(PostgresSession *session, const char *why)
{
	char	 *message = pq_message(why);
	long long pause = target_backoff(++session->attempt);

	log_limited(&session->limit, LOG_WARNING, "%s: %s; trying again",
				session->name, message);
	free(message);
	postgres_session_close(session);
	session->retry_at = clock_ms() + pause;
}

/* Ends the program if time can't mend it. */
static void
session_refused(PostgresSession *session, const char *sqlstate,
				const char *message)
{
	const char *hint = "";

	if (strcmp(sqlstate, "42501") == 0 && session->phase == SESSION_PREPARING)
		hint = session->step == 0
				   ? ". Changes are applied as by a replica: GRANT SET ON "
					 "PARAMETER session_replication_role TO the role"
				   : ". The role needs CREATE on the database, or a schema "
					 "outflow_client of its own";
	if (postgres_fault(sqlstate) != FAULT_PASSES)
		client_exit(EXIT_TARGET, "%s: %s%s", session->name, message, hint);
	postgres_session_lost(session, message);
}

static void
session_connect_failed(PostgresSession *session)
{
	char *message = pq_message(PQerrorMessage(session->conn));
	char  sqlstate[6];

	pq_find_sqlstate(message, sqlstate);
	if (PQconnectionNeedsPassword(session->conn))
		client_exit(EXIT_TARGET, "%s: %s", session->name, message);
	session_refused(session, sqlstate[0] ? sqlstate : "08006", message);
	free(message);
}

static void
session_connect(PostgresSession *session)
{
	const char *keys[] = {"fallback_application_name", "dbname", "sslmode",
						  "client_encoding", NULL};
	const char *values[] = {"pg_outflow", session->url->text,
							session_sslmode(session->url), "UTF8", NULL};

	session->conn = PQconnectStartParams(keys, values, 1);
	if (session->conn == NULL)
		client_exit(EXIT_FAILED, "out of memory");
	/* an error then tells its SQLSTATE, even of the connection itself */
	PQsetErrorVerbosity(session->conn, PQERRORS_VERBOSE);
	session->phase = SESSION_CONNECTING;
	session->retry_at = clock_ms() + CONNECT_MS;
	if (PQstatus(session->conn) != CONNECTION_BAD)
		session_watch(session, POLLOUT);
}

static void
session_ask_next(PostgresSession *session)
{
	Bytes question = {0};

	for (; session->step < NSTEPS; session->step++)
	{
		mem_reset(&question);
		if ((session->of_slot || !steps[session->step].of_slot) &&
			steps[session->step].ask(session, &question))
			break;
	}
	session->retry_at = clock_ms() + CONNECT_MS;
	if (session->step < NSTEPS)
	{
		if (PQsendQuery(session->conn, question.data))
			session_watch(session, POLLIN);
		else
			postgres_session_lost(session, PQerrorMessage(session->conn));
	}
	else if (PQsetnonblocking(session->conn, 1) != 0 ||
			 !PQenterPipelineMode(session->conn))
		postgres_session_lost(session, PQerrorMessage(session->conn));
	else
	{
		session->phase = SESSION_READY;
		session->retry_at = NEVER;
	}
	mem_free(&question);
}

static void
session_go_on_connecting(PostgresSession *session)
{
	switch (PQconnectPoll(session->conn))
	{
		case PGRES_POLLING_READING:
			session_watch(session, POLLIN);
			break;
		case PGRES_POLLING_WRITING:
			session_watch(session, POLLOUT);
			break;
		case PGRES_POLLING_OK:
			PQsetErrorVerbosity(session->conn, PQERRORS_DEFAULT);
			session->phase = SESSION_PREPARING;
			session->step = 0;
			session_ask_next(session);
			break;
		default:
			session_connect_failed(session);
			break;
	}
}

static void
session_take_answer(PostgresSession *session, PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);
	char		  *message;
	const char	  *sqlstate;

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
	{
		steps[session->step].answer(session, result);
		return;
	}
	sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	message = pq_message(PQresultErrorMessage(result));
	session_refused(session, sqlstate ? sqlstate : "08006", message);
	free(message);
}

static void
session_go_on_preparing(PostgresSession *session)
{
	if (!PQconsumeInput(session->conn))
	{
		postgres_session_lost(session, PQerrorMessage(session->conn));
		return;
	}
	while (session->phase == SESSION_PREPARING && !PQisBusy(session->conn))
	{
		PGresult *result = PQgetResult(session->conn);

		if (result == NULL)
		{
			session->step++;
			session_ask_next(session);
			return;
		}
		session_take_answer(session, result);
		PQclear(result);
	}
}

void
postgres_session_work(PostgresSession *session)
{
	bool late = clock_ms() >= session->retry_at;

	if (session->phase == SESSION_DOWN && late)
		session_connect(session);
	else if (session->phase == SESSION_CONNECTING)
	{
		if (PQstatus(session->conn) == CONNECTION_BAD)
			session_connect_failed(session);
		else if (late)
			postgres_session_lost(session, "the server doesn't answer");
		else if (session->ready)
			session_go_on_connecting(session);
	}
	else if (session->phase == SESSION_PREPARING && late)
		postgres_session_lost(session, "the server doesn't answer");
	else if (session->phase == SESSION_PREPARING)
		session_go_on_preparing(session);
	session->ready = false;
}

bool
postgres_session_flush(PostgresSession *session)
{
	int left = PQflush(session->conn);

	if (left < 0)
	{
		postgres_session_lost(session, PQerrorMessage(session->conn));
		return false;
	}
	session_watch(session, left ? POLLIN | POLLOUT : POLLIN);
	return true;
}

/* ---- the pipeline */

void
postgres_expect(PostgresSession *session, PostgresAnswer answer)
{
	mem_append(&session->expected, &answer, sizeof(answer));
}

void
postgres_send(PostgresSession *session, const char *sql, PostgresAnswer answer)
{
	if (PQsendQueryParams(session->conn, sql, 0, NULL, NULL, NULL, NULL, 0))
		postgres_expect(session, answer);
}

void
postgres_send_sync(PostgresSession *session)
{
	if (PQpipelineSync(session->conn))
		postgres_expect(session, (PostgresAnswer){.kind = ANSWER_SYNC});
}
