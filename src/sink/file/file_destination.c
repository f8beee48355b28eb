/*
 * file_destination.c
 *		The driver of "file:///...": a directory of this server.
 *
 * Folders are directories in it, and staged files are in its temporary
 * directory.  The folder that was used last stays open, since to open one means
 * to compare it with all of the server's own; it is used again as long as its
 * name means the same directory.
 *
 * One function for each member of DestinationDriver, most of them a call.
 */
#include "postgres.h"

#include <fcntl.h>

#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "option.h"
#include "sink/file/file_internal.h"
#include "utils/acl.h"
#include "utils/memutils.h"

typedef struct FileDestination
{
	Destination	  base;
	FileRoot	 *root;
	MemoryContext context; /* of the folder; NULL for none */
	char		 *folder_name;
	FileRoot	 *folder;
} FileDestination;

static char *
file_destination_parse(const char *destination)
{
	const char *path = destination + strlen(file_driver.scheme);

	if (path[0] != '/')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("destination \"%s\" is not an absolute path",
							   option_shown(destination)),
						errhint("Write it as file:///absolute/path.")));
	return pstrdup(path);
}

static void
file_destination_check_rights(void)
{
	if (!has_privs_of_role(GetUserId(), ROLE_PG_WRITE_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to export to files of the server"),
				 errhint("Only roles with privileges of the "
						 "\"pg_write_server_files\" role may do this.")));
}

static Destination *
file_destination_open(const char *place, const char *limit,
					  DestinationMode mode, int permissions,
					  const char *destination)
{
	static const int flags[] = {
		[DESTINATION_CREATE] = FILE_ROOT_CREATE,
		[DESTINATION_EXISTING] = 0,
		[DESTINATION_PROBE] = FILE_ROOT_PROBE,
		[DESTINATION_KNOWN] = FILE_ROOT_MISSING_OK | FILE_ROOT_HIDDEN,
		[DESTINATION_TRY] =
			FILE_ROOT_MISSING_OK | FILE_ROOT_HIDDEN | FILE_ROOT_TRY,
	};
	FileRoot *root =
		file_root_open(place, limit, flags[mode],
					   permissions ? permissions : FILE_MODE_PRIVATE);
	FileDestination *self;

	if (root == NULL)
		return NULL;
	self = palloc0_object(FileDestination);
	self->base.driver = &file_driver;
	self->base.path = file_root_path(root);
	self->base.location = file_real_path(root->dir->fd, self->base.path);
	self->base.made = root->made;
	self->root = root;
	return &self->base;
}

static FileRoot *
root_of(const Destination *to)
{
	return ((const FileDestination *) to)->root;
}

static void
forget_folder(FileDestination *self)
{
	if (self->context)
		MemoryContextDelete(self->context);
	self->context = NULL;
	self->folder = NULL;
}

