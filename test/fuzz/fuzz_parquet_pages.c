/*
 * fuzz_parquet_pages.c
 *		A column chunk's pages, read back into levels and values.
 *
 * Every byte of a page must be accounted for, its CRC be right, every number of
 * a dictionary's entry be in range.
 */
#include "postgres.h"

#include <lz4.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include "fuzz_parquet.h"

enum
{
	PLAIN = 0,
	RLE = 3,
	RLE_DICTIONARY = 8
};

/* What is known while a chunk's pages are read. */
typedef struct ChunkReader
{
	FileLeaf  *leaf;
	FileChunk *chunk;
	int		   codec;
	FileEntry *dictionary;
	int64	   ndictionary; /* -1: none */
	int64	   nplain;		/* data pages */
	int64	   nindexed;
} ChunkReader;

/* ---- compression */

static size_t
inflate_member(const char *data, size_t len, char *out, size_t size)
{
	z_stream stream = {.next_in = (Bytef *) data,
					   .avail_in = len,
					   .next_out = (Bytef *) out,
					   .avail_out = size};
	int		 status;

	if (inflateInit2(&stream, 15 + 16) != Z_OK)
		fuzz_fail("zlib has no memory");
	status = inflate(&stream, Z_FINISH);
	inflateEnd(&stream);
	if (status != Z_STREAM_END || stream.avail_in != 0)
		fuzz_fail("not one gzip member: %d", status);
	return stream.total_out;
}

static FileBytes
decompress(int codec, const char *data, size_t len, size_t size)
{
	static ZSTD_DCtx *zstd = NULL; /* costly to make */
	/* a byte more, so that a page that is larger than it says shows */
	char	 *room = palloc(size + 1);
	char	 *out;
	FileBytes bytes;
	size_t	  n = size + 1;

	switch (codec)
	{
		case 0:
			n = len;
			memcpy(room, data, Min(n, size + 1));
			break;
		case 1:
			if (snappy_uncompress(data, len, room, &n) != SNAPPY_OK)
				fuzz_fail("snappy refuses a page");
			break;
		case 2:
			n = inflate_member(data, len, room, size + 1);
			break;
		case 6:
			if (zstd == NULL)
				zstd = ZSTD_createDCtx();
			n = ZSTD_decompressDCtx(zstd, room, size + 1, data, len);
			break;
		case 7:
			n = LZ4_decompress_safe(data, room, len, size + 1);
			break;
		default:
			fuzz_fail("codec %d", codec);
	}
	if (n != size)
		fuzz_fail("a page of %zu bytes says %zu", n, size);
	out = fuzz_exact(room, size);
	bytes.at = (const uint8 *) out;
	bytes.end = bytes.at + size;
	pfree(room);
	return bytes;
}

/* ---- runs and bit-packed groups */

static void
read_run(FileBytes *bytes, int bits, uint64 length, int *values, int64 left)
{
	uint32 value = 0;
	int	   size = (bits + 7) / 8;

	memcpy(&value, file_take(bytes, size), size);
	if (length == 0 || length > left || value >> bits != 0)
		fuzz_fail("a run of %d times %u, %d values left, %d bits",
				  (int) length, value, (int) left, bits);
	for (uint64 i = 0; i < length; i++)
		values[i] = value;
}

static void
read_groups(FileBytes *bytes, int bits, uint64 groups, int *values, int64 left)
{
	const uint8 *packed;

	if (groups == 0 || groups > (left + 7) / 8)
		fuzz_fail("%d groups for %d values", (int) groups, (int) left);
	packed = (const uint8 *) file_take(bytes, groups * bits);
	for (int64 i = 0; i < groups * 8; i++)
	{
		int value = 0;

		for (int bit = 0; bit < bits; bit++)
		{
			int64 at = i * bits + bit;

			value |= ((packed[at / 8] >> (at % 8)) & 1) << bit;
		}
		if (i < left)
			values[i] = value;
		else if (value != 0)
			fuzz_fail("groups are not filled up with zeros");
	}
}

/* n numbers, which take all of the bytes. */
static int *
read_hybrid(FileBytes bytes, int bits, int64 n)
{
	int	 *values = palloc(sizeof(int) * (n + 1));
	int64 done = 0;

	while (done < n)
	{
		uint64 header = file_varint(&bytes);

		if (header & 1)
		{
			read_groups(&bytes, bits, header >> 1, values + done, n - done);
			done = Min(done + (header >> 1) * 8, n);
		}
		else
		{
			read_run(&bytes, bits, header >> 1, values + done, n - done);
			done += header >> 1;
		}
	}
	if (bytes.at != bytes.end)
		fuzz_fail("%d bytes follow the last run",
				  (int) (bytes.end - bytes.at));
	return values;
}

