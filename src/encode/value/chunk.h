/*
 * chunk.h
 *		Sixteen bytes at a time, for loops that look for few special ones.
 *
 * With SSE2, which every x86-64 has, in a register; elsewhere in loops that
 * compilers know how to make vectors of.  ChunkBits have bit i set where byte i
 * is one of those that were looked for.
 */
#ifndef OUTFLOW_CHUNK_H
#define OUTFLOW_CHUNK_H

#include "port/pg_bitutils.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define CHUNK_SIZE 16

typedef uint32 ChunkBits;

#ifdef __SSE2__

typedef __m128i Chunk;

static inline Chunk
chunk_load(const char *data)
{
	return _mm_loadu_si128((const __m128i *) data);
}

static inline void
chunk_store(char *dst, Chunk chunk)
{
	_mm_storeu_si128((__m128i *) dst, chunk);
}

static inline Chunk
chunk_load_end(const char *data, int len)
{
	uint64 low = 0, high = 0;
	uint32 first, last;

	if (len > 8)
	{
		memcpy(&low, data, 8);
		memcpy(&high, data + len - 8, 8);
		high >>= 8 * (CHUNK_SIZE - len);
	}
	else if (len >= 4)
	{
		memcpy(&first, data, 4);
		memcpy(&last, data + len - 4, 4);
		low = first | (uint64) last << 8 * (len - 4);
	}
	else if (len > 0)
		low = (uint64) (uint8) data[0] |
			  (uint64) (uint8) data[len >> 1] << 8 * (len >> 1) |
			  (uint64) (uint8) data[len - 1] << 8 * (len - 1);
	return _mm_set_epi64x((int64) high, (int64) low);
}

/* Where any of four characters is; the same one may be given twice. */
static inline ChunkBits
chunk_find(Chunk chunk, char a, char b, char c, char d)
{
	return _mm_movemask_epi8(
		_mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(chunk, _mm_set1_epi8(a)),
								  _mm_cmpeq_epi8(chunk, _mm_set1_epi8(b))),
					 _mm_or_si128(_mm_cmpeq_epi8(chunk, _mm_set1_epi8(c)),
								  _mm_cmpeq_epi8(chunk, _mm_set1_epi8(d)))));
}

/* Where either of two characters, or any control character, is. */
static inline ChunkBits
chunk_find_control(Chunk chunk, char a, char b)
{
	const Chunk control = _mm_set1_epi8(0x1F);

	return _mm_movemask_epi8(
		_mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(chunk, _mm_set1_epi8(a)),
								  _mm_cmpeq_epi8(chunk, _mm_set1_epi8(b))),
					 _mm_cmpeq_epi8(_mm_max_epu8(chunk, control), control)));
}

/* Where a byte beyond ASCII is. */
static inline ChunkBits
chunk_find_high(Chunk chunk)
{
	return _mm_movemask_epi8(chunk);
}

#else /* no SSE2 */

typedef struct Chunk
{
	char bytes[CHUNK_SIZE];
} Chunk;

static inline Chunk
chunk_load(const char *data)
{
	Chunk chunk;

	memcpy(chunk.bytes, data, CHUNK_SIZE);
	return chunk;
}

static inline Chunk
chunk_load_end(const char *data, int len)
{
	Chunk chunk = {{0}};

	memcpy(chunk.bytes, data, len);
	return chunk;
}

static inline void
chunk_store(char *dst, Chunk chunk)
{
	memcpy(dst, chunk.bytes, CHUNK_SIZE);
}

static inline ChunkBits
chunk_find(Chunk chunk, char a, char b, char c, char d)
{
	ChunkBits bits = 0;

	for (int i = 0; i < CHUNK_SIZE; i++)
	{
		char byte = chunk.bytes[i];

		bits |= (ChunkBits) (byte == a || byte == b || byte == c || byte == d)
				<< i;
	}
	return bits;
}

static inline ChunkBits
chunk_find_control(Chunk chunk, char a, char b)
{
	ChunkBits bits = 0;

	for (int i = 0; i < CHUNK_SIZE; i++)
	{
		char byte = chunk.bytes[i];

		bits |=
			(ChunkBits) (byte == a || byte == b || (unsigned char) byte < 0x20)
			<< i;
	}
	return bits;
}

static inline ChunkBits
chunk_find_high(Chunk chunk)
{
	ChunkBits bits = 0;

	for (int i = 0; i < CHUNK_SIZE; i++)
		bits |= (ChunkBits) ((unsigned char) chunk.bytes[i] >> 7) << i;
	return bits;
}

#endif /* no SSE2 */

/*
 * The first of len bytes: never looks at what follows them.  If they are
 * less than a chunk, zeroes follow; chunk_bits_of() takes these out of what
 * was found.
 */
static inline Chunk
chunk_load_some(const char *data, int len)
{
	return likely(len >= CHUNK_SIZE) ? chunk_load(data)
									 : chunk_load_end(data, len);
}

static inline ChunkBits
chunk_bits_of(ChunkBits bits, int len)
{
	return likely(len >= CHUNK_SIZE) ? bits : bits & ((1U << len) - 1);
}

/* The first byte that a bit is set for; there must be one. */
static inline int
chunk_first(ChunkBits bits)
{
	return pg_rightmost_one_pos32(bits);
}

#endif /* OUTFLOW_CHUNK_H */
