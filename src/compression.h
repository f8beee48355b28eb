/*
 * compression.h
 *		The compression methods and how users name them: "zstd", "zstd:7".
 *
 * One set of names and levels for whole files (src/sink) and for the pages of
 * Parquet (src/encode).
 */
#ifndef OUTFLOW_COMPRESSION_H
#define OUTFLOW_COMPRESSION_H

typedef enum CompressionId
{
	COMPRESSION_NONE,
	COMPRESSION_GZIP,
	COMPRESSION_ZSTD,
	COMPRESSION_LZ4,
	COMPRESSION_SNAPPY,
	COMPRESSIONS /* how many there are */
} CompressionId;

typedef struct Compression
{
	CompressionId id;
	const char	 *name;
	int			  level; /* the default one if none was named */
	bool		  has_level;
} Compression;

/*
 * Case doesn't count, as in PostgreSQL's own settings.  An error names the valid
 * methods; pages are those of a format that compresses by itself, and may use
 * methods that whole files don't.
 */
extern Compression compression_parse(const char *text, bool pages);
/* One text for all ways to write it; a level that was named stays. */
extern char *compression_text(const Compression *compression);

#endif /* OUTFLOW_COMPRESSION_H */
