/*
 * lake_catalog.c
 *		A session with the REST catalog that a job's tables are in: what they
 *		are called there, tokens, and where its requests go.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/varlena.h"

#include "export/lake/lake_catalog.h"
#include "export/lake/lake_table.h"
#include "option.h"

#define NAME_MAX_LENGTH 255

/* A folder for each table, which has its own name in the catalog, too. */
static bool
has_folders(const Job *job)
{
	return ((JobSource *) linitial(job->sources))->folder[0] != '\0';
}

/* ---- what is written */

pg_noreturn static void
refuse_catalog(const char *text, bool of_one)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid name of a catalog's %s: \"%s\"",
					of_one ? "table" : "namespace", option_shown(text)),
			 of_one
				 ? errhint("Write it as server:namespace.table, with a server "
						   "of foreign data wrapper outflow_iceberg.")
				 : errhint("Write it as server:namespace, with a server of "
						   "foreign data wrapper outflow_iceberg: each table "
						   "has its own name there.")));
}

/* None that a path of names could be led elsewhere by. */
static bool
is_catalog_name(const char *name)
{
	for (const char *c = name; *c; c++)
		if ((unsigned char) *c < ' ' || *c == 127)
			return false;
	return name[strspn(name, ".")] != '\0' && strlen(name) <= NAME_MAX_LENGTH;
}

/* The names between the dots; of_one: the last one is the table's. */
static List *
names_of(const char *text, bool of_one)
{
	const char *path = server_path(text);
	List	   *names = NIL;
	char	   *rest;
	char	   *name;

	if (path == NULL || text[0] == ':')
		refuse_catalog(text, of_one);
	rest = pstrdup(path);
	while ((name = strsep(&rest, ".")) != NULL)
	{
		if (!is_catalog_name(name))
			refuse_catalog(text, of_one);
		names = lappend(names, name);
	}
	if (list_length(names) < (of_one ? 2 : 1))
		refuse_catalog(text, of_one);
	return names;
}

static ForeignServer *
server_of(const char *text)
{
	const char *wrapper = server_wrapper(text);

	/* another wrapper's validator has not checked what its servers may reach */
	if (!server_is_missing(text) &&
		(wrapper == NULL || strcmp(wrapper, "outflow_iceberg") != 0))
		ereport(
			ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("server \"%s\" is no Iceberg catalog", server_name(text)),
			 errhint("A catalog is a server of foreign data wrapper "
					 "outflow_iceberg.")));
	return server_get(server_name(text));
}

/* A source's own name, whatever it is called by now. */
static char *
table_of_source(const JobSource *source)
{
	List *names = textToQualifiedNameList(cstring_to_text(source->name));

	return pstrdup(strVal(llast(names)));
}

static List *
tables_of(const Job *job)
{
	List	 *tables = NIL;
	ListCell *cell;
	ListCell *other;

	foreach (cell, job->sources)
	{
		JobSource		 *source = lfirst(cell);
		LakeCatalogTable *table = palloc_object(LakeCatalogTable);

		CHECK_FOR_INTERRUPTS();
		table->folder = pstrdup(source->folder);
		table->name = table_of_source(source);
		if (!is_catalog_name(table->name))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_NAME),
					 errmsg("table %s cannot have its name in a catalog",
							source->name)));
		foreach (other, tables)
		{
			if (strcmp(((LakeCatalogTable *) lfirst(other))->name,
					   table->name) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_OBJECT),
						 errmsg("two tables would be \"%s\" in the catalog",
								table->name),
						 errhint("Export the tables of each schema to a "
								 "namespace of its own.")));
		}
		tables = lappend(tables, table);
	}
	return tables;
}

