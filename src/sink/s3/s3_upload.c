/*
 * s3_upload.c
 *		Parts of exports on their way to a store.
 *
 * What fits into one chunk is sent by one request.  More becomes a multipart
 * upload, two chunks of which are on their way while the next one is filled.
 * An upload is for a key below the job's own prefix, so that all that were left
 * over can be found there: the list of them at the store is their only record,
 * and can't be out of date.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "sink/s3/s3_internal.h"
#include "sink/stage.h"
#include "utils/memutils.h"

#define ABORT_SECONDS 5
#define MAX_CHUNKS	  10000
#define IN_FLIGHT	  2
#define BUFFERS		  (IN_FLIGHT + 1)
/* Whole objects are put together, or copied, before there is an answer. */
#define PATIENCE 10

typedef struct Chunk
{
	int		   number; /* from 1; 0: the buffer is free */
	char	  *data;
	size_t	   len;
	size_t	   size;
	S3Request *request;
} Chunk;

typedef struct Upload
{
	Sink		  base;
	S3Store		 *store;
	char		 *key;
	char		  id[S3_ID_SIZE];
	char		 *upload; /* NULL: none, so far */
	uint64		  bytes;
	int			  count;
	Chunk		  chunks[BUFFERS];
	Chunk		 *filling;
	char		**etags; /* by number: the part's XML */
	int			  room;
	MemoryContext context;
} Upload;

char *
s3_upload_begin(S3Store *store, const char *key, const char *id)
{
	S3Request  *request = s3_request_new(store, "POST", key);
	const char *checksum = s3_checksum_element(store);
	char	   *upload;

	s3_store_refresh(store);
	s3_parameter(request, "uploads", "");
	s3_object_headers(request, id);
	if (checksum)
		s3_header(request, "x-amz-checksum-algorithm",
				  checksum + strlen("Checksum"));
	s3_must(request, "begin an upload of");
	upload = s3_xml_text(request->http.answer.data, request->http.answer.len,
						 "UploadId");
	if (upload == NULL || upload[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_FDW_REPLY_HANDLE),
						errmsg("could not begin an upload of %s",
							   s3_object_name(store, key)),
						errdetail("The store's answer has no upload id.")));
	s3_end(request);
	return upload;
}

bool
s3_upload_complete(S3Store *store, const char *key, const char *upload,
				   const char *parts, const char *id, bool if_new)
{
	S3Request *request = s3_request_new(store, "POST", key);
	char	  *xml = psprintf("<CompleteMultipartUpload "
								   "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">%s"
								   "</CompleteMultipartUpload>",
							  parts);
	S3Object   object;
	bool	   is_there;

	request->hides_errors = true;
	request->patience = PATIENCE;
	s3_parameter(request, "uploadId", upload);
	s3_header(request, "content-type", "application/xml");
	if ((if_new && store->config.conditional != S3_CONDITIONAL_NONE) ||
		store->config.conditional == S3_CONDITIONAL_ALL)
		s3_header(request, "if-none-match", "*");
	s3_body(request, xml, strlen(xml));
	s3_store_refresh(store);
	(void) s3_run(request);
	if (request->result == S3_OK)
	{
		s3_end(request);
		return true;
	}
	/*
	 * Another answer may be that to a second try: the first one's was lost.
	 * What is there then has the upload's id.
	 */
	is_there =
		s3_head(store, key, &object, NULL) && strcmp(object.id, id) == 0;
	if (!is_there && request->result == S3_EXISTS)
		s3_upload_abort(store, key, upload);
	if (!is_there && request->result == S3_FAILED)
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
	request->tries = store->config.retries;
	(void) s3_run(request);
	s3_end(request);
}

