/*
 * avro_read.c
 *		Reads what avro.c has written, and believes none of it.
 */
#include "postgres.h"

#include "compat.h"
#include "encode/iceberg/avro.h"

pg_noreturn static void
refuse_file(const char *name)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_DATA_CORRUPTED),
		 errmsg("file \"%s\" is damaged, or not of outflow's making", name),
		 errhint("Export to another directory.")));
}

int64
avro_get_long(AvroReader *reader)
{
	uint64 value = 0;

	for (int shift = 0; shift < 64; shift += 7)
	{
		uint8 byte;

		if (reader->at >= reader->end)
			break;
		byte = (uint8) *reader->at++;
		value |= (uint64) (byte & 0x7F) << shift;
		if (byte < 0x80)
			return (int64) (value >> 1) ^ -(int64) (value & 1);
	}
	refuse_file(reader->name);
}

const char *
avro_get_bytes(AvroReader *reader, size_t *len)
{
	int64		size = avro_get_long(reader);
	const char *data = reader->at;

	if (size < 0 || size > reader->end - reader->at)
		refuse_file(reader->name);
	reader->at += size;
	*len = (size_t) size;
	return data;
}

char *
avro_get_string(AvroReader *reader)
{
	size_t		len;
	const char *data = avro_get_bytes(reader, &len);

	return pnstrdup(data, len);
}

static const char *
take_sync(AvroReader *reader)
{
	const char *sync = reader->at;

	if (reader->end - reader->at < AVRO_SYNC_SIZE)
		refuse_file(reader->name);
	reader->at += AVRO_SYNC_SIZE;
	return sync;
}

static bool
is_word(const char *data, size_t len, const char *text)
{
	return len == strlen(text) && memcmp(data, text, len) == 0;
}

/* -1: it is none of them. */
static int
find_word(const char *data, size_t len, const char *const *words, int count)
{
	for (int i = 0; i < count; i++)
	{
		if (is_word(data, len, words[i]))
			return i;
	}
	return -1;
}

void
avro_open(AvroFile *file, const char *name, const char *data, size_t len,
		  const char *const *schemas, int schema_count)
{
	AvroReader *reader = &file->reader;
	int64		count;

	*reader = (AvroReader){data, data + len, name};
	file->schema = -1;
	if (len < 4 || memcmp(data, "Obj\1", 4) != 0)
		refuse_file(name);
	reader->at += 4;
	while ((count = avro_get_long(reader)) > 0)
	{
		for (; count > 0; count--)
		{
			size_t		name_len;
			size_t		value_len;
			const char *key = avro_get_bytes(reader, &name_len);
			const char *value = avro_get_bytes(reader, &value_len);

			if (is_word(key, name_len, "avro.schema"))
				file->schema =
					find_word(value, value_len, schemas, schema_count);
			else if (is_word(key, name_len, "avro.codec") &&
					 !is_word(value, value_len, "null"))
				refuse_file(name);
		}
	}
	if (count < 0 || file->schema < 0)
		refuse_file(name);
	file->sync = take_sync(reader);
}

int64
avro_next_block(AvroFile *file, AvroReader *values)
{
	AvroReader *reader = &file->reader;
	int64		count;
	size_t		len;

	if (reader->at == reader->end)
		return 0;
	count = avro_get_long(reader);
	values->at = avro_get_bytes(reader, &len);
	values->end = values->at + len;
	values->name = reader->name;
	if (count <= 0 ||
		memcmp(take_sync(reader), file->sync, AVRO_SYNC_SIZE) != 0)
		refuse_file(reader->name);
	return count;
}
