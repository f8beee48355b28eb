/*
 * compress.c
 *		The compression methods of whole files.
 *
 * A new method is one file with a compressor and a decompressor, a row here and
 * one in src/compression.c, which knows its name and levels.
 */
#include "postgres.h"

#include "sink/stage.h"

static Sink *none_compressor_new(Sink *next, int level);
static Sink *none_decompressor_new(Sink *next);

static const CompressMethod methods[] = {
	{COMPRESSION_NONE, "", none_compressor_new, none_decompressor_new},
	{COMPRESSION_GZIP, ".gz", gzip_compressor_new, gzip_decompressor_new},
	{COMPRESSION_ZSTD, ".zst", zstd_compressor_new, zstd_decompressor_new},
	{COMPRESSION_LZ4, ".lz4", lz4_compressor_new, lz4_decompressor_new},
};

static Sink *
none_compressor_new(Sink *next, int level)
{
	return next;
}

static Sink *
none_decompressor_new(Sink *next)
{
	return next;
}

const CompressMethod *
compress_parse(const char *text, int *level)
{
	Compression compression = compression_parse(text, false);

	*level = compression.level;
	for (int i = 0; i < lengthof(methods); i++)
	{
		if (methods[i].id == compression.id)
			return &methods[i];
	}
	elog(ERROR, "files cannot be compressed with %s", compression.name);
}
