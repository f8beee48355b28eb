/*
 * age.h
 *		What the files of the age stage share.
 */
#ifndef OUTFLOW_AGE_H
#define OUTFLOW_AGE_H

#include "lib/stringinfo.h"
#include "sink/stage.h"

#define AGE_KEY_LEN		 32 /* X25519, HMAC and ChaCha20-Poly1305 keys */
#define AGE_FILE_KEY_LEN 16
#define AGE_NONCE_LEN	 12
#define AGE_TAG_LEN		 16

/* Each of them costs a key agreement and 100 bytes in every file. */
#define AGE_MAX_RECIPIENTS 100

struct AgeRecipients
{
	int	  count;
	uint8 keys[FLEXIBLE_ARRAY_MEMBER][AGE_KEY_LEN];
};

/* bech32.c: NULL if well, else a sentence that says what is wrong. */
extern const char *bech32_decode(const char *text, const char *prefix,
								 uint8 *data, size_t len);

/* age_key.c: false when OpenSSL refused; see openssl_reason(). */
extern bool age_derive(uint8 *out, size_t out_len, const uint8 *key,
					   size_t key_len, const uint8 *salt, size_t salt_len,
					   const char *info);
/* A file key wrapped for one recipient, as a stanza of the header. */
extern bool age_wrap(StringInfo header, const uint8 *file_key,
					 const uint8 *recipient);
/* Ends the header with the proof that its writer knew the file key. */
extern bool age_authenticate(StringInfo header, const uint8 *file_key);

#endif /* OUTFLOW_AGE_H */
