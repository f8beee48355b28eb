/*
 * file_owner.c
 *		Who owns a temporary directory, and who uses it.
 *
 * A file in it has the owner's token, which is never changed, and a lock that
 * ends with the process that holds it, however it ends.  The lock keeps out
 * other processes, also of other servers on one file system; the token keeps out
 * those who come later and are somebody else.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "compat.h"
#include "miscadmin.h"
#include "sink/file/file_internal.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#define TOKEN_MAX 1024

/* A process that ends may hold it a moment longer. */
#define TRIES		   100
#define TRY_PAUSE_USEC 10000

pg_noreturn static void
owner_failed(const FileRoot *root, const char *what)
{
	ereport(ERROR, (errcode_for_file_access(),
					errmsg("could not %s file \"%s\": %m", what,
						   file_path(root, FILE_TEMP, FILE_OWNER)),
					file_space_hint()));
}

/* By errno; a network file system may know a directory that is not there. */
static bool
is_gone(void)
{
	return errno == ENOENT || errno == ESTALE;
}

/* Closed, and errno says so, if there is none or something else has its name. */
static FileFd *
open_owner(FileRoot *root, int flags)
{
	FileFd	   *file = file_fd_open(root->temp->fd, FILE_OWNER,
									flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (!file_fd_is_open(file))
	{
		if (!is_gone() && errno != ELOOP && errno != ENXIO && errno != EISDIR)
			owner_failed(root, "open");
		return file;
	}
	if (fstat(file->fd, &st) != 0)
		owner_failed(root, "stat");
	if (!S_ISREG(st.st_mode))
	{
		(void) file_fd_close(file);
		errno = EISDIR;
	}
	return file;
}

/*
 * False if another process has it.  Where locks are unknown the token is all,
 * which is no proof that nobody has.
 */
static bool
lock_owner(FileRoot *root, FileFd *file, bool must_prove)
{
	for (int i = 0; i < TRIES; i++)
	{
		if (flock(file->fd, LOCK_EX | LOCK_NB) == 0)
			return true;
		if (errno == ENOLCK || errno == EOPNOTSUPP || errno == ENOSYS)
			return !must_prove;
		if (errno != EWOULDBLOCK && errno != EINTR)
			owner_failed(root, "lock");
		CHECK_FOR_INTERRUPTS();
		pg_usleep(TRY_PAUSE_USEC);
	}
	return false;
}

static char *
read_token(FileRoot *root, FileFd *file)
{
	char   *token = palloc(TOKEN_MAX + 1);
	ssize_t len = pread(file->fd, token, TOKEN_MAX, 0);

	if (len < 0)
		owner_failed(root, "read");
	token[len] = '\0';
	return token;
}

/* Whether nothing but the owner's file is there, and perhaps not that. */
static bool
is_alone(FileRoot *root)
{
	List	 *entries = file_list(root, FILE_TEMP);
	ListCell *cell;

	foreach (cell, entries)
	{
		DestinationEntry *entry = lfirst(cell);

		if (strcmp(entry->name, FILE_OWNER) != 0)
			return false;
	}
	return true;
}

/*
 * A token is written before all else.  A full disk or a crash may leave its
 * beginning alone, or nothing or zeros, whose file nobody has used yet.
 */
static bool
is_unfinished(const char *found, const char *token)
{
	size_t len = strlen(found);

	return len < strlen(token) && strncmp(found, token, len) == 0;
}

static void
write_token(FileRoot *root, FileFd *file, const char *token)
{
	errno = 0;
	if (pwrite(file->fd, token, strlen(token), 0) != (ssize_t) strlen(token))
	{
		if (errno == 0)
			errno = ENOSPC;
		owner_failed(root, "write");
	}
	if (pg_fsync(file->fd) != 0)
		owner_failed(root, "fsync");
	file_sync_directory(root->temp->fd, root->path);
}

/* Not if whoever removes what was begun has unlinked it meanwhile. */
static bool
has_its_name(FileRoot *root, FileFd *file)
{
	struct stat mine;
	struct stat named;

	if (fstat(file->fd, &mine) != 0)
		owner_failed(root, "stat");
	if (fstatat(root->temp->fd, FILE_OWNER, &named, AT_SYMLINK_NOFOLLOW) != 0)
	{
		if (!is_gone())
			owner_failed(root, "stat");
		return false;
	}
	return mine.st_dev == named.st_dev && mine.st_ino == named.st_ino;
}

/* Held as long as the root is.  Closed, and the claim says why, if it can't be. */
static FileFd *
open_locked(FileRoot *root, bool create, bool must_prove,
			DestinationClaim *claim)
{
	MemoryContext caller = MemoryContextSwitchTo(GetMemoryChunkContext(root));
	FileFd		 *file = open_owner(root, O_RDWR);
	bool		  is_missing = !file_fd_is_open(file) && errno == ESTALE;

	if (!file_fd_is_open(file) && errno == ENOENT && create && is_alone(root))
	{
		file = open_owner(root, O_RDWR | O_CREAT);
		is_missing = !file_fd_is_open(file) && is_gone();
	}
	MemoryContextSwitchTo(caller);
	if (!file_fd_is_open(file))
	{
		*claim = is_missing ? CLAIM_MISSING : CLAIM_FOREIGN;
		return file;
	}
	if (!lock_owner(root, file, must_prove))
		*claim = CLAIM_LOCKED;
	else if (!has_its_name(root, file))
		*claim = CLAIM_MISSING;
	else
		return file;
	(void) file_fd_close(file);
	return file;
}

/* False as well if something is in it. */
static bool
remove_directory(FileRoot *root)
{
	if (unlinkat(root->dir->fd, root->temp_name, AT_REMOVEDIR) != 0)
		return is_gone();
	file_sync_directory(root->dir->fd, root->path);
	return true;
}

static DestinationClaim
take(FileRoot *root, FileFd *file, const char *token)
{
	if (strcmp(read_token(root, file), token) != 0)
	{
		(void) file_fd_close(file);
		return CLAIM_FOREIGN;
	}
	root->owner = file;
	return CLAIM_GRANTED;
}

DestinationClaim
file_temp_claim(FileRoot *root, const char *token)
{
	DestinationClaim claim;
	FileFd			*file = open_locked(root, true, false, &claim);

	if (!file_fd_is_open(file))
		return claim;
	if (is_unfinished(read_token(root, file), token) && is_alone(root))
		write_token(root, file, token);
	return take(root, file, token);
}

/*
 * A process that has made the directory and is about to claim it may find it
 * gone, and makes another.  Once it has its lock nobody removes the token, and
 * with a file in it the directory stays.
 */
DestinationClaim
file_temp_claim_left(FileRoot *root, const char *token)
{
	DestinationClaim claim;
	FileFd			*file = open_locked(root, false, true, &claim);

	if (!file_fd_is_open(file))
	{
		if (claim == CLAIM_FOREIGN && remove_directory(root))
			return CLAIM_MISSING;
		return claim;
	}
	if (!is_unfinished(read_token(root, file), token) || !is_alone(root))
		return take(root, file, token);
	if (unlinkat(root->temp->fd, FILE_OWNER, 0) != 0)
		owner_failed(root, "remove");
	(void) file_fd_close(file);
	(void) remove_directory(root);
	return CLAIM_MISSING;
}

bool
file_temp_has_token(FileRoot *root, const char *token)
{
	FileFd *file = open_owner(root, O_RDONLY);
	bool	same =
		file_fd_is_open(file) && strcmp(read_token(root, file), token) == 0;

	(void) file_fd_close(file);
	return same;
}
