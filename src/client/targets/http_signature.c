/*
 * http_signature.c
 *		HMAC by OpenSSL.
 */
#ifdef HAVE_LIBCURL

#include "client/targets/http_signature.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "client/disk.h"
#include "client/log.h"

#define ENCODED_START "whsec_"

static void
decode_secret(Bytes *secret, const char *path)
{
	const char *text = secret->data + strlen(ENCODED_START);
	size_t		length = secret->length - strlen(ENCODED_START);
	size_t		padding = 0;
	Bytes		decoded = {0};
	int			n;

	while (padding < 2 && padding < length &&
		   text[length - 1 - padding] == '=')
		padding++;
	mem_reserve(&decoded, length);
	n = EVP_DecodeBlock((unsigned char *) decoded.data,
						(const unsigned char *) text, (int) length);
	if (n <= (int) padding)
		client_exit(EXIT_USAGE, "the secret in \"%s\" is not base64", path);
	decoded.length = n - padding;
	mem_free(secret);
	*secret = decoded;
}

Bytes
http_read_secret(const char *path)
{
	char *line = disk_read_secret(path);
	Bytes secret = {0};

	mem_add(&secret, line);
	if (strncmp(secret.data, ENCODED_START, strlen(ENCODED_START)) == 0)
		decode_secret(&secret, path);
	free(line);
	return secret;
}

char *
http_signature(const Bytes *secret, const char *id, const char *timestamp,
			   const Bytes *body)
{
	Bytes		  text = {0};
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned char encoded[EVP_MAX_MD_SIZE * 2];
	unsigned	  length = 0;

	mem_format(&text, "%s.%s.", id, timestamp);
	mem_append(&text, body->data, body->length);
	if (HMAC(EVP_sha256(), secret->data, (int) secret->length,
			 (unsigned char *) text.data, text.length, mac, &length) == NULL)
		client_exit(EXIT_FAILED, "could not sign a request");
	EVP_EncodeBlock(encoded, mac, (int) length);
	mem_free(&text);
	return client_format("v1,%s", encoded);
}

#endif /* HAVE_LIBCURL */
