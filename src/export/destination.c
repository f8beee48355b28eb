/*
 * destination.c
 *		Where an export goes, and whether it may go there.
 *
 * An export of many tables has a folder for each of them there.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "export/export_settings.h"
#include "export/job/job.h"
#include "export/export_destination.h"
#include "option.h"
#include "sink/postgres/postgres_driver.h"
#include "sink/s3/s3.h"
#include "sink/server.h"

/* One row for each kind of destination. */
static const DestinationDriver *const drivers[] = {&file_driver, &s3_driver,
												   &postgres_driver};

/* What people try first for another PostgreSQL, or know from other programs. */
static void
refuse_password(const char *destination)
{
	const char *host = strstr(destination, "://");
	const char *at = host ? strpbrk(host + strlen("://"), "@/") : NULL;

	if ((at && *at == '@') || (strncmp(destination, "file:///", 8) != 0 &&
							   strcasestr(destination, "password=")))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a destination cannot hold a password"),
				 errhint("Name a server of foreign data wrapper outflow_s3 or "
						 "outflow_postgres; its user mapping holds it."),
				 errhidestmt(true), errhidecontext(true)));
}

static const DestinationDriver *
driver_of(const char *destination)
{
	const char *wrapper;

	refuse_password(destination);
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

bool
destination_keeps_utf8(const char *location)
{
	return driver_of_location(location)->keeps_utf8;
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
			 destination_keeps_tables(job->location)
				 ? errdetail("An unfinished job has its destination to "
							 "itself; one that names no table has all of "
							 "the database.")
				 : errdetail("An unfinished job has its directory to itself, "
							 "with all that lies beneath it."),
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
