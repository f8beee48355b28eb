/*
 * left.c
 *		The hidden directory of an export that came to nothing.
 *
 * An export in its session is one transaction: when the server is killed, no
 * record tells of it, and nobody could resume or forget it.  So the next export
 * that finds its directory removes that, if it is proven that nobody goes on
 * with it:
 *
 *	- It has the token that a session of this very server and database makes, and
 *	  no process has taken it, as a lock tells.  A job with workers has a record,
 *	  which a clone of the server may lack: its directory stays in any case.
 *	- No record has its uuid, not even one that is to be committed: an export has
 *	  a record from before its first file to its end.
 *
 * Files that its manifests name by then go first, and those of lake tables that no
 * version has, whichever tables the next export has.  Where those stay it stays as
 * well, as nothing else tells of them.
 *
 * One that is empty, or has only the beginning of a token, may be of an export of
 * another database or server that is about to begin, which then makes it anew.
 *
 * The record decides also where a place has two names.  A store's lock is known
 * to this server alone, so a clone of its whole disk, were it to export there,
 * could take a session's staged files, but no file of a lake table that is there.
 */
#include "postgres.h"

#include <ctype.h>

#include "miscadmin.h"

#include "encoding.h"
#include "export/export_destination.h"
#include "export/finish/finish.h"
#include "export/job/job.h"
#include "export/lake/lake.h"
#include "subtransaction.h"

#define UUID_FORMAT "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"

/* Of a hidden directory's name; NULL: no job's has it. */
static char *
uuid_of(const char *name)
{
	const char *uuid = name + strlen(DESTINATION_HIDDEN);

	if (strncmp(name, DESTINATION_HIDDEN, strlen(DESTINATION_HIDDEN)) != 0 ||
		strlen(uuid) != strlen(UUID_FORMAT))
		return NULL;
	for (int i = 0; uuid[i]; i++)
	{
		bool is_digit = isdigit((unsigned char) uuid[i]) ||
						(uuid[i] >= 'a' && uuid[i] <= 'f');

		if (UUID_FORMAT[i] == '-' ? uuid[i] != '-' : !is_digit)
			return NULL;
	}
	return pstrdup(uuid);
}

/* And no link to one. */
static bool
is_directory(const List *entries, const char *name)
{
	const ListCell *cell;

	foreach (cell, entries)
	{
		DestinationEntry *entry = lfirst(cell);

		if (strcmp(entry->name, name) == 0)
			return entry->is_directory;
	}
	return false;
}

/* As far as it can be known, it is what the new job is. */
static Job
job_of(const char *uuid, const Job *job, const Destination *root,
	   const char *folder)
{
	Job left = *job;

	left.id = 0;
	left.workers = 0;
	left.uuid = pstrdup(uuid);
	left.publishing = true;
	left.location = folder[0] ? destination_key(root->location, folder)
							  : pstrdup(root->location);
	return left;
}

static void
discard_left(Destination *at, const char *name)
{
	at->driver->discard(at);
	ereport(NOTICE,
			(errmsg("what an export had left in \"%s\" is removed",
					encoding_shown(at->path)),
			 errdetail("It had not come to its end, and no job goes on "
					   "with \"%s\".",
					   name)));
}

typedef struct OwnFolder
{
	Destination *root;
	const char	*folder;
	const Job	*job;
	bool		 is_own;
} OwnFolder;

static void
look_at_owner(void *arg)
{
	OwnFolder *look = arg;

	look->is_own = older_is_own(look->root, look->folder, look->job);
}

/* What is closed to us was so to the job, which wrote nothing there. */
static bool
is_open_and_own(Destination *root, const char *folder, const Job *job)
{
	OwnFolder  look = {.root = root, .folder = folder, .job = job};
	ErrorData *error = subtransaction_try(look_at_owner, &look);

	if (error && error->sqlerrcode != ERRCODE_INSUFFICIENT_PRIVILEGE)
		ReThrowError(error);
	return look.is_own;
}

/*
 * What that very job has published, with its folders, unless it is whole.  What no
 * manifest names yet can't be proven, and stays.
 */
static void
remove_published(Destination *root, const char *folder, const Job *job)
{
	char	 *success = destination_key(folder, PUBLISH_SUCCESS);
	uint64	  size;
	ListCell *cell;

	if (older_is_own(root, folder, job) &&
		root->driver->stat(root, success, &size, NULL))
		return;
	foreach (cell, root->driver->list(root, folder, NULL))
	{
		DestinationEntry *entry = lfirst(cell);
		char			 *inner = destination_key(folder, entry->name);

		CHECK_FOR_INTERRUPTS();
		/* "schema.table" */
		if (!entry->is_directory || !destination_name_is_valid(entry->name) ||
			strchr(entry->name, '.') == NULL ||
			!is_open_and_own(root, inner, job))
			continue;
		older_remove_export(root, inner, job->uuid, false);
		(void) root->driver->remove(root, psprintf("%s/", inner));
	}
	older_remove_export(root, folder, job->uuid, true);
}

bool
left_remove(Destination *root, const char *folder, const char *name,
			const Job *job, char **stays)
{
	char		*uuid = uuid_of(name);
	Destination *at;
	List		*entries;
	Job			 left;
	bool		 is_gone = false;

	*stays = NULL;
	if (uuid == NULL)
		return false;
	left = job_of(uuid, job, root, folder);
	/* another one than root, which may have taken the new job's */
	at = destination_open_known(&left, true);
	if (at == NULL)
		return false;
	entries = at->driver->list(at, "", NULL);
	if (strcmp(at->location, left.location) == 0 &&
		is_directory(entries, name) && !job_has_uuid(uuid))
	{
		DestinationClaim claim = ownership_claim_left(&left, at);

		/* one that was begun has nothing else; its export may go on anew */
		is_gone = claim == CLAIM_MISSING;
		if (claim == CLAIM_GRANTED && !job_has_uuid(uuid) &&
			(*stays = lake_remove_left(root, &left, folder)) == NULL)
		{
			remove_published(root, folder, &left);
			discard_left(at, name);
			is_gone = true;
		}
	}
	at->driver->close(at);
	return is_gone;
}
