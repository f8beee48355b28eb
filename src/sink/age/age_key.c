/*
 * age_key.c
 *		The keys of an age file: recipients, and the header that wraps a file
 *		key for each of them.
 *
 * Follows the age v1 specification.  Each function that holds a secret has
 * one way out, on which it is wiped; none throws while it holds one.
 */
#include "postgres.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>

#include "miscadmin.h"
#include "option.h"
#include "sink/age/age.h"
#include "storage/shmem.h"

#define AGE_WRAP_INFO "age-encryption.org/v1/X25519"

/* HKDF-SHA-256; an empty salt is none. */
bool
age_derive(uint8 *out, size_t out_len, const uint8 *key, size_t key_len,
		   const uint8 *salt, size_t salt_len, const char *info)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, NULL);
	size_t		  made = out_len;
	bool		  ok;

	ok = ctx != NULL && EVP_PKEY_derive_init(ctx) == 1 &&
		 EVP_PKEY_CTX_set_hkdf_md(ctx, EVP_sha256()) == 1 &&
		 EVP_PKEY_CTX_set1_hkdf_key(ctx, key, key_len) == 1 &&
		 (salt_len == 0 ||
		  EVP_PKEY_CTX_set1_hkdf_salt(ctx, salt, salt_len) == 1) &&
		 EVP_PKEY_CTX_add1_hkdf_info(ctx, (const unsigned char *) info,
									 strlen(info)) == 1 &&
		 EVP_PKEY_derive(ctx, out, &made) == 1 && made == out_len;
	EVP_PKEY_CTX_free(ctx);
	return ok;
}

/* ChaCha20-Poly1305 with the all-zero nonce of a key that is used once. */
static bool
age_seal(const uint8 *key, const uint8 *data, int len, uint8 *sealed)
{
	static const uint8 nonce[AGE_NONCE_LEN] = {0};
	EVP_CIPHER_CTX	  *ctx = EVP_CIPHER_CTX_new();
	int				   made = 0;
	int				   rest = 0;
	bool			   ok;

	ok = ctx != NULL &&
		 EVP_EncryptInit_ex(ctx, EVP_chacha20_poly1305(), NULL, key, nonce) ==
			 1 &&
		 EVP_EncryptUpdate(ctx, sealed, &made, data, len) == 1 &&
		 made == len && EVP_EncryptFinal_ex(ctx, sealed + made, &rest) == 1 &&
		 rest == 0 &&
		 EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AGE_TAG_LEN,
							 sealed + len) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

/* Standard base64 without padding; at most 48 bytes, so one line. */
static void
append_base64(StringInfo header, const uint8 *data, int len)
{
	unsigned char text[65]; /* of 48 bytes, and a NUL */
	int			  text_len;

	Assert(len <= 48);
	text_len = EVP_EncodeBlock(text, data, len);
	while (text_len > 0 && text[text_len - 1] == '=')
		text_len--;
	appendBinaryStringInfo(header, (char *) text, text_len);
}

/*
 * The secret that a fresh key pair shares with the recipient, and the public
 * half of that pair.  OpenSSL refuses recipients that make the secret zero.
 */
static bool
age_agree(const uint8 *recipient, uint8 *share, uint8 *secret)
{
	EVP_PKEY	 *own = NULL;
	EVP_PKEY	 *peer;
	EVP_PKEY_CTX *maker;
	EVP_PKEY_CTX *ctx = NULL;
	size_t		  share_len = AGE_KEY_LEN;
	size_t		  secret_len = AGE_KEY_LEN;
	bool		  ok;

	maker = EVP_PKEY_CTX_new_id(EVP_PKEY_X25519, NULL);
	peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, recipient,
									   AGE_KEY_LEN);
	ok = maker != NULL && peer != NULL && EVP_PKEY_keygen_init(maker) == 1 &&
		 EVP_PKEY_keygen(maker, &own) == 1 &&
		 (ctx = EVP_PKEY_CTX_new(own, NULL)) != NULL &&
		 EVP_PKEY_derive_init(ctx) == 1 &&
		 EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
		 EVP_PKEY_derive(ctx, secret, &secret_len) == 1 &&
		 secret_len == AGE_KEY_LEN &&
		 EVP_PKEY_get_raw_public_key(own, share, &share_len) == 1 &&
		 share_len == AGE_KEY_LEN;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_CTX_free(maker);
	EVP_PKEY_free(peer);
	EVP_PKEY_free(own);
	return ok;
}

