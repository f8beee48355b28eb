/*
 * s3_request.c
 *		One request to an S3 store, from its signature to what became of it.
 *
 * What is tried again, and what is told of what failed, is decided here for all
 * requests: so signature, answer and the next try are in one place.
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "sink/s3/s3_request.h"
#include "sink/server.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* The wait before the nth try is random, up to 2^n times this. */
#define FIRST_WAIT_MS 200
#define MAX_WAIT_MS	  20000
/* How often waiting looks whether it should go on. */
#define TICK_MS 100
/* Of what a store says, as much is shown. */
#define SHOWN_LENGTH 200

/*
 * What stores say, and what that means.  The names are those of "Error
 * responses" in the API reference, and some that other stores have made.
 */
typedef struct S3Error
{
	const char *code;
	int			sqlstate;
	bool		may_pass;
	const char *hint;
} S3Error;

#define HINT_KEY                                                              \
	"Correct the keys with ALTER USER MAPPING; a job goes on with the new "   \
	"ones."
#define HINT_RIGHTS                                                           \
	"The key needs s3:PutObject, s3:GetObject, s3:DeleteObject, "             \
	"s3:ListBucket, s3:ListMultipartUploadParts, s3:AbortMultipartUpload "    \
	"and s3:ListBucketMultipartUploads, on the bucket and what is in it."
#define HINT_REGION                                                           \
	"Set the server's options region and endpoint to the bucket's."
#define HINT_OPTIONS                                                          \
	"Stores differ in what they know: see the server's options checksum, "    \
	"conditional, encryption, storage_class and tags."

static const S3Error errors[] = {
	{"NoSuchBucket", ERRCODE_UNDEFINED_OBJECT, false,
	 "Make the bucket, or correct the server's option bucket."},
	{"AccessDenied", ERRCODE_INSUFFICIENT_PRIVILEGE, false, HINT_RIGHTS},
	{"AllAccessDisabled", ERRCODE_INSUFFICIENT_PRIVILEGE, false, HINT_RIGHTS},
	{"InvalidAccessKeyId", ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, false,
	 HINT_KEY},
	{"XAdminUserNotFound", ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, false,
	 HINT_KEY},
	{"SignatureDoesNotMatch", ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	 false, HINT_KEY},
	{"InvalidToken", ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, false,
	 HINT_KEY},
	{"ExpiredToken", ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, false,
	 HINT_KEY},
	{"AuthorizationHeaderMalformed", ERRCODE_INVALID_PARAMETER_VALUE, false,
	 HINT_REGION},
	{"PermanentRedirect", ERRCODE_INVALID_PARAMETER_VALUE, false, HINT_REGION},
	{"TemporaryRedirect", ERRCODE_INVALID_PARAMETER_VALUE, true, HINT_REGION},
	{"IllegalLocationConstraintException", ERRCODE_INVALID_PARAMETER_VALUE,
	 false, HINT_REGION},
	{"RequestTimeTooSkewed", ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, false,
	 "Set this machine's clock."},
	{"RequestTimeout", ERRCODE_CONNECTION_FAILURE, true, NULL},
	{"SlowDown", ERRCODE_CONNECTION_FAILURE, true,
	 "The store asks for fewer requests: use fewer workers, or larger parts."},
	{"InternalError", ERRCODE_CONNECTION_FAILURE, true, NULL},
	{"ServiceUnavailable", ERRCODE_CONNECTION_FAILURE, true, NULL},
	{"OperationAborted", ERRCODE_CONNECTION_FAILURE, true, NULL},
	/* a part that was sent long ago has arrived after its successor */
	{"InvalidPart", ERRCODE_CONNECTION_FAILURE, false, NULL},
	{"BadDigest", ERRCODE_DATA_CORRUPTED, true, NULL},
	{"XAmzContentSHA256Mismatch", ERRCODE_DATA_CORRUPTED, true, NULL},
	{"NotImplemented", ERRCODE_FEATURE_NOT_SUPPORTED, false, HINT_OPTIONS},
	{"InvalidRequest", ERRCODE_FEATURE_NOT_SUPPORTED, false, HINT_OPTIONS},
	{"InvalidArgument", ERRCODE_FEATURE_NOT_SUPPORTED, false, HINT_OPTIONS},
	{"InvalidStorageClass", ERRCODE_FEATURE_NOT_SUPPORTED, false,
	 HINT_OPTIONS},
	{"InvalidTag", ERRCODE_INVALID_PARAMETER_VALUE, false,
	 "Write the server's option tags as name=value&name=value."},
	{"QuotaExceeded", ERRCODE_DISK_FULL, false, NULL},
	{"XMinioStorageFull", ERRCODE_DISK_FULL, false, NULL},
	{"EntityTooLarge", ERRCODE_PROGRAM_LIMIT_EXCEEDED, false, NULL},
	{NULL},
};

