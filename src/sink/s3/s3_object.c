/*
 * s3_object.c
 *		Small requests about single objects.
 */
#include "postgres.h"

#include <openssl/evp.h>

#include "common/base64.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "port/pg_crc32c.h"
#include "sink/s3/s3_internal.h"

void
s3_new_id(char *id)
{
	uint8 random[(S3_ID_SIZE - 1) / 2];

	if (!pg_strong_random(random, sizeof(random)))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("could not generate random values")));
	for (int i = 0; i < lengthof(random); i++)
		snprintf(id + 2 * i, 3, "%02x", random[i]);
}

void
s3_object_headers(S3Request *request, const char *id)
{
	const S3Config *config = &request->store->config;

	s3_header(request, S3_ID_HEADER, id);
	s3_header(request, "content-type", config->content_type);
	if (config->storage_class)
		s3_header(request, "x-amz-storage-class", config->storage_class);
	if (config->tags)
		s3_header(request, "x-amz-tagging", config->tags);
	if (config->encryption != S3_ENCRYPTION_DEFAULT)
		s3_header(request, "x-amz-server-side-encryption",
				  config->encryption == S3_ENCRYPTION_KMS ? "aws:kms"
														  : "AES256");
	if (config->kms_key_id)
		s3_header(request, "x-amz-server-side-encryption-aws-kms-key-id",
				  config->kms_key_id);
}

const char *
s3_checksum_element(const S3Store *store)
{
	switch ((S3Checksum) store->config.checksum)
	{
		case S3_CRC32C:
			return "ChecksumCRC32C";
		case S3_SHA256:
			return "ChecksumSHA256";
		case S3_MD5:
		case S3_NO_CHECKSUM:
			break;
	}
	return NULL;
}

static void
sum_header(S3Request *request, const char *name, const void *sum, int len)
{
	char text[128];
	int	 used = base64_encode(sum, len, text, sizeof(text) - 1);

	if (used < 0)
		elog(ERROR, "could not encode a checksum");
	text[used] = '\0';
	s3_header(request, name, text);
}

static void
digest_header(S3Request *request, const char *name, const EVP_MD *method)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned int  len;

	if (EVP_Digest(request->body, request->body_len, sum, &len, method,
				   NULL) != 1)
		ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
						errmsg("could not compute a checksum")));
	sum_header(request, name, sum, len);
}

void
s3_checksum_header(S3Request *request)
{
	const char *body = request->body ? request->body : "";
	pg_crc32c	crc;

	switch ((S3Checksum) request->store->config.checksum)
	{
		case S3_CRC32C:
			INIT_CRC32C(crc);
			COMP_CRC32C(crc, body, request->body_len);
			FIN_CRC32C(crc);
			crc = pg_hton32(crc);
			sum_header(request, "x-amz-checksum-crc32c", &crc, sizeof(crc));
			break;
		case S3_SHA256:
			digest_header(request, "x-amz-checksum-sha256", EVP_sha256());
			break;
		case S3_MD5:
			digest_header(request, "content-md5", EVP_md5());
			break;
		case S3_NO_CHECKSUM:
			break;
	}
}

static uint64
number_of(const char *text)
{
	return text ? strtou64(text, NULL, 10) : 0;
}

bool
s3_head(S3Store *store, const char *key, S3Object *object, int *error)
{
	S3Request *request = s3_request_new(store, "HEAD", key);
	S3Result   result = s3_run(request);
	char	  *id;

	if (error)
		*error = 0;
	memset(object, 0, sizeof(S3Object));
	if (result != S3_OK)
	{
		if (error)
			*error = s3_errno(request);
		else if (result != S3_NOT_FOUND)
			s3_throw(request, "look at");
		s3_end(request);
		return false;
	}
	object->size = number_of(http_header(&request->http, "content-length"));
	object->etag = http_header(&request->http, "etag");
	id = http_header(&request->http, S3_ID_HEADER);
	if (id && strlen(id) == S3_ID_SIZE - 1)
		strlcpy(object->id, id, S3_ID_SIZE);
	s3_end(request);
	return true;
}

bool
s3_put(S3Store *store, const char *key, const char *data, size_t len,
	   const char *id, bool if_new)
{
	S3Request *request = s3_request_new(store, "PUT", key);
	S3Object   object;

	s3_store_refresh(store);
	s3_body(request, data, len);
	s3_object_headers(request, id);
	s3_checksum_header(request);
	if ((if_new && store->config.conditional != S3_CONDITIONAL_NONE) ||
		store->config.conditional == S3_CONDITIONAL_ALL)
		s3_header(request, "if-none-match", "*");
	if (s3_run(request) == S3_EXISTS)
	{
		/* an earlier try whose answer was lost? */
		bool ours =
			s3_head(store, key, &object, NULL) && strcmp(object.id, id) == 0;

		if (!ours && !if_new)
		{
			/* a bucket that insists on conditions replaces nothing */
			s3_delete(store, key);
			return s3_put(store, key, data, len, id, true);
		}
		s3_end(request);
		return ours;
	}
	if (request->result != S3_OK)
		s3_throw(request, "write");
	s3_end(request);
	return true;
}

void
s3_delete(S3Store *store, const char *key)
{
	S3Request *request = s3_request_new(store, "DELETE", key);

	if (s3_run(request) != S3_OK && request->result != S3_NOT_FOUND)
		s3_throw(request, "remove");
	s3_end(request);
}
