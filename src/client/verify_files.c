/*
 * verify_files.c
 *		An export's files against its manifest, without a server.
 *
 * There is much that can be wrong: names, sizes, sums, totals, and what is there
 * beside; each is one short check.
 */
#include "client/verify_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/log.h"
#include "client/manifest_read.h"
#include "client/memory.h"
#include "client/sum.h"
#include "client/verify_open.h"

#define MANIFEST "_manifest.json"
#define SUCCESS	 "_SUCCESS"

/* Some 250 bytes a part: this is a million of them. */
#define MAX_MANIFEST_BYTES (256 * 1024 * 1024)

typedef struct Verify
{
	VerifyReport *report;
	const char	 *references; /* NULL: there may be none */
	int			  references_fd;
} Verify;

/* One level of an export: its directory, and what it is called in the report. */
typedef struct Level
{
	int			fd;
	const char *folder;
	bool		is_top;
	Manifest	manifest;
} Level;

static void
compare_sums(Verify *verify, const Level *level, const ManifestEntry *entry,
			 int fd)
{
	bool	  wanted[MANIFEST_SUMS];
	char	  sums[MANIFEST_SUMS][SUM_HEX];
	long long bytes;
	int		  i;

	for (i = 0; i < MANIFEST_SUMS; i++)
		wanted[i] = entry->sums[i] != NULL;
	if (!wanted[0] && !wanted[1])
	{
		report_problem(verify->report, level->folder, entry->name,
					   "not compared", "the manifest has no checksum of it");
		return;
	}
	if (!sum_file(fd, wanted, sums, &bytes))
	{
		report_problem(verify->report, level->folder, entry->name,
					   "unreadable", "%s", strerror(errno));
		return;
	}
	for (i = 0; i < MANIFEST_SUMS; i++)
		if (wanted[i] && strcasecmp(entry->sums[i], sums[i]) != 0)
			report_problem(verify->report, level->folder, entry->name,
						   "wrong checksum", "%s was %s, is %s",
						   manifest_sum_names[i], entry->sums[i], sums[i]);
}

static void
verify_part(Verify *verify, const Level *level, const ManifestEntry *entry)
{
	const char *status = "not read";
	const char *why = "a manifest names files of its own directory only";
	struct stat state;
	int			fd = -1;

	if (entry->name[0] == '/')
		fd = verify_open_reference(verify->references, verify->references_fd,
								   entry->name, &state, &status, &why);
	else if (verify_is_component(entry->name, strlen(entry->name)))
		fd = verify_open_file(level->fd, entry->name, &state, &status, &why);
	if (fd < 0)
	{
		report_problem(verify->report, level->folder, entry->name, status,
					   "%s", why);
		return;
	}
	verify->report->files++;
	if ((long long) state.st_size != entry->bytes_stored)
		report_problem(verify->report, level->folder, entry->name,
					   "wrong size", "%lld bytes were written, %lld are there",
					   entry->bytes_stored, (long long) state.st_size);
	else
		compare_sums(verify, level, entry, fd);
	close(fd);
}

/* NULL after a problem was told. */
static char *
read_manifest_file(Verify *verify, const Level *level, size_t *length)
{
	const char *status;
	const char *why;
	struct stat state;
	int		fd = verify_open_file(level->fd, MANIFEST, &state, &status, &why);
	char   *data;
	ssize_t got = -1;

	*length = 0;
	if (fd < 0)
	{
		report_problem(verify->report, level->folder, MANIFEST, status, "%s",
					   why);
		return NULL;
	}
	if (state.st_size > MAX_MANIFEST_BYTES)
	{
		report_problem(verify->report, level->folder, MANIFEST,
					   "wrong content", "no manifest is larger than %d bytes",
					   MAX_MANIFEST_BYTES);
		close(fd);
		return NULL;
	}
	data = client_alloc(state.st_size + 1);
	while (*length < (size_t) state.st_size &&
		   (got = read(fd, data + *length, state.st_size - *length)) > 0)
		*length += got;
	if (got < 0 && state.st_size > 0)
	{
		report_problem(verify->report, level->folder, MANIFEST, "unreadable",
					   "%s", strerror(errno));
		free(data);
		data = NULL;
	}
	close(fd);
	return data;
}