void
lake_catalog_check(const Job *job)
{
	const char *text = job->options.catalog;

	if (text == NULL)
		return;
	if (strcmp(job->format, "iceberg") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("export option \"catalog\" is for format "
							   "\"iceberg\"")));
	/* what is left of a commit with an unknown end needs a job */
	if (job->workers == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("an export to a catalog needs workers"),
						errhint("Set argument \"workers\" to at least 1.")));
	(void) names_of(text, !has_folders(job));
	if (has_folders(job))
		(void) tables_of(job);
	(void) server_of(text);
}

/* ---- tokens */

/* What is given for the client's secret; RFC 6749, section 4.4. */
static char *
get_token(Catalog *rest)
{
	StringInfoData form;
	CatalogCall	   call = {.method = "POST", .is_login = true};
	char		  *token;

	initStringInfo(&form);
	appendStringInfoString(&form, "grant_type=client_credentials&client_id=");
	catalog_encode(&form, rest->secrets.client_id);
	appendStringInfoString(&form, "&client_secret=");
	catalog_encode(&form, rest->secrets.client_secret);
	appendStringInfoString(&form, "&scope=");
	catalog_encode(&form, rest->config.scope);
	call.body = form.data;
	(void) catalog_call(rest, &call);
	server_forget_secret(&form.data);
	if (call.result != CATALOG_DONE)
		catalog_throw(rest, &call, "get a token for the catalog");
	token = lake_catalog_secret(rest, &call, "access_token");
	if (token == NULL || token[strcspn(token, " \r\n")] != '\0')
		ereport(ERROR, (errcode(ERRCODE_FDW_ERROR),
						errmsg("server \"%s\" gave no token that can be used",
							   rest->name)));
	return token;
}

static void
log_in(Catalog *rest)
{
	char *token = rest->secrets.client_id ? get_token(rest) : NULL;

	catalog_set_token(rest, token ? token : rest->secrets.token);
	server_forget_secret(&token);
}

CatalogResult
lake_catalog_call(LakeCatalog *catalog, CatalogCall *call)
{
	Catalog *rest = catalog->rest;

	if (catalog_call(rest, call) != CATALOG_UNAUTHORIZED)
		return call->result;
	/* the token is too old, or the secrets have been exchanged */
	if (!catalog_refresh(rest) && rest->secrets.client_id == NULL)
		return call->result;
	log_in(rest);
	return catalog_call(rest, call);
}

/* ---- where requests go */

/* It comes from the catalog, and is a path's part as it is. */
static char *
checked_prefix(const Catalog *rest, const char *prefix)
{
	StringInfoData checked;

	initStringInfo(&checked);
	for (const char *c = prefix; *c; c++)
	{
		char one[2] = {*c};

		if (*c == '/' || *c == '%')
			appendStringInfoChar(&checked, *c);
		else
			catalog_encode(&checked, one);
	}
	if (strlen(prefix) > 1000 || strstr(prefix, ".."))
		ereport(ERROR, (errcode(ERRCODE_FDW_ERROR),
						errmsg("server \"%s\" has a prefix that cannot be "
							   "used: \"%s\"",
							   rest->name, option_shown(prefix))));
	return checked.data;
}

/* What the catalog sets wins, then what the server says. */
static char *
catalog_prefix(LakeCatalog *catalog)
{
	Catalog		  *rest = catalog->rest;
	CatalogCall	   call = {.method = "GET"};
	StringInfoData path;
	Jsonb		  *config;
	char		  *prefix;

	initStringInfo(&path);
	appendStringInfoString(&path, "/v1/config");
	if (rest->config.warehouse)
	{
		appendStringInfoString(&path, "?warehouse=");
		catalog_encode(&path, rest->config.warehouse);
	}
	call.path = path.data;
	if (lake_catalog_call(catalog, &call) != CATALOG_DONE)
		catalog_throw(rest, &call, "get the configuration of the catalog");
	config = lake_catalog_answer(rest, &call);
	prefix = lake_json_text(lake_json_object(config, "overrides"), "prefix");
	if (prefix == NULL)
		prefix = rest->config.prefix;
	if (prefix == NULL)
		prefix =
			lake_json_text(lake_json_object(config, "defaults"), "prefix");
	return prefix ? checked_prefix(rest, prefix) : NULL;
}

