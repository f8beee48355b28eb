/*
 * file_temp.c
 *		A job's hidden temporary directory, and what directories hold.
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "miscadmin.h"
#include "sink/file/file_internal.h"
#include "utils/memutils.h"

#define TEMP_MODE 0700

static void
check_id(const char *id)
{
	size_t len = strlen(id);

	if (len == 0 || len > 64 ||
		strspn(id, "0123456789abcdefghijklmnopqrstuvwxyz"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != len)
		elog(ERROR, "invalid id \"%s\" for a temporary directory", id);
}

/*
 * A directory that another user made for us to find is refused: whoever owns it
 * could exchange the files in it.
 */
static void
check_owner(FileRoot *root, FileFd *temp)
{
	struct stat st;

	if (fstat(temp->fd, &st) != 0)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not stat directory \"%s/%s\": %m",
							   root->path, root->temp_name)));
	if (st.st_uid != geteuid())
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("directory \"%s/%s\" belongs to another "
							   "operating system user",
							   root->path, root->temp_name)));
}

bool
file_temp_open(FileRoot *root, const char *id, bool create)
{
	MemoryContext caller;

	check_id(id);
	file_temp_release(root);
	(void) file_fd_close(root->temp);

	/* what the root refers to must live as long as it does */
	caller = MemoryContextSwitchTo(GetMemoryChunkContext(root));
	root->temp_name = psprintf(DESTINATION_HIDDEN "%s", id);
	if (create && mkdirat(root->dir->fd, root->temp_name, TEMP_MODE) == 0)
		file_sync_directory(root->dir->fd, root->path);
	else if (create && errno != EEXIST)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not create directory \"%s/%s\": %m",
							   root->path, root->temp_name),
						file_access_hint(NULL)));
	root->temp = file_fd_open(root->dir->fd, root->temp_name,
							  O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	MemoryContextSwitchTo(caller);

	if (!file_fd_is_open(root->temp))
	{
		if (errno == ENOENT)
			return false;
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not open directory \"%s/%s\": %m",
							   root->path, root->temp_name)));
	}
	check_owner(root, root->temp);
	return true;
}

bool
file_temp_is_open(const FileRoot *root)
{
	return file_fd_is_open(root->temp);
}

/* Removes files in the temporary directory: those of attempts, or all. */
static void
temp_remove_files(FileRoot *root, bool only_attempts)
{
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "outflow sweep", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	FileFd		 *reader;
	const char	 *name;

	reader = file_fd_open(root->temp->fd, ".", O_RDONLY | O_DIRECTORY);
	if (!file_fd_read_dir(reader))
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not read directory \"%s/%s\": %m",
							   root->path, root->temp_name)));
	while ((name = file_fd_next_name(reader)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if ((only_attempts && name[0] != '.') || strcmp(name, FILE_OWNER) == 0)
			continue;
		if (unlinkat(root->temp->fd, name, 0) != 0 && errno != ENOENT)
			ereport(ERROR, (errcode_for_file_access(),
							errmsg("could not remove file \"%s\": %m",
								   file_path(root, FILE_TEMP, name))));
	}
	if (errno != 0)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not read directory \"%s/%s\": %m",
							   root->path, root->temp_name)));
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

void
file_temp_sweep(FileRoot *root)
{
	if (file_fd_is_open(root->temp))
		temp_remove_files(root, true);
}

void
file_temp_remove(FileRoot *root)
{
	if (!file_fd_is_open(root->temp))
		return;
	temp_remove_files(root, false);
	/* last: what lies there without it is nobody's */
	if (unlinkat(root->temp->fd, FILE_OWNER, 0) != 0 && errno != ENOENT)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not remove file \"%s\": %m",
							   file_path(root, FILE_TEMP, FILE_OWNER))));
	file_temp_release(root);
	(void) file_fd_close(root->temp);
	if (unlinkat(root->dir->fd, root->temp_name, AT_REMOVEDIR) != 0 &&
		errno != ENOENT)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not remove directory \"%s/%s\": %m",
							   root->path, root->temp_name)));
	file_sync_directory(root->dir->fd, root->path);
}

static int
compare_entries(const ListCell *a, const ListCell *b)
{
	return strcmp(((DestinationEntry *) lfirst(a))->name,
				  ((DestinationEntry *) lfirst(b))->name);
}

/* NULL if it vanished meanwhile. */
static DestinationEntry *
entry_new(FileRoot *root, FilePlace place, const char *name)
{
	DestinationEntry *entry;
	struct stat		  st;

	if (fstatat(file_directory(root, place), name, &st, AT_SYMLINK_NOFOLLOW) !=
		0)
	{
		if (errno == ENOENT)
			return NULL;
		/* then it has a name, and nothing else is known */
		if (errno != EACCES)
			ereport(ERROR, (errcode_for_file_access(),
							errmsg("could not stat file \"%s\": %m",
								   file_path(root, place, name))));
		memset(&st, 0, sizeof(st));
	}
	entry = palloc(sizeof(DestinationEntry));
	entry->name = pstrdup(name);
	entry->size = st.st_size;
	entry->is_regular = S_ISREG(st.st_mode);
	entry->is_directory = S_ISDIR(st.st_mode);
	return entry;
}

List *
file_list(FileRoot *root, FilePlace place)
{
	List	   *entries = NIL;
	FileFd	   *reader;
	const char *name;

	reader =
		file_fd_open(file_directory(root, place), ".", O_RDONLY | O_DIRECTORY);
	if (!file_fd_read_dir(reader))
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read directory \"%s\": %m", root->path)));
	while ((name = file_fd_next_name(reader)) != NULL)
	{
		DestinationEntry *entry;

		CHECK_FOR_INTERRUPTS();
		if (place == FILE_FINAL && root->temp_name != NULL &&
			strcmp(name, root->temp_name) == 0)
			continue;
		entry = entry_new(root, place, name);
		if (entry)
			entries = lappend(entries, entry);
	}
	if (errno != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read directory \"%s\": %m", root->path)));
	(void) file_fd_close(reader);
	list_sort(entries, compare_entries);
	return entries;
}
