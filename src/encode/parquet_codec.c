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

#include "encode/parquet.h"
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
	return NULL;
}

static void
end_nothing(void *state)
{
}

/* ---- none: pages are taken as they are, compress is never called ---- */

static size_t
none_bound(size_t len)
{
	return len;
}

static size_t
none_compress(void *state, int level, bool numbers, const char *src,
			  size_t len, char *dst, size_t size)
{
	memcpy(dst, src, len);
	return len;
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

/* The first is the default. */
static const ParquetCodec codecs[] = {
	{.name = "zstd",
	 .id = 6,
	 .min_level = 1,
	 .max_level = 19,
	 .default_level = 3,
	 .quick_level = 1,
	 .bound = zstd_bound,
	 .compress = zstd_page,
	 .begin = zstd_begin,
	 .end = zstd_end},
	{.name = "snappy",
	 .id = 1,
	 .bound = snappy_bound,
	 .compress = snappy_page,
	 .begin = begin_nothing,
	 .end = end_nothing},
	{.name = "gzip",
	 .id = 2,
	 .min_level = 1,
	 .max_level = 9,
	 .default_level = 6,
	 .quick_level = 1,
	 .bound = gzip_bound,
	 .compress = gzip_page,
	 .begin = gzip_begin,
	 .end = gzip_end},
	{.name = "lz4_raw",
	 .id = 7,
	 .min_level = 1,
	 .max_level = 12,
	 .default_level = 1,
	 .quick_level = 1,
	 .bound = lz4_bound,
	 .compress = lz4_page,
	 .begin = begin_nothing,
	 .end = end_nothing},
	{.name = "none",
	 .bound = none_bound,
	 .compress = none_compress,
	 .begin = begin_nothing,
	 .end = end_nothing},
};

static void
refuse_codec(const char *text)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized compression \"%s\" of a Parquet file",
					option_shown(text)),
			 errhint("Valid ones are \"zstd\", \"snappy\", \"gzip\", "
					 "\"lz4_raw\" and \"none\"; a level may follow, as in "
					 "\"zstd:7\".")));
}

static int
parse_level(const ParquetCodec *codec, const char *text, const char *digits)
{
	char *end;
	long  level;

	errno = 0;
	level = strtol(digits, &end, 10);
	if (*digits == '\0' || *end != '\0' || errno != 0)
		refuse_codec(text);
	if (codec->max_level == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("compression \"%s\" has no levels", codec->name)));
	if (level < codec->min_level || level > codec->max_level)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("level %ld of compression \"%s\" is out of range",
						level, codec->name),
				 errhint("Its levels are %d to %d.", codec->min_level,
						 codec->max_level)));
	return (int) level;
}

const ParquetCodec *
parquet_codec_parse(const char *text, int *level)
{
	const char *colon;
	size_t		len;
	int			i;

	if (text == NULL)
		text = codecs[0].name;
	colon = strchr(text, ':');
	len = colon ? (size_t) (colon - text) : strlen(text);
	/* what users call it; what the format calls LZ4 is deprecated */
	if (len == 3 && pg_strncasecmp(text, "lz4", len) == 0)
		return parquet_codec_parse(
			colon ? psprintf("lz4_raw%s", colon) : "lz4_raw", level);
	for (i = 0; i < lengthof(codecs); i++)
	{
		const ParquetCodec *codec = &codecs[i];

		if (strlen(codec->name) != len ||
			pg_strncasecmp(codec->name, text, len) != 0)
			continue;
		*level = colon ? parse_level(codec, text, colon + 1) : 0;
		return codec;
	}
	refuse_codec(text);
	return NULL; /* not reached */
}
