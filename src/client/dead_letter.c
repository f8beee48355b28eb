/*
 * dead_letter.c
 *		Appends rejected records to a file.
 */
#include "client/dead_letter.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "client/clock.h"
#include "client/disk.h"
#include "client/json_scan.h"
#include "client/log.h"

static const char *file_path;
static int		   file = -1;
static bool		   is_synced = true;

/* A crash may have left half a line: it gets an end, so that the next is whole. */
static void
end_last_line(void)
{
	off_t size = lseek(file, 0, SEEK_END);
	char  last;

	if (size > 0 && pread(file, &last, 1, size - 1) == 1 && last != '\n' &&
		!disk_write(file, "\n", 1))
		client_exit(EXIT_FAILED, "could not write to file \"%s\": %s",
					file_path, strerror(errno));
}

void
dead_letter_open(const char *path)
{
	if (path == NULL)
		return;
	file_path = path;
	file = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (file < 0)
		client_exit(EXIT_USAGE, "could not open file \"%s\": %s", path,
					strerror(errno));
	end_last_line();
	disk_sync_parent(path);
}

int
dead_letter_fd(void)
{
	return file;
}

bool
dead_letter_write(const DeadLetter *letter)
{
	const struct
	{
		const char *name;
		const char *value;
	} members[] = {
		{"target", letter->target}, {"system", letter->system_id},
		{"slot", letter->slot},		{"format", letter->format},
		{"kind", letter->kind},		{"reason", letter->reason},
		{"id", letter->id},
	};
	Bytes  line = {0};
	size_t i;

	if (file < 0)
		return false;
	mem_format(&line, "{\"ts\":%lld", clock_us_of_day());
	for (i = 0; i < sizeof(members) / sizeof(members[0]); i++)
	{
		mem_format(&line, ",\"%s\":", members[i].name);
		json_append_text(&line, members[i].value);
	}
	if (letter->key_columns)
		mem_format(&line, ",\"key_columns\":%s", letter->key_columns);
	mem_add(&line, ",\"record\":");
	mem_append(&line, letter->record, letter->length);
	mem_add(&line, "}\n");
	if (!disk_write(file, line.data, line.length))
		client_exit(EXIT_FAILED, "could not write to file \"%s\": %s",
					file_path, strerror(errno));
	is_synced = false;
	mem_free(&line);
	return true;
}

void
dead_letter_sync(void)
{
	if (!is_synced && fdatasync(file) != 0)
		client_exit(EXIT_FAILED, "could not sync file \"%s\": %s", file_path,
					strerror(errno));
	is_synced = true;
}
