/*
 * s3_probe.c
 *		What stores say they do, and some don't: the proof is to ask for what
 *		must be refused.
 */
#include "postgres.h"

#include "sink/s3/s3_internal.h"

pg_noreturn static void
report_ignored(const char *message, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("%s", message), errhint("%s", hint)));
}

/* A body and the checksum of another one. */
static S3Result
put_wrong(S3Store *store, const char *key)
{
	S3Request *request = s3_request_new(store, "PUT", key);
	char	   id[S3_ID_SIZE];
	S3Result   result;

	s3_new_id(id);
	s3_body(request, "right", 5);
	s3_object_headers(request, id);
	s3_checksum_header(request);
	request->body = "wrong";
	/* it is expected, and no accident on the way */
	request->only_once = true;
	result = s3_run(request);
	if (result == S3_FAILED && request->http.outcome != HTTP_ANSWERED)
		s3_throw(request, "write");
	s3_end(request);
	return result;
}

char *
s3_probe_checksum(S3Store *store, const char *key)
{
	const S3Config *config = &store->config;
	S3Object		before;
	S3Object		after;
	char			id[S3_ID_SIZE];

	if (!s3_head(store, key, &before, NULL))
		report_ignored("an object that was written is not there",
					   "Do not export there.");
	s3_new_id(id);
	if (config->conditional != S3_CONDITIONAL_NONE &&
		s3_put(store, key, "other", 5, id, true))
		report_ignored(
			"the store replaces an object in spite of "
			"\"If-None-Match\"",
			"Set the server's option conditional to 'none', and let "
			"no two servers export to one place.");
	if (config->checksum == S3_NO_CHECKSUM)
		return pstrdup("the server's option checksum is 'none': nothing is "
					   "checked on its way, verify() reads what has arrived");
	if (put_wrong(store, key) == S3_OK || !s3_head(store, key, &after, NULL) ||
		strcmp(before.id, after.id) != 0)
		report_ignored("the store accepts an object whose checksum is wrong",
					   "Set the server's option checksum to another one that "
					   "the store verifies, or to 'none', and run verify() "
					   "after exports.");
	return pstrdup("a wrong checksum is refused, and so is a second object of "
				   "the same key");
}
