/*
 * verify_open.h
 *		Files that a manifest names.
 *
 * The manifest is as little trusted as the files.  A name in it is one component
 * below a directory that is open, and no link is followed; a path elsewhere is
 * followed only beneath the directory that the user named for it, component by
 * component.  Nothing but regular files is read.
 */
#ifndef CLIENT_VERIFY_OPEN_H
#define CLIENT_VERIFY_OPEN_H

#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>

/* O_NONBLOCK, or a FIFO would be waited for; O_NOFOLLOW for the last part. */
#define VERIFY_OPEN_FLAGS                                                     \
	(O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY)

extern bool verify_is_component(const char *name, size_t length);

/* A regular file below an open directory, or -1: then *why says what it is. */
extern int verify_open_file(int directory, const char *name,
							struct stat *state, const char **status,
							const char **why);

/* The same of a path below the directory of references; NULL: there is none. */
extern int verify_open_reference(const char *references, int references_fd,
								 const char *path, struct stat *state,
								 const char **status, const char **why);

/* The user's own path may have links in it. */
extern int verify_open_directory(const char *path);

#endif
