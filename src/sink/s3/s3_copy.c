/*
 * s3_copy.c
 *		Copies that the store makes itself.
 *
 * CopyObject takes objects of up to 5 GB, and knows no condition.  Larger ones,
 * and buckets that insist on conditions, get a multipart upload of ranges.  If
 * that is for a key that does not say whose it is, the job's own prefix gets a
 * record of it before its first range, so that it can be ended later.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "sink/s3/s3_internal.h"

/* Ranges are no longer than this. */
#define RANGE_MAX  (INT64CONST(1024) * 1024 * 1024)
#define RECORD_MAX 4096
/* The store reads and writes all of it before it answers. */
#define PATIENCE 10

static void
source_headers(S3Request *request, const char *bucket, const char *from,
			   const S3Object *object)
{
	char *path = psprintf("/%s/%s", bucket,
						  pg_server_to_any(from, strlen(from), PG_UTF8));
	char  encoded[4096];

	if (!sigv4_encode_path(path, encoded, sizeof(encoded)))
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("name of object \"%s\" is too long", from)));
	s3_header(request, "x-amz-copy-source", encoded);
	/* what was looked at is what is copied */
	if (object->etag)
		s3_header(request, "x-amz-copy-source-if-match", object->etag);
}

/* Between the look at an object and its copy, another one may have come. */
static void
throw_copy(const S3Request *request, const char *from)
{
	if (request->result == S3_EXISTS)
		ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
						errmsg("could not copy %s",
							   s3_object_name(request->store, from)),
						errdetail("It was replaced at the same time.")));
	s3_throw(request, psprintf("copy object \"%s\" to", from));
}

static bool
copy_whole(S3Store *store, const char *key, const char *bucket,
		   const char *from, const S3Object *object)
{
	S3Request	   *request = s3_request_new(store, "PUT", key);
	const S3Config *config = &store->config;

	source_headers(request, bucket, from, object);
	request->hides_errors = true;
	request->patience = PATIENCE;
	/* metadata and type come along; what else an object has does not */
	if (config->storage_class)
		s3_header(request, "x-amz-storage-class", config->storage_class);
	if (config->tags)
	{
		s3_header(request, "x-amz-tagging", config->tags);
		s3_header(request, "x-amz-tagging-directive", "REPLACE");
	}
	if (config->encryption != S3_ENCRYPTION_DEFAULT)
		s3_header(request, "x-amz-server-side-encryption",
				  config->encryption == S3_ENCRYPTION_KMS ? "aws:kms"
														  : "AES256");
	if (config->kms_key_id)
		s3_header(request, "x-amz-server-side-encryption-aws-kms-key-id",
				  config->kms_key_id);
	if (s3_run(request) != S3_OK)
		throw_copy(request, from);
	s3_end(request);
	return true;
}

static uint64
range_size(const S3Store *store)
{
	return Min(RANGE_MAX, store->config.max_copy_size);
}

/* One range, as part number; its XML. */
static char *
copy_range(S3Store *store, const char *key, const char *upload, int number,
		   const char *bucket, const char *from, const S3Object *object)
{
	S3Request *request = s3_request_new(store, "PUT", key);
	uint64	   size = range_size(store);
	uint64	   first = size * (number - 1);
	uint64	   last = Min(first + size, object->size) - 1;
	char	  *part;

	s3_parameter(request, "partNumber", psprintf("%d", number));
	s3_parameter(request, "uploadId", upload);
	source_headers(request, bucket, from, object);
	s3_header(request, "x-amz-copy-source-range",
			  psprintf("bytes=" UINT64_FORMAT "-" UINT64_FORMAT, first, last));
	request->hides_errors = true;
	request->patience = PATIENCE;
	if (s3_run(request) != S3_OK)
		throw_copy(request, from);
	part = s3_part_xml(request, number,
					   s3_xml_text(request->http.answer.data,
								   request->http.answer.len, "ETag"),
					   NULL);
	s3_end(request);
	return part;
}

void
s3_copy_forget(S3Store *store, const char *record)
{
	size_t len;
	char  *upload = s3_download_text(store, record, RECORD_MAX, &len);
	char  *key;

	if (upload == NULL)
		return;
	key = strsep(&upload, "\n");
	if (upload)
		s3_upload_remove(store, key, upload);
	s3_delete(store, record);
}

/* The upload's id, and its key in front of it. */
static void
record_upload(S3Store *store, const char *record, const S3Multipart *upload)
{
	char *text = psprintf("%s\n%s", upload->key, upload->id);
	char  id[S3_ID_SIZE];

	s3_copy_forget(store, record);
	s3_new_id(id);
	(void) s3_put(store, record, text, strlen(text), id, false);
}

static bool
copy_ranges(S3Store *store, const char *key, const char *bucket,
			const char *from, const S3Object *object, bool if_new,
			const char *record)
{
	S3Multipart	   upload = {.store = store, .key = key};
	StringInfoData parts;
	bool		   done;

	strlcpy(upload.object_id, object->id, S3_ID_SIZE);
	/* some stores give the whole's checksum for that of a range */
	upload.id = s3_upload_begin(store, key, object->id, false);
	if (record)
		record_upload(store, record, &upload);
	initStringInfo(&parts);
	for (int number = 1; range_size(store) * (number - 1) < object->size;
		 number++)
		appendStringInfoString(
			&parts,
			copy_range(store, key, upload.id, number, bucket, from, object));
	done = s3_upload_complete(&upload, parts.data, if_new);
	if (record)
		s3_delete(store, record);
	return done;
}

bool
s3_copy(S3Store *store, const char *key, const char *from_bucket,
		const char *from, const S3Object *object, bool if_new,
		const char *record)
{
	bool insists = store->config.conditional == S3_CONDITIONAL_ALL;

	if (insists && !if_new)
		s3_delete(store, key);
	/* an empty object has no range */
	if (object->size == 0)
		return s3_put(store, key, "", 0, object->id, if_new);
	if (object->size > (uint64) store->config.max_copy_size || insists)
		return copy_ranges(store, key, from_bucket, from, object, if_new,
						   record);
	return copy_whole(store, key, from_bucket, from, object);
}
