/*
 * slot_state.c
 *		A file of two entries that take turns.
 */
#include "client/slot_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "client/disk.h"
#include "client/json_scan.h"
#include "client/log.h"

#define ENTRY_SIZE	   4096
#define CHECKSUM_START ",\"crc32\":\""

static unsigned long
entry_checksum(const char *text, size_t length)
{
	return crc32(0L, (const Bytef *) text, (uInt) length);
}

static void
copy_text(char *into, size_t size, const char *object, size_t length,
		  const char *name)
{
	char *text = json_find_text(object, length, name);

	snprintf(into, size, "%s", text ? text : "");
	free(text);
}

static bool
find_bool(const char *object, size_t length, const char *name)
{
	JsonValue value;

	return json_find(object, length, name, &value) && json_is(&value, "true");
}

static Lsn
find_lsn(const char *object, size_t length, const char *name)
{
	char *text = json_find_text(object, length, name);
	Lsn	  lsn = 0;

	if (text == NULL || !lsn_parse(text, &lsn))
		lsn = 0;
	free(text);
	return lsn;
}

/* False if it is none, or torn. */
static bool
read_entry(int fd, int place, SlotState *state, uint64_t *count)
{
	char	  text[ENTRY_SIZE + 1];
	ssize_t	  length = pread(fd, text, ENTRY_SIZE, (off_t) place * ENTRY_SIZE);
	char	 *sum;
	long long number;

	if (length <= 0)
		return false;
	text[length] = '\0';
	length = strlen(text);
	sum = strstr(text, CHECKSUM_START);
	if (sum == NULL ||
		strtoul(sum + strlen(CHECKSUM_START), NULL, 16) !=
			entry_checksum(text, sum - text) ||
		!json_find_number(text, length, "count", &number))
		return false;
	*count = number;
	memset(state, 0, sizeof(*state));
	copy_text(state->identity.system_id, IDENTITY_TEXT, text, length,
			  "system_id");
	copy_text(state->identity.slot, IDENTITY_TEXT, text, length, "slot");
	copy_text(state->file, STATE_FILE_NAME, text, length, "file");
	if (json_find_number(text, length, "timeline", &number))
		state->identity.timeline = number;
	if (json_find_number(text, length, "bytes", &number))
		state->bytes = number;
	state->confirmed = find_lsn(text, length, "confirmed");
	state->position = find_lsn(text, length, "position");
	state->finishing = find_bool(text, length, "finishing");
	state->open_frame = find_bool(text, length, "open_frame");
	return true;
}

StateFile *
state_open(const char *path)
{
	StateFile  *file = client_alloc(sizeof(StateFile));
	struct stat status;
	SlotState	state;
	uint64_t	count;
	int			place;

	file->path = client_strdup(path);
	file->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (file->fd < 0)
		client_exit(EXIT_USAGE, "could not open file \"%s\": %s", path,
					strerror(errno));
	if (flock(file->fd, LOCK_EX | LOCK_NB) != 0)
		client_exit(EXIT_USAGE, "file \"%s\" is used by another pg_outflow",
					path);
	for (place = 0; place < 2; place++)
		if (read_entry(file->fd, place, &state, &count) && count > file->count)
		{
			file->count = count;
			file->state = state;
			file->exists = true;
		}
	if (fstat(file->fd, &status) == 0 && status.st_size > 0 && !file->exists)
		client_exit(
			EXIT_USAGE,
			"file \"%s\" is damaged or no state file: if it is certain "
			"what was delivered, remove it",
			path);
	return file;
}

void
state_write(StateFile *file)
{
	const SlotState *state = &file->state;
	Bytes			 entry = {0};
	off_t			 place = (off_t) (++file->count % 2) * ENTRY_SIZE;

	mem_format(&entry, "{\"count\":%llu,\"system_id\":\"%s\",\"timeline\":%u",
			   (unsigned long long) file->count, state->identity.system_id,
			   state->identity.timeline);
	mem_add(&entry, ",\"slot\":");
	json_append_text(&entry, state->identity.slot);
	mem_format(&entry,
			   ",\"confirmed\":\"" LSN_FORMAT "\",\"position\":\"" LSN_FORMAT
			   "\",\"file\":",
			   LSN_ARGS(state->confirmed), LSN_ARGS(state->position));
	json_append_text(&entry, state->file);
	mem_format(&entry, ",\"bytes\":%llu,\"finishing\":%s,\"open_frame\":%s",
			   (unsigned long long) state->bytes,
			   state->finishing ? "true" : "false",
			   state->open_frame ? "true" : "false");
	mem_format(&entry, CHECKSUM_START "%08lx\"}",
			   entry_checksum(entry.data, entry.length));
	while (entry.length < ENTRY_SIZE - 1)
		mem_append(&entry, " ", 1);
	mem_append(&entry, "\n", 1);
	if (pwrite(file->fd, entry.data, ENTRY_SIZE, place) != ENTRY_SIZE ||
		fdatasync(file->fd) != 0)
		client_exit(EXIT_FAILED, "could not write to file \"%s\": %s",
					file->path, strerror(errno));
	mem_free(&entry);
	if (!file->exists)
		disk_sync_parent(file->path);
	file->exists = true;
}

void
state_check(const StateFile *file, const Identity *identity)
{
	const Identity *known = &file->state.identity;

	if (!file->exists)
		return;
	if (strcmp(known->system_id, identity->system_id) != 0)
		client_exit(EXIT_IDENTITY,
					"\"%s\" is of database system %s, and this is system %s",
					file->path, known->system_id, identity->system_id);
	if (strcmp(known->slot, identity->slot) != 0)
		client_exit(EXIT_IDENTITY, "\"%s\" is of slot \"%s\", not of \"%s\"",
					file->path, known->slot, identity->slot);
}

void
state_close(StateFile *file)
{
	close(file->fd);
	free(file->path);
	free(file);
}
