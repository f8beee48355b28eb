/*
 * s3_multipart.c
 *		Requests about multipart uploads.
 *
 * Those of parts are for keys below the job's own prefix, so that all that were
 * left over can be found there: the list of them at the store is their only
 * record, and can't be out of date.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "sink/s3/s3_internal.h"

#define ABORT_SECONDS 5
/* Whole objects are put together before there is an answer. */
#define PATIENCE 10

void
s3_upload_begin(S3Multipart *upload, const char *object_id, bool sums)
{
	S3Store	   *store = upload->store;
	S3Request  *request = s3_request_new(store, "POST", upload->key);
	const char *checksum = sums ? s3_checksum_element(store) : NULL;
	char	   *id;

	s3_parameter(request, "uploads", "");
	s3_object_headers(request, object_id);
	if (checksum)
		s3_header(request, "x-amz-checksum-algorithm",
				  checksum + strlen("Checksum"));
	if (checksum && store->config.checksum == S3_CRC64NVME)
		s3_header(request, "x-amz-checksum-type", "FULL_OBJECT");
	request->http.only_once = upload->is_recorded;
	s3_must(request, "begin an upload of");
	id = s3_xml_text(request->http.answer.data, request->http.answer.len,
					 "UploadId");
	if (id == NULL || id[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_FDW_REPLY_HANDLE),
						errmsg("could not begin an upload of %s",
							   s3_object_name(store, upload->key)),
						errdetail("The store's answer has no upload id.")));
	upload->id = id;
	upload->begun_again = request->tries > 1;
	s3_end(request);
}

char *
s3_part_xml(const S3Request *request, int number, const char *etag,
			const char *sum)
{
	const char *element = s3_checksum_element(request->store);

	if (etag == NULL || strpbrk(etag, "<>&") || (sum && strpbrk(sum, "<>&")))
		ereport(ERROR, (errcode(ERRCODE_FDW_REPLY_HANDLE),
						errmsg("could not write %s",
							   s3_object_name(request->store, request->key)),
						errdetail("The store's answer has no ETag.")));
	return psprintf(
		"<Part>%s<ETag>%s</ETag><PartNumber>%d</PartNumber></Part>",
		element && sum ? psprintf("<%s>%s</%s>", element, sum, element) : "",
		etag, number);
}

/*
 * An answer that is no success may be that to a second try: the first one's was
 * lost.  What is there then has the upload's id.  Where an earlier attempt has
 * begun the upload, its end may have come late: that counts if it has sent
 * nothing else.
 */
static bool
has_become_object(const S3Multipart *upload)
{
	S3Object object;

	if (!s3_head(upload->store, upload->key, &object, NULL))
		return false;
	if (upload->object_id[0])
		return strcmp(object.id, upload->object_id) == 0;
	return upload->is_same && object.id[0] && object.size == upload->size;
}

/* As what may pass: a new one can be begun. */
pg_noreturn void
s3_upload_gone(const S3Multipart *upload)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("could not complete the upload of %s",
					s3_object_name(upload->store, upload->key)),
			 errdetail("The store does not know the upload any more.")));
}

bool
s3_upload_complete(const S3Multipart *upload, const char *parts, bool if_new)
{
	S3Store	  *store = upload->store;
	S3Request *request = s3_request_new(store, "POST", upload->key);
	char	  *xml = psprintf("<CompleteMultipartUpload "
								   "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">%s"
								   "</CompleteMultipartUpload>",
							  parts);
	bool	   is_there;
	bool	   is_taken;

	request->hides_errors = true;
	request->patience = PATIENCE;
	s3_parameter(request, "uploadId", upload->id);
	s3_header(request, "content-type", "application/xml");
	if (upload->crc64)
	{
		s3_header(request, "x-amz-checksum-type", "FULL_OBJECT");
		s3_crc64_header(request, upload->crc64);
	}
	if ((if_new && store->config.conditional != S3_CONDITIONAL_NONE) ||
		store->config.conditional == S3_CONDITIONAL_ALL)
		s3_header(request, "if-none-match", "*");
	s3_body(request, xml, strlen(xml));
	(void) s3_run(request);
	is_there = request->result == S3_OK || has_become_object(upload);
	is_taken = !is_there && request->result == S3_EXISTS;
	/* after a conflict it is of no use, and the next attempt begins a new one */
	if (is_taken || (!is_there && request->result == S3_CONFLICT))
		s3_upload_abort(store, upload->key, upload->id);
	if (!is_there && request->result == S3_NOT_FOUND)
		s3_upload_gone(upload);
	if (!is_there && !is_taken)
		s3_throw(request, "complete the upload of");
	s3_end(request);
	return is_there;
}

void
s3_upload_abort(S3Store *store, const char *key, const char *upload)
{
	S3Request *request = s3_request_new(store, "DELETE", key);

	s3_parameter(request, "uploadId", upload);
	/* nobody can interrupt a clean-up; if this fails, there is sweep */
	request->max_seconds = ABORT_SECONDS;
	request->only_once = true;
	(void) s3_run(request);
	s3_end(request);
}

void
s3_upload_remove(S3Store *store, const char *key, const char *upload)
{
	S3Request *request = s3_request_new(store, "DELETE", key);

	s3_parameter(request, "uploadId", upload);
	if (s3_run(request) != S3_OK && request->result != S3_NOT_FOUND)
		s3_throw(request, "end an upload of");
	s3_end(request);
}

/* Nobody but the job itself, which is dead, begins uploads below its prefix. */
static bool
sweep_upload(void *arg, const S3Listed *found)
{
	if (found->upload)
		s3_upload_remove(arg, found->key, found->upload);
	return true;
}

void
s3_upload_sweep(S3Store *store, const char *prefix)
{
	s3_list_uploads(store, prefix, sweep_upload, store);
}
