/*
 * s3_object.c
 *		Small requests about single objects.
 */
#include "postgres.h"

#include "common/base64.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "sink/s3/s3_internal.h"
#include "utils/xml.h"

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

static uint64
number_of(const char *text)
{
	return text ? strtou64(text, NULL, 10) : 0;
}

/* One that is made of its chunks' sums, "sum-number", is not that of its bytes. */
static void
read_sum(const S3Request *request, S3Object *object)
{
	const char *sum = http_header(&request->http, "x-amz-checksum-crc32c");
	const char *type = http_header(&request->http, "x-amz-checksum-type");
	uint32		crc;

	if (sum == NULL || strlen(sum) != 8 ||
		(type && strcmp(type, "FULL_OBJECT") != 0) ||
		pg_b64_decode(sum, 8, (void *) &crc, sizeof(crc)) != sizeof(crc))
		return;
	object->has_crc32c = true;
	object->crc32c = pg_ntoh32(crc);
}

static void
read_sent_sum(const S3Request *request, S3Object *object)
{
	const char *sum = http_header(&request->http, S3_SUM_HEADER);

	object->has_sent_sum =
		sum && strlen(sum) == 8 && strspn(sum, "0123456789abcdef") == 8;
	if (object->has_sent_sum)
		object->sent_sum = (uint32) strtoul(sum, NULL, 16);
}

static bool
look_at_object(S3Store *store, const char *key, S3Object *object, int *error,
			   bool with_sum)
{
	S3Request *request = s3_request_new(store, "HEAD", key);
	S3Result   result;
	char	  *id;

	if (with_sum)
		s3_header(request, "x-amz-checksum-mode", "ENABLED");
	result = s3_run(request);
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
	read_sent_sum(request, object);
	if (with_sum)
		read_sum(request, object);
	s3_end(request);
	return true;
}

bool
s3_head(S3Store *store, const char *key, S3Object *object, int *error)
{
	return look_at_object(store, key, object, error, false);
}

bool
s3_head_sum(S3Store *store, const char *key, S3Object *object, int *error)
{
	return look_at_object(store, key, object, error, true);
}

/* Turned away at the first try: nothing of it can come later. */
static bool
was_refused(const S3Request *request)
{
	const HttpRequest *http = &request->http;

	return request->tries == 1 &&
		   (http->outcome == HTTP_REFUSED ||
			(http->outcome == HTTP_ANSWERED && http->status >= 400 &&
			 http->status < 500 && http->status != 408));
}

static void
tell_end(const S3Request *request)
{
	const Sending *sending = request->sending;

	if (sending == NULL)
		return;
	/* something has the key */
	if (request->result == S3_OK || request->result == S3_EXISTS)
		sending->tell(sending->arg, SENDING_OVER);
	else if (was_refused(request))
		sending->tell(sending->arg, SENDING_REFUSED);
}

static bool
put_object(S3Store *store, const char *key, const char *data, size_t len,
		   const char *id, bool if_new, const Sending *sending)
{
	S3Request *request = s3_request_new(store, "PUT", key);
	S3Object   object;

	s3_body(request, data, len);
	s3_object_headers(request, id);
	s3_header(request, S3_SUM_HEADER,
			  psprintf("%08x", checksum_crc32c(data, len)));
	s3_checksum_header(request);
	if ((if_new && store->config.conditional != S3_CONDITIONAL_NONE) ||
		store->config.conditional == S3_CONDITIONAL_ALL)
		s3_header(request, "if-none-match", "*");
	request->sending = sending;
	(void) s3_run(request);
	tell_end(request);
	if (request->result == S3_EXISTS)
	{
		/* an earlier try whose answer was lost? */
		bool ours =
			s3_head(store, key, &object, NULL) && strcmp(object.id, id) == 0;

		if (!ours && !if_new)
		{
			/* a bucket that insists on conditions replaces nothing */
			s3_delete(store, key);
			return put_object(store, key, data, len, id, true, sending);
		}
		s3_end(request);
		return ours;
	}
	if (request->result != S3_OK)
		s3_throw(request, "write");
	s3_end(request);
	return true;
}

bool
s3_put(S3Store *store, const char *key, const char *data, size_t len,
	   const char *id, bool if_new)
{
	return put_object(store, key, data, len, id, if_new, NULL);
}

bool
s3_put_told(S3Store *store, const char *key, const char *data, size_t len,
			const char *id, const Sending *sending)
{
	return put_object(store, key, data, len, id, true, sending);
}

void
s3_delete(S3Store *store, const char *key)
{
	S3Request *request = s3_request_new(store, "DELETE", key);

	if (s3_run(request) != S3_OK && request->result != S3_NOT_FOUND)
		s3_throw(request, "remove");
	s3_end(request);
}

/* ---- many at once */

/* So many keys a request takes. */
#define DELETE_MAX 1000

static char *
delete_xml(const List *keys, int first)
{
	StringInfoData xml;

	initStringInfo(&xml);
	appendStringInfoString(&xml, "<Delete xmlns=\"http://s3.amazonaws.com/doc/"
								 "2006-03-01/\"><Quiet>true</Quiet>");
	for (int i = first; i < list_length(keys) && i < first + DELETE_MAX; i++)
	{
		char *key = list_nth(keys, i);

		key = pg_server_to_any(key, strlen(key), PG_UTF8);
		appendStringInfo(&xml, "<Object><Key>%s</Key></Object>",
						 escape_xml(key));
	}
	appendStringInfoString(&xml, "</Delete>");
	return xml.data;
}

/* Says which one stays, and why. */
static void
check_deleted(const S3Request *request)
{
	const char *at = request->http.answer.data;
	const char *end = at + request->http.answer.len;
	const char *inner;
	size_t		len;

	while (at && (inner = s3_xml_next(&at, end, "Error", &len)) != NULL)
	{
		char *code = s3_xml_text(inner, len, "Code");
		char *key = s3_xml_text(inner, len, "Key");

		if (code && strcmp(code, "NoSuchKey") == 0)
			continue;
		ereport(
			ERROR,
			(errcode(ERRCODE_FDW_ERROR),
			 errmsg("could not remove %s",
					s3_object_name(request->store,
								   key ? s3_shown(request->store, key) : "?")),
			 errdetail("The store answered %s.",
					   code ? s3_shown(request->store, code)
							: "without a code")));
	}
}

/* False if the store knows no such request. */
static bool
delete_thousand(S3Store *store, const List *keys, int first)
{
	S3Request *request = s3_request_new(store, "POST", NULL);
	char	  *xml = delete_xml(keys, first);
	bool	   done;

	s3_parameter(request, "delete", "");
	s3_header(request, "content-type", "application/xml");
	s3_body(request, xml, strlen(xml));
	s3_checksum_header(request);
	/* this request needs one */
	if (store->config.checksum == S3_NO_CHECKSUM)
		s3_md5_header(request);
	done = s3_run(request) == S3_OK;
	if (done)
		check_deleted(request);
	else if (request->result == S3_FAILED && request->may_pass)
		s3_throw(request, "remove objects of");
	s3_end(request);
	return done;
}

void
s3_delete_all(S3Store *store, List *keys)
{
	for (int i = 0; i < list_length(keys); i += DELETE_MAX)
	{
		if (list_length(keys) > 1 && delete_thousand(store, keys, i))
			continue;
		for (int j = i; j < list_length(keys) && j < i + DELETE_MAX; j++)
			s3_delete(store, list_nth(keys, j));
	}
}
