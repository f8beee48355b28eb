/*
 * parquet_bits.h
 *		Bits and bytes of the Parquet writer: buffers, varints, runs of small
 *		numbers, Thrift's compact protocol.
 *
 * They know nothing of rows and types.
 */
#ifndef OUTFLOW_PARQUET_BITS_H
#define OUTFLOW_PARQUET_BITS_H

#define PARQUET_MAGIC "PAR1" /* at both ends of a file */

/* ---- parquet_bytes.c: a buffer that may pass 1 GB ---- */

typedef struct Bytes
{
	char		 *data;
	size_t		  len;
	size_t		  cap;
	MemoryContext context;
} Bytes;

extern void bytes_init(Bytes *bytes, MemoryContext context);
extern void bytes_grow(Bytes *bytes, size_t n);
extern void bytes_free(Bytes *bytes);

/* Room for n more bytes; the caller then adds to len what it wrote. */
static inline char *
bytes_reserve(Bytes *bytes, size_t n)
{
	if (unlikely(bytes->cap - bytes->len < n))
		bytes_grow(bytes, n);
	return bytes->data + bytes->len;
}

static inline void
bytes_append(Bytes *bytes, const void *data, size_t n)
{
	/* an empty buffer has no address that memcpy() could take */
	if (n == 0)
		return;
	memcpy(bytes_reserve(bytes, n), data, n);
	bytes->len += n;
}

static inline void
bytes_append_uint32(Bytes *bytes, uint32 value)
{
	/* the format and every supported machine are little-endian */
	memcpy(bytes_reserve(bytes, sizeof(value)), &value, sizeof(value));
	bytes->len += sizeof(value);
}

/* Unsigned LEB128; dst has room for 10 bytes. */
extern int varint_put(char *dst, uint64 value);

/* ---- parquet_thrift.c: Thrift's compact protocol ---- */

#define THRIFT_DEPTH 8

typedef enum ThriftType
{
	THRIFT_TRUE = 1,
	THRIFT_FALSE = 2,
	THRIFT_I8 = 3,
	THRIFT_I16 = 4,
	THRIFT_I32 = 5,
	THRIFT_I64 = 6,
	THRIFT_BINARY = 8,
	THRIFT_LIST = 9,
	THRIFT_STRUCT = 12
} ThriftType;

typedef struct Thrift
{
	Bytes *out;
	int	   depth;
	int	   last[THRIFT_DEPTH]; /* id of the field before, per open struct */
} Thrift;

extern void thrift_begin(Thrift *thrift, Bytes *out); /* a top-level struct */
extern void thrift_end(Thrift *thrift);				  /* closes any struct */
extern void thrift_bool(Thrift *thrift, int id, bool value);
extern void thrift_i8(Thrift *thrift, int id, int value);
extern void thrift_i16(Thrift *thrift, int id, int value);
extern void thrift_i32(Thrift *thrift, int id, int32 value);
extern void thrift_i64(Thrift *thrift, int id, int64 value);
extern void thrift_binary(Thrift *thrift, int id, const void *data,
						  size_t len);
extern void thrift_string(Thrift *thrift, int id, const char *value);
extern void thrift_struct(Thrift *thrift, int id);
/* A struct that was written elsewhere, its end included. */
extern void thrift_struct_copy(Thrift *thrift, int id, const char *data,
							   size_t len);
extern void thrift_empty(Thrift *thrift, int id); /* a struct of no fields */
extern void thrift_list(Thrift *thrift, int id, ThriftType element, int n);
extern void thrift_element_struct(Thrift *thrift);
extern void thrift_element_bool(Thrift *thrift, bool value);
extern void thrift_element_int(Thrift *thrift, int64 value);
extern void thrift_element_binary(Thrift *thrift, const void *data,
								  size_t len);

/* ---- parquet_rle.c: runs and bit-packed groups of small numbers ---- */

typedef struct RleEncoder
{
	Bytes  out;
	int	   bits;
	uint32 last;	 /* value of the run that is being counted */
	uint32 run;		 /* its length; from 8 on it will be written as a run */
	uint32 group[8]; /* values that wait to be bit-packed */
	int	   ngroup;
	size_t header;	/* position of the open bit-packed run's header */
	int	   ngroups; /* groups in it; 0: none is open */
} RleEncoder;

extern void rle_init(RleEncoder *rle, int bits, MemoryContext context);
extern void rle_put_slow(RleEncoder *rle, uint32 value);
extern void rle_finish(RleEncoder *rle); /* out is then complete */
extern void rle_reset(RleEncoder *rle);
extern int	bits_needed(uint32 max);

static inline void
rle_put(RleEncoder *rle, uint32 value)
{
	if (likely(value == rle->last && rle->run >= 8))
		rle->run++;
	else
		rle_put_slow(rle, value);
}

/* The same value n times. */
static inline void
rle_put_many(RleEncoder *rle, uint32 value, uint32 n)
{
	for (; n > 0 && !(value == rle->last && rle->run >= 8); n--)
		rle_put_slow(rle, value);
	rle->run += n;
}

#endif /* OUTFLOW_PARQUET_BITS_H */