/* For those that come without a code, as answers to HEAD do. */
static const struct
{
	int			status;
	const char *code;
} codes_of_status[] = {
	{301, "PermanentRedirect"}, {307, "TemporaryRedirect"},
	{403, "AccessDenied"},		{408, "RequestTimeout"},
	{429, "SlowDown"},			{500, "InternalError"},
	{501, "NotImplemented"},	{502, "ServiceUnavailable"},
	{503, "SlowDown"},			{504, "ServiceUnavailable"},
	{507, "QuotaExceeded"},
};

S3Request *
s3_request_new(S3Store *store, const char *method, const char *key)
{
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "outflow S3 request", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	S3Request	 *request = palloc0_object(S3Request);

	request->context = context;
	request->store = store;
	request->method = method;
	request->key = key ? pstrdup(key) : NULL;
	http_request_init(store->http, &request->http);
	MemoryContextSwitchTo(caller);
	return request;
}

void
s3_parameter(S3Request *request, const char *name, const char *value)
{
	if (request->nparameters == S3_MAX_PARAMETERS)
		elog(ERROR, "too many parameters");
	request->parameters[request->nparameters++] =
		(HttpField){name, MemoryContextStrdup(request->context, value)};
}

void
s3_header(S3Request *request, const char *name, const char *value)
{
	if (request->nheaders == S3_MAX_HEADERS)
		elog(ERROR, "too many headers");
	request->headers[request->nheaders++] =
		(HttpField){name, MemoryContextStrdup(request->context, value)};
}

void
s3_body(S3Request *request, const char *data, size_t len)
{
	request->body = data;
	request->body_len = len;
}

char *
s3_object_name(const S3Store *store, const char *key)
{
	return key ? psprintf("object \"%s\" of server \"%s\"", key, store->name)
			   : psprintf("bucket \"%s\" of server \"%s\"",
						  store->config.bucket, store->name);
}

/* "/bucket/key?query", encoded; what comes before the "?" is the path */
static void
make_target(S3Request *request, char **query)
{
	const S3Config *config = &request->store->config;
	char		   *key = request->key ? pg_server_to_any(request->key,
														  strlen(request->key), PG_UTF8)
									   : NULL;
	char		   *path =
		psprintf("%s%s/%s", config->path_style ? "/" : "",
				 config->path_style ? config->bucket : "", key ? key : "");
	size_t len;

	if (!sigv4_encode_path(path, request->target, sizeof(request->target)))
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("name of %s is too long",
							   s3_object_name(request->store, request->key))));
	len = strlen(request->target);
	request->target[len] = '\0';
	*query = request->target + len + 1;
	if (len + 2 >= sizeof(request->target) ||
		!sigv4_encode_query(request->parameters, request->nparameters, *query,
							sizeof(request->target) - len - 1))
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("request to %s is too long",
							   s3_object_name(request->store, request->key))));
	pfree(path);
}

/*
 * Over TLS nobody changes the body on its way, so only its own checksum, if
 * any, says what it is.
 */
static void
hash_payload(S3Request *request)
{
	if (request->body_len == 0)
		strlcpy(request->payload_hash, SIGV4_EMPTY_HASH, SIGV4_HASH_SIZE);
	else if (request->store->config.https)
		strlcpy(request->payload_hash, SIGV4_UNSIGNED, SIGV4_HASH_SIZE);
	else if (!sigv4_hash(request->body, request->body_len,
						 request->payload_hash))
		elog(ERROR, "could not compute a SHA-256 sum");
}

static void
s3_request_sign(S3Request *request)
{
	S3Store		*store = request->store;
	char		*query;
	int			 n = request->nheaders;
	HttpField	*sent = request->sent;
	Sigv4Request form;

	make_target(request, &query);
	if (request->payload_hash[0] == '\0')
		hash_payload(request);
	if (!sigv4_time(time(NULL), request->time))
		elog(ERROR, "could not tell the time");
	memcpy(sent, request->headers, n * sizeof(HttpField));
	sent[n++] = (HttpField){"host", store->host_header};
	sent[n++] = (HttpField){"x-amz-content-sha256", request->payload_hash};
	sent[n++] = (HttpField){"x-amz-date", request->time};
	server_forget_secret(&request->session_token);
	if (store->secrets.session_token)
	{
		request->session_token = MemoryContextStrdup(
			request->context, store->secrets.session_token);
		sent[n++] =
			(HttpField){"x-amz-security-token", request->session_token};
	}
	form = (Sigv4Request){
		.method = request->method,
		.path = request->target,
		.query = query,
		.headers = sent,
		.nheaders = n,
		.payload_hash = request->payload_hash,
		.time = request->time,
		.region = store->config.region,
		.service = "s3",
		.key_id = store->secrets.key_id,
		.secret = store->secrets.secret,
	};
	if (!sigv4_sign(&form, request->authorization,
					sizeof(request->authorization)))
		ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
						errmsg("could not sign a request to server \"%s\"",
							   store->name)));
	sent[n++] = (HttpField){"authorization", request->authorization};
	request->http.nheaders = n;
	if (*query)
		query[-1] = '?';
}

