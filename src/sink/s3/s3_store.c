/*
 * s3_store.c
 *		A session with the store of a foreign server.
 */
#include "postgres.h"

#include "access/xact.h"
#include "sink/s3/s3_request.h"
#include "sink/stage.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Secrets of requests that only look are as old as this at most. */
#define OLD_SECRETS_US (60 * INT64CONST(1000000))

static void
forget_secrets(void *arg)
{
	s3_secrets_forget(&((S3Store *) arg)->secrets);
}

S3Store *
s3_store_open(const ForeignServer *server)
{
	S3Store	 *store = palloc0_object(S3Store);
	S3Config *config = &store->config;
	HttpPlace place;
	bool	  usual_port;

	store->context = CurrentMemoryContext;
	store->server = server->serverid;
	store->name = pstrdup(server->servername);
	sink_guard(forget_secrets, store);
	s3_config_read(server, config);
	s3_store_refresh(store);
	place = (HttpPlace){
		.https = config->https,
		.host = config->path_style
					? config->host
					: psprintf("%s.%s", config->bucket, config->host),
		.port = config->port,
		.allow_private = config->allow_private,
		.ca_file = config->ca_file,
		.connect_timeout = config->connect_timeout,
		.stall_timeout = config->stall_timeout,
	};
	usual_port = config->port == (config->https ? 443 : 80);
	store->host_header = usual_port
							 ? pstrdup(place.host)
							 : psprintf("%s:%d", place.host, config->port);
	store->http = http_client_new(&place);
	return store;
}

ForeignServer *
s3_store_server(const S3Store *store)
{
	ForeignServer *server;

	AcceptInvalidationMessages();
	server = GetForeignServerExtended(store->server, FSV_MISSING_OK);
	if (server == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("server \"%s\" does not exist any more",
							   store->name)));
	return server;
}

void
s3_store_refresh(S3Store *store)
{
	MemoryContext  caller = CurrentMemoryContext;
	ForeignServer *server;
	S3Secrets	   secrets;

	if (!IsTransactionState())
		return;
	server = s3_store_server(store);
	MemoryContextSwitchTo(store->context);
	s3_secrets_read(server, &secrets);
	s3_secrets_forget(&store->secrets);
	store->secrets = secrets;
	store->secrets_at = GetCurrentTimestamp();
	MemoryContextSwitchTo(caller);
}

void
s3_store_refresh_old(S3Store *store)
{
	if (GetCurrentTimestamp() - store->secrets_at > OLD_SECRETS_US)
		s3_store_refresh(store);
}
