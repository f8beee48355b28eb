/*
 * verify_open.c
 *		Opens what a manifest names, as little as that is trusted.
 */
#include "client/verify_open.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/log.h"
#include "client/memory.h"

bool
verify_is_component(const char *name, size_t length)
{
	return length > 0 && memchr(name, '/', length) == NULL &&
		   !(length == 1 && name[0] == '.') &&
		   !(length == 2 && name[0] == '.' && name[1] == '.');
}

int
verify_open_file(int directory, const char *name, struct stat *state,
				 const char **status, const char **why)
{
	int fd = openat(directory, name, VERIFY_OPEN_FLAGS);

	*status = "unreadable";
	if (fd < 0)
	{
		if (errno == ENOENT)
			*status = "missing";
		*why = errno == ELOOP ? "it is a symbolic link" : strerror(errno);
		return -1;
	}
	if (fstat(fd, state) != 0 || !S_ISREG(state->st_mode))
	{
		*why = "it is no regular file";
		close(fd);
		return -1;
	}
	return fd;
}

int
verify_open_reference(const char *references, int references_fd,
					  const char *path, struct stat *state,
					  const char **status, const char **why)
{
	size_t length = references ? strlen(references) : 0;
	int	   directory = -1;
	int	   fd = -1;

	*status = "not read";
	if (length == 0 || strncmp(path, references, length) != 0 ||
		path[length] != '/')
	{
		*why = "it lies elsewhere: --references names the directory beneath "
			   "which files may be read";
		return -1;
	}
	directory = dup(references_fd);
	path += length + 1;
	while (directory >= 0 && verify_is_component(path, strcspn(path, "/")))
	{
		size_t end = strcspn(path, "/");
		char  *name = client_strndup(path, end);
		int	   next = -1;

		if (path[end] == '\0')
			fd = verify_open_file(directory, name, state, status, why);
		else if ((next = openat(directory, name,
								VERIFY_OPEN_FLAGS | O_DIRECTORY)) < 0)
			*why = strerror(errno);
		close(directory);
		free(name);
		if (path[end] == '\0' || next < 0)
			return fd;
		directory = next;
		path += end + 1;
	}
	if (directory >= 0)
		close(directory);
	*why = "it is no plain path";
	return -1;
}

int
verify_open_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		client_exit(EXIT_USAGE, "could not open directory \"%s\": %s", path,
					strerror(errno));
	return fd;
}
