/*
 * remote_connect.c
 *		Connects to another PostgreSQL, as postgres_fdw does, with less trust.
 *
 * Nothing of the server process's environment or home directory takes part: no
 * password file, service, certificate or Kerberos ticket.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "sink/postgres/postgres_config.h"
#include "sink/postgres/remote.h"
#include "sink/server.h"
#include "utils/builtins.h"
#include "sink/stage.h"

#define MAX_PARAMETERS 24
#define MIN_VERSION	   120000

typedef struct Parameters
{
	const char *names[MAX_PARAMETERS + 1];
	const char *values[MAX_PARAMETERS + 1];
	int			count;
} Parameters;

Remote *
remote_new(const ForeignServer *server)
{
	Remote *remote = palloc0_object(Remote);

	remote->server = server->serverid;
	remote->name = pstrdup(server->servername);
	sink_guard(remote_close, remote);
	return remote;
}

static void
add_parameter(Parameters *parameters, const char *name, const char *value)
{
	Assert(parameters->count < MAX_PARAMETERS);
	if (value == NULL)
		return;
	parameters->names[parameters->count] = name;
	parameters->values[parameters->count++] = value;
}

static void
add_number(Parameters *parameters, const char *name, int value)
{
	add_parameter(parameters, name, psprintf("%d", value));
}

/* 0 is the system's own, which libpq would ask the system to set to 0. */
static void
add_limit(Parameters *parameters, const char *name, int value)
{
	if (value != 0)
		add_number(parameters, name, value);
}

/* libpq tries them in turn; each has the host's name, which certificates have. */
static void
add_addresses(Parameters *parameters, const PostgresConfig *config,
			  const char *addresses)
{
	char *hosts = pstrdup(config->host);

	for (const char *c = addresses; *c; c++)
		if (*c == ',')
			hosts = psprintf("%s,%s", hosts, config->host);
	add_parameter(parameters, "host", hosts);
	add_parameter(parameters, "hostaddr", addresses);
}

/* addresses: NULL for a socket */
static void
add_place(Parameters *parameters, const PostgresConfig *config,
		  const char *addresses)
{
	if (addresses)
		add_addresses(parameters, config, addresses);
	else
		add_parameter(parameters, "host", config->host);
	add_number(parameters, "port", config->port);
	add_parameter(parameters, "dbname", config->dbname);
	add_parameter(parameters, "sslmode", postgres_sslmode(config));
	add_parameter(parameters, "sslrootcert", config->sslrootcert);
	add_parameter(parameters, "channel_binding", config->channel_binding);
	add_number(parameters, "keepalives", config->keepalives);
	add_limit(parameters, "keepalives_idle", config->keepalives_idle);
	add_limit(parameters, "keepalives_interval", config->keepalives_interval);
	add_limit(parameters, "keepalives_count", config->keepalives_count);
	add_limit(parameters, "tcp_user_timeout", config->tcp_user_timeout);
}

static void
add_identity(Parameters *parameters, const PostgresSecrets *secrets)
{
	add_parameter(parameters, "user", secrets->user);
	add_parameter(parameters, "password", secrets->password);
	add_parameter(parameters, "passfile", "/dev/null");
	add_parameter(parameters, "gssencmode", "disable");
	/* nor is a ticket of this process's shown to a server that asks for one */
	if (PQlibVersion() >= 160000)
		add_parameter(parameters, "require_auth", "!gss,!sspi");
	add_parameter(parameters, "sslcert", "/dev/null/none");
	add_parameter(parameters, "target_session_attrs", "any");
	add_parameter(parameters, "client_encoding", pg_encoding_to_char(PG_UTF8));
	add_parameter(parameters, "fallback_application_name", "outflow");
}

static void
remote_start(Remote *remote, const Parameters *parameters)
{
	char **all = remote_hide_environment();

	remote->conn =
		PQconnectStartParams(parameters->names, parameters->values, false);
	remote_restore_environment(all);
}

static PostgresPollingStatusType
remote_continue(Remote *remote)
{
	char					**all = remote_hide_environment();
	PostgresPollingStatusType status = PQconnectPoll(remote->conn);

	remote_restore_environment(all);
	return status;
}

/* Which of a host's addresses it is about; libpq goes from one to the next. */
static char *
present_address(const Remote *remote)
{
	const char *address = PQhostaddr(remote->conn);

	return pstrdup(address ? address : "");
}

