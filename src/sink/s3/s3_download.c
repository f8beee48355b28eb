/*
 * s3_download.c
 *		Reads objects.
 *
 * A transfer that breaks off goes on where it stopped, if the object is still
 * the same.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "sink/s3/s3_internal.h"
#include "sink/stage.h"

#define PAUSE_MS 500

typedef struct Download
{
	S3Store *store;
	uint64	 taken;
	char	*etag; /* of what was begun */
	int		 tries;
} Download;

static S3Request *
s3_download_begin(Download *self, const char *key)
{
	S3Request *request = s3_request_new(self->store, "GET", key);

	request->streams = true;
	if (self->taken > 0)
	{
		s3_header(request, "range",
				  psprintf("bytes=" UINT64_FORMAT "-", self->taken));
		if (self->etag)
			s3_header(request, "if-match", self->etag);
	}
	s3_start(request);
	return request;
}

/* Passes on what arrives, until the request ends. */
static S3Result
pass_on(Download *self, S3Request *request, Sink *chain)
{
	bool	 goes_on = self->taken > 0;
	S3Result result;

	while ((result = s3_wait(request)) == S3_RUNNING)
	{
		size_t		len;
		const char *data;

		/* a store that knows no ranges begins anew */
		if (goes_on && request->http.status != 206)
			s3_throw(request, "go on reading");
		if (self->etag == NULL)
			self->etag = http_header(&request->http, "etag");
		data = http_take(&request->http, &len);
		sink_write(chain, data, len);
		self->taken += len;
		self->tries = 0;
	}
	return result;
}

bool
s3_download(S3Store *store, const char *key, Sink *chain, int *error)
{
	Download self = {.store = store};

	if (error)
		*error = 0;
	for (;;)
	{
		S3Request *request = s3_download_begin(&self, key);
		S3Result   result = pass_on(&self, request, chain);

		if (result == S3_OK)
		{
			s3_end(request);
			break;
		}
		if (result == S3_NOT_FOUND && self.taken == 0)
		{
			s3_end(request);
			return false;
		}
		if (result == S3_FAILED && request->may_pass &&
			self.tries++ < store->config.retries)
		{
			s3_end(request);
			s3_pause(store, PAUSE_MS << Min(self.tries, 5));
			continue;
		}
		if (error == NULL)
			s3_throw(request, "read");
		*error = s3_errno(request);
		s3_end(request);
		return false;
	}
	sink_finish(chain);
	return true;
}

/* ---- small objects */

/* A chain's end that keeps what it gets, up to a limit. */
typedef struct GetSink
{
	Sink		   base;
	StringInfoData text;
	size_t		   max;
	char		  *name;
} GetSink;

static void
get_write(Sink *sink, const char *data, size_t len)
{
	GetSink *self = (GetSink *) sink;

	if (len > self->max - self->text.len)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("%s is longer than %zu bytes", self->name,
							   self->max)));
	appendBinaryStringInfo(&self->text, data, len);
}

static void
get_nothing(Sink *sink)
{
}

static const SinkOps get_ops = {
	.write = get_write,
	.finish = get_nothing,
	.cleanup = get_nothing,
};

char *
s3_download_text(S3Store *store, const char *key, size_t max, size_t *len)
{
	GetSink *sink = sink_stage_new(sizeof(GetSink), &get_ops, NULL);

	initStringInfo(&sink->text);
	sink->max = max;
	sink->name = s3_object_name(store, key);
	if (!s3_download(store, key, &sink->base, NULL))
		return NULL;
	*len = sink->text.len;
	return sink->text.data;
}
