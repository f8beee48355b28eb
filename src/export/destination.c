/*
 * destination.c
 *		Where an export goes, and whether it may go there.
 *
 * An export of many tables has a folder for each of them there.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "export/export_settings.h"
#include "export/job/job.h"
#include "export/export_destination.h"
#include "export/finish/finish.h"
#include "export/lake/lake.h"
#include "option.h"
#include "sink/postgres/postgres_driver.h"
#include "sink/s3/s3.h"
#include "sink/server.h"

/* One row for each kind of destination. */
static const DestinationDriver *const drivers[] = {&file_driver, &s3_driver,
												   &postgres_driver};

static const DestinationDriver *
driver_of(const char *destination)
{
	const char *wrapper;

	for (int i = 0; i < lengthof(drivers); i++)
	{
		const char *scheme = drivers[i]->scheme;

		if (scheme && strncmp(destination, scheme, strlen(scheme)) == 0)
			return drivers[i];
	}
	wrapper = server_wrapper(destination);
	for (int i = 0; wrapper && i < lengthof(drivers); i++)
		if (drivers[i]->wrapper && strcmp(drivers[i]->wrapper, wrapper) == 0)
			return drivers[i];
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errhidestmt(option_find_password(destination) != NULL),
					errhidecontext(option_find_password(destination) != NULL),
					server_is_missing(destination)
						? errmsg("server \"%s\" does not exist",
								 server_name(destination))
						: errmsg("unknown kind of destination \"%s\"",
								 option_shown(destination)),
					errhint("A directory of the server is written as "
							"file:///absolute/path, a place in an S3 store as "
							"server:prefix, with a server of foreign data "
							"wrapper outflow_s3, a table of another "
							"PostgreSQL as server:schema.table, with one of "
							"outflow_postgres.")));
	return NULL; /* not reached */
}

void
destination_check_kind(const char *destination)
{
	const DestinationDriver *driver = driver_of(destination);

	(void) driver->parse(destination);
}

void
destination_check_rights(const char *destination)
{
	driver_of(destination)->check_rights();
}

void
destination_check_running(const Job *job)
{
	rights_check_running(job->owner);
	destination_check_rights(job->destination);
}

char *
destination_locate(const Job *job)
{
	const DestinationDriver *driver = driver_of(job->destination);

	return driver->locate(driver->parse(job->destination),
						  settings_export_root());
}

Destination *
destination_open(const Job *job, DestinationMode mode)
{
	const DestinationDriver *driver = driver_of(job->destination);

	return driver->open(driver->parse(job->destination),
						settings_export_root(), mode, job->options.mode, NULL);
}

static const DestinationDriver *
driver_of_location(const char *location)
{
	for (int i = 0; i < lengthof(drivers); i++)
	{
		const char *begin = drivers[i]->location;

		if (strncmp(location, begin, strlen(begin)) == 0)
			return drivers[i];
	}
	elog(ERROR, "unknown kind of location \"%s\"", location);
	return NULL; /* not reached */
}

static Destination *
open_location(const char *location, const char *destination,
			  DestinationMode mode)
{
	return driver_of_location(location)->open(location, NULL, mode, 0,
											  destination);
}

Destination *
destination_open_known(const Job *job, bool must_open)
{
	return open_location(job->location, job->destination,
						 must_open ? DESTINATION_KNOWN : DESTINATION_TRY);
}

Destination *
destination_open_location(const char *location)
{
	return open_location(location, NULL, DESTINATION_TRY);
}

bool
destination_keeps_tables(const char *location)
{
	return driver_of_location(location)->tables != NULL;
}

char *
destination_database(const Job *job)
{
	const DestinationDriver *driver = driver_of_location(job->location);
	const char				*table;
	size_t					 len = strlen(job->location);
	size_t					 rest;

	if (driver->tables == NULL)
		return NULL;
	table = server_path(driver->parse(job->destination));
	rest = table[0] ? strlen(table) + 1 : 0;
	/* neither a database's name nor a table's is free of slashes */
	if (rest > 0 && rest < len && job->location[len - rest] == '/' &&
		strcmp(job->location + len - rest + 1, table) == 0)
		len -= rest;
	return pnstrdup(job->location, len);
}

bool
destination_shares(const Job *job, const char *database)
{
	char *own = destination_database(job);

	return own && database && strcmp(own, database) == 0;
}

bool
destination_is_folder(const Job *job, const char *name)
{
	const ListCell *cell;

	foreach (cell, job->sources)
	{
		if (strcmp(((JobSource *) lfirst(cell))->folder, name) == 0)
			return true;
	}
	return false;
}

bool
destination_has_folders(const Job *job)
{
	return ((JobSource *) linitial(job->sources))->folder[0] != '\0';
}

