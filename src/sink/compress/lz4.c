/*
 * lz4.c
 *		LZ4 in its frame format: one frame with a content checksum when
 *		written, any number of frames when read.
 *
 * The library's stable interface takes no allocator, so its contexts are
 * freed by cleanup or with the memory context.
 */
#include "postgres.h"

#include <lz4frame.h>

#include "miscadmin.h"
#include "sink/stage.h"

/* What one call of the compressor gets; the size of a block in the frame. */
#define LZ4_BLOCK_SIZE (256 * 1024)

typedef struct Lz4Sink
{
	Sink			   base;
	LZ4F_preferences_t preferences;
	LZ4F_cctx		  *cctx;	 /* compressor */
	LZ4F_dctx		  *dctx;	 /* decompressor */
	bool			   begun;	 /* compressor: the header is written */
	bool			   at_frame; /* decompressor: the last frame is complete */
	size_t			   out_size;
	char			  *out;
} Lz4Sink;

static void lz4_write(Sink *sink, const char *data, size_t len);
static void lz4_finish(Sink *sink);
static void unlz4_write(Sink *sink, const char *data, size_t len);
static void unlz4_finish(Sink *sink);
static void lz4_cleanup(Sink *sink);

static const SinkOps lz4_ops = {
	.write = lz4_write,
	.finish = lz4_finish,
	.cleanup = lz4_cleanup,
};

static const SinkOps unlz4_ops = {
	.write = unlz4_write,
	.finish = unlz4_finish,
	.cleanup = lz4_cleanup,
};

static void
lz4_release(void *argument)
{
	Lz4Sink *self = argument;

	(void) LZ4F_freeCompressionContext(self->cctx);
	(void) LZ4F_freeDecompressionContext(self->dctx);
	self->cctx = NULL;
	self->dctx = NULL;
}

static void
lz4_cleanup(Sink *sink)
{
	lz4_release(sink);
	sink_cleanup(sink->next);
}

/* Passes on what the library made, unless that is an error. */
static void
lz4_emit(Lz4Sink *self, size_t made)
{
	if (LZ4F_isError(made))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("could not compress with lz4: %s",
							   LZ4F_getErrorName(made))));
	sink_write(self->base.next, self->out, made);
}

Sink *
lz4_compressor_new(Sink *next, int level)
{
	Lz4Sink *self = sink_stage_new(sizeof(Lz4Sink), &lz4_ops, next);

	self->preferences.frameInfo.blockSizeID = LZ4F_max256KB;
	self->preferences.frameInfo.contentChecksumFlag =
		LZ4F_contentChecksumEnabled;
	self->preferences.compressionLevel = level;
	self->out_size =
		Max(LZ4F_compressBound(LZ4_BLOCK_SIZE, &self->preferences),
			LZ4F_HEADER_SIZE_MAX);
	self->out = palloc(self->out_size);

	sink_guard(lz4_release, self);
	if (LZ4F_isError(LZ4F_createCompressionContext(&self->cctx, LZ4F_VERSION)))
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY),
						errmsg("could not start to compress with lz4")));
	return &self->base;
}

static void
lz4_begin(Lz4Sink *self)
{
	if (self->begun)
		return;
	self->begun = true;
	lz4_emit(self, LZ4F_compressBegin(self->cctx, self->out, self->out_size,
									  &self->preferences));
}

static void
lz4_write(Sink *sink, const char *data, size_t len)
{
	Lz4Sink *self = (Lz4Sink *) sink;

	lz4_begin(self);
	while (len > 0)
	{
		size_t slice = Min(len, LZ4_BLOCK_SIZE);

		lz4_emit(self, LZ4F_compressUpdate(self->cctx, self->out,
										   self->out_size, data, slice, NULL));
		data += slice;
		len -= slice;
		CHECK_FOR_INTERRUPTS();
	}
}

static void
lz4_finish(Sink *sink)
{
	Lz4Sink *self = (Lz4Sink *) sink;

	lz4_begin(self);
	lz4_emit(self,
			 LZ4F_compressEnd(self->cctx, self->out, self->out_size, NULL));
	lz4_release(self);
	sink_finish(sink->next);
}

Sink *
lz4_decompressor_new(Sink *next)
{
	Lz4Sink *self = sink_stage_new(sizeof(Lz4Sink), &unlz4_ops, next);

	self->out_size = SINK_OUT_SIZE;
	self->out = palloc(self->out_size);

	sink_guard(lz4_release, self);
	if (LZ4F_isError(
			LZ4F_createDecompressionContext(&self->dctx, LZ4F_VERSION)))
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY),
						errmsg("could not start to decompress with lz4")));
	return &self->base;
}

static void
unlz4_write(Sink *sink, const char *data, size_t len)
{
	Lz4Sink *self = (Lz4Sink *) sink;
	size_t	 made;

	do
	{
		size_t taken = len;
		size_t left;

		made = self->out_size;
		left =
			LZ4F_decompress(self->dctx, self->out, &made, data, &taken, NULL);
		if (LZ4F_isError(left))
			ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
							errmsg("lz4 data is damaged: %s",
								   LZ4F_getErrorName(left))));
		/* after the end, a call without input would start a new frame */
		self->at_frame = (left == 0);
		sink_write(sink->next, self->out, made);
		data += taken;
		len -= taken;
		CHECK_FOR_INTERRUPTS();
	} while (len > 0 || (made == self->out_size && !self->at_frame));
}

static void
unlz4_finish(Sink *sink)
{
	Lz4Sink *self = (Lz4Sink *) sink;

	if (!self->at_frame)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("lz4 data is incomplete")));
	lz4_release(self);
	sink_finish(sink->next);
}