void
s3_start(S3Request *request)
{
	const S3Config *config = &request->store->config;
	MemoryContext	caller;

	if (request->sending)
		request->sending->tell(request->sending->arg,
							   config->connect_timeout +
								   config->stall_timeout);
	if (!request->only_once)
		(void) s3_store_refresh(request->store);
	caller = MemoryContextSwitchTo(request->context);
	s3_request_sign(request);
	MemoryContextSwitchTo(caller);
	request->result = S3_RUNNING;
	request->tries++;
	request->http.method = request->method;
	request->http.target = request->target;
	request->http.headers = request->sent;
	request->http.body = request->body;
	request->http.body_len = request->body_len;
	request->http.patience = request->patience;
	request->http.max_seconds = request->max_seconds;
	request->http.streams = request->streams;
	http_start(&request->http);
}

void
s3_end(S3Request *request)
{
	server_forget_secret(&request->session_token);
	MemoryContextDelete(request->context);
}

/* A store, or what stands before it, may repeat what it was sent. */
char *
s3_shown(const S3Store *store, const char *text)
{
	char *copy = pstrdup(text);

	server_blank_secret(copy, store->secrets.session_token);
	server_blank_secret(copy, store->secrets.secret);
	if (strlen(copy) > SHOWN_LENGTH)
		copy[SHOWN_LENGTH] = '\0';
	for (char *c = copy; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return copy;
}

static const S3Error *
find_error(const char *code)
{
	for (const S3Error *error = errors; error->code; error++)
		if (strcmp(error->code, code) == 0)
			return error;
	return NULL;
}

static const char *
code_of_status(int status)
{
	for (int i = 0; i < lengthof(codes_of_status); i++)
		if (codes_of_status[i].status == status)
			return codes_of_status[i].code;
	return status >= 500 ? "ServiceUnavailable" : "";
}

static void
fail(S3Request *request, const char *code, const char *message)
{
	const HttpRequest *http = &request->http;
	const S3Error	  *error = find_error(code);
	char			  *region;
	char			  *date;

	request->result = S3_FAILED;
	request->code = s3_shown(request->store, code);
	if (error == NULL)
		error = find_error(code_of_status(http->status));
	request->sqlstate = error ? error->sqlstate : ERRCODE_FDW_ERROR;
	request->may_pass = error ? error->may_pass : http->status >= 500;
	request->hint = error && error->hint ? pstrdup(error->hint) : NULL;
	request->reason =
		psprintf("The store answered %d%s%s%s%s.", http->status,
				 code[0] ? " " : "", request->code, message ? ": " : "",
				 message ? s3_shown(request->store, message) : "");
	region = s3_xml_text(http->answer.data, http->answer.len, "Region");
	if (region == NULL)
		region = http_header(http, "x-amz-bucket-region");
	if (region && request->sqlstate == ERRCODE_INVALID_PARAMETER_VALUE)
		request->reason =
			psprintf("%s The bucket's region is \"%s\".", request->reason,
					 s3_shown(request->store, region));
	date = http_header(http, "date");
	if (date && strcmp(request->code, "RequestTimeTooSkewed") == 0)
		request->reason = psprintf("%s Its time is %s.", request->reason,
								   s3_shown(request->store, date));
}

static void
fail_without_answer(S3Request *request)
{
	const HttpRequest *http = &request->http;

	request->result = S3_FAILED;
	request->code = "";
	request->may_pass = http->outcome == HTTP_NO_ANSWER;
	request->sqlstate = request->may_pass
							? ERRCODE_CONNECTION_FAILURE
							: ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION;
	request->reason = psprintf(
		"There was no answer: %s.",
		http->error[0] ? s3_shown(request->store, http->error) : "unknown");
	request->hint =
		request->may_pass
			? NULL
			: pstrdup("Check the server's options endpoint and ca_file; "
					  "loopback and private addresses need allow_private, "
					  "which only a superuser may set.");
}

/* From the answer, when it is there. */
static void
s3_request_judge(S3Request *request)
{
	const HttpRequest *http = &request->http;
	char			  *code;
	char			  *message;

	if (http->outcome != HTTP_ANSWERED)
	{
		fail_without_answer(request);
		return;
	}
	code = s3_xml_text(http->answer.data, http->answer.len, "Code");
	message = s3_xml_text(http->answer.data, http->answer.len, "Message");
	if (http->status >= 200 && http->status < 300 &&
		!(request->hides_errors && code))
		request->result = S3_OK;
	else if (code && strcmp(code, "NoSuchBucket") == 0)
		fail(request, code, message);
	else if (code && strcmp(code, "XAdminUserNotFound") == 0)
		fail(request, code, message);
	else if (http->status == 404 ||
			 (code && (strcmp(code, "NoSuchKey") == 0 ||
					   strcmp(code, "NoSuchUpload") == 0)))
		request->result = S3_NOT_FOUND;
	else if (http->status == 412)
		request->result = S3_EXISTS;
	else
	{
		fail(request, code ? code : code_of_status(http->status), message);
		/* never that something exists: two at once, or an upload is gone */
		if (http->status == 409)
		{
			request->result = S3_CONFLICT;
			request->sqlstate = ERRCODE_CONNECTION_FAILURE;
			request->may_pass = true;
		}
	}
}

static bool
is_running(const S3Request *request)
{
	return request->http.outcome == HTTP_RUNNING;
}

/* Bytes of an object, and none of an error. */
static bool
has_stream(const S3Request *request)
{
	return request->streams && request->http.answer.len > 0 &&
		   request->http.status >= 200 && request->http.status < 300;
}

void
s3_pause(S3Store *store, int milliseconds)
{
	TimestampTz end =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), milliseconds);

	do
	{
		long rest =
			TimestampDifferenceMilliseconds(GetCurrentTimestamp(), end);

		http_poll(store->http, Min(rest, TICK_MS));
	} while (GetCurrentTimestamp() < end);
}

