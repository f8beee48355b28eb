/*
 * age.c
 *		A stage that encrypts to age recipients (age-encryption.org/v1).
 *
 * Each chain has a fresh file key, so no key and nonce ever meet twice, not
 * even when the same part is made again.  The key is wiped once the header is
 * made; what remains is the payload key in OpenSSL's context, which wipes it
 * when freed.
 *
 * The payload is a row of chunks, each with its own tag; the last one is
 * marked.  A chunk is therefore held back until it is known whether more
 * follows.
 */
#include "postgres.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "compat.h"
#include "sink/age/age.h"

#define AGE_CHUNK_LEN		  (64 * 1024)
#define AGE_PAYLOAD_NONCE_LEN 16

typedef struct AgeSink
{
	Sink			base;
	StringInfoData	header; /* emptied once written */
	EVP_CIPHER_CTX *cipher;
	uint64			chunk; /* number of the next one */
	size_t			held;
	char			plain[AGE_CHUNK_LEN];
	char			sealed[AGE_CHUNK_LEN + AGE_TAG_LEN];
} AgeSink;

static void age_write(Sink *sink, const char *data, size_t len);
static void age_finish(Sink *sink);
static void age_cleanup(Sink *sink);

static const SinkOps age_ops = {
	.write = age_write,
	.finish = age_finish,
	.cleanup = age_cleanup,
};

static void
age_release(void *argument)
{
	AgeSink *self = argument;

	EVP_CIPHER_CTX_free(self->cipher);
	self->cipher = NULL;
}

/* Makes the header with its wrapped keys, and readies the cipher. */
static bool
age_begin(AgeSink *self, const AgeRecipients *recipients)
{
	uint8 file_key[AGE_FILE_KEY_LEN];
	uint8 key[AGE_KEY_LEN];
	uint8 nonce[AGE_PAYLOAD_NONCE_LEN];
	bool  ok;

	ok = pg_strong_random(file_key, sizeof(file_key)) &&
		 pg_strong_random(nonce, sizeof(nonce));
	for (int i = 0; ok && i < recipients->count; i++)
		ok = age_wrap(&self->header, file_key, recipients->keys[i]);
	ok = ok && age_authenticate(&self->header, file_key) &&
		 age_derive(key, sizeof(key), file_key, sizeof(file_key), nonce,
					sizeof(nonce), "payload") &&
		 EVP_EncryptInit_ex(self->cipher, EVP_chacha20_poly1305(), NULL, key,
							NULL) == 1;
	OPENSSL_cleanse(file_key, sizeof(file_key));
	OPENSSL_cleanse(key, sizeof(key));
	if (ok)
		appendBinaryStringInfo(&self->header, (char *) nonce, sizeof(nonce));
	return ok;
}

pg_noreturn static void
age_failed(void)
{
	ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
					errmsg("could not encrypt: %s", openssl_reason())));
}

Sink *
age_new(Sink *next, const AgeRecipients *recipients)
{
	AgeSink *self = sink_stage_new(sizeof(AgeSink), &age_ops, next);

	/* room for all stanzas, so that nothing throws while a key is held */
	initStringInfo(&self->header);
	enlargeStringInfo(&self->header, 256 + 128 * recipients->count);
	appendStringInfoString(&self->header, "age-encryption.org/v1\n");

	sink_guard(age_release, self);
	self->cipher = EVP_CIPHER_CTX_new();
	if (self->cipher == NULL || !age_begin(self, recipients))
		age_failed();
	return &self->base;
}

static void
age_write_header(AgeSink *self)
{
	sink_write(self->base.next, self->header.data, self->header.len);
	resetStringInfo(&self->header);
}

/* Encrypts one chunk and passes it on. */
static void
age_emit(AgeSink *self, const char *data, size_t len, bool last)
{
	uint8  nonce[AGE_NONCE_LEN] = {0}; /* counter of 11 bytes, last or not */
	uint64 counter = pg_hton64(self->chunk++);
	uint8 *sealed = (uint8 *) self->sealed;
	int	   made = 0;
	int	   rest = 0;

	memcpy(nonce + 3, &counter, sizeof(counter));
	nonce[AGE_NONCE_LEN - 1] = last ? 1 : 0;
	if (EVP_EncryptInit_ex(self->cipher, NULL, NULL, NULL, nonce) != 1 ||
		EVP_EncryptUpdate(self->cipher, sealed, &made, (const uint8 *) data,
						  len) != 1 ||
		made != len ||
		EVP_EncryptFinal_ex(self->cipher, sealed + made, &rest) != 1 ||
		rest != 0 ||
		EVP_CIPHER_CTX_ctrl(self->cipher, EVP_CTRL_AEAD_GET_TAG, AGE_TAG_LEN,
							sealed + len) != 1)
		age_failed();
	sink_write(self->base.next, self->sealed, len + AGE_TAG_LEN);
}

static void
age_write(Sink *sink, const char *data, size_t len)
{
	AgeSink *self = (AgeSink *) sink;

	age_write_header(self);
	while (len > 0)
	{
		size_t take = Min(len, AGE_CHUNK_LEN - self->held);

		/* more is to come: what is held is not the last chunk */
		if (take == 0)
		{
			age_emit(self, self->plain, AGE_CHUNK_LEN, false);
			self->held = 0;
			continue;
		}
		/* straight from the caller's buffer if more follows it */
		if (self->held == 0 && len > AGE_CHUNK_LEN)
			age_emit(self, data, take, false);
		else
		{
			memcpy(self->plain + self->held, data, take);
			self->held += take;
		}
		data += take;
		len -= take;
		CHECK_FOR_INTERRUPTS();
	}
}

static void
age_finish(Sink *sink)
{
	AgeSink *self = (AgeSink *) sink;

	age_write_header(self);
	age_emit(self, self->plain, self->held, true);
	age_release(self);
	sink_finish(sink->next);
}

static void
age_cleanup(Sink *sink)
{
	age_release(sink);
	sink_cleanup(sink->next);
}
