/*
 * older.c
 *		An older export that a new one takes the place of ("overwrite").
 *
 * Only its manifest says which files are its own, and only one that this server
 * wrote is believed: it names the server, and each file with its size and sum.
 * What is not proven so is never removed.  The manifest goes last, so that after
 * a crash the rest can still be proven; the new export comes afterwards.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"

#include "export/job/job.h"

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
	List *files;   /* of OlderFile * */
	List *folders; /* of char * */
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
	if (file->name == NULL || size == NULL || !file_name_is_valid(file->name))
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

		if (folder && file_name_is_valid(folder))
			older->folders = lappend(older->folders, folder);
	}
}

const char *
older_manifest_name(FileRoot *directory)
{
	uint64 size;

	if (!file_stat(directory, FILE_FINAL, PUBLISH_MANIFEST, &size) &&
		file_stat(directory, FILE_FINAL, PUBLISH_MANIFEST_OF_BEFORE, &size))
		return PUBLISH_MANIFEST_OF_BEFORE;
	return PUBLISH_MANIFEST;
}

static char *
get_manifest(FileRoot *directory)
{
	size_t len;
	char  *text =
		file_get(directory, FILE_FINAL, older_manifest_name(directory),
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
is_this_servers(const char *manifest)
{
	return has_member(manifest, "system_identifier",
					  psprintf(UINT64_FORMAT, GetSystemIdentifier()));
}

bool
older_is_job(FileRoot *directory, const Job *job)
{
	char *manifest = get_manifest(directory);

	return manifest && is_this_servers(manifest) &&
		   has_member(manifest, "uuid", job->uuid);
}

/* NULL if the directory has no manifest that this server wrote. */
static OlderExport *
older_read(FileRoot *directory)
{
	char		*manifest = get_manifest(directory);
	OlderExport *older;
	char		*line;
	char		*end;

	if (manifest == NULL || !is_this_servers(manifest))
		return NULL;
	older = palloc0_object(OlderExport);
	for (line = manifest; (end = strchr(line, '\n')) != NULL; line = end + 1)
	{
		CHECK_FOR_INTERRUPTS();
		read_line(older, line, end);
	}
	return older;
}

static const OlderFile *
find_file(const OlderExport *older, const char *name)
{
	const ListCell *cell;

	foreach (cell, older->files)
	{
		OlderFile *file = lfirst(cell);

		if (strcmp(file->name, name) == 0)
			return file;
	}
	return NULL;
}

static bool
has_folder(const OlderExport *older, const char *name)
{
	const ListCell *cell;

	foreach (cell, older->folders)
	{
		if (strcmp(lfirst(cell), name) == 0)
			return true;
	}
	return false;
}

/* By its size; its sum is asked for before anything is removed. */
static bool
may_be_older(const OlderExport *older, const char *manifest,
			 const FileEntry *entry)
{
	const OlderFile *file;

	if (entry->is_directory)
		return has_folder(older, entry->name);
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
older_strangers(FileRoot *directory)
{
	OlderExport *older = older_read(directory);
	const char	*manifest = older_manifest_name(directory);
	List		*strangers = NIL;
	ListCell	*cell;

	foreach (cell, file_list(directory, FILE_FINAL))
	{
		FileEntry *entry = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (older == NULL || !may_be_older(older, manifest, entry))
			strangers = lappend(strangers, entry->name);
	}
	return strangers;
}

static bool
is_proven(FileRoot *directory, const OlderFile *file)
{
	Meter meter = {0};
	Sink *chain =
		meter_new(sink_null_new(), &meter, false, file->checksum.method);

	return file_read(directory, FILE_FINAL, file->name, chain) &&
		   meter.bytes == file->size &&
		   checksum_equal(&meter.checksum, &file->checksum);
}

static void
remove_files(FileRoot *directory, const OlderExport *older)
{
	const ListCell *cell;

	foreach (cell, older->files)
	{
		OlderFile *file = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (is_proven(directory, file))
			(void) file_remove(directory, FILE_FINAL, file->name);
	}
}

/* with_folders: a folder's own manifest names none, whatever it says */
static void
remove_export(FileRoot *directory, bool with_folders)
{
	OlderExport *older = older_read(directory);
	uint64		 size;
	ListCell	*cell;

	if (older == NULL)
		return;
	/* readers wait for it: nothing is there any more */
	if (file_stat(directory, FILE_FINAL, PUBLISH_SUCCESS, &size) &&
		size == 0 && file_remove(directory, FILE_FINAL, PUBLISH_SUCCESS))
		file_root_sync(directory);
	remove_files(directory, older);
	foreach (cell, with_folders ? older->folders : NIL)
	{
		char	 *name = lfirst(cell);
		FileRoot *folder =
			file_root_subdir(directory, name, FILE_ROOT_MISSING_OK);

		if (folder == NULL)
			continue;
		remove_export(folder, false);
		file_root_close(folder);
		(void) file_root_remove_subdir(directory, name);
	}
	file_root_sync(directory);
	(void) file_remove(directory, FILE_FINAL, older_manifest_name(directory));
	file_root_sync(directory);
}

void
older_remove(FileRoot *directory)
{
	remove_export(directory, true);
}
