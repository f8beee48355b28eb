/*
 * kinesis_request.c
 *		Bodies, signatures and answers.
 */
#ifdef HAVE_LIBCURL

#include "client/targets/kinesis_request.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws/sigv4.h"
#include "client/json_scan.h"

#define CONTENT_TYPE "application/x-amz-json-1.1"
#define TARGET		 "Kinesis_20131202."

void
kinesis_partition_key(const Facts *facts, const Record *record, char *key)
{
	char *text;
	char  hash[SIGV4_HASH_SIZE];

	if (facts_of_table(facts, record))
		text = client_format("%s.%s %s", facts->schema, facts->table,
							 facts->key.length ? facts->key.data : "");
	else
		text = client_strdup(facts_kind(record));
	if (!sigv4_hash(text, strlen(text), hash))
		client_exit(EXIT_FAILED, "OpenSSL has no SHA-256");
	snprintf(key, KINESIS_KEY_SIZE, "%.*s", KINESIS_KEY_SIZE - 1, hash);
	free(text);
}

void
kinesis_begin(Bytes *body, const char *stream)
{
	mem_reset(body);
	mem_add(body, "{\"StreamName\":");
	json_append_text(body, stream);
	mem_add(body, ",\"Records\":[");
}

void
kinesis_append(Bytes *body, const Record *record, const char *partition_key)
{
	size_t length = record->length - 1;

	if (body->data[body->length - 1] != '[')
		mem_add(body, ",");
	mem_add(body, "{\"Data\":\"");
	mem_reserve(body, length / 3 * 4 + 8);
	body->length +=
		EVP_EncodeBlock((unsigned char *) body->data + body->length,
						(const unsigned char *) record->data, (int) length);
	mem_format(body, "\",\"PartitionKey\":\"%s\"}", partition_key);
}

void
kinesis_end(Bytes *body)
{
	mem_add(body, "]}");
}

static struct curl_slist *
kinesis_add_header(struct curl_slist *list, const char *name,
				   const char *value)
{
	char *line = client_format("%s: %s", name, value);

	list = curl_slist_append(list, line);
	free(line);
	return list;
}

/* https://HOST[:PORT], without the scheme */
static const char *
host_of(const char *endpoint)
{
	const char *slashes = strstr(endpoint, "//");

	return slashes ? slashes + 2 : endpoint;
}

struct curl_slist *
kinesis_headers(struct curl_slist *headers, const AwsCredentials *credentials,
				const char *endpoint, const char *region,
				const char *operation, const Bytes *body)
{
	char		 target[64];
	char		 now[SIGV4_TIME_SIZE];
	char		 hash[SIGV4_HASH_SIZE];
	char		 authorization[1024];
	HttpField	 fields[5];
	Sigv4Request request = {
		.method = "POST",
		.path = "/",
		.query = "",
		.headers = fields,
		.payload_hash = hash,
		.time = now,
		.region = region,
		.service = "kinesis",
		.key_id = credentials->key_id,
		.secret = credentials->secret,
	};
	int i;

	snprintf(target, sizeof(target), TARGET "%s", operation);
	fields[request.nheaders++] = (HttpField){"host", host_of(endpoint)};
	fields[request.nheaders++] = (HttpField){"content-type", CONTENT_TYPE};
	fields[request.nheaders++] = (HttpField){"x-amz-date", now};
	fields[request.nheaders++] = (HttpField){"x-amz-target", target};
	if (credentials->session_token)
		fields[request.nheaders++] =
			(HttpField){"x-amz-security-token", credentials->session_token};
	if (!sigv4_time(clock_us_of_day() / 1000000, now) ||
		!sigv4_hash(body->data, body->length, hash) ||
		!sigv4_sign(&request, authorization, sizeof(authorization)))
		client_exit(EXIT_FAILED, "a request could not be signed");
	curl_slist_free_all(headers);
	headers = curl_slist_append(NULL, "Expect:");
	for (i = 0; i < request.nheaders; i++)
		headers = kinesis_add_header(headers, fields[i].name, fields[i].value);
	return kinesis_add_header(headers, "authorization", authorization);
}