/* Nobody but the job itself, which is dead, begins uploads below its prefix. */
static bool
sweep_upload(void *arg, const S3Listed *found)
{
	S3Request *request;

	if (found->upload == NULL)
		return true;
	request = s3_request_new(arg, "DELETE", found->key);
	s3_parameter(request, "uploadId", found->upload);
	if (s3_run(request) != S3_OK && request->result != S3_NOT_FOUND)
		s3_throw(request, "end an upload of");
	s3_end(request);
	return true;
}

void
s3_upload_sweep(S3Store *store, const char *prefix)
{
	s3_list_uploads(store, prefix, sweep_upload, store);
}

/* ---- the chain's end */

/*
 * The nth chunk's size: the first thousand have the server's option's, each
 * thousand after them twice as much, so that ten thousand hold any object.
 */
static size_t
chunk_size(const Upload *self, int number)
{
	const S3Config *config = &self->store->config;
	size_t			size = config->chunk_size;

	if (!config->equal_chunks)
		size <<= (number - 1) / 1000;
	return Min(size, (size_t) 1024 * 1024 * 1024 * 5);
}

static void
get_buffer(Upload *self, Chunk *chunk)
{
	size_t size = chunk_size(self, self->count + 1);

	if (chunk->size < size)
	{
		if (chunk->data)
			pfree(chunk->data);
		chunk->data = NULL;
		chunk->data = MemoryContextAllocHuge(self->context, size);
		chunk->size = size;
	}
	chunk->len = 0;
	self->filling = chunk;
}

/* An element of the list that ends the upload. */
static char *
part_xml(const Chunk *chunk)
{
	const S3Request *request = chunk->request;
	const char		*element = s3_checksum_element(request->store);
	char			*etag = http_header(&request->http, "etag");
	char			*sum = NULL;

	if (etag == NULL || strpbrk(etag, "<>&"))
		ereport(ERROR, (errcode(ERRCODE_FDW_REPLY_HANDLE),
						errmsg("could not write %s",
							   s3_object_name(request->store, request->key)),
						errdetail("The store's answer has no ETag.")));
	for (int i = 0; element && i < request->nheaders; i++)
		if (strncmp(request->headers[i].name, "x-amz-checksum-", 15) == 0)
			sum = psprintf("<%s>%s</%s>", element, request->headers[i].value,
						   element);
	return psprintf(
		"<Part>%s<ETag>%s</ETag><PartNumber>%d</PartNumber></Part>",
		sum ? sum : "", etag, chunk->number);
}

/* When it has arrived; waits for that. */
static void
end_chunk(Upload *self, Chunk *chunk)
{
	if (s3_wait(chunk->request) != S3_OK)
		s3_throw(chunk->request, "write");
	self->etags[chunk->number - 1] = part_xml(chunk);
	s3_end(chunk->request);
	chunk->request = NULL;
	chunk->number = 0;
}

static void
send_chunk(Upload *self, Chunk *chunk)
{
	S3Request *request;

	if (self->upload == NULL)
		self->upload = s3_upload_begin(self->store, self->key, self->id);
	if (self->count == MAX_CHUNKS ||
		self->bytes > (uint64) self->store->config.max_object_size)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%s becomes too large",
						s3_object_name(self->store, self->key)),
				 errhint("Use a smaller part_size, or a larger chunk_size of "
						 "the server.")));
	s3_store_refresh(self->store);
	chunk->number = ++self->count;
	if (self->count > self->room)
	{
		self->room = self->room ? self->room * 2 : 64;
		self->etags = self->etags
						  ? repalloc(self->etags, self->room * sizeof(char *))
						  : palloc(self->room * sizeof(char *));
	}
	request = s3_request_new(self->store, "PUT", self->key);
	s3_parameter(request, "partNumber", psprintf("%d", chunk->number));
	s3_parameter(request, "uploadId", self->upload);
	s3_body(request, chunk->data, chunk->len);
	s3_header(request, "content-type", "application/octet-stream");
	s3_checksum_header(request);
	chunk->request = request;
	s3_start(request);
}