static bool
load_manifest(Verify *verify, Level *level)
{
	char  *why = NULL;
	size_t length;
	char  *data = read_manifest_file(verify, level, &length);
	bool   is_sound;

	memset(&level->manifest, 0, sizeof(level->manifest));
	if (data == NULL)
		return false;
	verify->report->files++;
	is_sound = manifest_read(&level->manifest, data, length, &why);
	if (!is_sound)
		report_problem(verify->report, level->folder, MANIFEST,
					   "wrong content", "%s", why);
	free(why);
	free(data);
	return is_sound;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Those of the manifest, sorted; a new array. */
static char **
sorted_names(const Manifest *manifest)
{
	char **names = client_alloc((manifest->count + 1) * sizeof(*names));
	int	   i;

	for (i = 0; i < manifest->count; i++)
		names[i] = manifest->entries[i].name;
	qsort(names, manifest->count, sizeof(*names), compare_names);
	return names;
}

static void
check_names(Verify *verify, const Level *level, char *const *names)
{
	int i;

	for (i = 1; i < level->manifest.count; i++)
		if (strcmp(names[i - 1], names[i]) == 0)
			report_problem(verify->report, level->folder, names[i],
						   "wrong content", "the manifest names it twice");
}

/* The sums of its entries, which it has, too. */
static void
check_totals(Verify *verify, const Level *level)
{
	const Manifest *manifest = &level->manifest;
	long long		rows = 0;
	long long		bytes = 0;
	bool			overflows = false;
	int				i;

	for (i = 0; i < manifest->count; i++)
		overflows |=
			__builtin_add_overflow(rows, manifest->entries[i].rows, &rows) ||
			__builtin_add_overflow(bytes, manifest->entries[i].bytes_stored,
								   &bytes);
	if (overflows || rows != manifest->rows || bytes != manifest->bytes_stored)
		report_problem(verify->report, level->folder, MANIFEST,
					   "wrong content",
					   "its rows or bytes are not the sum of its %s",
					   manifest->is_common ? "tables" : "parts");
}

static void
check_left_over(Verify *verify, const Level *level, char *const *names)
{
	int	 fd = openat(level->fd, ".", VERIFY_OPEN_FLAGS | O_DIRECTORY);
	DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *found;

	if (directory == NULL)
		client_exit(EXIT_FAILED, "could not read a directory: %s",
					strerror(errno));
	for (errno = 0; (found = readdir(directory)) != NULL; errno = 0)
	{
		const char *name = found->d_name;

		if (verify_is_component(name, strlen(name)) &&
			strcmp(name, MANIFEST) != 0 &&
			!(level->is_top && strcmp(name, SUCCESS) == 0) &&
			bsearch(&name, names, level->manifest.count, sizeof(*names),
					compare_names) == NULL)
			report_problem(verify->report, level->folder, name, "left over",
						   "it is not part of this export");
	}
	if (errno != 0)
		client_exit(EXIT_FAILED, "could not read a directory: %s",
					strerror(errno));
	closedir(directory);
}

static void
check_success_file(Verify *verify, const Level *level)
{
	const char *status;
	const char *why;
	struct stat state;
	int fd = verify_open_file(level->fd, SUCCESS, &state, &status, &why);

	if (fd < 0)
		report_problem(verify->report, level->folder, SUCCESS, status, "%s",
					   why);
	else
	{
		verify->report->files++;
		if (state.st_size != 0)
			report_problem(verify->report, level->folder, SUCCESS,
						   "wrong size", "it must be empty");
		close(fd);
	}
}

static void verify_level(Verify *verify, Level *level);

/* The manifest of a table must be what the common one says of it. */
static void
verify_table(Verify *verify, const Level *top, const ManifestEntry *entry)
{
	Level level = {.folder = entry->name};

	if (!verify_is_component(entry->name, strlen(entry->name)))
	{
		report_problem(verify->report, "", entry->name, "not read",
					   "a manifest names folders of its own directory only");
		return;
	}
	level.fd = openat(top->fd, entry->name, VERIFY_OPEN_FLAGS | O_DIRECTORY);
	if (level.fd < 0)
	{
		report_problem(verify->report, "", entry->name,
					   errno == ENOENT ? "missing" : "unreadable", "%s",
					   strerror(errno));
		return;
	}
	if (load_manifest(verify, &level))
	{
		const Manifest *own = &level.manifest;

		if (own->is_common || strcmp(own->uuid, top->manifest.uuid) != 0 ||
			own->count != entry->number || own->rows != entry->rows ||
			own->bytes_stored != entry->bytes_stored)
			report_problem(verify->report, level.folder, MANIFEST,
						   "wrong content",
						   "it is not the one that the export had");
		else
			verify_level(verify, &level);
	}
	manifest_free(&level.manifest);
	close(level.fd);
}

/* Its manifest is read. */
static void
verify_level(Verify *verify, Level *level)
{
	const Manifest *manifest = &level->manifest;
	char		  **names = sorted_names(manifest);
	int				i;

	check_names(verify, level, names);
	check_totals(verify, level);
	for (i = 0; i < manifest->count; i++)
		if (manifest->is_common)
			verify_table(verify, level, &manifest->entries[i]);
		else
			verify_part(verify, level, &manifest->entries[i]);
	check_left_over(verify, level, names);
	free(names);
}

/* Of the manifest's own name the directory; a new text. */
static char *
directory_of(const char *path)
{
	char	   *copy = client_strdup(path);
	const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;

	if (strcmp(name, MANIFEST) == 0)
	{
		char *directory = client_strdup(dirname(copy));

		free(copy);
		return directory;
	}
	return copy;
}

void
verify_path(VerifyReport *report, const char *path, const char *references)
{
	char  *directory = directory_of(path);
	char  *beneath = references ? client_strdup(references) : NULL;
	Verify verify = {.report = report, .references = beneath};
	Level  level = {
		 .fd = verify_open_directory(directory), .folder = "", .is_top = true};

	if (beneath)
	{
		size_t length = strlen(beneath);

		while (length > 1 && beneath[length - 1] == '/')
			beneath[--length] = '\0';
		verify.references_fd = verify_open_directory(beneath);
	}
	if (load_manifest(&verify, &level))
		verify_level(&verify, &level);
	check_success_file(&verify, &level);
	manifest_free(&level.manifest);
	if (beneath)
		close(verify.references_fd);
	close(level.fd);
	free(beneath);
	free(directory);
}
