/*
 * postgres_place.c
 *		Where in which database: "server:schema.table", or "server:" for tables
 *		that have their own names there.
 */
#include "postgres.h"

#include "nodes/value.h"
#include "utils/builtins.h"
#include "utils/varlena.h"

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

bool
postgres_place_known(const char *location, PostgresPlace *found)
{
	ListCell *cell;

	foreach (cell, server_list("outflow_postgres"))
	{
		ForeignServer *server = lfirst(cell);
		char		  *top = database_location(server);
		size_t		   len = strlen(top);

		if (strncmp(location, top, len) != 0 ||
			(location[len] != '\0' && location[len] != '/') ||
			!server_has_secrets(server))
			continue;
		found->server = server;
		set_names(found, postgres_place_names(psprintf(
							 ":%s", location + len + (location[len] == '/'))));
		found->location = pstrdup(location);
		return true;
	}
	return false;
}
