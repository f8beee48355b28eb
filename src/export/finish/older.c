/*
 * older.c
 *		An older export that a new one takes the place of ("overwrite").
 *
 * Only its manifest says which files are its own, and only one that this
 * database of this very server wrote is believed: it names both, and each file
 * with its size and sum.  What exports of another database refer to can't be known.
 * A table's folder must have a manifest of the same export: another one may have
 * been made there since.  What is not proven so is never removed.  The manifest
 * goes last, so that after a crash the rest can still be proven; the new export
 * comes afterwards.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"

#include "export/job/job.h"
#include "export/export_destination.h"
#include "export/finish/finish.h"

/* What a manifest can be at most. */
#define MANIFEST_MAX_SIZE ((size_t) 1024 * 1024 * 1024)

/* A part in a manifest. */
typedef struct OlderFile
{
	char	*name;
	uint64	 size;
	Checksum checksum;
} OlderFile;

typedef struct OlderExport
{
	const char *uuid;
	List	   *files;	 /* of OlderFile *, by name */
	List	   *folders; /* of char *, sorted */
} OlderExport;

/* What comes after a name in a line that manifest.c wrote; NULL for none. */
static const char *
member_of(const char *line, const char *end, const char *name)
{
	const char *key = psprintf("\"%s\": ", name);
	const char *at = memmem(line, end - line, key, strlen(key));

	return at ? at + strlen(key) : NULL;
}

/* A text that can be a name of ours, which needs no escapes; or NULL. */
static char *
text_member(const char *line, const char *end, const char *name)
{
	const char *text = member_of(line, end, name);
	const char *close;

	if (text == NULL || *text++ != '"')
		return NULL;
	close = memchr(text, '"', end - text);
	if (close == NULL || memchr(text, '\\', close - text) != NULL)
		return NULL;
	return pnstrdup(text, close - text);
}

static OlderFile *
file_from_line(const char *line, const char *end)
{
	OlderFile  *file = palloc0_object(OlderFile);
	const char *size = member_of(line, end, "bytes_stored");

	file->name = text_member(line, end, "file");
	/* a path names what is another export's */
	if (file->name == NULL || size == NULL ||
		!destination_name_is_valid(file->name))
		return NULL;
	file->size = strtou64(size, NULL, 10);
	for (const ChecksumMethod *method = checksum_methods; method->name;
		 method++)
	{
		char *hex = text_member(line, end, method->name);

		if (hex == NULL || strlen(hex) != (size_t) method->size * 2 ||
			strspn(hex, "0123456789abcdef") != strlen(hex))
			continue;
		checksum_from_text(psprintf("%s:%s", method->name, hex),
						   &file->checksum);
		return file;
	}
	return NULL;
}

/* A line's worth of what the export has. */
static void
read_line(OlderExport *older, const char *line, const char *end)
{
	line += strspn(line, " ");
	if (strncmp(line, "{\"part\": ", 9) == 0)
	{
		OlderFile *file = file_from_line(line, end);

		if (file)
			older->files = lappend(older->files, file);
	}
	else if (strncmp(line, "{\"source\": ", 11) == 0)
	{
		char *folder = text_member(line, end, "folder");

		if (folder && destination_name_is_valid(folder))
			older->folders = lappend(older->folders, folder);
	}
}

char *
older_manifest(Destination *root, const char *folder)
{
	char  *now = destination_key(folder, PUBLISH_MANIFEST);
	char  *before = destination_key(folder, PUBLISH_MANIFEST_OF_BEFORE);
	uint64 size;
	int	   error;

	if (!root->driver->stat(root, now, &size, &error) &&
		root->driver->stat(root, before, &size, &error))
		return before;
	return now;
}

static char *
get_manifest(Destination *root, const char *folder)
{
	size_t len;
	char  *text = root->driver->get(root, older_manifest(root, folder),
									MANIFEST_MAX_SIZE, &len);

	return text && strlen(text) == len ? text : NULL;
}

static bool
has_member(const char *manifest, const char *name, const char *value)
{
	return strstr(manifest, psprintf("\n  \"%s\": \"%s\",\n", name, value)) !=
		   NULL;
}

static bool
is_this_databases(const char *manifest)
{
	return has_member(manifest, "system_identifier",
					  psprintf(UINT64_FORMAT, GetSystemIdentifier())) &&
		   has_member(manifest, "database_oid", psprintf("%u", MyDatabaseId));
}

bool
older_is_job(Destination *root, const char *folder, const Job *job)
{
	char *manifest = get_manifest(root, folder);

	return manifest && is_this_databases(manifest) &&
		   has_member(manifest, "uuid", job->uuid);
}

static bool
is_this_servers(const char *manifest)
{
	return is_this_databases(manifest) &&
		   has_member(manifest, "server", job_server());
}

bool
older_is_own(Destination *root, const char *folder, const Job *job)
{
	char *manifest = get_manifest(root, folder);

	return manifest && is_this_servers(manifest) &&
		   has_member(manifest, "uuid", job->uuid);
}

