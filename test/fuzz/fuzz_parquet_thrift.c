/*
 * fuzz_parquet_thrift.c
 *		Thrift's compact protocol, read into trees.
 *
 * Stricter than readers are: fields ascend, numbers fit their types, booleans
 * in lists are what Parquet's writers agree on.
 */
#include "postgres.h"

#include "fuzz_parquet.h"

enum
{
	TYPE_TRUE = 1,
	TYPE_FALSE = 2,
	TYPE_I8 = 3,
	TYPE_I16 = 4,
	TYPE_I32 = 5,
	TYPE_I64 = 6,
	TYPE_BINARY = 8,
	TYPE_LIST = 9,
	TYPE_STRUCT = 12
};

const char *
file_take(FileBytes *bytes, size_t n)
{
	const char *data = (const char *) bytes->at;

	if (n > (size_t) (bytes->end - bytes->at))
		fuzz_fail("%zu bytes are needed, %zu are there", n,
				  (size_t) (bytes->end - bytes->at));
	bytes->at += n;
	return data;
}

uint8
file_byte(FileBytes *bytes)
{
	return *(const uint8 *) file_take(bytes, 1);
}

uint32
file_uint32(FileBytes *bytes)
{
	uint32 number;

	memcpy(&number, file_take(bytes, sizeof(number)), sizeof(number));
	return number;
}

uint64
file_varint(FileBytes *bytes)
{
	uint64 value = 0;

	for (int shift = 0; shift < 64; shift += 7)
	{
		uint8 byte = file_byte(bytes);

		value |= (uint64) (byte & 0x7F) << shift;
		if (byte < 0x80)
			return value;
	}
	fuzz_fail("a varint has no end");
}

static int64
read_zigzag(FileBytes *bytes, int bits)
{
	uint64 number = file_varint(bytes);
	int64  value = (int64) (number >> 1) ^ -(int64) (number & 1);

	if (bits < 64 &&
		value != (int64) ((uint64) value << (64 - bits)) >> (64 - bits))
		fuzz_fail("%lld is too large for %d bits", (long long) value, bits);
	return value;
}

static void
add_item(ThriftNode *node, int id, ThriftNode *item)
{
	if ((node->count & (node->count - 1)) == 0)
	{
		int room = Max(node->count * 2, 1);

		node->ids = node->count == 0 ? palloc(sizeof(int) * room)
									 : repalloc(node->ids, sizeof(int) * room);
		node->items = node->count == 0
						  ? palloc(sizeof(ThriftNode *) * room)
						  : repalloc(node->items, sizeof(ThriftNode *) * room);
	}
	node->ids[node->count] = id;
	node->items[node->count++] = item;
}

static ThriftNode *read_value(FileBytes *bytes, int type);

static void
read_fields(FileBytes *bytes, ThriftNode *node)
{
	int id = 0;

	for (;;)
	{
		uint8 byte = file_byte(bytes);
		int	  before = id;

		if (byte == 0)
			return;
		id = byte >> 4 ? id + (byte >> 4) : read_zigzag(bytes, 16);
		if (id <= before)
			fuzz_fail("field %d follows field %d", id, before);
		add_item(node, id, read_value(bytes, byte & 0x0F));
	}
}

static void
read_elements(FileBytes *bytes, ThriftNode *node)
{
	uint8  byte = file_byte(bytes);
	uint64 n = byte >> 4 == 15 ? file_varint(bytes) : byte >> 4;
	int	   type = byte & 0x0F;

	if (byte >> 4 == 15 && n < 15)
		fuzz_fail("a list of %d elements has a long header", (int) n);
	for (uint64 i = 0; i < n; i++)
	{
		if (type == TYPE_TRUE || type == TYPE_FALSE)
			add_item(node, 0, read_value(bytes, file_byte(bytes)));
		else
			add_item(node, 0, read_value(bytes, type));
	}
}

static ThriftNode *
read_value(FileBytes *bytes, int type)
{
	ThriftNode *node = palloc0(sizeof(ThriftNode));

	node->type = type;
	switch (type)
	{
		case TYPE_TRUE:
		case TYPE_FALSE:
			node->number = type == TYPE_TRUE;
			node->type = TYPE_TRUE;
			break;
		case TYPE_I8:
			node->number = (int8) file_byte(bytes);
			break;
		case TYPE_I16:
			node->number = read_zigzag(bytes, 16);
			break;
		case TYPE_I32:
			node->number = read_zigzag(bytes, 32);
			break;
		case TYPE_I64:
			node->number = read_zigzag(bytes, 64);
			break;
		case TYPE_BINARY:
			node->len = file_varint(bytes);
			node->data = file_take(bytes, node->len);
			break;
		case TYPE_LIST:
			read_elements(bytes, node);
			break;
		case TYPE_STRUCT:
			read_fields(bytes, node);
			break;
		default:
			fuzz_fail("type %d is none that Parquet uses", type);
	}
	return node;
}

ThriftNode *
thrift_read_struct(FileBytes *bytes)
{
	return read_value(bytes, TYPE_STRUCT);
}

ThriftNode *
thrift_get(const ThriftNode *node, int id)
{
	for (int i = 0; i < node->count; i++)
	{
		if (node->ids[i] == id)
			return node->items[i];
	}
	return NULL;
}

static ThriftNode *
get_typed(const ThriftNode *node, int id, int type)
{
	ThriftNode *found = thrift_get(node, id);

	if (found == NULL)
		fuzz_fail("field %d is missing", id);
	if (type != 0 && found->type != type)
		fuzz_fail("field %d has type %d", id, found->type);
	return found;
}

ThriftNode *
thrift_struct_of(const ThriftNode *node, int id)
{
	return get_typed(node, id, TYPE_STRUCT);
}

ThriftNode *
thrift_list_of(const ThriftNode *node, int id)
{
	return get_typed(node, id, TYPE_LIST);
}

int64
thrift_int_of(const ThriftNode *node, int id)
{
	ThriftNode *found = get_typed(node, id, 0);

	if (found->type > TYPE_I64)
		fuzz_fail("field %d is no number", id);
	return found->number;
}

int64
thrift_int_or(const ThriftNode *node, int id, int64 other)
{
	return thrift_get(node, id) ? thrift_int_of(node, id) : other;
}

char *
thrift_string_of(const ThriftNode *node, int id)
{
	ThriftNode *found = get_typed(node, id, TYPE_BINARY);

	return pnstrdup(found->data, found->len);
}
