/*
 * parquet_read.c
 *		How many rows a Parquet file says it has: for verification.
 *
 * Reads the metadata at the file's end, whole, and trusts nothing in it.
 */
#include "postgres.h"

#include "encode/encode.h"
#include "encode/parquet/parquet_bits.h"

#define TRAILER_SIZE (sizeof(uint32) + 4) /* length and magic */

/* Thrift's types that Parquet's metadata don't use, but readers skip. */
#define THRIFT_DOUBLE 7
#define THRIFT_SET	  10

typedef struct Reader
{
	const uint8 *at;
	const uint8 *end;
	bool		 failed;
} Reader;

static uint8
read_byte(Reader *reader)
{
	if (reader->at >= reader->end)
	{
		reader->failed = true;
		return 0;
	}
	return *reader->at++;
}

static uint64
read_varint(Reader *reader)
{
	uint64 value = 0;

	for (int shift = 0; shift < 64; shift += 7)
	{
		uint8 byte = read_byte(reader);

		value |= (uint64) (byte & 0x7F) << shift;
		if (byte < 0x80)
			return value;
	}
	reader->failed = true;
	return 0;
}

static int64
read_zigzag(Reader *reader)
{
	uint64 value = read_varint(reader);

	return (int64) (value >> 1) ^ -(int64) (value & 1);
}

static void
skip_bytes(Reader *reader, uint64 n)
{
	if (n > (uint64) (reader->end - reader->at))
		reader->failed = true;
	else
		reader->at += n;
}

/* The type of the next field, 0 at the end of the struct. */
static int
thrift_read_field(Reader *reader, int64 *id)
{
	uint8 byte = read_byte(reader);

	if (byte == 0)
		return 0;
	*id = byte >> 4 ? *id + (byte >> 4) : read_zigzag(reader);
	return byte & 0x0F;
}

static uint64
read_list(Reader *reader, int *type)
{
	uint8 byte = read_byte(reader);

	*type = byte & 0x0F;
	return byte >> 4 == 15 ? read_varint(reader) : byte >> 4;
}

static void skip_value(Reader *reader, int type, int depth);

static void
skip_struct(Reader *reader, int depth)
{
	int64 id = 0;
	int	  type;

	while (!reader->failed && (type = thrift_read_field(reader, &id)) != 0)
		skip_value(reader, type, depth);
}

static void
skip_list(Reader *reader, int depth)
{
	int	   type;
	uint64 n = read_list(reader, &type);

	for (uint64 i = 0; i < n && !reader->failed; i++)
	{
		if (type == THRIFT_TRUE || type == THRIFT_FALSE)
			(void) read_byte(reader);
		else
			skip_value(reader, type, depth);
	}
}

static void
skip_value(Reader *reader, int type, int depth)
{
	if (depth >= THRIFT_DEPTH)
	{
		reader->failed = true;
		return;
	}
	switch (type)
	{
		case THRIFT_TRUE:
		case THRIFT_FALSE:
			break;
		case THRIFT_I8:
			(void) read_byte(reader);
			break;
		case THRIFT_I16:
		case THRIFT_I32:
		case THRIFT_I64:
			(void) read_varint(reader);
			break;
		case THRIFT_DOUBLE:
			skip_bytes(reader, 8);
			break;
		case THRIFT_BINARY:
			skip_bytes(reader, read_varint(reader));
			break;
		case THRIFT_LIST:
		case THRIFT_SET:
			skip_list(reader, depth + 1);
			break;
		case THRIFT_STRUCT:
			skip_struct(reader, depth + 1);
			break;
		default:
			reader->failed = true;
	}
}

static int64
read_group_rows(Reader *reader)
{
	int64 rows = 0;
	int64 id = 0;
	int	  type;

	while (!reader->failed && (type = thrift_read_field(reader, &id)) != 0)
	{
		if (id == 3 && type == THRIFT_I64)
			rows = read_zigzag(reader);
		else
			skip_value(reader, type, 2);
	}
	return rows;
}

static int64
read_groups(Reader *reader)
{
	int	   type;
	uint64 n = read_list(reader, &type);
	int64  rows = 0;

	if (n > 0 && type != THRIFT_STRUCT)
		reader->failed = true;
	for (uint64 i = 0; i < n && !reader->failed; i++)
		rows += read_group_rows(reader);
	return rows;
}

/* The file's rows, and whether they are those of its row groups. */
static bool
read_metadata(Reader *reader, int64 *rows)
{
	int64 file_rows = -1;
	int64 group_rows = -1;
	int64 id = 0;
	int	  type;

	while (!reader->failed && (type = thrift_read_field(reader, &id)) != 0)
	{
		if (id == 3 && type == THRIFT_I64)
			file_rows = read_zigzag(reader);
		else if (id == 4 && type == THRIFT_LIST)
			group_rows = read_groups(reader);
		else
			skip_value(reader, type, 0);
	}
	*rows = file_rows;
	return !reader->failed && reader->at == reader->end && file_rows >= 0 &&
		   file_rows == group_rows;
}

size_t
parquet_tail_size(const char *tail, size_t len)
{
	uint32 size;

	if (len < TRAILER_SIZE ||
		memcmp(tail + len - strlen(PARQUET_MAGIC), PARQUET_MAGIC,
			   strlen(PARQUET_MAGIC)) != 0)
		return 0;
	memcpy(&size, tail + len - TRAILER_SIZE, sizeof(size));
	return size + TRAILER_SIZE;
}

bool
parquet_tail_rows(const char *tail, size_t len, int64 *rows)
{
	size_t size = parquet_tail_size(tail, len);
	Reader reader;

	if (size == 0 || size > len)
		return false;
	reader.at = (const uint8 *) tail + len - size;
	reader.end = (const uint8 *) tail + len - TRAILER_SIZE;
	reader.failed = false;
	return read_metadata(&reader, rows);
}
