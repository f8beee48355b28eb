/*
 * parquet_codec.c
 *		Compression of pages: one row per codec.
 *
 * Every page is compressed by itself.  GZIP is a gzip member, LZ4 the raw
 * block, ZSTD a frame: what the libraries themselves write.
 */
#include "postgres.h"

#include <limits.h>
#include <lz4.h>
#include <lz4hc.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include "encode/parquet/parquet_leaf.h"
#include "option.h"

static void
codec_failed(const char *name, const char *reason)
{
	ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
					errmsg("could not compress a Parquet page with %s: %s",
						   name, reason)));
}

static void *
begin_nothing(void)
{
	static char nothing;

	return &nothing;
}

static void
end_nothing(void *state)
{
}

/* ---- snappy ---- */

static size_t
snappy_bound(size_t len)
{
	return snappy_max_compressed_length(len);
}

static size_t
snappy_page(void *state, int level, bool numbers, const char *src, size_t len,
			char *dst, size_t size)
{
	if (snappy_compress(src, len, dst, &size) != SNAPPY_OK)
		codec_failed("snappy", "the library refused it");
	return size;
}

/* ---- gzip ---- */

static void *
gzip_begin(void)
{
	z_stream *stream = calloc(1, sizeof(z_stream));

	/* 15 bits of window, 16 for gzip's header and trailer */
	if (stream && deflateInit2(stream, 6, Z_DEFLATED, 15 + 16, 8,
							   Z_DEFAULT_STRATEGY) != Z_OK)
	{
		free(stream);
		stream = NULL;
	}
	return stream;
}

static void
gzip_end(void *state)
{
	deflateEnd(state);
	free(state);
}

static size_t
gzip_bound(size_t len)
{
	/* zlib's own bound needs a stream; header and trailer take 18 bytes */
	return compressBound(len) + 18;
}

static size_t
gzip_page(void *state, int level, bool numbers, const char *src, size_t len,
		  char *dst, size_t size)
{
	z_stream *stream = state;

	deflateReset(stream);
	deflateParams(stream, level, Z_DEFAULT_STRATEGY);
	stream->next_in = (Bytef *) src;
	stream->avail_in = (uInt) len;
	stream->next_out = (Bytef *) dst;
	stream->avail_out = (uInt) Min(size, UINT_MAX);
	if (deflate(stream, Z_FINISH) != Z_STREAM_END)
		codec_failed("gzip", stream->msg ? stream->msg : "no room");
	return (char *) stream->next_out - dst;
}

/* ---- zstd ---- */

static void *
zstd_begin(void)
{
	return ZSTD_createCCtx();
}

static void
zstd_end(void *state)
{
	ZSTD_freeCCtx(state);
}

static size_t
zstd_bound(size_t len)
{
	return ZSTD_compressBound(len);
}

/*
 * The quickest level looks for matches of six or seven bytes, and there are
 * numbers that share no more than their five greatest.
 */
static size_t
zstd_page(void *state, int level, bool numbers, const char *src, size_t len,
		  char *dst, size_t size)
{
	size_t n;

	ZSTD_CCtx_setParameter(state, ZSTD_c_compressionLevel, level);
	ZSTD_CCtx_setParameter(state, ZSTD_c_minMatch,
						   numbers && level == 1 ? 5 : 0);
	n = ZSTD_compress2(state, dst, size, src, len);
	if (ZSTD_isError(n))
		codec_failed("zstd", ZSTD_getErrorName(n));
	return n;
}

/* ---- lz4 ---- */

static size_t
lz4_bound(size_t len)
{
	return len > LZ4_MAX_INPUT_SIZE ? len : LZ4_compressBound((int) len);
}

static size_t
lz4_page(void *state, int level, bool numbers, const char *src, size_t len,
		 char *dst, size_t size)
{
	int n = 0;

	if (len <= LZ4_MAX_INPUT_SIZE)
		n = level < LZ4HC_CLEVEL_MIN
				? LZ4_compress_default(src, dst, (int) len,
									   (int) Min(size, INT_MAX))
				: LZ4_compress_HC(src, dst, (int) len,
								  (int) Min(size, INT_MAX), level);
	if (n <= 0)
		codec_failed("lz4", "the library refused it");
	return n;
}

static const ParquetCodec codecs[] = {
	{.compression = COMPRESSION_ZSTD,
	 .id = 6,
	 .default_level = 3,
	 .quick_level = 1,
	 .bound = zstd_bound,
	 .compress = zstd_page,
	 .begin = zstd_begin,
	 .end = zstd_end},
	{.compression = COMPRESSION_SNAPPY,
	 .id = 1,
	 .bound = snappy_bound,
	 .compress = snappy_page,
	 .begin = begin_nothing,
	 .end = end_nothing},
	{.compression = COMPRESSION_GZIP,
	 .id = 2,
	 .default_level = 6,
	 .quick_level = 1,
	 .bound = gzip_bound,
	 .compress = gzip_page,
	 .begin = gzip_begin,
	 .end = gzip_end},
	/* the format's LZ4_RAW: what it calls LZ4 is deprecated */
	{.compression = COMPRESSION_LZ4,
	 .id = 7,
	 .default_level = 1,
	 .quick_level = 1,
	 .bound = lz4_bound,
	 .compress = lz4_page,
	 .begin = begin_nothing,
	 .end = end_nothing},
	/* pages are taken as they are */
	{.compression = COMPRESSION_NONE,
	 .begin = begin_nothing,
	 .end = end_nothing},
};

const ParquetCodec *
parquet_codec_parse(const char *text, int *level)
{
	Compression compression = compression_parse(text ? text : "zstd", true);

	*level = compression.has_level ? compression.level : 0;
	for (int i = 0; i < lengthof(codecs); i++)
	{
		if (codecs[i].compression == compression.id)
			return &codecs[i];
	}
	elog(ERROR, "pages cannot be compressed with %s", compression.name);
}
