/*
 * postgres_destination.c
 *		The driver of "server:schema.table" for servers of outflow_postgres.
 *
 * It keeps no files, so most of what it is asked about files is "none".
 */
#include "postgres.h"

#include <errno.h>

#include "miscadmin.h"

#include "sink/postgres/postgres_driver.h"
#include "sink/postgres/postgres_destination.h"
#include "sink/server.h"

/* Each server has its own: USAGE. */
static void
postgres_nothing_checked(void)
{
}

static void
postgres_nothing(Destination *to)
{
}

static void
postgres_no_mode(Destination *to, const char *key)
{
}

static char *
postgres_locate(const char *place, const char *limit)
{
	PostgresPlace found;

	postgres_place_find(place, &found);
	return found.location;
}

static Destination *
postgres_open(const char *place, const char *limit, DestinationMode mode,
			  int permissions, const char *destination)
{
	PostgresDestination *self = palloc0_object(PostgresDestination);
	PostgresPlace		 found;

	if (mode != DESTINATION_KNOWN && mode != DESTINATION_TRY)
		postgres_place_find(place, &found);
	else if (!postgres_place_known(place, destination, mode, &found))
		return NULL;
	self->base.driver = &postgres_driver;
	self->base.path = found.name
						  ? psprintf("%s:%s.%s", found.server->servername,
									 found.schema, found.name)
						  : psprintf("%s:", found.server->servername);
	self->base.location = found.location;
	self->schema = found.schema;
	self->name = found.name;
	self->remote = remote_new(found.server);
	return &self->base;
}

/* The server may have been altered, or rights taken away. */
static void
postgres_check_place(Destination *to)
{
	Remote		  *remote = postgres_self(to)->remote;
	ForeignServer *server =
		GetForeignServerExtended(remote->server, FSV_MISSING_OK);

	if (server == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("server \"%s\" does not exist any more",
							   remote->name)));
	(void) server_get(server->servername);
}

static char *
postgres_check_free(Destination *to, const char *folder)
{
	return NULL;
}

static const char *
postgres_check(Destination *to)
{
	PostgresDestination *self = postgres_self(to);
	bool				 is_binary = true;

	postgres_connect(self);
	postgres_check_ledger(self);
	for (int i = 0; i < self->ntargets; i++)
	{
		CHECK_FOR_INTERRUPTS();
		postgres_look(self, &self->targets[i], &is_binary);
	}
	if (self->options.direct)
		postgres_check_direct(self);
	return is_binary ? "binary" : "text";
}

/* What of the table that the destination names; it may be made later. */
static char *
probe_table(PostgresDestination *self)
{
	PostgresTarget target = {.schema = self->schema, .name = self->name};
	char		  *name;

	if (self->name == NULL)
		return "";
	name = postgres_target_name(self, &target);
	return postgres_find_target(self, &target)
			   ? psprintf("; table %s is there", name)
			   : psprintf("; there is no table %s", name);
}

/* Connects, with all that is checked then. */
static char *
postgres_probe(Destination *to, const char *key)
{
	PostgresDestination *self = postgres_self(to);
	Remote				*remote = self->remote;

	postgres_connect(self);
	postgres_check_ledger(self);
	return psprintf(
		"PostgreSQL %d.%d, as role \"%s\"%s%s", remote->version / 10000,
		remote->version % 10000, remote_clean(remote->user),
		PQsslInUse(remote->conn) ? ", with TLS" : "", probe_table(self));
}

static bool
postgres_carry(Destination *to, const char *key, Destination *from,
			   const char *from_key)
{
	return false;
}

static bool
postgres_is_staged(Destination *to, const char *key)
{
	return false;
}

pg_noreturn static void
no_files(const Destination *to)
{
	elog(ERROR, "\"%s\" keeps no files", to->path);
}

static bool
postgres_publish_file(Destination *to, const char *key,
					  const DestinationLook *written)
{
	no_files(to);
}

static void
postgres_put(Destination *to, const char *key, const char *data, size_t len,
			 bool replace)
{
	no_files(to);
}

static bool
postgres_put_new(Destination *to, const char *key, const char *data,
				 size_t len, const Sending *sending)
{
	no_files(to);
	return false;
}

static List *
postgres_list(Destination *to, const char *folder, int *error)
{
	return NIL;
}

static bool
postgres_stat(Destination *to, const char *key, uint64 *size, int *error)
{
	if (error)
		*error = 0;
	return false;
}

static bool
postgres_look_at_file(Destination *to, const char *key, DestinationLook *look,
					  int *error)
{
	look->has_crc = false;
	return postgres_stat(to, key, &look->size, error);
}

static bool
postgres_read(Destination *to, DestinationPlace place, const char *key,
			  Sink *chain, int *error)
{
	if (error)
		*error = 0;
	return false;
}

static char *
postgres_get(Destination *to, const char *key, size_t max, size_t *len)
{
	return NULL;
}

static bool
postgres_remove(Destination *to, const char *key)
{
	return false;
}

static void
postgres_sync(Destination *to, const char *folder)
{
}

static const TableDriver postgres_tables = {
	.set = postgres_set,
	.check = postgres_check,
	.begin_table = postgres_begin_table,
	.carry = postgres_carry_rows,
	.find = postgres_find,
	.is_published = postgres_is_published,
	.is_current = postgres_is_current,
	.verify = postgres_verify,
	.publish = postgres_publish_rows,
};

static char *
postgres_uri(Destination *to, const char *key)
{
	return NULL;
}

const DestinationDriver postgres_driver = {
	.wrapper = "outflow_postgres",
	.location = POSTGRES_LOCATION,
	.tables = &postgres_tables,
	.parse = postgres_place_parse,
	.check_rights = postgres_nothing_checked,
	.locate = postgres_locate,
	.open = postgres_open,
	.check_writable = postgres_nothing,
	.check_place = postgres_check_place,
	.uri = postgres_uri,
	.check_free = postgres_check_free,
	.probe = postgres_probe,
	.close = postgres_release,
	.claim = postgres_claim,
	.is_claimed = postgres_is_claimed,
	.release = postgres_release,
	.new_part = postgres_new_part,
	.carry = postgres_carry,
	.is_staged = postgres_is_staged,
	.publish = postgres_publish_file,
	.sweep = postgres_nothing,
	.discard = postgres_discard,
	.put = postgres_put,
	.put_new = postgres_put_new,
	.list = postgres_list,
	.look = postgres_look_at_file,
	.stat = postgres_stat,
	.read = postgres_read,
	.get = postgres_get,
	.remove = postgres_remove,
	.remove_place = postgres_nothing,
	.keep_mode = postgres_no_mode,
	.give_mode = postgres_no_mode,
	.sync = postgres_sync,
};
