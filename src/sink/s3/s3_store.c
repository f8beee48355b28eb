/*
 * s3_store.c
 *		A session with the store of a foreign server.
 */
#include "postgres.h"

#include "access/xact.h"
#include "sink/s3/s3_request.h"
#include "sink/stage.h"
#include "storage/ipc.h"
#include "utils/inval.h"
#include "utils/memutils.h"

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
	(void) s3_store_refresh(store);
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

static char *
keep(const S3Store *store, const char *secret)
{
	return secret ? MemoryContextStrdup(store->context, secret) : NULL;
}

/* Each request asks: what that takes must not stay until the job's end. */
bool
s3_store_refresh(S3Store *store)
{
	MemoryContext context;
	MemoryContext caller;
	S3Secrets	  read;
	S3Secrets	  secrets;
	bool		  same;

	/* at a process's end, what is left is cleaned up with what is known */
	if (!IsTransactionState() || proc_exit_inprogress)
		return false;
	context = AllocSetContextCreate(CurrentMemoryContext, "outflow S3 secrets",
									ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(context);
	s3_secrets_read(s3_store_server(store), &read);
	secrets = (S3Secrets){.key_id = keep(store, read.key_id),
						  .secret = keep(store, read.secret),
						  .session_token = keep(store, read.session_token)};
	s3_secrets_forget(&read);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	same = server_is_same_secret(secrets.key_id, store->secrets.key_id) &&
		   server_is_same_secret(secrets.secret, store->secrets.secret) &&
		   server_is_same_secret(secrets.session_token,
								 store->secrets.session_token);
	s3_secrets_forget(&store->secrets);
	store->secrets = secrets;
	return !same;
}