bool
age_wrap(StringInfo header, const uint8 *file_key, const uint8 *recipient)
{
	uint8 secret[AGE_KEY_LEN];
	uint8 key[AGE_KEY_LEN];
	uint8 salt[2 * AGE_KEY_LEN]; /* our share, then the recipient */
	uint8 body[AGE_FILE_KEY_LEN + AGE_TAG_LEN];
	bool  ok;

	memcpy(salt + AGE_KEY_LEN, recipient, AGE_KEY_LEN);
	ok = age_agree(recipient, salt, secret) &&
		 age_derive(key, sizeof(key), secret, sizeof(secret), salt,
					sizeof(salt), AGE_WRAP_INFO) &&
		 age_seal(key, file_key, AGE_FILE_KEY_LEN, body);
	OPENSSL_cleanse(secret, sizeof(secret));
	OPENSSL_cleanse(key, sizeof(key));
	if (!ok)
		return false;

	appendStringInfoString(header, "-> X25519 ");
	append_base64(header, salt, AGE_KEY_LEN);
	appendStringInfoChar(header, '\n');
	append_base64(header, body, sizeof(body));
	appendStringInfoChar(header, '\n');
	return true;
}

bool
age_authenticate(StringInfo header, const uint8 *file_key)
{
	uint8		 key[AGE_KEY_LEN];
	uint8		 mac[AGE_KEY_LEN];
	unsigned int mac_len = 0;
	bool		 ok;

	appendStringInfoString(header, "---");
	ok = age_derive(key, sizeof(key), file_key, AGE_FILE_KEY_LEN, NULL, 0,
					"header") &&
		 HMAC(EVP_sha256(), key, sizeof(key),
			  (const unsigned char *) header->data, header->len, mac,
			  &mac_len) != NULL &&
		 mac_len == sizeof(mac);
	OPENSSL_cleanse(key, sizeof(key));
	if (!ok)
		return false;

	appendStringInfoChar(header, ' ');
	append_base64(header, mac, sizeof(mac));
	appendStringInfoChar(header, '\n');
	return true;
}

/*
 * The message names a recipient by its position: what stands in its place by
 * mistake may be a secret key.  The statement has it, too, so neither it nor the
 * context goes to the server's log.
 */
static void
decode_recipient(const char *text, int position, uint8 *key)
{
	const char *wrong;

	if (pg_strncasecmp(text, "AGE-SECRET-KEY-", 15) == 0 ||
		option_find_secret(text, strlen(text)))
		wrong = "It is a secret key, which the server must never see.";
	else
		wrong = bech32_decode(text, "age", key, AGE_KEY_LEN);
	if (wrong)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid age recipient at position %d", position),
				 errdetail_internal("%s", wrong),
				 errhint("A recipient is what age-keygen prints as "
						 "public key, \"age1...\"."),
				 errhidestmt(true), errhidecontext(true)));
}

void
age_recipient_check(const char *text, int position)
{
	uint8 key[AGE_KEY_LEN];

	decode_recipient(text, position, key);
}

AgeRecipients *
age_recipients_parse(char *const *texts, int count)
{
	static const uint8 no_key[AGE_FILE_KEY_LEN] = {0};
	AgeRecipients	  *recipients;
	StringInfoData	   trial;

	if (count <= 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("no age recipient to encrypt to")));
	if (count > AGE_MAX_RECIPIENTS)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("too many age recipients: %d", count),
						errdetail("A file can be encrypted to at most %d.",
								  AGE_MAX_RECIPIENTS)));
	recipients = palloc(
		add_size(offsetof(AgeRecipients, keys), mul_size(count, AGE_KEY_LEN)));
	recipients->count = count;
	initStringInfo(&trial);
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		decode_recipient(texts[i], i + 1, recipients->keys[i]);
		/* finds keys without secrecy, and a library that can't encrypt */
		if (!age_wrap(&trial, no_key, recipients->keys[i]))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("cannot encrypt to age recipient at position %d: "
							"%s",
							i + 1, openssl_reason())));
	}
	pfree(trial.data);
	return recipients;
}
