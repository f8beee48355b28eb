/*
 * postgres_config.c
 *		Options of foreign data wrapper outflow_postgres, and its validator.
 *
 * A choice of libpq's connection options.  None of them is a text that libpq
 * takes apart further, and none reads the server's files or its own password,
 * but for superusers.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "sink/postgres/postgres_config.h"
#include "sink/server.h"

PG_FUNCTION_INFO_V1(outflow_postgres_validator);
extern PGDLLEXPORT Datum outflow_postgres_validator(PG_FUNCTION_ARGS);

static const OptionChoice ssl_modes[] = {
	{"disable", SSL_DISABLE},
	{"allow", SSL_ALLOW},
	{"prefer", SSL_PREFER},
	{"require", SSL_REQUIRE},
	{"verify-ca", SSL_VERIFY_CA},
	{"verify-full", SSL_VERIFY_FULL},
	{NULL, 0},
};

#define FIELD(name) offsetof(PostgresConfig, name)

static const OptionSpec server_options[] = {
	{"host", OPTION_STRING, FIELD(host)},
	{"hostaddr", OPTION_STRING, FIELD(hostaddr)},
	{"port", OPTION_INT, FIELD(port), "5432", 1, 65535},
	{"dbname", OPTION_STRING, FIELD(dbname)},
	{"sslmode", OPTION_ENUM, FIELD(sslmode), "verify-full",
	 .choices = ssl_modes},
	{"sslrootcert", OPTION_STRING, FIELD(sslrootcert)},
	{"channel_binding", OPTION_STRING, FIELD(channel_binding)},
	{"connect_timeout", OPTION_INT, FIELD(connect_timeout), "10", 2, 600},
	{"keepalives", OPTION_BOOL, FIELD(keepalives), "on"},
	{"keepalives_idle", OPTION_INT, FIELD(keepalives_idle), "0", 0, 86400},
	{"keepalives_interval", OPTION_INT, FIELD(keepalives_interval), "0", 0,
	 86400},
	{"keepalives_count", OPTION_INT, FIELD(keepalives_count), "0", 0, 1000},
	{"tcp_user_timeout", OPTION_INT, FIELD(tcp_user_timeout), "0", 0,
	 86400000},
	{"allow_private", OPTION_BOOL, FIELD(allow_private)},
	{NULL},
};

static const OptionSpec mapping_options[] = {
	{"user", OPTION_STRING, offsetof(PostgresSecrets, user)},
	{"password", OPTION_STRING, offsetof(PostgresSecrets, password)},
	{"password_required", OPTION_BOOL,
	 offsetof(PostgresSecrets, password_required), "on"},
	{NULL},
};

static const char *const superuser_only[] = {"allow_private", "sslrootcert",
											 "password_required", NULL};

static void
require(const char *name, const char *value)
{
	if (value == NULL || value[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
						errmsg("option \"%s\" is missing", name)));
}

static void
postgres_check_server(void *values)
{
	PostgresConfig *config = values;

	require("host", config->host);
	require("dbname", config->dbname);
	if (strchr(config->host, ','))
		server_refuse_value("host", config->host, "Name one host.");
	if ((config->host[0] == '/' || config->host[0] == '@') &&
		!config->allow_private)
		server_refuse_value(
			"host", config->host,
			"A socket of this machine needs the option allow_private, "
			"which only a superuser may set.");
	if (config->hostaddr && strchr(config->hostaddr, ','))
		server_refuse_value("hostaddr", config->hostaddr, "Give one address.");
	/* libpq would take it for a connection string */
	if (strchr(config->dbname, '=') ||
		strncmp(config->dbname, "postgres://", 11) == 0 ||
		strncmp(config->dbname, "postgresql://", 13) == 0)
		server_refuse_value(
			"dbname", config->dbname,
			"Use the name of a database, no connection string.");
	if (config->sslrootcert && config->sslrootcert[0] != '/' &&
		strcmp(config->sslrootcert, "system") != 0)
		server_refuse_value("sslrootcert", config->sslrootcert,
							"Use the absolute path of a file, or \"system\".");
	if (config->channel_binding &&
		strcmp(config->channel_binding, "disable") != 0 &&
		strcmp(config->channel_binding, "prefer") != 0 &&
		strcmp(config->channel_binding, "require") != 0)
		server_refuse_value(
			"channel_binding", config->channel_binding,
			"Valid values are: \"disable\", \"prefer\", \"require\".");
}

static void
postgres_check_mapping(void *values)
{
	PostgresSecrets *secrets = values;

	require("user", secrets->user);
	if (secrets->password_required)
		require("password", secrets->password);
}

const char *
postgres_sslmode(const PostgresConfig *config)
{
	for (const OptionChoice *choice = ssl_modes; choice->name; choice++)
		if (choice->value == config->sslmode)
			return choice->name;
	return NULL; /* not reached */
}

static const ServerOptions options = {.server = server_options,
									  .mapping = mapping_options,
									  .server_size = sizeof(PostgresConfig),
									  .mapping_size = sizeof(PostgresSecrets),
									  .superuser_only = superuser_only,
									  .check_server = postgres_check_server,
									  .check_mapping = postgres_check_mapping};

void
postgres_config_read(const ForeignServer *server, PostgresConfig *config)
{
	server_read_options(&options, server, config);
}

void
postgres_secrets_read(const ForeignServer *server, PostgresSecrets *secrets)
{
	server_read_secrets(&options, server, secrets);
}

Datum
outflow_postgres_validator(PG_FUNCTION_ARGS)
{
	return server_validate(&options, fcinfo);
}
