/*
 * s3_checksum.c
 *		Sums of what is sent, which the store verifies.
 *
 * They are headers of whole bodies, never trailers: not every store reads
 * those.
 */
#include "postgres.h"

#include <openssl/evp.h>

#include "common/base64.h"
#include "port/pg_bswap.h"
#include "sink/s3/crc64.h"
#include "sink/s3/s3_internal.h"

const char *
s3_checksum_element(const S3Store *store)
{
	switch ((S3Checksum) store->config.checksum)
	{
		case S3_CRC32C:
			return "ChecksumCRC32C";
		case S3_CRC64NVME:
			return "ChecksumCRC64NVME";
		case S3_SHA256:
			return "ChecksumSHA256";
		case S3_MD5:
		case S3_NO_CHECKSUM:
			break;
	}
	return NULL;
}

static void
sum_header(S3Request *request, const char *name, const void *sum, int len)
{
	char text[128];
	int	 used = base64_encode(sum, len, text, sizeof(text) - 1);

	if (used < 0)
		elog(ERROR, "could not encode a checksum");
	text[used] = '\0';
	s3_header(request, name, text);
}

static void
digest_header(S3Request *request, const char *name, const EVP_MD *method)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned int  len;

	if (EVP_Digest(request->body, request->body_len, sum, &len, method,
				   NULL) != 1)
		ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
						errmsg("could not compute a checksum")));
	sum_header(request, name, sum, len);
}

void
s3_crc64_header(S3Request *request, uint64 crc)
{
	crc = pg_hton64(crc);
	sum_header(request, "x-amz-checksum-crc64nvme", &crc, sizeof(crc));
}

const char *
s3_checksum_sent(const S3Request *request)
{
	for (int i = 0; i < request->nheaders; i++)
		if (strncmp(request->headers[i].name, "x-amz-checksum-", 15) == 0)
			return request->headers[i].value;
	return NULL;
}

void
s3_md5_header(S3Request *request)
{
	digest_header(request, "content-md5", EVP_md5());
}

void
s3_checksum_header(S3Request *request)
{
	const char *body = request->body ? request->body : "";
	uint32		crc;

	switch ((S3Checksum) request->store->config.checksum)
	{
		case S3_CRC32C:
			crc = pg_hton32(checksum_crc32c(body, request->body_len));
			sum_header(request, "x-amz-checksum-crc32c", &crc, sizeof(crc));
			break;
		case S3_CRC64NVME:
			s3_crc64_header(request, crc64nvme(0, body, request->body_len));
			break;
		case S3_SHA256:
			digest_header(request, "x-amz-checksum-sha256", EVP_sha256());
			break;
		case S3_MD5:
			s3_md5_header(request);
			break;
		case S3_NO_CHECKSUM:
			break;
	}
}
