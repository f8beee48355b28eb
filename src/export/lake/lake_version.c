/*
 * lake_version.c
 *		What is known of a version of a lake table: who made it, and when.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "export/lake/lake_table.h"
#include "option.h"

#define UUID_LENGTH 36
#define EPOCH_USECS ((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

/* What this database's begin with. */
static char *
app_of_database(void)
{
	return psprintf(LAKE_APP UINT64_FORMAT "/%u/", GetSystemIdentifier(),
					MyDatabaseId);
}

char *
lake_app_of_source(const JobSource *source)
{
	return psprintf("%s%u", app_of_database(), source->relid);
}

static bool
begins_so(const LakeVersion *version, const char *app)
{
	return version->app && strncmp(version->app, app, strlen(app)) == 0;
}

/* Versions of before don't say it. */
static bool
is_of_server(const LakeVersion *version, const char *server)
{
	return version->server == NULL || strcmp(version->server, server) == 0;
}

bool
lake_is_of_this_server(const LakeVersion *version)
{
	return is_of_server(version, job_server());
}

bool
lake_is_ours(const LakeVersion *version)
{
	return begins_so(version, app_of_database()) &&
		   lake_is_of_this_server(version);
}

bool
lake_is_of_a_copy(const LakeVersion *version)
{
	return begins_so(version, app_of_database()) &&
		   !lake_is_of_this_server(version);
}

bool
lake_is_outflows(const LakeVersion *version)
{
	return begins_so(version, LAKE_APP);
}

char *
lake_describe_version(const LakeVersion *version)
{
	if (lake_is_of_a_copy(version))
		return psprintf("A server with the same past has made it by export "
						"job " INT64_FORMAT
						": one that this one is a copy of, or has taken the "
						"place of, or a copy of this one.",
						version->job);
	if (version->job != 0 && version->source)
		return psprintf("It is of export job " INT64_FORMAT
						" of another database or table, \"%s\".",
						version->job, option_shown(version->source));
	return psprintf(
		"Operation \"%s\" of \"%s\" has made it.",
		option_shown(version->operation ? version->operation : "unknown"),
		option_shown(version->engine ? version->engine : "an unknown writer"));
}

const LakeVersion *
lake_last_change(const LakeTable *table)
{
	for (int i = list_length(table->versions) - 1; i >= 0; i--)
	{
		LakeVersion *version = list_nth(table->versions, i);

		if (version->changes || version->uuid)
			return version;
	}
	return NULL;
}

const LakeVersion *
lake_version_of_job(const LakeTable *table, const char *uuid)
{
	ListCell *cell;

	foreach (cell, table->versions)
	{
		LakeVersion *version = lfirst(cell);

		if (version->uuid && strcmp(version->uuid, uuid) == 0)
			return version;
	}
	return NULL;
}

HTAB *
lake_uuid_set(void)
{
	HASHCTL control = {.keysize = UUID_LENGTH + 1,
					   .entrysize = UUID_LENGTH + 1,
					   .hcxt = CurrentMemoryContext};

	return hash_create("outflow uuids", 256, &control,
					   HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

void
lake_take_uuids(HTAB *uuids, const List *versions)
{
	char		   *app = app_of_database();
	char		   *server = job_server();
	const ListCell *cell;

	foreach (cell, versions)
	{
		LakeVersion *version = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (version->uuid && strlen(version->uuid) == UUID_LENGTH &&
			begins_so(version, app) && is_of_server(version, server))
			(void) hash_search(uuids, version->uuid, HASH_ENTER, NULL);
	}
}

bool
lake_has_uuid(HTAB *uuids, const char *at, const char **rest)
{
	char uuid[UUID_LENGTH + 1];

	if (strlen(at) < UUID_LENGTH)
		return false;
	strlcpy(uuid, at, sizeof(uuid));
	*rest = at + UUID_LENGTH;
	return hash_search(uuids, uuid, HASH_FIND, NULL) != NULL;
}

/* Where the uuid of a job begins in "part-000012-UUID.parquet"; NULL: the name is
 * not of that form. */
static const char *
uuid_of_file(const char *name)
{
	const char *uuid = name + strcspn(name, "0123456789");

	uuid += strspn(uuid, "0123456789");
	if (strncmp(name, "part-", 5) != 0 || *uuid++ != '-' ||
		!destination_name_is_valid(name) || strlen(uuid) < UUID_LENGTH ||
		strcmp(uuid + UUID_LENGTH, ".parquet") != 0)
		return NULL;
	return uuid;
}

bool
lake_file_is_ours(HTAB *uuids, const char *name)
{
	const char *uuid = uuid_of_file(name);
	const char *rest;

	return uuid && lake_has_uuid(uuids, uuid, &rest);
}

void
lake_take_uuid(HTAB *uuids, const char *at)
{
	char uuid[UUID_LENGTH + 1];

	strlcpy(uuid, at, sizeof(uuid));
	if (strspn(uuid, "0123456789abcdef-") == UUID_LENGTH)
		(void) hash_search(uuids, uuid, HASH_ENTER, NULL);
}

void
lake_take_uuid_of_file(HTAB *uuids, const char *name)
{
	const char *uuid = uuid_of_file(name);

	if (uuid)
		lake_take_uuid(uuids, uuid);
}

char *
lake_path_of_folder(const Destination *root, const char *folder)
{
	return folder[0] ? psprintf("%s/%s", root->path, folder)
					 : pstrdup(root->path);
}

const char *
lake_name_of_part(const FinishedPart *part)
{
	return destination_name(part->file);
}

HTAB *
lake_path_set(void)
{
	HASHCTL control = {.keysize = LAKE_PATH_MAX,
					   .entrysize = LAKE_PATH_MAX,
					   .hcxt = CurrentMemoryContext};

	return hash_create("outflow paths", 256, &control,
					   HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

int64
lake_number(const char *digits, char **rest)
{
	int64 number;

	errno = 0;
	number = strtoll(digits, rest, 10);
	return errno == 0 ? number : -1;
}

int64
lake_next_number(int64 last)
{
	if (last == PG_INT64_MAX)
		ereport(
			ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("the last version of the table has number " INT64_FORMAT
					", the greatest that there is",
					last),
			 errhint("Export to another directory.")));
	return last + 1;
}

int64
lake_now(void)
{
	return lake_milliseconds(GetCurrentTimestamp());
}

TimestampTz
lake_timestamp(int64 milliseconds)
{
	return milliseconds * 1000 - EPOCH_USECS;
}

int64
lake_milliseconds(TimestampTz timestamp)
{
	return (timestamp + EPOCH_USECS) / 1000;
}