static int *
read_levels(FileBytes *bytes, int max, int64 n)
{
	FileBytes levels;
	uint32	  size;
	int		  bits = 0;
	int		 *values;

	if (max == 0)
		return palloc0(sizeof(int) * (n + 1));
	while (max >> bits != 0)
		bits++;
	size = file_uint32(bytes);
	levels.at = (const uint8 *) file_take(bytes, size);
	levels.end = levels.at + size;
	values = read_hybrid(levels, bits, n);
	for (int64 i = 0; i < n; i++)
	{
		if (values[i] > max)
			fuzz_fail("a level of %d, %d is the greatest", values[i], max);
	}
	return values;
}

/* ---- values */

static void
read_booleans(FileBytes *bytes, FileEntry *values, int64 n)
{
	static const char both[2] = {0, 1};
	const uint8		 *bits = (const uint8 *) file_take(bytes, (n + 7) / 8);

	for (int64 i = 0; i < n; i++)
	{
		values[i].data = &both[(bits[i / 8] >> (i % 8)) & 1];
		values[i].len = 1;
	}
	if (n % 8 != 0 && bits[n / 8] >> (n % 8) != 0)
		fuzz_fail("booleans are not filled up with zeros");
}

/* n values, which take all of the bytes. */
static FileEntry *
read_plain(const FileLeaf *leaf, FileBytes *bytes, int64 n)
{
	FileEntry *values = palloc0(sizeof(FileEntry) * (n + 1));

	if (leaf->physical == PHYSICAL_BOOLEAN)
		read_booleans(bytes, values, n);
	else
	{
		for (int64 i = 0; i < n; i++)
		{
			values[i].len = leaf->width > 0 ? leaf->width : file_uint32(bytes);
			values[i].data = file_take(bytes, values[i].len);
		}
	}
	if (bytes->at != bytes->end)
		fuzz_fail("%d bytes follow the last value",
				  (int) (bytes->end - bytes->at));
	return values;
}

static FileEntry *
read_indexed(ChunkReader *reader, FileBytes *bytes, int64 n)
{
	FileEntry *values = palloc0(sizeof(FileEntry) * (n + 1));
	int		   bits = file_byte(bytes);
	int		  *numbers;

	if (reader->ndictionary < 0)
		fuzz_fail("a page uses a dictionary that is not there");
	if (bits < 1 || bits > 16)
		fuzz_fail("numbers of %d bits", bits);
	numbers = read_hybrid(*bytes, bits, n);
	for (int64 i = 0; i < n; i++)
	{
		if (numbers[i] >= reader->ndictionary)
			fuzz_fail("entry %d of a dictionary of %d", numbers[i],
					  (int) reader->ndictionary);
		values[i] = reader->dictionary[numbers[i]];
	}
	return values;
}

/* ---- pages */

static int
compare_entries(const void *a, const void *b)
{
	const FileEntry *x = a;
	const FileEntry *y = b;
	int				 cmp = memcmp(x->data, y->data, Min(x->len, y->len));

	return cmp ? cmp : (x->len > y->len) - (x->len < y->len);
}

static void
read_dictionary_page(ChunkReader *reader, const ThriftNode *header,
					 FileBytes *body)
{
	int64	   n = thrift_int_of(header, 1);
	FileEntry *sorted = palloc(sizeof(FileEntry) * (n + 1));

	if (reader->ndictionary >= 0 || reader->chunk->npages > 0)
		fuzz_fail("a dictionary is not the chunk's first page");
	if (n <= 0 || thrift_int_of(header, 2) != PLAIN)
		fuzz_fail("a dictionary of %d entries, encoding %d", (int) n,
				  (int) thrift_int_of(header, 2));
	reader->chunk->dictionary_bytes = body->end - body->at;
	reader->ndictionary = n;
	reader->dictionary = read_plain(reader->leaf, body, n);
	memcpy(sorted, reader->dictionary, sizeof(FileEntry) * n);
	qsort(sorted, n, sizeof(FileEntry), compare_entries);
	for (int64 i = 1; i < n; i++)
	{
		if (compare_entries(&sorted[i - 1], &sorted[i]) == 0)
			fuzz_fail("a dictionary has a value twice");
	}
}

static void
read_data_page(ChunkReader *reader, const ThriftNode *header, FileBytes *body,
			   FilePage *page)
{
	FileLeaf  *leaf = reader->leaf;
	int64	   n = thrift_int_of(header, 1);
	int64	   nvalues = 0;
	int		  *rep, *def;
	FileEntry *values;

	if (n <= 0 || thrift_int_of(header, 3) != RLE ||
		thrift_int_of(header, 4) != RLE)
		fuzz_fail("a page of %d values, or its levels' encoding", (int) n);
	rep = read_levels(body, leaf->max_rep, n);
	def = read_levels(body, leaf->max_def, n);
	for (int64 i = 0; i < n; i++)
		nvalues += def[i] == leaf->max_def;
	if (thrift_int_of(header, 2) == RLE_DICTIONARY)
	{
		values = read_indexed(reader, body, nvalues);
		reader->nindexed++;
	}
	else if (thrift_int_of(header, 2) == PLAIN)
	{
		values = read_plain(leaf, body, nvalues);
		reader->nplain++;
	}
	else
		fuzz_fail("encoding %d", (int) thrift_int_of(header, 2));

	if (rep[0] != 0)
		fuzz_fail("a page begins within a row");
	page->first_row = reader->chunk->rows;
	page->first_entry = leaf->count;
	page->nentries = n;
	for (int64 i = 0; i < n; i++)
	{
		bool filled = def[i] == leaf->max_def;

		file_leaf_put(leaf, rep[i], def[i], filled ? values->data : NULL,
					  filled ? values->len : 0);
		values += filled;
		reader->chunk->rows += rep[i] == 0;
	}
}