/* The one table at the top, whose name is the last one. */
static void
set_only_table(LakeCatalog *catalog)
{
	LakeCatalogTable *table = palloc_object(LakeCatalogTable);

	table->folder = pstrdup("");
	table->name = llast(catalog->namespace);
	catalog->tables = list_make1(table);
	catalog->namespace = list_delete_last(catalog->namespace);
}

LakeCatalog *
lake_catalog_open(const Job *job)
{
	LakeCatalog *catalog;
	char		*prefix;

	if (job->options.catalog == NULL)
		return NULL;
	catalog = palloc0_object(LakeCatalog);
	catalog->text = pstrdup(job->options.catalog);
	catalog->namespace = names_of(catalog->text, !has_folders(job));
	if (has_folders(job))
		catalog->tables = tables_of(job);
	else
		set_only_table(catalog);
	catalog->rest = catalog_open(server_of(catalog->text));
	log_in(catalog->rest);
	prefix = catalog_prefix(catalog);
	catalog->root = prefix ? psprintf("/v1/%s", prefix) : pstrdup("/v1");
	return catalog;
}

void
lake_catalog_attach(Destination *root, const Job *job)
{
	const char	  *text = job->options.catalog;
	ForeignServer *server;
	MemoryContext  caller;

	if (text == NULL)
		return;
	server = server_of(text);
	/* it lasts as long as the destination, or until its server is altered */
	if (root->catalog && strcmp(root->catalog->text, text) == 0 &&
		root->catalog->rest->server == server->serverid &&
		equal(root->catalog->rest->options, server->options))
		return;
	caller = MemoryContextSwitchTo(GetMemoryChunkContext(root));
	root->catalog = lake_catalog_open(job);
	MemoryContextSwitchTo(caller);
}

void
lake_catalog_attach_table(Destination *root, const char *text)
{
	JobSource source = {.folder = pstrdup("")};
	Job		  job = {.sources = list_make1(&source)};

	job.options.catalog = pstrdup(text);
	lake_catalog_attach(root, &job);
}

/* ---- names */

const char *
lake_catalog_table_name(const LakeCatalog *catalog, const char *folder)
{
	ListCell *cell;

	foreach (cell, catalog->tables)
	{
		LakeCatalogTable *table = lfirst(cell);

		if (strcmp(table->folder, folder) == 0)
			return table->name;
	}
	elog(ERROR, "folder \"%s\" has no table in a catalog", folder);
}

char *
lake_catalog_name(const LakeCatalog *catalog, const char *folder)
{
	StringInfoData name;
	ListCell	  *cell;

	initStringInfo(&name);
	foreach (cell, catalog->namespace)
		appendStringInfo(&name, "%s.", (char *) lfirst(cell));
	appendStringInfoString(&name, lake_catalog_table_name(catalog, folder));
	return name.data;
}

char *
lake_catalog_namespace_path(const LakeCatalog *catalog)
{
	StringInfoData path;
	const char	  *between = "";
	ListCell	  *cell;

	initStringInfo(&path);
	appendStringInfo(&path, "%s/namespaces/", catalog->root);
	foreach (cell, catalog->namespace)
	{
		appendStringInfoString(&path, between);
		catalog_encode(&path, lfirst(cell));
		/* the unit separator */
		between = "%1F";
	}
	return path.data;
}

char *
lake_catalog_table_path(const LakeCatalog *catalog, const char *folder)
{
	StringInfoData path;

	initStringInfo(&path);
	appendStringInfo(&path, "%s/tables/",
					 lake_catalog_namespace_path(catalog));
	catalog_encode(&path, lake_catalog_table_name(catalog, folder));
	return path.data;
}
