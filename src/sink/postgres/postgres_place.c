/*
 * postgres_place.c
 *		Where in which database: "server:schema.table", or "server:" for tables
 *		that have their own names there.
 */
#include "postgres.h"

#include <errno.h>

#include "nodes/value.h"
#include "utils/builtins.h"
#include "utils/varlena.h"

#include "encoding.h"
#include "option.h"
#include "sink/postgres/postgres_config.h"
#include "sink/postgres/postgres_destination.h"
#include "sink/server.h"

static void
refuse_table(const char *destination)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_NAME),
			 errmsg("invalid table name in destination \"%s\"",
					option_shown(destination)),
			 errhint("Write the destination as server:schema.table, or as "
					 "server: for tables that are named as here.")));
}

/* The two names of "schema.table", quoted where they must be. */
static List *
postgres_place_names(const char *destination)
{
	char *path = pstrdup(server_path(destination));
	List *names;

	if (path[0] == '\0')
		return NIL;
	if (!SplitIdentifierString(path, '.', &names) || list_length(names) != 2)
		refuse_table(destination);
	return names;
}

char *
postgres_place_parse(const char *destination)
{
	List *names = postgres_place_names(destination);
	char *server = server_name(destination);

	return names == NIL ? psprintf("%s:", server)
						: psprintf("%s:%s", server,
								   quote_qualified_identifier(linitial(names),
															  lsecond(names)));
}

static char *
database_location(const ForeignServer *server)
{
	PostgresConfig config;

	postgres_config_read(server, &config);
	return psprintf(POSTGRES_LOCATION "%s:%d/%s", config.host, config.port,
					config.dbname);
}

static void
set_names(PostgresPlace *found, List *names)
{
	found->schema = names == NIL ? NULL : linitial(names);
	found->name = names == NIL ? NULL : lsecond(names);
}

void
postgres_place_find(const char *place, PostgresPlace *found)
{
	const char *path = server_path(place);

	found->server = server_get(server_name(place));
	set_names(found, postgres_place_names(place));
	found->location = psprintf("%s%s%s", database_location(found->server),
							   path[0] ? "/" : "", path);
}

/* Whom a server takes the current user for. */
static char *
mapped_user(const ForeignServer *server)
{
	PostgresSecrets secrets;

	postgres_secrets_read(server, &secrets);
	if (secrets.password)
		explicit_bzero(secrets.password, strlen(secrets.password));
	return secrets.user;
}

/*
 * What a job has there belongs to one role; by another one's ledger it would be
 * taken for gone.
 */
static bool
is_one_role(const List *servers, const char *location, const char *destination,
			DestinationMode mode)
{
	const ForeignServer *first = linitial(servers);

	for (int i = 1; i < list_length(servers); i++)
	{
		const ForeignServer *other = list_nth(servers, i);

		if (strcmp(mapped_user(first), mapped_user(other)) == 0)
			continue;
		ereport(mode == DESTINATION_TRY ? WARNING : ERROR,
				(errcode(ERRCODE_AMBIGUOUS_PARAMETER),
				 errmsg("servers \"%s\" and \"%s\" lead to \"%s\" by "
						"different roles",
						encoding_shown(first->servername),
						encoding_shown(other->servername),
						encoding_shown(location)),
				 destination
					 ? errhint("Give the right one the name that the "
							   "job has for it, \"%s\".",
							   encoding_shown(server_name(destination)))
					 : 0));
		errno = EINVAL;
		return false;
	}
	return true;
}

bool
postgres_place_known(const char *location, const char *destination,
					 DestinationMode mode, PostgresPlace *found)
{
	List  *servers = server_leading_to("outflow_postgres", location,
									   destination, database_location);
	size_t len;

	if (servers == NIL)
		server_place_lost(location, mode);
	if (servers == NIL || !is_one_role(servers, location, destination, mode))
		return false;
	found->server = linitial(servers);
	len = strlen(database_location(found->server));
	set_names(found, postgres_place_names(psprintf(
						 ":%s", location + len + (location[len] == '/'))));
	found->location = pstrdup(location);
	return true;
}