/* A buffer to fill: one that is free, or the one that was sent first. */
static void
next_chunk(Upload *self)
{
	Chunk *oldest = NULL;

	for (int i = 0; i < BUFFERS; i++)
	{
		Chunk *chunk = &self->chunks[i];

		if (chunk->number == 0)
		{
			get_buffer(self, chunk);
			return;
		}
		if (oldest == NULL || chunk->number < oldest->number)
			oldest = chunk;
	}
	end_chunk(self, oldest);
	get_buffer(self, oldest);
}

static void
upload_write(Sink *sink, const char *data, size_t len)
{
	Upload		 *self = (Upload *) sink;
	MemoryContext caller = MemoryContextSwitchTo(self->context);

	while (len > 0)
	{
		Chunk *chunk = self->filling;
		size_t slice =
			Min(Min(len, chunk->size - chunk->len), (size_t) SINK_SLICE_SIZE);

		memcpy(chunk->data + chunk->len, data, slice);
		chunk->len += slice;
		self->bytes += slice;
		data += slice;
		len -= slice;
		/* what is on its way moves on, too */
		if (self->upload)
			http_poll(self->store->http, 0);
		else
			CHECK_FOR_INTERRUPTS();
		/* the last one goes at the end, when it is known to be that */
		if (chunk->len == chunk->size && len > 0)
		{
			send_chunk(self, chunk);
			next_chunk(self);
		}
	}
	MemoryContextSwitchTo(caller);
}

static void
end_upload(Upload *self)
{
	StringInfoData parts;

	send_chunk(self, self->filling);
	for (int i = 0; i < BUFFERS; i++)
		if (self->chunks[i].number != 0)
			end_chunk(self, &self->chunks[i]);
	initStringInfo(&parts);
	for (int i = 0; i < self->count; i++)
		appendStringInfoString(&parts, self->etags[i]);
	if (!s3_upload_complete(self->store, self->key, self->upload, parts.data,
							self->id, false))
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("could not complete the upload of %s",
						s3_object_name(self->store, self->key)),
				 errdetail("The store does not know the upload any more.")));
	self->upload = NULL;
}

static void
upload_finish(Sink *sink)
{
	Upload		 *self = (Upload *) sink;
	MemoryContext caller = MemoryContextSwitchTo(self->context);

	/* an older attempt's file is in the way of a bucket that insists */
	if (self->store->config.conditional == S3_CONDITIONAL_ALL)
		s3_delete(self->store, self->key);
	if (self->upload)
		end_upload(self);
	else if (!s3_put(self->store, self->key, self->filling->data,
					 self->filling->len, self->id, false))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("could not write %s",
						s3_object_name(self->store, self->key)),
				 errdetail("Somebody else writes it at the same time.")));
	MemoryContextSwitchTo(caller);
}

static void
upload_cleanup(Sink *sink)
{
	Upload *self = (Upload *) sink;
	char   *upload = self->upload;

	self->upload = NULL;
	for (int i = 0; i < BUFFERS; i++)
	{
		if (self->chunks[i].request)
			s3_end(self->chunks[i].request);
		self->chunks[i].request = NULL;
		self->chunks[i].number = 0;
	}
	if (upload == NULL)
		return;
	/* what is left after a failure is swept away later */
	HOLD_INTERRUPTS();
	s3_upload_abort(self->store, self->key, upload);
	RESUME_INTERRUPTS();
}

static const SinkOps upload_ops = {
	.write = upload_write,
	.finish = upload_finish,
	.cleanup = upload_cleanup,
};

Sink *
s3_upload_new(S3Store *store, const char *key)
{
	Upload *self = sink_stage_new(sizeof(Upload), &upload_ops, NULL);

	s3_store_refresh(store);
	self->store = store;
	self->context = CurrentMemoryContext;
	self->key = pstrdup(key);
	s3_new_id(self->id);
	get_buffer(self, &self->chunks[0]);
	return &self->base;
}