/* Returns what the page takes uncompressed, with its header. */
static int64
read_page(ChunkReader *reader, FileBytes *bytes, int64 offset)
{
	FileChunk	*chunk = reader->chunk;
	const uint8 *start = bytes->at;
	ThriftNode	*header = thrift_read_struct(bytes);
	int64		 header_size = bytes->at - start;
	int64		 size = thrift_int_of(header, 2);
	int64		 stored = thrift_int_of(header, 3);
	const char	*data = file_take(bytes, stored);
	FileBytes	 body;

	if (crc32(0, (const Bytef *) data, stored) !=
		(uint32) thrift_int_of(header, 4))
		fuzz_fail("a page's CRC is wrong");
	body = decompress(reader->codec, data, stored, size);
	switch (thrift_int_of(header, 1))
	{
		case 0:
			chunk->pages =
				chunk->npages == 0
					? palloc(sizeof(FilePage))
					: repalloc(chunk->pages,
							   sizeof(FilePage) * (chunk->npages + 1));
			chunk->pages[chunk->npages].offset = offset;
			chunk->pages[chunk->npages].size = bytes->at - start;
			read_data_page(reader, thrift_struct_of(header, 5), &body,
						   &chunk->pages[chunk->npages]);
			chunk->npages++;
			break;
		case 2:
			read_dictionary_page(reader, thrift_struct_of(header, 7), &body);
			break;
		default:
			fuzz_fail("page type %d", (int) thrift_int_of(header, 1));
	}
	return header_size + size;
}

/* What a chunk says of its encodings, as text to compare. */
static void
check_encodings(const ChunkReader *reader, const ThriftNode *metadata)
{
	ThriftNode	  *used = thrift_list_of(metadata, 2);
	ThriftNode	  *counts = thrift_list_of(metadata, 13);
	bool		   levels = reader->leaf->max_def > 0;
	StringInfoData expected, found;

	initStringInfo(&expected);
	initStringInfo(&found);
	appendStringInfoString(&expected, "0 ");
	if (levels || reader->nindexed > 0)
		appendStringInfoString(&expected, "3 ");
	if (reader->nindexed > 0)
		appendStringInfo(&expected, "8 2:0:1 0:8:%d ", (int) reader->nindexed);
	if (reader->nplain > 0)
		appendStringInfo(&expected, "0:0:%d ", (int) reader->nplain);
	for (int i = 0; i < used->count; i++)
		appendStringInfo(&found, "%d ", (int) used->items[i]->number);
	for (int i = 0; i < counts->count; i++)
		appendStringInfo(&found, "%d:%d:%d ",
						 (int) thrift_int_of(counts->items[i], 1),
						 (int) thrift_int_of(counts->items[i], 2),
						 (int) thrift_int_of(counts->items[i], 3));
	if (strcmp(expected.data, found.data) != 0)
		fuzz_fail("encodings are %s, not %s", expected.data, found.data);
	if ((reader->ndictionary >= 0) != (reader->nindexed > 0))
		fuzz_fail("no page uses the dictionary");
}

void
file_read_pages(const char *file, const ThriftNode *metadata, FileLeaf *leaf,
				FileChunk *chunk)
{
	ChunkReader reader = {.leaf = leaf,
						  .chunk = chunk,
						  .codec = thrift_int_of(metadata, 4),
						  .ndictionary = -1};
	int64		data_offset = thrift_int_of(metadata, 9);
	int64		offset = thrift_int_or(metadata, 11, data_offset);
	int64		plain = 0;
	FileBytes	bytes;

	bytes.at = (const uint8 *) file + offset;
	bytes.end = bytes.at + thrift_int_of(metadata, 7);
	chunk->first_entry = leaf->count;
	while (bytes.at < bytes.end)
		plain += read_page(&reader, &bytes, bytes.at - (const uint8 *) file);
	chunk->nentries = leaf->count - chunk->first_entry;
	if (chunk->npages == 0 || chunk->pages[0].offset != data_offset)
		fuzz_fail("the first data page is not where the chunk says");
	if ((data_offset != offset) != (reader.ndictionary >= 0))
		fuzz_fail("the dictionary is not where the chunk says");
	if (plain != thrift_int_of(metadata, 6))
		fuzz_fail("a chunk's uncompressed size");
	if (chunk->nentries != thrift_int_of(metadata, 5))
		fuzz_fail("a chunk's number of values");
	check_encodings(&reader, metadata);
}
