/*
 * file.h
 *		Directories of the server and files in them.  Exports reach them by
 *		destination.h only; the driver is file_destination.c.
 */
#ifndef OUTFLOW_FILE_H
#define OUTFLOW_FILE_H

#include "sink/destination.h"

/* A mode as chmod takes it: what files get unless the user says otherwise. */
#define FILE_MODE_PRIVATE 0600
/* What of a file's mode others that are like it get. */
#define FILE_MODE_WIDEST 0664

/* ---- file_root.c: one opened destination directory */
typedef struct FileRoot FileRoot;

/* what to do about a directory that is not there; 0: an error */
#define FILE_ROOT_CREATE	 0x01 /* make it, and missing ones above it */
#define FILE_ROOT_MISSING_OK 0x02 /* return NULL */
#define FILE_ROOT_TRY		 0x08 /* NULL and errno, whatever is the matter */
/* names in the path may begin with a dot: it was chosen long ago */
#define FILE_ROOT_HIDDEN 0x04
#define FILE_ROOT_PROBE	 0x10 /* return NULL if it could be made */

/*
 * Opens an absolute path, once for all that follows: nothing below it is ever
 * looked up by path again, and no symbolic link is followed there.  Refused:
 * a relative path, "..", a link as last component, anything in or around the
 * server's own directories, anything whose name, or that of a directory above,
 * begins with a dot.  With export_root (NULL or "" for none) the path must lie
 * beneath that directory.
 *
 * New files get file_mode, and new directories the same with the right to
 * search where there is that to read; the temporary directory is the owner's
 * alone.
 *
 * The root must outlive every file made in it: allocate files in the same
 * memory context or below.
 */
extern FileRoot *file_root_open(const char *path, const char *export_root,
								int flags, mode_t file_mode);
/*
 * A directory in a root, as a root of its own; name has no slash.  If the
 * parent has its temporary directory open, that is the new root's too, as long
 * as the parent keeps it open: files move from there into either.
 */
extern FileRoot *file_root_subdir(FileRoot *parent, const char *name,
								  int flags);
/* Removes the directory itself, durably, unless it holds something or is not
 * where it was; then in the same way what it lies in, up to so many levels. */
extern void file_root_remove(FileRoot *root, int levels);
/* False if it is not there, holds something, or is kept by someone. */
extern bool file_root_remove_subdir(FileRoot *parent, const char *name);
/*
 * The path without links, as far as it exists by now: one text for each
 * directory, whatever it was called.
 */
extern char *file_root_resolve(const char *path, const char *export_root);
extern void	 file_root_close(FileRoot *root);
extern const char *file_root_path(const FileRoot *root);
/* The directory, if it is the server's, gets the mode that new ones have. */
extern void file_root_give_mode(FileRoot *root);
/* An early error where no file could be made, and a warning where those who may
 * read the files can't find them. */
extern void file_root_check_writable(FileRoot *root);
/* Throws if the directory is not any more what its path names. */
extern void file_root_check_place(FileRoot *root);
/* Makes renames and removals in the root durable. */
extern void file_root_sync(FileRoot *root);

/* Where a file of a root is: unpublished ones are in the temporary directory */
typedef enum FilePlace
{
	FILE_TEMP,
	FILE_FINAL
} FilePlace;

/*
 * The hidden temporary directory ".outflow-<id>" of a job.  Must be open for
 * everything that writes or names FILE_TEMP.  False if it is missing, be it that
 * it was created and removed meanwhile.
 */
extern bool file_temp_open(FileRoot *root, const char *id, bool create);
extern bool file_temp_is_open(const FileRoot *root);

/*
 * Takes the temporary directory for this process, until the root is closed, if
 * it has this token; one that is empty gets it.  CLAIM_MISSING if another
 * process has removed it meanwhile, as one that was only begun.
 */
extern DestinationClaim file_temp_claim(FileRoot *root, const char *token);
/*
 * The same to remove what nobody goes on with, where the lock is no guess.  One
 * that is empty, or has the beginning of this token, is removed at once; then
 * it is missing.
 */
extern DestinationClaim file_temp_claim_left(FileRoot	*root,
											 const char *token);
/* Whether it has this token, whoever uses it. */
extern bool file_temp_has_token(FileRoot *root, const char *token);
/* What file_temp_claim() took: for the end of a process. */
extern void file_temp_release(FileRoot *root);
/* Removes what attempts that were killed left; no other may be running. */
extern void file_temp_sweep(FileRoot *root);
/* Removes it with the files in it; fine if it is not there. */
extern void file_temp_remove(FileRoot *root);

/* What is there, as a List of DestinationEntry sorted by name; the job's own
 * temporary directory is left out. */
extern List *file_list(FileRoot *root, FilePlace place);

/* ---- file.c, file_move.c: files in a root.  Names have no slash. */

/*
 * A destination: a new file in the temporary directory.  It gets its name,
 * replacing an older file of that name, when finish has made it durable; until
 * then it has a name of its own that an error removes.
 */
extern Sink *file_new(FileRoot *root, const char *name);
/* Puts another export's finished file into the temporary directory: a hard
 * link, or a copy where the file systems or the modes differ.  False: it is not
 * there. */
extern bool file_carry(FileRoot *root, const char *name, FileRoot *from,
					   const char *from_name);
/*
 * Moves a finished file to its final name.  False if it is gone from the
 * temporary directory and something has the final name: most likely an earlier
 * attempt moved it, but whoever replaces files has to check.  An error if it
 * is in neither place, or the name is taken and replace is off.  Durable after
 * file_root_sync().
 */
extern bool file_publish(FileRoot *root, const char *name, bool replace);
/* Writes a small file under its final name at once: whole, and durable. */
extern void file_put(FileRoot *root, const char *name, const char *data,
					 size_t len, bool replace);
/* The same, unless something has the name: false then, and it stays. */
extern bool file_put_new(FileRoot *root, const char *name, const char *data,
						 size_t len);
/* Of a file in it, for others that are like it. */
extern mode_t file_mode_like(FileRoot *root, const char *name,
							 mode_t otherwise);
/* A file of the server's gets the mode that new ones have. */
extern void file_give_mode(FileRoot *root, const char *name);
/* False if it is not there.  Durable after file_root_sync(). */
extern bool file_remove(FileRoot *root, FilePlace place, const char *name);
/* Size of a regular file; false if there is none. */
extern bool file_stat(FileRoot *root, FilePlace place, const char *name,
					  uint64 *size);
/* Whether the file has its final name already, and its temporary one still. */
extern bool file_is_both(FileRoot *root, const char *name);
/* Whether it is a regular file of that size in the temporary directory still,
 * if it is there. */
extern bool file_is_as_written(FileRoot *root, const char *name, uint64 size);
/* Sends a file's bytes through a chain, up to its finish; false if there is
 * no such regular file. */
extern bool file_read(FileRoot *root, FilePlace place, const char *name,
					  Sink *to);
/* The same, but what can't be read is false with an errno, or 0, in *error. */
extern bool file_try_read(FileRoot *root, FilePlace place, const char *name,
						  Sink *to, int *error);
/* A small file's content with a NUL after it, or NULL if there is none; an
 * error if it is longer than max. */
extern char *file_get(FileRoot *root, FilePlace place, const char *name,
					  size_t max, size_t *len);

#endif /* OUTFLOW_FILE_H */