/*
 * Waits for each address as long as the server's option says; that at which the
 * time was up, or NULL.
 */
static char *
remote_poll(Remote *remote, int timeout)
{
	PostgresPollingStatusType status = PGRES_POLLING_WRITING;
	char					 *address = NULL;
	TimestampTz				  end = 0;

	while (status != PGRES_POLLING_OK)
	{
		TimestampTz now = GetCurrentTimestamp();
		long		rest;
		int events = status == PGRES_POLLING_READING ? WL_SOCKET_READABLE
													 : WL_SOCKET_CONNECTED;
		int happened;

		if (status == PGRES_POLLING_FAILED)
			return NULL;
		if (address == NULL || strcmp(address, present_address(remote)) != 0)
		{
			address = present_address(remote);
			end = TimestampTzPlusMilliseconds(now, timeout * 1000L);
		}
		rest = TimestampDifferenceMilliseconds(now, end);
		if (rest <= 0)
			return address;
		happened = WaitLatchOrSocket(
			MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | WL_TIMEOUT | events,
			PQsocket(remote->conn), rest, PG_WAIT_EXTENSION);
		if (happened & WL_LATCH_SET)
		{
			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
		}
		if (happened & events)
		{
			remote_before_read(remote);
			status = remote_continue(remote);
			remote_after_read(remote);
		}
	}
	return NULL;
}

static void
ignore_notice(void *arg, const char *message)
{
}

static void
report_no_connection(Remote *remote)
{
	char *reason = remote_clean(PQerrorMessage(remote->conn));

	remote_close(remote);
	ereport(ERROR,
			(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
			 errmsg("could not connect to server \"%s\"", remote->name),
			 reason ? errdetail("It says: %s", reason)
					: errdetail("It did not answer in time."),
			 errhint("SELECT * FROM outflow.check_destination(%s) tries it.",
					 quote_literal_cstr(psprintf("%s:", remote->name)))));
}

/* Or this process's own rights would be lent to whoever asks. */
static void
check_password(Remote *remote, const PostgresSecrets *secrets)
{
	if (!secrets->password_required || PQconnectionUsedPassword(remote->conn))
		return;
	remote_close(remote);
	ereport(
		ERROR,
		(errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED),
		 errmsg("server \"%s\" lets us in without the password", remote->name),
		 errdetail("So it trusts this machine, not the user mapping."),
		 errhint("Make its pg_hba.conf ask for a password.  A superuser "
				 "can set the user mapping's option password_required to "
				 "false.")));
}

/*
 * Settings of the remote role or database must not change what is sent, nor
 * end it.  A remote process whose client is gone ends soon, whatever it waits
 * for.
 */
static void
pin_settings(Remote *remote)
{
	const char *const values[] = {GetDatabaseEncodingName()};

	remote_command(remote, "SELECT pg_catalog.set_config('search_path', "
						   "'pg_catalog, pg_temp', false)");
	remote_run(remote,
			   "SELECT set_config('client_encoding', $1, false), "
			   "set_config('datestyle', 'ISO, MDY', false), "
			   "set_config('intervalstyle', 'postgres', false), "
			   "set_config('timezone', 'UTC', false), "
			   "set_config('lc_monetary', 'C', false), "
			   "set_config('extra_float_digits', '1', false), "
			   "set_config('bytea_output', 'hex', false), "
			   "set_config('standard_conforming_strings', 'on', false), "
			   "set_config('client_min_messages', 'error', false), "
			   "set_config('row_security', 'off', false), "
			   "set_config('synchronous_commit', coalesce(nullif("
			   "current_setting('synchronous_commit'), 'off'), 'on'), false)",
			   1, values);
	remote_command(
		remote,
		"SELECT set_config(s.name, v.value, false) FROM (VALUES "
		"('array_nulls', 'on'), ('xmloption', 'content'), "
		"('statement_timeout', '0'), ('lock_timeout', '0'), "
		"('idle_in_transaction_session_timeout', '0'), "
		"('idle_session_timeout', '0'), ('transaction_timeout', '0'), "
		"('client_connection_check_interval', '2s'), "
		"('tcp_keepalives_idle', '60'), ('tcp_keepalives_interval', '10'), "
		"('tcp_keepalives_count', '6')) AS v (name, value) "
		"JOIN pg_settings AS s ON s.name = v.name");
}

