/*
 * s3_record.c
 *		Uploads whose keys don't say whose they are, remembered below the job's
 *		own prefix.
 *
 * Before such an upload is begun, one record gets its key; then another one its
 * id.  A beginning without an answer may have made an upload whose id nobody was
 * told.  That is known for ours by its key, at a place that is the job's; by
 * having been begun while we could have asked for it, by the store's clock; and
 * by being empty, since nobody could send it anything.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "sink/s3/s3_internal.h"
#include "utils/datetime.h"

#define RECORD_MAX 4096
/* What a try may take beside the server's limits: the wait before it. */
#define WAIT_SECONDS 20

typedef struct Search
{
	const char *key;
	const char *before; /* an upload's id; or NULL */
	bool		found;
	int64		first; /* seconds, by the store's clock */
	int64		last;
	List	   *uploads;
} Search;

static bool
read_seconds(const char *time, int64 *seconds)
{
	int year;
	int month;
	int day;
	int hour;
	int minute;
	int second;

	if (time == NULL || sscanf(time, "%4d-%2d-%2dT%2d:%2d:%2d", &year, &month,
							   &day, &hour, &minute, &second) != 6)
		return false;
	*seconds =
		((date2j(year, month, day) * INT64CONST(24) + hour) * 60 + minute) *
			60 +
		second;
	return true;
}

static bool
take_record(void *arg, const S3Listed *found)
{
	Search *search = arg;

	if (strcmp(found->key, search->key) == 0)
		search->found = read_seconds(found->time, &search->first);
	return !search->found;
}

/* Those of a key are listed in the order in which they were begun. */
static bool
take_begun(void *arg, const S3Listed *found)
{
	Search *search = arg;
	int64	begun;

	if (found->upload == NULL || strcmp(found->key, search->key) != 0)
		return true;
	if (search->before && strcmp(found->upload, search->before) == 0)
		return false;
	if (read_seconds(found->time, &begun) && begun >= search->first &&
		begun <= search->last)
		search->uploads = lappend(search->uploads, pstrdup(found->upload));
	return true;
}

/* Ends what was begun without an answer, before that other one. */
static void
sweep_begun(S3Store *store, const S3Record *record, const char *key,
			const char *before)
{
	const S3Config *config = &store->config;
	Search			search = {.key = record->begun, .before = before};
	ListCell	   *cell;

	(void) s3_list(store, record->begun, NULL, take_record, &search, NULL);
	if (!search.found)
		return;
	search.key = key;
	search.last = search.first + (config->retries + 1) *
									 (config->connect_timeout +
									  config->stall_timeout + WAIT_SECONDS);
	s3_list_uploads(store, key, take_begun, &search);
	foreach (cell, search.uploads)
		if (s3_left_is_empty(store, key, lfirst(cell)))
			s3_upload_remove(store, key, lfirst(cell));
}

void
s3_record_forget(S3Store *store, const S3Record *record)
{
	size_t len;
	char  *key = s3_download_text(store, record->begun, RECORD_MAX, &len);
	char  *upload;

	if (key == NULL)
		return;
	upload = s3_download_text(store, record->id, RECORD_MAX, &len);
	if (upload)
		s3_upload_remove(store, key, upload);
	else
		sweep_begun(store, record, key, NULL);
	s3_record_end(store, record);
}

static void
write_text(S3Store *store, const char *record, const char *text)
{
	char id[S3_ID_SIZE];

	s3_new_id(id);
	(void) s3_put(store, record, text, strlen(text), id, false);
}

void
s3_record_begin(S3Store *store, const S3Record *record, const char *key)
{
	s3_record_forget(store, record);
	write_text(store, record->begun, key);
}

void
s3_record_id(S3Store *store, const S3Record *record, const S3Multipart *upload)
{
	if (upload->begun_again)
		sweep_begun(store, record, upload->key, upload->id);
	write_text(store, record->id, upload->id);
}

/* The one without which the other says nothing goes last. */
void
s3_record_end(S3Store *store, const S3Record *record)
{
	s3_delete(store, record->id);
	s3_delete(store, record->begun);
}
