/*
 * parquet_thrift.c
 *		Thrift's compact protocol, as far as Parquet's metadata need it.
 *
 * Fields of a struct are written in the order of their ids.  Structs nest at
 * most THRIFT_DEPTH deep, which Parquet's own definitions never exceed.
 */
#include "postgres.h"

#include "encode/parquet/parquet_bits.h"

static void
put_varint(Thrift *thrift, uint64 value)
{
	thrift->out->len += varint_put(bytes_reserve(thrift->out, 10), value);
}

static void
put_zigzag(Thrift *thrift, int64 value)
{
	put_varint(thrift, ((uint64) value << 1) ^ (uint64) (value >> 63));
}

static void
put_byte(Thrift *thrift, int value)
{
	*bytes_reserve(thrift->out, 1) = (char) value;
	thrift->out->len++;
}

/* The distance to the field before, or its whole id where that is far. */
static void
put_field(Thrift *thrift, int id, ThriftType type)
{
	int delta = id - thrift->last[thrift->depth];

	Assert(delta > 0);
	if (delta <= 15)
		put_byte(thrift, (delta << 4) | type);
	else
	{
		put_byte(thrift, type);
		put_zigzag(thrift, id);
	}
	thrift->last[thrift->depth] = id;
}

static void
push(Thrift *thrift)
{
	if (++thrift->depth >= THRIFT_DEPTH)
		elog(ERROR, "Parquet metadata nest too deeply");
	thrift->last[thrift->depth] = 0;
}

void
thrift_begin(Thrift *thrift, Bytes *out)
{
	thrift->out = out;
	thrift->depth = 0;
	thrift->last[0] = 0;
}

void
thrift_end(Thrift *thrift)
{
	put_byte(thrift, 0);
	thrift->depth--;
}

void
thrift_bool(Thrift *thrift, int id, bool value)
{
	put_field(thrift, id, value ? THRIFT_TRUE : THRIFT_FALSE);
}

void
thrift_i8(Thrift *thrift, int id, int value)
{
	put_field(thrift, id, THRIFT_I8);
	put_byte(thrift, value);
}

void
thrift_i16(Thrift *thrift, int id, int value)
{
	put_field(thrift, id, THRIFT_I16);
	put_zigzag(thrift, value);
}

void
thrift_i32(Thrift *thrift, int id, int32 value)
{
	put_field(thrift, id, THRIFT_I32);
	put_zigzag(thrift, value);
}

void
thrift_i64(Thrift *thrift, int id, int64 value)
{
	put_field(thrift, id, THRIFT_I64);
	put_zigzag(thrift, value);
}

void
thrift_binary(Thrift *thrift, int id, const void *data, size_t len)
{
	put_field(thrift, id, THRIFT_BINARY);
	thrift_element_binary(thrift, data, len);
}

void
thrift_string(Thrift *thrift, int id, const char *value)
{
	thrift_binary(thrift, id, value, strlen(value));
}

void
thrift_struct(Thrift *thrift, int id)
{
	put_field(thrift, id, THRIFT_STRUCT);
	push(thrift);
}

void
thrift_struct_copy(Thrift *thrift, int id, const char *data, size_t len)
{
	put_field(thrift, id, THRIFT_STRUCT);
	bytes_append(thrift->out, data, len);
}

void
thrift_empty(Thrift *thrift, int id)
{
	thrift_struct(thrift, id);
	thrift_end(thrift);
}

void
thrift_list(Thrift *thrift, int id, ThriftType element, int n)
{
	put_field(thrift, id, THRIFT_LIST);
	if (n < 15)
		put_byte(thrift, (n << 4) | element);
	else
	{
		put_byte(thrift, 0xF0 | element);
		put_varint(thrift, n);
	}
}

void
thrift_element_struct(Thrift *thrift)
{
	push(thrift);
}

void
thrift_element_bool(Thrift *thrift, bool value)
{
	/* what readers accept; the protocol's text says 0 for false */
	put_byte(thrift, value ? THRIFT_TRUE : THRIFT_FALSE);
}

void
thrift_element_int(Thrift *thrift, int64 value)
{
	put_zigzag(thrift, value);
}

void
thrift_element_binary(Thrift *thrift, const void *data, size_t len)
{
	put_varint(thrift, len);
	bytes_append(thrift->out, data, len);
}
