/*
 * sum.c
 *		xxh128 (XXH3 in its 128-bit form, as xxh128sum prints it) and SHA-256.
 */
#include "client/sum.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <xxhash.h>

#include "client/log.h"
#include "client/memory.h"

#define READ_BYTES (256 * 1024)

static void
sum_hex(const unsigned char *digest, size_t length, char *hex)
{
	size_t i;

	for (i = 0; i < length; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

bool
sum_file(int fd, const bool wanted[MANIFEST_SUMS],
		 char sums[MANIFEST_SUMS][SUM_HEX], long long *bytes)
{
	XXH3_state_t	  *xxh = XXH3_createState();
	EVP_MD_CTX		  *sha = EVP_MD_CTX_new();
	char			  *buffer = client_alloc(READ_BYTES);
	XXH128_canonical_t canonical;
	unsigned char	   digest[EVP_MAX_MD_SIZE];
	unsigned int	   digest_length = 0;
	ssize_t			   got;

	if (xxh == NULL || sha == NULL ||
		EVP_DigestInit_ex(sha, EVP_sha256(), NULL) != 1)
		client_exit(EXIT_FAILED, "could not compute checksums");
	(void) XXH3_128bits_reset(xxh);
	(void) posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	*bytes = 0;
	while ((got = read(fd, buffer, READ_BYTES)) > 0 ||
		   (got < 0 && errno == EINTR))
	{
		if (got < 0)
			continue;
		*bytes += got;
		if (wanted[0])
			(void) XXH3_128bits_update(xxh, buffer, got);
		if (wanted[1])
			(void) EVP_DigestUpdate(sha, buffer, got);
	}
	XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(xxh));
	sum_hex(canonical.digest, sizeof(canonical.digest), sums[0]);
	(void) EVP_DigestFinal_ex(sha, digest, &digest_length);
	sum_hex(digest, digest_length, sums[1]);
	(void) XXH3_freeState(xxh);
	EVP_MD_CTX_free(sha);
	free(buffer);
	return got == 0;
}
