/*
 * s3_upload.c
 *		Parts of exports on their way to a store.
 *
 * What fits into one chunk is sent by one request.  More becomes a multipart
 * upload, two chunks of which are on their way while the next one is filled.
 * If an earlier attempt has left one (s3_left.c), it goes on: a chunk that is
 * there already, with the same size and checksum, is not sent again.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "sink/s3/crc64.h"
#include "sink/s3/s3_internal.h"
#include "sink/stage.h"
#include "utils/memutils.h"

typedef struct Chunk
{
	int		   number; /* from 1; 0: the buffer is free */
	S3Buffer  *buffer;
	size_t	   len;
	size_t	   size; /* when it is full */
	S3Request *request;
} Chunk;

typedef struct Upload
{
	Sink		  base;
	S3Multipart	  upload; /* its id is NULL: there is none, so far */
	S3Left		  left;
	uint64		  bytes;
	int			  count;
	Chunk		  chunks[S3_BUFFERS];
	Chunk		 *filling;
	char		**parts; /* by number: XML */
	int			  room;
	MemoryContext context;
} Upload;

/* ---- the chain's end */

/*
 * The nth chunk's size: the first thousand have the server's option's, each
 * thousand after them twice as much, so that ten thousand hold any object.
 */
static size_t
chunk_size(const Upload *self, int number)
{
	const S3Config *config = &self->upload.store->config;
	size_t			size = config->chunk_size;

	if (!config->equal_chunks)
		size <<= (number - 1) / 1000;
	return Min(size, (size_t) 1024 * 1024 * 1024 * 5);
}

/* One of the store's that no other upload has, or a new one. */
static S3Buffer *
take_buffer(Upload *self)
{
	S3Store *store = self->upload.store;

	for (int i = 0; i < S3_BUFFERS; i++)
		if (!store->buffers[i].is_taken)
			return &store->buffers[i];
	return MemoryContextAllocZero(self->context, sizeof(S3Buffer));
}

static void
get_buffer(Upload *self, Chunk *chunk)
{
	S3Store	 *store = self->upload.store;
	S3Buffer *buffer;
	bool	  stays;

	if (chunk->buffer == NULL)
		chunk->buffer = take_buffer(self);
	buffer = chunk->buffer;
	stays = buffer >= store->buffers && buffer < store->buffers + S3_BUFFERS;
	buffer->is_taken = true;
	chunk->size = chunk_size(self, self->count + 1);
	if (buffer->size < chunk->size)
	{
		if (buffer->data)
			pfree(buffer->data);
		buffer->data = NULL;
		buffer->size = 0;
		buffer->data = MemoryContextAllocHuge(
			stays ? store->context : self->context, chunk->size);
		buffer->size = chunk->size;
	}
	chunk->len = 0;
	self->filling = chunk;
}

/* However the upload ends; its requests have ended before. */
static void
give_buffers_back(void *arg)
{
	Upload *self = arg;

	for (int i = 0; i < S3_BUFFERS; i++)
	{
		if (self->chunks[i].buffer)
			self->chunks[i].buffer->is_taken = false;
		self->chunks[i].buffer = NULL;
	}
}

/* When it has arrived; waits for that. */
static void
end_chunk(Upload *self, Chunk *chunk)
{
	S3Request *request = chunk->request;

	if (s3_wait(request) == S3_NOT_FOUND)
		s3_upload_gone(&self->upload);
	if (request->result != S3_OK)
		s3_throw(request, "write");
	self->parts[chunk->number - 1] = s3_part_xml(
		request, chunk->number, http_header(&request->http, "etag"),
		s3_checksum_sent(request));
	s3_end(request);
	chunk->request = NULL;
	chunk->number = 0;
}

/* An upload that was left, or a new one. */
static void
begin_upload(Upload *self)
{
	S3Multipart *upload = &self->upload;

	if (!s3_left_find(upload->store, upload->key, &self->left))
	{
		s3_new_id(upload->object_id);
		s3_upload_begin(upload, upload->object_id, true);
		return;
	}
	/* an older object must not be taken for this upload's, when it ends */
	s3_delete(upload->store, upload->key);
	upload->id = self->left.upload;
	upload->is_same = true;
}

static void
check_room(const Upload *self)
{
	if (self->count == S3_MAX_PARTS ||
		self->bytes > (uint64) self->upload.store->config.max_object_size)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%s becomes too large",
						s3_object_name(self->upload.store, self->upload.key)),
				 errhint("Use a smaller part_size, or a larger chunk_size of "
						 "the server.")));
}

/* The number of the next chunk. */
static int
count_chunk(Upload *self)
{
	if (++self->count > self->room)
	{
		self->room = self->room ? self->room * 2 : 64;
		self->parts = self->parts
						  ? repalloc(self->parts, self->room * sizeof(char *))
						  : palloc(self->room * sizeof(char *));
	}
	return self->count;
}