/* Not everywhere may everybody ask. */
static char *
find_cluster(Remote *remote)
{
	remote_command(remote, "SELECT has_function_privilege("
						   "'pg_control_system()', 'EXECUTE')");
	if (!remote_is_true(remote, 0, 0))
		return "";
	remote_command(remote, "SELECT format('%s/%s', system_identifier, d.oid) "
						   "FROM pg_control_system(), pg_database AS d "
						   "WHERE datname = current_database()");
	return remote_value(remote, 0, 0);
}

static void
look_at_remote(Remote *remote)
{
	MemoryContext context = GetMemoryChunkContext(remote);

	remote->version = PQserverVersion(remote->conn);
	if (remote->version < MIN_VERSION)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("server \"%s\" is older than PostgreSQL 12",
							   remote->name)));
	remote_command(remote, "SELECT current_user, "
						   "'outflow_' || left(current_user, 40), "
						   "pg_is_in_recovery()");
	remote->user = MemoryContextStrdup(context, remote_value(remote, 0, 0));
	remote->ledger = MemoryContextStrdup(context, remote_value(remote, 0, 1));
	if (remote_is_true(remote, 0, 2))
		ereport(ERROR, (errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
						errmsg("server \"%s\" is in recovery", remote->name),
						errdetail("It is a standby, which nothing can be "
								  "written to."),
						errhint("Connect to its primary.")));
	remote->cluster = MemoryContextStrdup(context, find_cluster(remote));
}

/* The address at which the time was up, or NULL. */
static char *
open_connection(Remote *remote, const PostgresConfig *config,
				const PostgresSecrets *secrets, const char *addresses)
{
	Parameters parameters = {0};

	add_place(&parameters, config, addresses);
	add_identity(&parameters, secrets);
	if (!AcquireExternalFD())
		ereport(ERROR,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("could not connect to server \"%s\"", remote->name),
				 errdetail("There are too many open files.")));
	remote_start(remote, &parameters);
	if (remote->conn == NULL)
	{
		ReleaseExternalFD();
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	}
	remote->waiting = 0;
	remote->received = 0;
	remote->expected = REMOTE_MAX_ANSWER;
	/* libpq lets nobody send much before a password is right */
	remote->memory = PG_INT64_MAX / 2;
	PQsetNoticeProcessor(remote->conn, ignore_notice, NULL);
	return PQstatus(remote->conn) == CONNECTION_BAD
			   ? NULL
			   : remote_poll(remote, config->connect_timeout);
}

/* libpq tries one after the other, but where one says nothing it waits. */
static void
try_addresses(Remote *remote, const PostgresConfig *config,
			  const PostgresSecrets *secrets)
{
	bool  is_socket = config->host[0] == '/' || config->host[0] == '@';
	char *addresses =
		is_socket ? NULL : remote_addresses(remote->name, config);
	char *silent;

	while ((silent = open_connection(remote, config, secrets, addresses)) !=
			   NULL &&
		   (addresses = remote_addresses_after(addresses, silent)) != NULL)
		remote_close(remote);
}

static void
connect_anew(Remote *remote)
{
	ForeignServer  *server = GetForeignServer(remote->server);
	PostgresConfig	config;
	PostgresSecrets secrets;

	(void) server_get(server->servername);
	postgres_config_read(server, &config);
	postgres_secrets_read(server, &secrets);
	try_addresses(remote, &config, &secrets);
	if (PQstatus(remote->conn) != CONNECTION_OK ||
		PQsetnonblocking(remote->conn, 1) != 0)
		report_no_connection(remote);
	check_password(remote, &secrets);
	if (secrets.password)
		explicit_bzero(secrets.password, strlen(secrets.password));
	pin_settings(remote);
	look_at_remote(remote);
	remote->ready = true;
}

bool
remote_connect(Remote *remote)
{
	if (remote->ready && PQstatus(remote->conn) == CONNECTION_OK &&
		PQtransactionStatus(remote->conn) == PQTRANS_IDLE)
		return false;
	remote_close(remote);
	connect_anew(remote);
	return true;
}

void
remote_begin(Remote *remote)
{
	(void) remote_connect(remote);
	remote_command(remote, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE");
}
