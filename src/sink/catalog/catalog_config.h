/*
 * catalog_config.h
 *		What a server of outflow_iceberg and a user mapping for it say.
 */
#ifndef OUTFLOW_CATALOG_CONFIG_H
#define OUTFLOW_CATALOG_CONFIG_H

#include "sink/http/endpoint.h"
#include "sink/server.h"

typedef struct CatalogConfig
{
	/* as given; strings are NULL if they were not */
	char *uri;
	char *warehouse;
	char *prefix;
	char *oauth2_uri;
	char *scope;
	bool  allow_private;
	char *ca_file;
	int	  connect_timeout; /* seconds */
	int	  stall_timeout;
	int	  retries;

	/* derived */
	HttpEndpoint place;
	HttpEndpoint oauth2;
} CatalogConfig;

/* Either a token, or what one is given for; all NULL: the catalog asks none. */
typedef struct CatalogSecrets
{
	char *token;
	char *client_id;
	char *client_secret;
} CatalogSecrets;

/* Fill in what is derived, too. */
extern void catalog_config_read(const ForeignServer *server,
								CatalogConfig		*config);
extern void catalog_secrets_read(const ForeignServer *server,
								 CatalogSecrets		 *secrets);
extern void catalog_secrets_forget(CatalogSecrets *secrets);

#endif /* OUTFLOW_CATALOG_CONFIG_H */
