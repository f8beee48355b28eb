/*
 * crc64.c
 *		CRC-64/NVME, eight bytes at a time by tables ("slicing-by-8"), and that
 *		of two texts from theirs.
 *
 * Plain C.  The CRC is that of the NVM Express specification: polynomial
 * 0xad93d23594c93659, bits reflected, all ones before and after.
 */
#include "sink/s3/crc64.h"

#include <string.h>

/* the polynomial with its bits in reverse order, as all values here have them */
#define POLYNOMIAL UINT64_C(0x9a6c9329ac4bc9b5)

static uint64_t tables[8][256];

static void
make_tables(void)
{
	for (int i = 0; i < 256; i++)
	{
		uint64_t crc = i;

		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
		tables[0][i] = crc;
	}
	for (int slice = 1; slice < 8; slice++)
		for (int i = 0; i < 256; i++)
			tables[slice][i] = (tables[slice - 1][i] >> 8) ^
							   tables[0][tables[slice - 1][i] & 0xff];
}

/* The next eight bytes, whatever this machine's order of them is. */
static uint64_t
crc64_word(const unsigned char *at)
{
	uint64_t word;

	memcpy(&word, at, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	word = __builtin_bswap64(word);
#endif
	return word;
}

uint64_t
crc64nvme(uint64_t crc, const void *data, size_t len)
{
	const unsigned char *at = data;

	if (tables[0][1] == 0)
		make_tables();
	crc = ~crc;
	for (; len >= 8; len -= 8, at += 8)
	{
		crc ^= crc64_word(at);
		crc = tables[7][crc & 0xff] ^ tables[6][(crc >> 8) & 0xff] ^
			  tables[5][(crc >> 16) & 0xff] ^ tables[4][(crc >> 24) & 0xff] ^
			  tables[3][(crc >> 32) & 0xff] ^ tables[2][(crc >> 40) & 0xff] ^
			  tables[1][(crc >> 48) & 0xff] ^ tables[0][crc >> 56];
	}
	for (; len > 0; len--, at++)
		crc = (crc >> 8) ^ tables[0][(crc ^ *at) & 0xff];
	return ~crc;
}

/* a * b as polynomials, modulo the CRC's; the highest bit is x^0. */
static uint64_t
multiply(uint64_t a, uint64_t b)
{
	uint64_t product = 0;

	for (; a; a <<= 1)
	{
		if (a >> 63)
			product ^= b;
		b = (b >> 1) ^ (b & 1 ? POLYNOMIAL : 0);
	}
	return product;
}

uint64_t
crc64nvme_join(uint64_t first, uint64_t second, uint64_t second_len)
{
	/* x^8, squared again and again: what bytes after it do to a CRC */
	uint64_t power = UINT64_C(1) << (63 - 8);

	for (; second_len; second_len >>= 1)
	{
		if (second_len & 1)
			first = multiply(power, first);
		power = multiply(power, power);
	}
	return first ^ second;
}