/* The chunk's checksum, and with it that of the whole where there is one. */
static void
add_checksum(Upload *self, S3Request *request)
{
	uint64 crc;

	if (self->upload.store->config.checksum != S3_CRC64NVME)
	{
		s3_checksum_header(request);
		return;
	}
	crc = crc64nvme(0, request->body, request->body_len);
	s3_crc64_header(request, crc);
	self->upload.crc64 =
		crc64nvme_join(self->upload.crc64, crc, request->body_len);
}

/* Whether an earlier attempt has sent just that; its XML is kept then. */
static bool
has_arrived(Upload *self, S3Request *request, int number)
{
	const S3Arrived *part;

	if (number > self->left.count)
		return false;
	part = &self->left.parts[number - 1];
	if (part->sum == NULL || part->size != request->body_len ||
		strcmp(part->sum, s3_checksum_sent(request)) != 0)
		return false;
	self->parts[number - 1] =
		s3_part_xml(request, number, part->etag, part->sum);
	return true;
}

static void
send_chunk(Upload *self, Chunk *chunk)
{
	S3Request *request;
	int		   number;

	if (self->upload.id == NULL)
		begin_upload(self);
	check_room(self);
	number = count_chunk(self);
	request = s3_request_new(self->upload.store, "PUT", self->upload.key);
	s3_parameter(request, "partNumber", psprintf("%d", number));
	s3_parameter(request, "uploadId", self->upload.id);
	s3_body(request, chunk->buffer->data, chunk->len);
	s3_header(request, "content-type", "application/octet-stream");
	add_checksum(self, request);
	if (has_arrived(self, request, number))
	{
		s3_end(request);
		return;
	}
	if (number <= self->left.count && self->left.parts[number - 1].etag)
		self->upload.is_same = false;
	chunk->number = number;
	chunk->request = request;
	s3_start(request);
}

/* A buffer to fill: one that is free, or the one that was sent first. */
static void
next_chunk(Upload *self)
{
	Chunk *oldest = NULL;

	for (int i = 0; i < S3_BUFFERS; i++)
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

		memcpy(chunk->buffer->data + chunk->len, data, slice);
		chunk->len += slice;
		self->bytes += slice;
		data += slice;
		len -= slice;
		/* what is on its way moves on, too */
		if (self->upload.id)
			http_poll(self->upload.store->http, 0);
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

/* In a bucket that insists on conditions, what was in the way has been removed. */
static void
report_other_writer(const Upload *self)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("could not write %s",
					s3_object_name(self->upload.store, self->upload.key)),
			 errdetail("Somebody else writes it at the same time.")));
}

static void
end_upload(Upload *self)
{
	StringInfoData parts;

	send_chunk(self, self->filling);
	for (int i = 0; i < S3_BUFFERS; i++)
		if (self->chunks[i].number != 0)
			end_chunk(self, &self->chunks[i]);
	initStringInfo(&parts);
	for (int i = 0; i < self->count; i++)
		appendStringInfoString(&parts, self->parts[i]);
	/* an upload with more parts than these is not what is made now */
	self->upload.is_same &= self->count >= self->left.count;
	self->upload.size = self->bytes;
	if (!s3_upload_complete(&self->upload, parts.data, false))
		report_other_writer(self);
	self->upload.id = NULL;
}

static void
upload_finish(Sink *sink)
{
	Upload		 *self = (Upload *) sink;
	MemoryContext caller = MemoryContextSwitchTo(self->context);
	char		  id[S3_ID_SIZE];

	s3_new_id(id);
	/* an older attempt's file is in the way of a bucket that insists */
	if (self->upload.store->config.conditional == S3_CONDITIONAL_ALL)
		s3_delete(self->upload.store, self->upload.key);
	if (self->upload.id)
		end_upload(self);
	else if (!s3_put(self->upload.store, self->upload.key,
					 self->filling->buffer->data, self->filling->len, id,
					 false))
		report_other_writer(self);
	MemoryContextSwitchTo(caller);
}

static void
upload_cleanup(Sink *sink)
{
	Upload	   *self = (Upload *) sink;
	const char *upload = self->upload.id;

	self->upload.id = NULL;
	for (int i = 0; i < S3_BUFFERS; i++)
	{
		if (self->chunks[i].request)
			s3_end(self->chunks[i].request);
		self->chunks[i].request = NULL;
		self->chunks[i].number = 0;
	}
	give_buffers_back(self);
	if (upload == NULL)
		return;
	/* what is left after a failure is swept away later */
	HOLD_INTERRUPTS();
	s3_upload_abort(self->upload.store, self->upload.key, upload);
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

	self->upload.store = store;
	self->context = CurrentMemoryContext;
	self->upload.key = pstrdup(key);
	sink_guard(give_buffers_back, self);
	get_buffer(self, &self->chunks[0]);
	return &self->base;
}
