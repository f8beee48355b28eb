/*
 * catalog.c
 *		A session with the catalog of a foreign server.
 */
#include "postgres.h"

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "storage/ipc.h"
#include "utils/memutils.h"

#include "sink/catalog/catalog.h"
#include "sink/stage.h"

static void
forget_catalog(void *arg)
{
	Catalog *catalog = arg;

	catalog_secrets_forget(&catalog->secrets);
	server_forget_secret(&catalog->token);
}

static HttpClient *
client_of(const CatalogConfig *config, const HttpEndpoint *endpoint)
{
	HttpPlace place = {.https = endpoint->https,
					   .host = endpoint->host,
					   .port = endpoint->port,
					   .allow_private = config->allow_private,
					   .ca_file = config->ca_file,
					   .connect_timeout = config->connect_timeout,
					   .stall_timeout = config->stall_timeout};

	return http_client_new(&place);
}

Catalog *
catalog_open(const ForeignServer *server)
{
	Catalog *catalog = palloc0_object(Catalog);

	catalog->context = CurrentMemoryContext;
	catalog->server = server->serverid;
	catalog->name = pstrdup(server->servername);
	catalog->options = copyObject(server->options);
	sink_guard(forget_catalog, catalog);
	catalog_config_read(server, &catalog->config);
	catalog_secrets_read(server, &catalog->secrets);
	catalog->http = client_of(&catalog->config, &catalog->config.place);
	catalog->login = client_of(&catalog->config, &catalog->config.oauth2);
	return catalog;
}

bool
catalog_refresh(Catalog *catalog)
{
	MemoryContext  caller = CurrentMemoryContext;
	CatalogSecrets secrets;
	bool		   same;

	if (!IsTransactionState() || proc_exit_inprogress)
		return false;
	MemoryContextSwitchTo(catalog->context);
	catalog_secrets_read(GetForeignServer(catalog->server), &secrets);
	MemoryContextSwitchTo(caller);
	same =
		server_is_same_secret(secrets.token, catalog->secrets.token) &&
		server_is_same_secret(secrets.client_id, catalog->secrets.client_id) &&
		server_is_same_secret(secrets.client_secret,
							  catalog->secrets.client_secret);
	catalog_secrets_forget(&catalog->secrets);
	catalog->secrets = secrets;
	return !same;
}

void
catalog_set_token(Catalog *catalog, const char *token)
{
	server_forget_secret(&catalog->token);
	if (token)
		catalog->token = MemoryContextStrdup(catalog->context, token);
}

void
catalog_encode(StringInfo out, const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
								"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
	char			 *utf8 = pg_server_to_any(text, strlen(text), PG_UTF8);

	for (const char *c = utf8; *c; c++)
	{
		if (strchr(plain, *c))
			appendStringInfoChar(out, *c);
		else
			appendStringInfo(out, "%%%02X", (unsigned char) *c);
	}
}
