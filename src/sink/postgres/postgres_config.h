/*
 * postgres_config.h
 *		What a server of outflow_postgres, and a user mapping for it, say.
 */
#ifndef OUTFLOW_POSTGRES_CONFIG_H
#define OUTFLOW_POSTGRES_CONFIG_H

#include "foreign/foreign.h"

typedef enum SslMode
{
	SSL_DISABLE,
	SSL_ALLOW,
	SSL_PREFER,
	SSL_REQUIRE,
	SSL_VERIFY_CA,
	SSL_VERIFY_FULL
} SslMode;

/* Named as libpq names them; see its documentation, "Parameter Key Words". */
typedef struct PostgresConfig
{
	char *host;
	char *hostaddr;
	int	  port;
	char *dbname;
	int	  sslmode; /* SslMode */
	char *sslrootcert;
	char *channel_binding;
	int	  connect_timeout; /* seconds */
	bool  keepalives;
	int	  keepalives_idle;
	int	  keepalives_interval;
	int	  keepalives_count;
	int	  tcp_user_timeout;
	bool  allow_private; /* this machine's addresses and sockets, too */
} PostgresConfig;

typedef struct PostgresSecrets
{
	char *user;
	char *password;
	bool  password_required;
} PostgresSecrets;

/* Errors as the validator's: whoever altered the server may have had others. */
extern void postgres_config_read(const ForeignServer *server,
								 PostgresConfig		 *config);
/* The same of the current user's mapping. */
extern void		   postgres_secrets_read(const ForeignServer *server,
										 PostgresSecrets	 *secrets);
extern const char *postgres_sslmode(const PostgresConfig *config);

#endif /* OUTFLOW_POSTGRES_CONFIG_H */
