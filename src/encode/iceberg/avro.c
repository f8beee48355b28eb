/*
 * avro.c
 *		Writes values of Avro, and files of them.
 */
#include "postgres.h"

#include "encode/iceberg/avro.h"

#define MAX_VARINT 10

/* Zigzag, then seven bits a byte. */
void
avro_put_long(ByteBuffer *out, int64 value)
{
	uint64 rest = ((uint64) value << 1) ^ (uint64) (value >> 63);
	char  *at = buffer_reserve(out, MAX_VARINT);

	while (rest > 0x7F)
	{
		*at++ = (char) (rest | 0x80);
		rest >>= 7;
	}
	*at++ = (char) rest;
	buffer_set_end(out, at);
}

void
avro_put_bytes(ByteBuffer *out, const char *data, size_t len)
{
	avro_put_long(out, (int64) len);
	buffer_append(out, data, len);
}

void
avro_put_string(ByteBuffer *out, const char *text)
{
	avro_put_bytes(out, text, strlen(text));
}

void
avro_put_head(ByteBuffer *out, const char *schema, const List *metadata,
			  const char *sync)
{
	const ListCell *cell;

	buffer_append_literal(out, "Obj\1");
	avro_put_long(out, list_length(metadata) / 2 + 2);
	avro_put_string(out, "avro.schema");
	avro_put_string(out, schema);
	avro_put_string(out, "avro.codec");
	avro_put_string(out, "null");
	foreach (cell, metadata)
		avro_put_string(out, lfirst(cell));
	avro_put_long(out, 0);
	buffer_append(out, sync, AVRO_SYNC_SIZE);
}

void
avro_put_block(ByteBuffer *out, int64 count, const ByteBuffer *values,
			   const char *sync)
{
	if (count == 0)
		return;
	avro_put_long(out, count);
	avro_put_bytes(out, values->data, values->len);
	buffer_append(out, sync, AVRO_SYNC_SIZE);
}
