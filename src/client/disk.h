/*
 * disk.h
 *		Files of the client: whole writes, and names that outlive a crash.
 */
#ifndef CLIENT_DISK_H
#define CLIENT_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#include "client/log.h"

/* The exit code of a target that could not write, by errno: a full disk is the
 * machine's, not the target's. */
extern ExitCode disk_exit_code(void);

/* Writes all of it, or false with errno. */
extern bool disk_write(int fd, const void *data, size_t length);

/* Makes names in a directory durable; ends the program if it can't. */
extern void disk_sync_directory(const char *path);
extern void disk_sync_parent(const char *path);
/*
 * The next line of a file that a user has named, as getline() gives it; its
 * length, -1 at the end.  What can't be read, as a directory, ends the program.
 */
extern ssize_t disk_read_line(FILE *file, const char *path, char **line,
							  size_t *size);

/*
 * A file of a secret is its owner's, whose group may read it.  Is it open to more?
 * What is no file, such as a pipe, keeps nothing.
 */
extern bool disk_is_open_to_others(const char *path);

/* Ends the program if it is; NULL: there is none. */
extern void disk_check_secret(const char *path);

/* What the first line of such a file holds, a new text; ends the program if that is
 * nothing. */
extern char *disk_read_secret(const char *path);

#endif
