/*
 * catalog_config.c
 *		Options of foreign data wrapper outflow_iceberg, and its validator.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "sink/catalog/catalog_config.h"

PG_FUNCTION_INFO_V1(outflow_iceberg_validator);
extern PGDLLEXPORT Datum outflow_iceberg_validator(PG_FUNCTION_ARGS);

#define FIELD(name) offsetof(CatalogConfig, name)

static const OptionSpec server_options[] = {
	{"uri", OPTION_STRING, FIELD(uri)},
	{"warehouse", OPTION_STRING, FIELD(warehouse)},
	{"prefix", OPTION_STRING, FIELD(prefix)},
	{"oauth2_uri", OPTION_STRING, FIELD(oauth2_uri)},
	{"scope", OPTION_STRING, FIELD(scope), "catalog"},
	{"allow_private", OPTION_BOOL, FIELD(allow_private)},
	{"ca_file", OPTION_STRING, FIELD(ca_file)},
	{"connect_timeout", OPTION_INT, FIELD(connect_timeout), "10", 1, 600},
	{"stall_timeout", OPTION_INT, FIELD(stall_timeout), "60", 1, 3600},
	{"retries", OPTION_INT, FIELD(retries), "5", 0, 100},
	{NULL},
};

static const OptionSpec mapping_options[] = {
	{"token", OPTION_STRING, offsetof(CatalogSecrets, token)},
	{"client_id", OPTION_STRING, offsetof(CatalogSecrets, client_id)},
	{"client_secret", OPTION_STRING, offsetof(CatalogSecrets, client_secret)},
	{NULL},
};

/* They reach what others must not: the server's own networks and files. */
static const char *const superuser_only[] = {"allow_private", "ca_file", NULL};

static void
catalog_check_server(void *values)
{
	CatalogConfig *config = values;

	if (config->uri == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
						errmsg("server option \"uri\" is missing"),
						errhint("Say where the catalog is: OPTIONS (uri "
								"'https://...').")));
	http_endpoint_parse("uri", config->uri, true, config->allow_private,
						&config->place);
	server_check_printable("warehouse", config->warehouse);
	server_check_printable("prefix", config->prefix);
	server_check_printable("scope", config->scope);
	config->oauth2 = config->place;
	if (config->oauth2_uri)
		http_endpoint_parse("oauth2_uri", config->oauth2_uri, true,
							config->allow_private, &config->oauth2);
	else
		config->oauth2.path =
			psprintf("%s/v1/oauth/tokens", config->place.path);
	if (config->ca_file && config->ca_file[0] != '/')
		server_refuse_value(
			"ca_file", config->ca_file,
			"Use the absolute path of a file of CA certificates.");
}

static void
catalog_check_mapping(void *values)
{
	CatalogSecrets *secrets = values;

	server_check_secret("token", secrets->token);
	server_check_secret("client_id", secrets->client_id);
	server_check_secret("client_secret", secrets->client_secret);
	if ((secrets->client_id == NULL) != (secrets->client_secret == NULL) ||
		(secrets->client_id && secrets->token))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("user mapping has no complete credentials"),
				 errhint("Give a token, or client_id and client_secret, or "
						 "nothing for a catalog that asks for nothing.")));
}

static const ServerOptions options = {.server = server_options,
									  .mapping = mapping_options,
									  .server_size = sizeof(CatalogConfig),
									  .mapping_size = sizeof(CatalogSecrets),
									  .superuser_only = superuser_only,
									  .check_server = catalog_check_server,
									  .check_mapping = catalog_check_mapping};

void
catalog_config_read(const ForeignServer *server, CatalogConfig *config)
{
	server_read_options(&options, server, config);
}

void
catalog_secrets_read(const ForeignServer *server, CatalogSecrets *secrets)
{
	server_read_secrets(&options, server, secrets);
}

void
catalog_secrets_forget(CatalogSecrets *secrets)
{
	server_forget_secret(&secrets->token);
	server_forget_secret(&secrets->client_id);
	server_forget_secret(&secrets->client_secret);
}

Datum
outflow_iceberg_validator(PG_FUNCTION_ARGS)
{
	return server_validate(&options, fcinfo);
}
