/*
 * s3_copy.c
 *		Copies that the store makes itself.
 *
 * CopyObject takes objects of up to 5 GB, and knows no condition.  Larger ones,
 * and buckets that insist on conditions, get a multipart upload of ranges: see
 * s3_record.c for those whose key does not say whose it is.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "sink/s3/s3_internal.h"

/* Ranges are no longer than this. */
#define RANGE_MAX (INT64CONST(1024) * 1024 * 1024)
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

static bool
copy_ranges(S3Store *store, const char *key, const char *bucket,
			const char *from, const S3Object *object, bool if_new,
			const S3Record *record)
{
	S3Multipart upload = {
		.store = store, .key = key, .is_recorded = record != NULL};
	StringInfoData parts;
	bool		   done;

	strlcpy(upload.object_id, object->id, S3_ID_SIZE);
	if (record)
		s3_record_begin(store, record, key);
	/* some stores give the whole's checksum for that of a range */
	s3_upload_begin(&upload, object->id, false);
	if (record)
		s3_record_id(store, record, &upload);
	initStringInfo(&parts);
	for (int number = 1; range_size(store) * (number - 1) < object->size;
		 number++)
		appendStringInfoString(
			&parts,
			copy_range(store, key, upload.id, number, bucket, from, object));
	done = s3_upload_complete(&upload, parts.data, if_new);
	if (record)
		s3_record_end(store, record);
	return done;
}

bool
s3_copy(S3Store *store, const char *key, const char *from_bucket,
		const char *from, const S3Object *object, bool if_new,
		const S3Record *record)
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
