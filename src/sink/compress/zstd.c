/*
 * zstd.c
 *		Zstandard: one frame with a content checksum when written, any number
 *		of frames when read.
 *
 * The library's stable interface takes no allocator, so its contexts are
 * freed by cleanup or with the memory context.
 */
#include "postgres.h"

#include <zstd.h>
#include <zstd_errors.h>

#include "miscadmin.h"
#include "sink/stage.h"

typedef struct ZstdSink
{
	Sink	   base;
	ZSTD_CCtx *cctx;	 /* compressor */
	ZSTD_DCtx *dctx;	 /* decompressor */
	bool	   at_frame; /* decompressor: the last frame is complete */
	char	   out[SINK_OUT_SIZE];
} ZstdSink;

static void zstd_write(Sink *sink, const char *data, size_t len);
static void zstd_finish(Sink *sink);
static void unzstd_write(Sink *sink, const char *data, size_t len);
static void unzstd_finish(Sink *sink);
static void zstd_cleanup(Sink *sink);

static const SinkOps zstd_ops = {
	.write = zstd_write,
	.finish = zstd_finish,
	.cleanup = zstd_cleanup,
};

static const SinkOps unzstd_ops = {
	.write = unzstd_write,
	.finish = unzstd_finish,
	.cleanup = zstd_cleanup,
};

static void
zstd_release(void *argument)
{
	ZstdSink *self = argument;

	(void) ZSTD_freeCCtx(self->cctx);
	(void) ZSTD_freeDCtx(self->dctx);
	self->cctx = NULL;
	self->dctx = NULL;
}

static void
zstd_cleanup(Sink *sink)
{
	zstd_release(sink);
	sink_cleanup(sink->next);
}

static void
zstd_check(size_t code, const char *what)
{
	if (!ZSTD_isError(code))
		return;
	ereport(
		ERROR,
		(errcode(ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation
					 ? ERRCODE_OUT_OF_MEMORY
					 : ERRCODE_INTERNAL_ERROR),
		 errmsg("could not %s with zstd: %s", what, ZSTD_getErrorName(code))));
}

Sink *
zstd_compressor_new(Sink *next, int level)
{
	ZstdSink *self = sink_stage_new(sizeof(ZstdSink), &zstd_ops, next);

	sink_guard(zstd_release, self);
	self->cctx = ZSTD_createCCtx();
	if (self->cctx == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY),
						errmsg("could not start to compress with zstd")));
	zstd_check(
		ZSTD_CCtx_setParameter(self->cctx, ZSTD_c_compressionLevel, level),
		"set the compression level");
	zstd_check(ZSTD_CCtx_setParameter(self->cctx, ZSTD_c_checksumFlag, 1),
			   "ask for a checksum");
	return &self->base;
}

/* One round; true when the library wants another for the same input. */
static bool
zstd_step(ZstdSink *self, ZSTD_inBuffer *in, ZSTD_EndDirective directive)
{
	ZSTD_outBuffer out = {self->out, sizeof(self->out), 0};
	size_t		   left;

	left = ZSTD_compressStream2(self->cctx, &out, in, directive);
	zstd_check(left, "compress");
	sink_write(self->base.next, self->out, out.pos);
	return directive == ZSTD_e_end ? left > 0 : in->pos < in->size;
}

static void
zstd_write(Sink *sink, const char *data, size_t len)
{
	ZstdSink *self = (ZstdSink *) sink;

	while (len > 0)
	{
		ZSTD_inBuffer in = {data, Min(len, SINK_SLICE_SIZE), 0};

		while (zstd_step(self, &in, ZSTD_e_continue))
			;
		data += in.size;
		len -= in.size;
		CHECK_FOR_INTERRUPTS();
	}
}

static void
zstd_finish(Sink *sink)
{
	ZstdSink	 *self = (ZstdSink *) sink;
	ZSTD_inBuffer in = {NULL, 0, 0};

	while (zstd_step(self, &in, ZSTD_e_end))
		CHECK_FOR_INTERRUPTS();
	zstd_release(self);
	sink_finish(sink->next);
}

Sink *
zstd_decompressor_new(Sink *next)
{
	ZstdSink *self = sink_stage_new(sizeof(ZstdSink), &unzstd_ops, next);

	sink_guard(zstd_release, self);
	self->dctx = ZSTD_createDCtx();
	if (self->dctx == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY),
						errmsg("could not start to decompress with zstd")));
	return &self->base;
}

static void
unzstd_write(Sink *sink, const char *data, size_t len)
{
	ZstdSink	  *self = (ZstdSink *) sink;
	ZSTD_inBuffer  in = {data, len, 0};
	ZSTD_outBuffer out;

	do
	{
		size_t left;

		out.dst = self->out;
		out.size = sizeof(self->out);
		out.pos = 0;
		left = ZSTD_decompressStream(self->dctx, &out, &in);
		if (ZSTD_isError(left) &&
			ZSTD_getErrorCode(left) != ZSTD_error_memory_allocation)
			ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
							errmsg("zstd data is damaged: %s",
								   ZSTD_getErrorName(left))));
		zstd_check(left, "decompress");
		/* after the end, a call without input would start a new frame */
		self->at_frame = (left == 0);
		sink_write(sink->next, self->out, out.pos);
		CHECK_FOR_INTERRUPTS();
	} while (in.pos < in.size || (out.pos == out.size && !self->at_frame));
}

static void
unzstd_finish(Sink *sink)
{
	ZstdSink *self = (ZstdSink *) sink;

	if (!self->at_frame)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("zstd data is incomplete")));
	zstd_release(self);
	sink_finish(sink->next);
}