char *
older_uuid(Destination *root, const char *folder)
{
	char *manifest = get_manifest(root, folder);

	return manifest && is_this_servers(manifest)
			   ? text_member(manifest, manifest + strlen(manifest), "uuid")
			   : NULL;
}

static int
older_compare(const ListCell *a, const ListCell *b)
{
	return strcmp(((OlderFile *) lfirst(a))->name,
				  ((OlderFile *) lfirst(b))->name);
}

/* NULL if the folder has no manifest of that export, which is this server's. */
static OlderExport *
older_read(Destination *root, const char *folder, const char *uuid)
{
	char		*manifest = uuid ? get_manifest(root, folder) : NULL;
	OlderExport *older;
	char		*line;
	char		*end;

	if (manifest == NULL || !is_this_servers(manifest) ||
		!has_member(manifest, "uuid", uuid))
		return NULL;
	older = palloc0_object(OlderExport);
	older->uuid = uuid;
	for (line = manifest; (end = strchr(line, '\n')) != NULL; line = end + 1)
	{
		CHECK_FOR_INTERRUPTS();
		read_line(older, line, end);
	}
	list_sort(older->files, older_compare);
	names_sort(older->folders);
	return older;
}

static int
older_compare_key(const void *name, const void *cell)
{
	return strcmp(name, ((OlderFile *) lfirst((const ListCell *) cell))->name);
}

static const OlderFile *
find_file(const OlderExport *older, const char *name)
{
	const ListCell *found = NULL;

	if (older->files != NIL)
		found = bsearch(name, older->files->elements, older->files->length,
						sizeof(ListCell), older_compare_key);
	return found ? lfirst(found) : NULL;
}

static bool
has_folder(const OlderExport *older, Destination *root, const char *name)
{
	char *uuid;

	if (!names_have(older->folders, name))
		return false;
	/* another export may be in its place by now */
	uuid = older_uuid(root, name);
	return uuid && strcmp(uuid, older->uuid) == 0;
}

/* By its size; its sum is asked for before anything is removed. */
static bool
may_be_older(const OlderExport *older, Destination *root, const char *manifest,
			 const DestinationEntry *entry)
{
	const OlderFile *file;

	if (entry->is_directory)
		return has_folder(older, root, entry->name);
	if (!entry->is_regular)
		return false;
	if (strcmp(entry->name, manifest) == 0)
		return true;
	if (strcmp(entry->name, PUBLISH_SUCCESS) == 0)
		return entry->size == 0;
	file = find_file(older, entry->name);
	return file && file->size == entry->size;
}

List *
older_strangers(Destination *root, const char *folder, const char *uuid,
				const Job *job)
{
	OlderExport *older = older_read(root, folder, uuid);
	const char	*manifest = destination_name(older_manifest(root, folder));
	List		*strangers = NIL;
	ListCell	*cell;

	foreach (cell, root->driver->list(root, folder, NULL))
	{
		DestinationEntry *entry = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (destination_is_folder(job, entry->name))
			continue;
		if (older == NULL || !may_be_older(older, root, manifest, entry))
			strangers = lappend(strangers, entry->name);
	}
	return strangers;
}

static bool
is_proven(Destination *root, const char *key, const OlderFile *file)
{
	Meter meter = {0};
	Sink *chain =
		meter_new(sink_null_new(), &meter, false, file->checksum.method);

	return root->driver->read(root, DESTINATION_FINAL, key, chain, NULL) &&
		   meter.bytes == file->size &&
		   checksum_equal(&meter.checksum, &file->checksum);
}

static void
older_remove_files(Destination *root, const char *folder,
				   const OlderExport *older)
{
	const ListCell *cell;

	foreach (cell, older->files)
	{
		OlderFile *file = lfirst(cell);
		char	  *key = destination_key(folder, file->name);

		CHECK_FOR_INTERRUPTS();
		if (is_proven(root, key, file))
			(void) root->driver->remove(root, key);
	}
}

void
older_remove_export(Destination *root, const char *folder, const char *uuid,
					bool with_folders)
{
	OlderExport *older = older_read(root, folder, uuid);
	char		*success = destination_key(folder, PUBLISH_SUCCESS);
	uint64		 size;
	ListCell	*cell;

	if (older == NULL)
		return;
	/* readers wait for it: nothing is there any more */
	if (root->driver->stat(root, success, &size, NULL) && size == 0 &&
		root->driver->remove(root, success))
		root->driver->sync(root, folder);
	older_remove_files(root, folder, older);
	foreach (cell, with_folders ? older->folders : NIL)
	{
		char *inner = destination_key(folder, lfirst(cell));

		older_remove_export(root, inner, uuid, false);
		(void) root->driver->remove(root, psprintf("%s/", inner));
	}
	root->driver->sync(root, folder);
	(void) root->driver->remove(root, older_manifest(root, folder));
	root->driver->sync(root, folder);
}

void
older_remove(Destination *root)
{
	older_remove_export(root, "", older_uuid(root, ""), true);
}
