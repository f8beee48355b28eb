/*
 * gzip.c
 *		gzip (RFC 1952): one member per chain when written, any number of them
 *		when read.
 *
 * zlib allocates in the stage's memory context, so an error needs no release.
 */
#include "postgres.h"

#include <zlib.h>

#include "miscadmin.h"
#include "compat.h"
#include "sink/stage.h"
#include "utils/memutils.h"

/* zlib: window of 32 kB, and 16 for a gzip wrapper; its own default memory */
#define GZIP_WINDOW_BITS  (15 + 16)
#define GZIP_MEMORY_LEVEL 8

typedef struct GzipSink
{
	Sink	 base;
	z_stream stream;
	bool	 active;	/* stream holds memory */
	bool	 at_member; /* decompressor: the last member is complete */
	char	 out[SINK_OUT_SIZE];
} GzipSink;

static void gzip_write(Sink *sink, const char *data, size_t len);
static void gzip_finish(Sink *sink);
static void gzip_cleanup(Sink *sink);
static void gunzip_write(Sink *sink, const char *data, size_t len);
static void gunzip_finish(Sink *sink);
static void gunzip_cleanup(Sink *sink);

static const SinkOps gzip_ops = {
	.write = gzip_write,
	.finish = gzip_finish,
	.cleanup = gzip_cleanup,
};

static const SinkOps gunzip_ops = {
	.write = gunzip_write,
	.finish = gunzip_finish,
	.cleanup = gunzip_cleanup,
};

static void *
gzip_allocate(void *context, unsigned items, unsigned size)
{
	return MemoryContextAllocExtended(context, (Size) items * size,
									  MCXT_ALLOC_NO_OOM);
}

static void
gzip_free(void *context, void *pointer)
{
	pfree(pointer);
}

pg_noreturn static void
gzip_failed(GzipSink *self, int code, const char *what)
{
	ereport(ERROR,
			(errcode(code == Z_MEM_ERROR ? ERRCODE_OUT_OF_MEMORY
										 : ERRCODE_INTERNAL_ERROR),
			 errmsg("could not %s with gzip: %s", what,
					self->stream.msg ? self->stream.msg : zError(code))));
}

static GzipSink *
gzip_stage_new(const SinkOps *ops, Sink *next)
{
	GzipSink *self = sink_stage_new(sizeof(GzipSink), ops, next);

	self->stream.zalloc = gzip_allocate;
	self->stream.zfree = gzip_free;
	self->stream.opaque = CurrentMemoryContext;
	return self;
}

Sink *
gzip_compressor_new(Sink *next, int level)
{
	GzipSink *self = gzip_stage_new(&gzip_ops, next);
	int		  code;

	code = deflateInit2(&self->stream, level, Z_DEFLATED, GZIP_WINDOW_BITS,
						GZIP_MEMORY_LEVEL, Z_DEFAULT_STRATEGY);
	if (code != Z_OK)
		gzip_failed(self, code, "start to compress");
	self->active = true;
	return &self->base;
}

/* Runs deflate until it has taken all input, and passes on what it gives. */
static void
gzip_drain(GzipSink *self, int flush)
{
	z_stream *stream = &self->stream;
	int		  code;

	do
	{
		stream->next_out = (Bytef *) self->out;
		stream->avail_out = sizeof(self->out);
		code = deflate(stream, flush);
		if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
			gzip_failed(self, code, "compress");
		sink_write(self->base.next, self->out,
				   sizeof(self->out) - stream->avail_out);
	} while (stream->avail_out == 0);

	if (flush == Z_FINISH && code != Z_STREAM_END)
		gzip_failed(self, code, "finish compressing");
}

static void
gzip_write(Sink *sink, const char *data, size_t len)
{
	GzipSink *self = (GzipSink *) sink;

	while (len > 0)
	{
		size_t slice = Min(len, SINK_SLICE_SIZE);

		self->stream.next_in = (Bytef *) unconstify(char *, data);
		self->stream.avail_in = slice;
		gzip_drain(self, Z_NO_FLUSH);
		data += slice;
		len -= slice;
		CHECK_FOR_INTERRUPTS();
	}
}

static void
gzip_release(GzipSink *self)
{
	if (self->active)
		(void) deflateEnd(&self->stream);
	self->active = false;
}

static void
gzip_finish(Sink *sink)
{
	GzipSink *self = (GzipSink *) sink;

	self->stream.avail_in = 0;
	gzip_drain(self, Z_FINISH);
	gzip_release(self);
	sink_finish(sink->next);
}

static void
gzip_cleanup(Sink *sink)
{
	gzip_release((GzipSink *) sink);
	sink_cleanup(sink->next);
}

Sink *
gzip_decompressor_new(Sink *next)
{
	GzipSink *self = gzip_stage_new(&gunzip_ops, next);
	int		  code;

	code = inflateInit2(&self->stream, GZIP_WINDOW_BITS);
	if (code != Z_OK)
		gzip_failed(self, code, "start to decompress");
	self->active = true;
	return &self->base;
}

/* Decompresses one slice, which may hold the end of one member and others. */
static void
gunzip_slice(GzipSink *self)
{
	z_stream *stream = &self->stream;
	int		  code = Z_OK;

	do
	{
		if (self->at_member)
		{
			if (stream->avail_in == 0)
				return;
			if (inflateReset(stream) != Z_OK)
				gzip_failed(self, Z_STREAM_ERROR, "decompress");
			self->at_member = false;
		}

		stream->next_out = (Bytef *) self->out;
		stream->avail_out = sizeof(self->out);
		code = inflate(stream, Z_NO_FLUSH);
		if (code == Z_MEM_ERROR || code == Z_STREAM_ERROR)
			gzip_failed(self, code, "decompress");
		if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
			ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
							errmsg("gzip data is damaged: %s",
								   stream->msg ? stream->msg : zError(code))));
		self->at_member = (code == Z_STREAM_END);
		sink_write(self->base.next, self->out,
				   sizeof(self->out) - stream->avail_out);
		CHECK_FOR_INTERRUPTS();
	} while (stream->avail_in > 0 || stream->avail_out == 0);
}

static void
gunzip_write(Sink *sink, const char *data, size_t len)
{
	GzipSink *self = (GzipSink *) sink;

	while (len > 0)
	{
		size_t slice = Min(len, SINK_SLICE_SIZE);

		self->stream.next_in = (Bytef *) unconstify(char *, data);
		self->stream.avail_in = slice;
		gunzip_slice(self);
		data += slice;
		len -= slice;
	}
}

static void
gunzip_release(GzipSink *self)
{
	if (self->active)
		(void) inflateEnd(&self->stream);
	self->active = false;
}

static void
gunzip_finish(Sink *sink)
{
	GzipSink *self = (GzipSink *) sink;

	if (!self->at_member)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("gzip data is incomplete")));
	gunzip_release(self);
	sink_finish(sink->next);
}

static void
gunzip_cleanup(Sink *sink)
{
	gunzip_release((GzipSink *) sink);
	sink_cleanup(sink->next);
}
