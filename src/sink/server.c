/*
 * server.c
 *		Foreign servers as destinations.
 */
#include "postgres.h"

#include <openssl/crypto.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "compat.h"
#include "sink/server.h"

#define EXTENSION_SCHEMA "outflow_internal"

/* Wrappers may be renamed; their validators are this extension's own. */
static const struct
{
	const char *wrapper;
	const char *validator;
} known[] = {
	{"outflow_s3", "s3_validator"},
	{"outflow_postgres", "postgres_validator"},
	{"outflow_iceberg", "iceberg_validator"},
};

char *
server_name(const char *destination)
{
	const char *colon = strchr(destination, ':');

	return colon ? pnstrdup(destination, colon - destination) : NULL;
}

const char *
server_path(const char *destination)
{
	const char *colon = strchr(destination, ':');

	return colon ? colon + 1 : NULL;
}

static const char *
wrapper_of(const ForeignServer *server)
{
	Oid			validator = GetForeignDataWrapper(server->fdwid)->fdwvalidator;
	const char *name;
	const char *schema;

	if (!OidIsValid(validator))
		return NULL;
	name = get_func_name(validator);
	schema = get_namespace_name(get_func_namespace(validator));
	if (name == NULL || schema == NULL ||
		strcmp(schema, EXTENSION_SCHEMA) != 0)
		return NULL;
	for (int i = 0; i < lengthof(known); i++)
		if (strcmp(known[i].validator, name) == 0)
			return known[i].wrapper;
	return NULL;
}

const char *
server_wrapper(const char *destination)
{
	char		  *name = server_name(destination);
	ForeignServer *server;

	if (name == NULL || name[0] == '\0' || strlen(name) >= NAMEDATALEN)
		return NULL;
	server = GetForeignServerByName(name, true);
	return server ? wrapper_of(server) : NULL;
}

bool
server_is_missing(const char *destination)
{
	char *name = server_name(destination);

	return name && name[0] && strlen(name) < NAMEDATALEN &&
		   strncmp(server_path(destination), "//", 2) != 0 &&
		   GetForeignServerByName(name, true) == NULL;
}

static bool
may_use(const ForeignServer *server)
{
	return server_allows_usage(server->serverid, GetUserId());
}

ForeignServer *
server_get(const char *name)
{
	ForeignServer *server = GetForeignServerByName(name, false);

	if (!may_use(server))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_SERVER, name);
	return server;
}

List *
server_list(const char *wrapper)
{
	Relation	rel = table_open(ForeignServerRelationId, AccessShareLock);
	SysScanDesc scan =
		systable_beginscan(rel, ForeignServerOidIndexId, true, NULL, 0, NULL);
	List	 *servers = NIL;
	HeapTuple tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Oid			   oid = ((Form_pg_foreign_server) GETSTRUCT(tuple))->oid;
		ForeignServer *server = GetForeignServer(oid);
		const char	  *its = wrapper_of(server);

		if (its && strcmp(its, wrapper) == 0 && may_use(server))
			servers = lappend(servers, server);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return servers;
}

static bool
has_mapping(Oid user, const ForeignServer *server)
{
	return SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(user),
								 ObjectIdGetDatum(server->serverid));
}

bool
server_has_secrets(const ForeignServer *server)
{
	return has_mapping(GetUserId(), server) || has_mapping(InvalidOid, server);
}

static bool
is_at_or_below(const char *location, const char *top)
{
	size_t len = strlen(top);

	return strncmp(location, top, len) == 0 &&
		   (location[len] == '\0' || location[len] == '/');
}

List *
server_leading_to(const char *wrapper, const char *location,
				  const char *destination,
				  char *(*its_location)(const ForeignServer *) )
{
	char	 *named = destination ? server_name(destination) : NULL;
	List	 *found = NIL;
	ListCell *cell;

	foreach (cell, server_list(wrapper))
	{
		ForeignServer *server = lfirst(cell);

		if (!server_has_secrets(server) ||
			!is_at_or_below(location, its_location(server)))
			continue;
		if (named && strcmp(server->servername, named) == 0)
			return list_make1(server);
		found = lappend(found, server);
	}
	return found;
}

List *
server_secrets(const ForeignServer *server)
{
	Oid user = GetUserId();

	if (!server_has_secrets(server))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role \"%s\" has no user mapping for server \"%s\"",
						GetUserNameFromId(user, false), server->servername),
				 errhint("Make one with CREATE USER MAPPING FOR %s SERVER %s "
						 "OPTIONS (...).",
						 quote_identifier(GetUserNameFromId(user, false)),
						 quote_identifier(server->servername))));
	return GetUserMapping(user, server->serverid)->options;
}

/* ---- values */

void
server_refuse_value(const char *name, const char *value, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("invalid value for server option \"%s\": \"%s\"",
						   name, option_shown(value)),
					errhint("%s", hint)));
}

static bool
is_printable(const char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			return false;
	return true;
}

