/*
 * checksum.c
 *		The sums by which stored files are recognized, and how users name them.
 *
 * xxh128 (XXH3 in its 128-bit form, xxhash.h's canonical byte order, as
 * xxh128sum prints it) finds every accident and costs next to nothing; sha256
 * also withstands an attacker who wants another file to pass.
 *
 * SHA-256 comes from OpenSSL directly: the server's own wrapper binds a hash
 * to the resource owner that made it, and a chain may outlive that one.
 *
 * A new method is three functions and one row here.
 */
#include "postgres.h"

#include <openssl/evp.h>
#include <xxhash.h>

#include "utils/builtins.h"

#include "compat.h"
#include "sink/stage.h"

static void *
xxh128_begin(void)
{
	XXH3_state_t *state = XXH3_createState();

	if (state == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	(void) XXH3_128bits_reset(state);
	return state;
}

static void
xxh128_add(void *state, const char *data, size_t len)
{
	(void) XXH3_128bits_update(state, data, len);
}

static void
xxh128_end(void *state, uint8 *sum)
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
	memcpy(sum, canonical.digest, sizeof(canonical.digest));
}

static void
xxh128_release(void *state)
{
	(void) XXH3_freeState(state);
}

pg_noreturn static void
sha256_failed(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("could not compute SHA-256: %s", openssl_reason())));
}

static void *
sha256_begin(void)
{
	EVP_MD_CTX *state = EVP_MD_CTX_new();

	if (state == NULL || EVP_DigestInit_ex(state, EVP_sha256(), NULL) != 1)
	{
		EVP_MD_CTX_free(state);
		sha256_failed();
	}
	return state;
}

static void
sha256_add(void *state, const char *data, size_t len)
{
	if (EVP_DigestUpdate(state, data, len) != 1)
		sha256_failed();
}

static void
sha256_end(void *state, uint8 *sum)
{
	unsigned int len;

	if (EVP_DigestFinal_ex(state, sum, &len) != 1 || len != 32)
		sha256_failed();
}

static void
sha256_release(void *state)
{
	EVP_MD_CTX_free(state);
}

const ChecksumMethod checksum_methods[] = {
	{"xxh128", 16, xxh128_begin, xxh128_add, xxh128_end, xxh128_release},
	{"sha256", 32, sha256_begin, sha256_add, sha256_end, sha256_release},
	{NULL},
};

const ChecksumMethod *
checksum_find(const char *name)
{
	for (const ChecksumMethod *method = checksum_methods; method->name;
		 method++)
	{
		if (strcmp(method->name, name) == 0)
			return method;
	}
	return NULL;
}

const ChecksumMethod *
checksum_parse(const char *name)
{
	const ChecksumMethod *method = checksum_find(name);

	if (method == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized checksum method \"%.100s\"", name),
				 errhint("Valid methods are xxh128 and sha256.")));
	return method;
}

bool
checksum_equal(const Checksum *a, const Checksum *b)
{
	return a->method == b->method &&
		   memcmp(a->sum, b->sum, a->method->size) == 0;
}

pg_crc32c
checksum_crc32c(const char *data, size_t len)
{
	pg_crc32c crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, data, len);
	FIN_CRC32C(crc);
	return crc;
}

char *
checksum_to_text(const Checksum *checksum)
{
	return psprintf("%s:%s", checksum->method->name, checksum_hex(checksum));
}

void
checksum_from_text(const char *text, Checksum *checksum)
{
	const char *colon = strchr(text, ':');

	if (colon == NULL)
		elog(ERROR, "invalid checksum \"%s\"", text);
	checksum->method = checksum_find(pnstrdup(text, colon - text));
	if (checksum->method == NULL ||
		strlen(colon + 1) != (size_t) checksum->method->size * 2)
		elog(ERROR, "invalid checksum \"%s\"", text);
	(void) hex_decode(colon + 1, checksum->method->size * 2,
					  (char *) checksum->sum);
}

char *
checksum_hex(const Checksum *checksum)
{
	int	  len = 2 * checksum->method->size;
	char *hex = palloc(len + 1);

	hex_encode((const char *) checksum->sum, checksum->method->size, hex);
	hex[len] = '\0';
	return hex;
}
