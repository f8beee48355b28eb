/*
 * machine_preload.c
 *		getaddrinfo(), connect(), time() and the files of /etc/ssl/certs, as files in
 *		the directory MACHINE say.
 *
 * MACHINE/names has lines "name address", of which a name may have several; other
 * names are the system's to look up.  Each answer adds a line to MACHINE/names.log.  MACHINE/clock is how many
 * seconds the clock is fast.  MACHINE/certs, if it is there, is what /etc/ssl/certs has; each file that is opened
 * there adds a line to MACHINE/certs.log.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef int (*Resolver)(const char *, const char *, const struct addrinfo *,
						struct addrinfo **);

static FILE *
machine_open(const char *name, const char *mode)
{
	char		path[1024];
	const char *directory = getenv("MACHINE");

	if (directory == NULL)
		return NULL;
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return fopen(path, mode);
}

/* The number'th that the file has for the name, in address; 0 for none. */
static int
find_address(const char *name, int number, char *address)
{
	FILE *file = machine_open("names", "r");
	char  line[256];
	int	  found = 0;

	while (file && !found && fgets(line, sizeof(line), file))
	{
		char known[128];

		found = sscanf(line, "%127s %127s", known, address) == 2 &&
				strcmp(known, name) == 0 && number-- == 0;
	}
	if (file)
		fclose(file);
	return found;
}

static void
log_answer(const char *name, const char *address)
{
	FILE *file = machine_open("names.log", "a");

	if (file == NULL)
		return;
	fprintf(file, "%s %s\n", name, address);
	fclose(file);
}

__attribute__((visibility("default"))) int
getaddrinfo(const char *name, const char *service,
			const struct addrinfo *hints, struct addrinfo **found)
{
	Resolver real = (Resolver) dlsym(RTLD_NEXT, "getaddrinfo");
	char	 address[128];
	int		 result = 0;

	if (name == NULL || !find_address(name, 0, address))
		return real(name, service, hints, found);
	/* the C library's lists are freed one by one */
	for (int i = 0; result == 0 && find_address(name, i, address); i++)
	{
		log_answer(name, address);
		result = real(address, service, hints, found);
		while (result == 0 && *found)
			found = &(*found)->ai_next;
	}
	return result;
}

__attribute__((visibility("default"))) int
connect(int fd, const struct sockaddr *address, socklen_t length)
{
	int (*real)(int, const struct sockaddr *, socklen_t) =
		(int (*)(int, const struct sockaddr *, socklen_t)) dlsym(RTLD_NEXT,
																 "connect");
	struct sockaddr_in there;
	FILE			  *file;
	char			   from[64];
	char			   to[64];
	char			   name[64];
	int				   from_port;
	int				   to_port;

	if (address->sa_family != AF_INET ||
		(file = machine_open("routes", "r")) == NULL)
		return real(fd, address, length);
	memcpy(&there, address, sizeof(there));
	inet_ntop(AF_INET, &there.sin_addr, name, sizeof(name));
	while (fscanf(file, "%63s %d %63s %d", from, &from_port, to, &to_port) ==
		   4)
		if (strcmp(from, name) == 0 &&
			ntohs(((const struct sockaddr_in *) address)->sin_port) ==
				from_port)
		{
			inet_pton(AF_INET, to, &there.sin_addr);
			there.sin_port = htons(to_port);
		}
	fclose(file);
	return real(fd, (const struct sockaddr *) &there, sizeof(there));
}

__attribute__((visibility("default"))) time_t
time(time_t *result)
{
	struct timespec now;
	FILE		   *file = machine_open("clock", "r");
	long			fast = 0;

	(void) clock_gettime(CLOCK_REALTIME, &now);
	if (file)
	{
		if (fscanf(file, "%ld", &fast) != 1)
			fast = 0;
		fclose(file);
	}
	if (result)
		*result = now.tv_sec + fast;
	return now.tv_sec + fast;
}

/* What the path stands for. */
static const char *
certs_path(const char *path, char *other, size_t size)
{
	static const char there[] = "/etc/ssl/certs";
	const char		 *directory = getenv("MACHINE");

	if (directory == NULL || strncmp(path, there, strlen(there)) != 0)
		return path;
	snprintf(other, size, "%s/certs", directory);
	if (access(other, F_OK) != 0)
		return path;
	snprintf(other, size, "%s/certs%s", directory, path + strlen(there));
	return other;
}

static FILE *
open_certs(const char *function, const char *path, const char *mode)
{
	FILE *(*real)(const char *, const char *) =
		(FILE * (*) (const char *, const char *) ) dlsym(RTLD_NEXT, function);
	char		other[1024];
	const char *found = certs_path(path, other, sizeof(other));
	FILE	   *file = real(found, mode);
	FILE	   *log = file && found == other ? machine_open("certs.log", "a") : NULL;

	if (log)
	{
		fprintf(log, "%s\n", path);
		fclose(log);
	}
	return file;
}

__attribute__((visibility("default"))) FILE *
fopen(const char *path, const char *mode)
{
	return open_certs("fopen", path, mode);
}

__attribute__((visibility("default"))) FILE *
fopen64(const char *path, const char *mode)
{
	return open_certs("fopen64", path, mode);
}

__attribute__((visibility("default"))) int
stat(const char *path, struct stat *found)
{
	int (*real)(const char *, struct stat *) =
		(int (*)(const char *, struct stat *)) dlsym(RTLD_NEXT, "stat");
	char other[1024];

	return real(certs_path(path, other, sizeof(other)), found);
}