/* Codes are those of the API reference and of its "Common Error Types". */
KinesisVerdict
kinesis_verdict(const char *code)
{
	static const struct
	{
		const char	  *code;
		KinesisVerdict verdict;
	} verdicts[] = {
		{"", KINESIS_TAKEN},
		{"ExpiredTokenException", KINESIS_EXPIRED},
		{"ExpiredToken", KINESIS_EXPIRED},
		{"ValidationException", KINESIS_REJECTED},
		{"InvalidArgumentException", KINESIS_REJECTED},
		{"ResourceNotFoundException", KINESIS_REFUSED},
		{"AccessDeniedException", KINESIS_REFUSED},
		{"UnrecognizedClientException", KINESIS_REFUSED},
		{"InvalidClientTokenId", KINESIS_REFUSED},
		{"InvalidSignatureException", KINESIS_REFUSED},
		{"SignatureDoesNotMatch", KINESIS_REFUSED},
		{"IncompleteSignatureException", KINESIS_REFUSED},
		{"MissingAuthenticationTokenException", KINESIS_REFUSED},
		{"OptInRequired", KINESIS_REFUSED},
		{"SerializationException", KINESIS_REFUSED},
		{"UnknownOperationException", KINESIS_REFUSED},
		{"KMSAccessDeniedException", KINESIS_REFUSED},
		{"KMSDisabledException", KINESIS_REFUSED},
		{"KMSInvalidStateException", KINESIS_REFUSED},
		{"KMSNotFoundException", KINESIS_REFUSED},
		{"KMSOptInRequired", KINESIS_REFUSED},
	};
	size_t i;

	for (i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++)
		if (strcmp(code, verdicts[i].code) == 0)
			return verdicts[i].verdict;
	return KINESIS_AGAIN; /* throttled, overloaded, or unknown */
}

/* The code may follow a name space: com.amazon.coral.service#NAME */
KinesisVerdict
kinesis_request_verdict(long status, const Bytes *answer)
{
	char		  *code;
	const char	  *hash;
	KinesisVerdict verdict;

	if (status == 200)
		return KINESIS_TAKEN;
	if (status >= 500 || status == 429)
		return KINESIS_AGAIN;
	code = json_find_text(answer->data, answer->length, "__type");
	if (code == NULL)
		return status == 413 ? KINESIS_REJECTED : KINESIS_REFUSED;
	hash = strrchr(code, '#');
	verdict = kinesis_verdict(hash ? hash + 1 : code);
	free(code);
	return verdict == KINESIS_TAKEN ? KINESIS_REFUSED : verdict;
}

bool
kinesis_next_member(const Bytes *answer, const char *name, const char **place,
					JsonValue *member)
{
	const char *end = answer->data + answer->length;
	const char *p = *place;
	JsonValue	list;

	if (p == NULL)
	{
		if (!json_find(answer->data, answer->length, name, &list) ||
			list.data[0] != '[')
			return false;
		p = list.data + 1;
	}
	while (p < end && strchr(", \t\r\n", *p))
		p++;
	if (p >= end || *p != '{')
		return false;
	*member = (JsonValue){p, json_value_length(p, end)};
	*place = p + member->length;
	return member->length > 0;
}

char *
kinesis_next_result(const Bytes *answer, const char **place, char **shard)
{
	JsonValue result;
	JsonValue sequence;
	char	 *code;

	*shard = NULL;
	if (!kinesis_next_member(answer, "Records", place, &result))
		return NULL;
	code = json_find_text(result.data, result.length, "ErrorCode");
	if (code)
		return code;
	if (!json_find(result.data, result.length, "SequenceNumber", &sequence))
		return NULL;
	*shard = json_find_text(result.data, result.length, "ShardId");
	return client_strdup("");
}

#endif /* HAVE_LIBCURL */