/* Full jitter, so that those who were turned away don't come back together. */
static int
wait_before(int tries)
{
	int most = FIRST_WAIT_MS << Min(tries, 10);

	return pg_prng_uint64_range(&pg_global_prng_state, FIRST_WAIT_MS / 2,
								Min(most, MAX_WAIT_MS));
}

/* Whether a request that failed is to be made once more. */
static bool
is_worth_another(S3Request *request)
{
	/* of a stream, some may have been taken */
	if ((request->result != S3_FAILED && request->result != S3_CONFLICT) ||
		request->streams || request->only_once ||
		request->tries > request->store->config.retries ||
		(request->result == S3_CONFLICT && request->hides_errors))
		return false;
	/* its secrets may have been exchanged while it was on its way */
	return request->may_pass ||
		   (request->sqlstate == ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION &&
			s3_store_refresh(request->store));
}

S3Result
s3_wait(S3Request *request)
{
	S3Store		 *store = request->store;
	MemoryContext caller;

	for (;;)
	{
		while (is_running(request) && !has_stream(request))
			http_poll(store->http, TICK_MS);
		if (has_stream(request))
			return S3_RUNNING;
		/* what it says goes with the request */
		caller = MemoryContextSwitchTo(request->context);
		s3_request_judge(request);
		MemoryContextSwitchTo(caller);
		if (!is_worth_another(request))
			return request->result;
		s3_pause(store, wait_before(request->tries));
		s3_start(request);
	}
}

S3Result
s3_run(S3Request *request)
{
	s3_start(request);
	return s3_wait(request);
}

void
s3_throw(const S3Request *request, const char *what)
{
	ereport(ERROR,
			(errcode(request->sqlstate ? request->sqlstate
									   : ERRCODE_UNDEFINED_OBJECT),
			 errmsg("could not %s %s", what,
					s3_object_name(request->store, request->key)),
			 errdetail_internal("%s", request->reason ? request->reason
													  : "It is not there."),
			 request->hint ? errhint("%s", request->hint) : 0));
}

void
s3_must(S3Request *request, const char *what)
{
	if (s3_run(request) != S3_OK)
		s3_throw(request, what);
}

int
s3_errno(const S3Request *request)
{
	if (request->result == S3_NOT_FOUND)
		return 0;
	switch (request->sqlstate)
	{
		case ERRCODE_INSUFFICIENT_PRIVILEGE:
		case ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION:
			return EACCES;
		case ERRCODE_CONNECTION_FAILURE:
			return EHOSTUNREACH;
		default:
			return EIO;
	}
}
