/*
 * file_internal.h
 *		What the files about directories and files share; see file.h for what
 *		they offer.
 */
#ifndef OUTFLOW_FILE_INTERNAL_H
#define OUTFLOW_FILE_INTERNAL_H

#include <dirent.h>
#include <sys/stat.h>

#include "sink/file/file.h"

/*
 * A descriptor that the server's accounting knows of and that is closed, at
 * the latest, when the memory context it was made in is reset.
 */
typedef struct FileFd
{
	int	 fd;  /* -1 when closed */
	DIR *dir; /* by file_fd_read_dir() */
} FileFd;

struct FileRoot
{
	char   *path;	   /* as messages name it */
	mode_t	file_mode; /* of what is made in it */
	int		made;	   /* of the path, when it was opened */
	FileFd *dir;
	FileFd *temp;	   /* NULL or closed: no temporary directory is open */
	char   *temp_name; /* its name in dir */
	bool	temp_is_shared; /* it is the parent's */
	FileFd *owner;			/* by file_temp_claim(); or NULL */
};

/* ---- file_fd.c */

/*
 * Opens name below directory (AT_FDCWD for a path); never follows a link in
 * its last component unless told so by O_PATH without O_NOFOLLOW.  On failure
 * returns a closed FileFd and sets errno.
 */
extern FileFd *file_fd_open(int directory, const char *name, int flags);
/* Makes a new file with exactly this mode, to be written. */
extern FileFd *file_fd_create(int directory, const char *name, mode_t mode);
/* mkdirat() with exactly what files of that mode need. */
extern int file_make_directory(int parent, const char *name, mode_t file_mode);
extern bool file_fd_is_open(const FileFd *file);
/* Never throws; returns close()'s result, 0 if closed already. */
extern int file_fd_close(FileFd *file);
/* Begins to read a directory; false with errno if that failed. */
extern bool file_fd_read_dir(FileFd *file);
/* The next name but "." and "..", or NULL with errno 0 at the end. */
extern const char *file_fd_next_name(FileFd *file);

/* A hint for ereport, if errno says that the disk is full. */
extern int file_space_hint(void);
/* The same, or one about rights; missing is a directory that isn't there, or NULL. */
extern int file_access_hint(const char *missing);

/* ---- file_guard.c */

/* Throws if an opened directory is none to write exports to. */
extern void file_refuse_server_directory(int directory, const char *path,
										 bool children, bool may_be_hidden);
/* The same for a component of a path; path is what the error names. */
extern void file_refuse_hidden(const char *name, const char *path);
/* An opened directory's path without links, as the kernel has it. */
extern char *file_real_path(int directory, const char *path);

/* ---- file_path.c */

/*
 * The components of an absolute path; an error, which calls it what, if it is
 * none we accept.
 */
extern List *path_components(const char *path, const char *what);
/* A path of the first ones. */
extern char *path_join(List *components, int count);
/* How many components of path its export root takes; an error if not all. */
extern int path_check_beneath(List *components, const char *path,
							  const char *export_root);
/* Throws unless name can be that of a file or directory in a root. */
extern void file_check_name(const char *name);
/* For messages. */
extern char *file_path(const FileRoot *root, FilePlace place,
					   const char *name);

/* ---- file_root.c */

/* errcode_for_file_access(), which has no class for names that are too long. */
extern int file_errcode(void);
/* The directory that holds files of that place. */
extern int file_directory(const FileRoot *root, FilePlace place);
/* fsync; a directory that can't be synchronized is fine. */
extern void file_sync_directory(int directory, const char *path);

/* ---- file_owner.c */

/* Whoever may read a file may search for it; the owner may do all. */
static inline mode_t
file_directory_mode(mode_t file_mode)
{
	return S_IRWXU | file_mode | (file_mode & 0444) >> 2;
}

/* In a temporary directory: who owns it, and the lock of whoever uses it. */
#define FILE_OWNER "_owner"

/* ---- file.c */

/* A name for one attempt to make a file; begins with a dot. */
extern char *file_attempt_name(const char *name);

#endif /* OUTFLOW_FILE_INTERNAL_H */