/* Whether the folder that is open has this name, and is still what has it. */
static bool
is_open_folder(const FileDestination *self, const char *name)
{
	struct stat opened;
	struct stat named;

	return self->folder && strcmp(self->folder_name, name) == 0 &&
		   fstat(self->folder->dir->fd, &opened) == 0 &&
		   fstatat(self->root->dir->fd, name, &named, AT_SYMLINK_NOFOLLOW) ==
			   0 &&
		   opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

/* Opens a folder, below others perhaps; NULL as flags allow. */
static FileRoot *
open_folder(FileDestination *self, const char *name, int flags)
{
	MemoryContext caller;
	FileRoot	 *at = self->root;
	char		 *component;
	char		 *slash;

	if (name[0] == '\0')
		return self->root;
	if (is_open_folder(self, name))
		return self->folder;
	forget_folder(self);
	self->context = AllocSetContextCreate(
		GetMemoryChunkContext(self), "outflow folder", ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(self->context);
	self->folder_name = pstrdup(name);
	for (component = pstrdup(name); at && component; component = slash)
	{
		slash = strchr(component, '/');
		if (slash)
			*slash++ = '\0';
		at = file_root_subdir(at, component, flags);
	}
	self->folder = at;
	MemoryContextSwitchTo(caller);
	return at;
}

/* The folder of a key. */
static FileRoot *
folder_of(Destination *to, const char *key, int flags)
{
	const char *name = destination_name(key);

	if (name == key)
		return root_of(to);
	return open_folder((FileDestination *) to, pnstrdup(key, name - key - 1),
					   flags);
}

/* What a missing folder, and with error one that can't be opened, means. */
static int
search_flags(int *error)
{
	if (error == NULL)
		return FILE_ROOT_MISSING_OK;
	*error = 0;
	return FILE_ROOT_MISSING_OK | FILE_ROOT_TRY;
}

static void
file_destination_check_writable(Destination *to)
{
	file_root_check_writable(root_of(to));
}

static void
file_destination_check_place(Destination *to)
{
	file_root_check_place(root_of(to));
}

static char *
file_destination_check_free(Destination *to, const char *folder)
{
	FileRoot *at =
		open_folder((FileDestination *) to, folder, FILE_ROOT_MISSING_OK);
	ListCell *cell;

	if (at == NULL)
		return NULL;
	foreach (cell, file_list(at, FILE_FINAL))
	{
		DestinationEntry *entry = lfirst(cell);

		if (strncmp(entry->name, DESTINATION_HIDDEN,
					strlen(DESTINATION_HIDDEN)) == 0)
			return entry->name;
	}
	return NULL;
}

static char *
file_destination_probe(Destination *to, const char *key)
{
	return NULL;
}

static void
file_destination_close(Destination *to)
{
	forget_folder((FileDestination *) to);
	file_root_close(root_of(to));
}

/* Another process may remove one that has no token yet, but not for ever. */
#define CREATE_TRIES 1000

static DestinationClaim
claim_or_create(FileRoot *root, const char *id, const char *token)
{
	for (int i = 0; i < CREATE_TRIES; i++)
	{
		DestinationClaim claim = CLAIM_MISSING;

		CHECK_FOR_INTERRUPTS();
		if (file_temp_open(root, id, true))
			claim = file_temp_claim(root, token);
		if (claim != CLAIM_MISSING)
			return claim;
	}
	return CLAIM_LOCKED;
}

static DestinationClaim
file_destination_claim(Destination *to, const char *id, const char *token,
					   DestinationAccess access)
{
	FileRoot *root = root_of(to);

	/* it knows the temporary directory, too */
	forget_folder((FileDestination *) to);
	if (access == ACCESS_CREATE)
		return claim_or_create(root, id, token);
	if (!file_temp_open(root, id, false))
		return CLAIM_MISSING;
	if (access == ACCESS_LOOK)
		return CLAIM_GRANTED;
	if (access == ACCESS_JOIN)
		return file_temp_has_token(root, token) ? CLAIM_GRANTED
												: CLAIM_FOREIGN;
	if (access == ACCESS_LEFT)
		return file_temp_claim_left(root, token);
	return file_temp_claim(root, token);
}

static bool
file_destination_is_claimed(const Destination *to)
{
	return file_temp_is_open(root_of(to));
}

static void
file_destination_release(Destination *to)
{
	file_temp_release(root_of(to));
}

static Sink *
file_destination_new_part(Destination *to, const char *key)
{
	return file_new(root_of(to), destination_name(key));
}

static bool
file_destination_carry(Destination *to, const char *key, Destination *from,
					   const char *from_key)
{
	FileRoot *folder =
		folder_of(from, from_key, FILE_ROOT_MISSING_OK | FILE_ROOT_TRY);

	return folder && file_carry(root_of(to), destination_name(key), folder,
								destination_name(from_key));
}

static bool
file_destination_is_staged(Destination *to, const char *key)
{
	const char *name = destination_name(key);
	FileRoot   *folder = folder_of(to, key, FILE_ROOT_MISSING_OK);
	uint64		size;

	return file_destination_is_claimed(to) &&
		   file_stat(root_of(to), FILE_TEMP, name, &size) &&
		   !(folder && file_is_both(folder, name));
}

static bool
file_destination_publish(Destination *to, const char *key,
						 const DestinationLook *written)
{
	FileRoot   *folder = folder_of(to, key, FILE_ROOT_CREATE);
	const char *name = destination_name(key);

	if (written && !file_is_as_written(folder, name, written->size))
		return false;
	return file_publish(folder, name, false);
}

static void
file_destination_sweep(Destination *to)
{
	file_temp_sweep(root_of(to));
}

static void
file_destination_discard(Destination *to)
{
	forget_folder((FileDestination *) to);
	file_temp_remove(root_of(to));
}

static void
file_destination_put(Destination *to, const char *key, const char *data,
					 size_t len, bool replace)
{
	file_put(folder_of(to, key, FILE_ROOT_CREATE), destination_name(key), data,
			 len, replace);
}

static bool
file_destination_put_new(Destination *to, const char *key, const char *data,
						 size_t len, const Sending *sending)
{
	return file_put_new(folder_of(to, key, FILE_ROOT_CREATE),
						destination_name(key), data, len);
}

static List *
file_destination_list(Destination *to, const char *folder, int *error)
{
	FileRoot *at =
		open_folder((FileDestination *) to, folder, search_flags(error));

	if (at)
		return file_list(at, FILE_FINAL);
	if (error)
		*error = errno;
	return NIL;
}

static bool
file_destination_stat(Destination *to, const char *key, uint64 *size,
					  int *error)
{
	FileRoot *folder = folder_of(to, key, search_flags(error));

	if (folder)
		return file_stat(folder, FILE_FINAL, destination_name(key), size);
	if (error)
		*error = errno;
	return false;
}

static bool
file_destination_look(Destination *to, const char *key, DestinationLook *look,
					  int *error)
{
	look->has_crc = false;
	return file_destination_stat(to, key, &look->size, error);
}

static bool
file_destination_read(Destination *to, DestinationPlace place, const char *key,
					  Sink *chain, int *error)
{
	bool		staged = place == DESTINATION_STAGED;
	const char *name = destination_name(key);
	FileRoot   *folder =
		  staged ? root_of(to) : folder_of(to, key, search_flags(error));
	FilePlace where = staged ? FILE_TEMP : FILE_FINAL;

	if (folder && error)
		return file_try_read(folder, where, name, chain, error);
	if (folder)
		return file_read(folder, where, name, chain);
	if (error)
		*error = errno;
	return false;
}

static char *
file_destination_get(Destination *to, const char *key, size_t max, size_t *len)
{
	FileRoot *folder = folder_of(to, key, FILE_ROOT_MISSING_OK);

	return folder
			   ? file_get(folder, FILE_FINAL, destination_name(key), max, len)
			   : NULL;
}

static bool
file_destination_remove(Destination *to, const char *key)
{
	size_t	  len = strlen(key);
	char	 *name = pnstrdup(key, len);
	bool	  is_folder = len > 0 && key[len - 1] == '/';
	FileRoot *folder;

	if (is_folder)
		name[len - 1] = '\0';
	folder = folder_of(to, name, FILE_ROOT_MISSING_OK);
	if (folder == NULL)
		return false;
	return is_folder ? file_root_remove_subdir(folder, destination_name(name))
					 : file_remove(folder, FILE_FINAL, destination_name(name));
}

static void
file_destination_remove_place(Destination *to)
{
	forget_folder((FileDestination *) to);
	file_root_remove(root_of(to), to->made);
}

static void
file_destination_keep_mode(Destination *to, const char *key)
{
	FileRoot *folder = folder_of(to, key, FILE_ROOT_MISSING_OK);

	if (folder)
		root_of(to)->file_mode = file_mode_like(folder, destination_name(key),
												root_of(to)->file_mode);
	/* it has a mode of its own */
	forget_folder((FileDestination *) to);
}

static void
file_destination_give_mode(Destination *to, const char *key)
{
	const char *name = destination_name(key);
	FileRoot   *folder = folder_of(to, key, FILE_ROOT_MISSING_OK);
	ListCell   *cell;

	if (folder == NULL)
		return;
	if (name[0])
	{
		file_give_mode(folder, name);
		return;
	}
	file_root_give_mode(folder);
	foreach (cell, file_list(folder, FILE_FINAL))
	{
		DestinationEntry *entry = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (entry->is_regular && destination_name_is_valid(entry->name))
			file_give_mode(folder, entry->name);
	}
}

static void
file_destination_sync(Destination *to, const char *folder)
{
	FileRoot *at =
		open_folder((FileDestination *) to, folder, FILE_ROOT_MISSING_OK);

	if (at)
		file_root_sync(at);
}

/* Paths are taken as they are, as Hadoop's are. */
static char *
file_destination_uri(Destination *to, const char *key)
{
	return psprintf("file://%s%s%s", to->location, key[0] ? "/" : "", key);
}

const DestinationDriver file_driver = {
	.scheme = "file://",
	.location = "/",
	.parse = file_destination_parse,
	.check_rights = file_destination_check_rights,
	.locate = file_root_resolve,
	.open = file_destination_open,
	.check_writable = file_destination_check_writable,
	.check_place = file_destination_check_place,
	.uri = file_destination_uri,
	.check_free = file_destination_check_free,
	.probe = file_destination_probe,
	.close = file_destination_close,
	.claim = file_destination_claim,
	.is_claimed = file_destination_is_claimed,
	.release = file_destination_release,
	.new_part = file_destination_new_part,
	.carry = file_destination_carry,
	.is_staged = file_destination_is_staged,
	.publish = file_destination_publish,
	.sweep = file_destination_sweep,
	.discard = file_destination_discard,
	.put = file_destination_put,
	.put_new = file_destination_put_new,
	.list = file_destination_list,
	.look = file_destination_look,
	.stat = file_destination_stat,
	.read = file_destination_read,
	.get = file_destination_get,
	.remove = file_destination_remove,
	.remove_place = file_destination_remove_place,
	.keep_mode = file_destination_keep_mode,
	.give_mode = file_destination_give_mode,
	.sync = file_destination_sync,
};
