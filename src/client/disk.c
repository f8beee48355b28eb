/*
 * disk.c
 *		Writing and syncing.
 */
#include "client/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/memory.h"

ExitCode
disk_exit_code(void)
{
	return errno == ENOSPC || errno == EDQUOT ? EXIT_FAILED : EXIT_TARGET;
}

bool
disk_write(int fd, const void *data, size_t length)
{
	const char *p = data;

	while (length > 0)
	{
		ssize_t n = write(fd, p, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		p += n;
		length -= n;
	}
	return true;
}

void
disk_sync_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* some file systems can't sync directories and say so */
	if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL))
		client_exit(EXIT_FAILED, "could not sync directory \"%s\": %s", path,
					strerror(errno));
	close(fd);
}

void
disk_sync_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	char	   *parent;

	if (slash == NULL)
		parent = client_strdup(".");
	else if (slash == path)
		parent = client_strdup("/");
	else
		parent = client_strndup(path, slash - path);
	disk_sync_directory(parent);
	free(parent);
}

ssize_t
disk_read_line(FILE *file, const char *path, char **line, size_t *size)
{
	ssize_t length = getline(line, size, file);

	if (length < 0 && ferror(file))
		client_exit(EXIT_USAGE, "could not read file \"%s\": %s", path,
					strerror(errno));
	return length;
}

bool
disk_is_open_to_others(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 && S_ISREG(status.st_mode) &&
		   (status.st_mode & (S_IRWXG | S_IRWXO) & ~S_IRGRP) != 0;
}

void
disk_check_secret(const char *path)
{
	if (path && disk_is_open_to_others(path))
		client_exit(EXIT_USAGE,
					"others may read or write \"%s\": its mode must be 0600 "
					"or 0640",
					path);
}

char *
disk_read_secret(const char *path)
{
	FILE   *file = fopen(path, "re");
	char   *line = NULL;
	size_t	size = 0;
	ssize_t length = file ? getline(&line, &size, file) : -1;

	disk_check_secret(path);
	while (length > 0 && strchr("\r\n", line[length - 1]))
		line[--length] = '\0';
	if (length <= 0)
		client_exit(EXIT_USAGE, "could not read a secret from \"%s\": %s",
					path, file ? "it is empty" : strerror(errno));
	fclose(file);
	return line;
}