void
destination_check_free(const Job *job, bool begun)
{
	int64 other = job_at_location(job->location, job->id, begun);

	if (other != 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("destination \"%s\" is in use by export job " INT64_FORMAT,
					job->destination, other),
			 errdetail("An unfinished job has its directory to itself, with "
					   "all that lies beneath it."),
			 errhint("Finish that job, or cancel and forget it.")));
}

void
destination_check_unreferenced(const Job *job)
{
	int64 other = job_referring_to(job->location, job->id);

	if (other != 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg(
				 "destination \"%s\" holds files of export job " INT64_FORMAT,
				 job->destination, other),
			 errdetail("Parts of that export refer to files there."),
			 errhint("Export to another directory, or forget that job.")));
}

void
destination_check_unclaimed(Destination *root, const char *folder,
							const Job *job)
{
	char *other = root->driver->check_free(root, folder);

	if (other)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("another export is writing to destination \"%s\"",
						job->destination),
				 errdetail("It holds \"%s\".", other),
				 errhint("Finish or forget that export first.  If no "
						 "server knows it, remove the directory.")));
}

#define STRANGERS_NAMED 10

/* Each table's folder is looked at for itself. */
static List *
without_folders(List *names, const Job *job)
{
	List	 *rest = NIL;
	ListCell *cell;

	foreach (cell, names)
	{
		if (!destination_is_folder(job, lfirst(cell)))
			rest = lappend(rest, lfirst(cell));
	}
	return rest;
}

static bool
has_manifest_name(const List *names)
{
	const ListCell *cell;

	foreach (cell, names)
	{
		if (strcmp(lfirst(cell), PUBLISH_MANIFEST) == 0 ||
			strcmp(lfirst(cell), PUBLISH_SUCCESS) == 0)
			return true;
	}
	return false;
}

/*
 * overwrite replaces exports of this database only.  What else is there stays, and
 * is named; what has a name that every export needs is refused.
 */
static void
check_strangers(Destination *root, const char *folder, const Job *job,
				bool tell)
{
	List *strangers = without_folders(older_strangers(root, folder), job);
	char *directory = folder[0] ? psprintf("%s/%s", root->path, folder)
								: pstrdup(root->path);
	StringInfoData names;
	ListCell	  *cell;

	if (strangers == NIL)
		return;
	if (has_manifest_name(strangers))
		ereport(
			ERROR,
			(errcode(ERRCODE_DUPLICATE_FILE),
			 errmsg("directory \"%s\" holds something that is not known to "
					"be an export of this database",
					directory),
			 errdetail("It has a \"%s\" or \"%s\" that this database did not "
					   "write, or that was changed.",
					   PUBLISH_MANIFEST, PUBLISH_SUCCESS),
			 errhint("Remove it, or choose another directory.")));
	if (!tell)
		return;
	initStringInfo(&names);
	foreach (cell, strangers)
	{
		int i = foreach_current_index(cell);

		if (i == STRANGERS_NAMED)
		{
			appendStringInfo(&names, " and %d more",
							 list_length(strangers) - i);
			break;
		}
		appendStringInfo(&names, "%s\"%s\"", i > 0 ? ", " : "",
						 (char *) lfirst(cell));
	}
	ereport(WARNING,
			(errmsg("\"overwrite\" leaves what is not known to be part of an "
					"export of this database"),
			 errdetail("In directory \"%s\": %s.", directory, names.data)));
}

/* Each folder has a lake table, or is empty. */
static void
check_tables(Destination *root, const Job *job)
{
	ListCell *cell;

	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (source->folder[0])
			destination_check_unclaimed(root, source->folder, job);
		lake_check_folder(root, job, source);
	}
}

void
destination_check_empty(Destination *root, const Job *job, bool tell)
{
	List	 *files = root->driver->list(root, "", NULL);
	ListCell *cell;

	if (job_makes_tables(job))
		lake_sweep(root);
	destination_check_unclaimed(root, "", job);
	if (job_makes_tables(job))
	{
		check_tables(root, job);
		return;
	}
	if (files != NIL && !job->options.overwrite)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_FILE),
				 errmsg("destination \"%s\" is not empty", job->destination),
				 errdetail("It holds \"%s\".",
						   ((DestinationEntry *) linitial(files))->name),
				 errhint("Choose an empty directory, or replace what is there "
						 "with options => '{\"overwrite\": true}'.")));
	if (files == NIL)
		return;
	destination_check_unreferenced(job);
	check_strangers(root, "", job, tell);
	if (!destination_has_folders(job))
		return;
	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		destination_check_unclaimed(root, source->folder, job);
		check_strangers(root, source->folder, job, tell);
	}
}