void
server_check_printable(const char *name, const char *value)
{
	if (value && (value[0] == '\0' || !is_printable(value)))
		server_refuse_value(name, value, "Use printable ASCII characters.");
}

void
server_check_secret(const char *name, const char *value)
{
	if (value && (value[0] == '\0' || !is_printable(value) ||
				  strchr(value, ' ') || strlen(value) > 8192))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for user mapping option \"%s\"", name),
				 errhint("It must be printable ASCII without spaces.")));
}

bool
server_is_same_secret(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

void
server_blank_secret(char *in, const char *secret)
{
	size_t len = secret ? strlen(secret) : 0;

	for (char *at = in; len > 0 && (at = strstr(at, secret)) != NULL;
		 at += len)
		memset(at, '*', len);
}

void
server_forget_secret(char **secret)
{
	if (*secret == NULL)
		return;
	OPENSSL_cleanse(*secret, strlen(*secret));
	pfree(*secret);
	*secret = NULL;
}

/* ---- validators */

/* An option that has the wrong place is told where it belongs. */
static void
check_places(const OptionSpec *other, const char *what, const char *belongs,
			 const List *elements)
{
	const ListCell *cell;

	foreach (cell, elements)
	{
		const char *name = lfirst_node(DefElem, cell)->defname;

		if (option_find(other, name))
			ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
							errmsg("\"%s\" is no option of a %s", name, what),
							errhint("It belongs to the %s.", belongs)));
	}
}

/*
 * Whoever changes the server, or the mapping, has to be allowed all that it
 * says: so nobody else can turn what a superuser has allowed to another place.
 */
static void
check_superuser_only(const ServerOptions *options, const List *elements)
{
	const ListCell *cell;

	if (superuser())
		return;
	foreach (cell, elements)
	{
		const char *name = lfirst_node(DefElem, cell)->defname;

		for (int i = 0; options->superuser_only[i]; i++)
			if (strcmp(options->superuser_only[i], name) == 0)
				ereport(
					ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied to set option \"%s\"", name),
					 errdetail("Only a superuser may set it, or change a "
							   "server or user mapping that has it.")));
	}
}

static void
read_values(const OptionSpec *specs, const char *kind, List *elements,
			size_t size, void *values)
{
	memset(values, 0, size);
	options_parse(specs, kind, elements, values);
}

void
server_read_options(const ServerOptions *options, const ForeignServer *server,
					void *values)
{
	read_values(options->server, "server option", server->options,
				options->server_size, values);
	options->check_server(values);
}

/* The values are copies; of the list they are from nothing is left. */
static void
forget_options(List *elements)
{
	ListCell *cell;

	foreach (cell, elements)
	{
		Node *value = lfirst_node(DefElem, cell)->arg;

		if (value && IsA(value, String))
			OPENSSL_cleanse(strVal(value), strlen(strVal(value)));
	}
}

void
server_read_secrets(const ServerOptions *options, const ForeignServer *server,
					void *values)
{
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "outflow user mapping", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	List		 *elements = server_secrets(server);

	MemoryContextSwitchTo(caller);
	read_values(options->mapping, "user mapping option", elements,
				options->mapping_size, values);
	forget_options(elements);
	MemoryContextDelete(context);
	options->check_mapping(values);
}

/* A statement with a wrong option may have right ones beside it that are secret. */
static void
hide_statement(void *arg)
{
	(void) arg;
	errhidestmt(true);
	/* the same within a function */
	errhidecontext(true);
}

Datum
server_validate(const ServerOptions *options, FunctionCallInfo fcinfo)
{
	List *elements = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid	  catalog = PG_GETARG_OID(1);
	void *values = palloc(Max(options->server_size, options->mapping_size));
	ErrorContextCallback hidden = {error_context_stack, hide_statement, NULL};

	error_context_stack = &hidden;

	if (catalog == ForeignServerRelationId)
	{
		check_places(options->mapping, "server", "user mapping", elements);
		read_values(options->server, "server option", elements,
					options->server_size, values);
		check_superuser_only(options, elements);
		options->check_server(values);
	}
	else if (catalog == UserMappingRelationId)
	{
		check_places(options->server, "user mapping", "server", elements);
		read_values(options->mapping, "user mapping option", elements,
					options->mapping_size, values);
		check_superuser_only(options, elements);
		options->check_mapping(values);
	}
	else if (elements != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid option \"%s\"",
						linitial_node(DefElem, elements)->defname),
				 errhint("Options are those of servers and user mappings.")));
	error_context_stack = hidden.previous;
	PG_RETURN_VOID();
}

void
server_place_lost(const char *place, DestinationMode mode)
{
	if (mode != DESTINATION_TRY)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("no server that may be used leads to \"%s\"", place),
				 errhint("Make one again, with USAGE for this role, and a "
						 "user mapping; or forget the job with abandon => "
						 "true, which leaves all that is there.")));
	errno = SERVER_LOST;
}
