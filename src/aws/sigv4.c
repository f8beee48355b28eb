/*
 * sigv4.c
 *		AWS Signature Version 4.
 *
 * The canonical request is fed to its hash as it is made, so nothing limits
 * its length.  Keys are wiped from the stack.
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#include "aws/sigv4.h"

#define HASH_BYTES 32
#define DATE_LEN   8 /* of a time's first part, the day */

/* A text of a given room; full once something did not fit. */
typedef struct Text
{
	char  *data;
	size_t size;
	size_t len;
	bool   full;
} Text;

static void
sigv4_text_add(Text *text, const char *data, size_t len)
{
	if (text->full || len >= text->size - text->len)
	{
		text->full = true;
		return;
	}
	memcpy(text->data + text->len, data, len);
	text->len += len;
	text->data[text->len] = '\0';
}

static void
text_add_string(Text *text, const char *string)
{
	sigv4_text_add(text, string, strlen(string));
}

static bool
text_begin(Text *text, char *out, size_t size)
{
	*text = (Text){.data = out, .size = size};
	if (size > 0)
		out[0] = '\0';
	else
		text->full = true;
	return !text->full;
}

/* RFC 3986's unreserved characters; of a path the slash as well. */
static bool
is_plain(char c, bool in_path)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		   (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
		   c == '~' || (in_path && c == '/');
}

static void
text_add_encoded(Text *text, const char *string, bool in_path)
{
	static const char digits[] = "0123456789ABCDEF";

	for (; *string; string++)
	{
		unsigned char c = *string;
		char		  escape[3] = {'%', digits[c >> 4], digits[c & 15]};

		if (is_plain(*string, in_path))
			sigv4_text_add(text, string, 1);
		else
			sigv4_text_add(text, escape, sizeof(escape));
	}
}

bool
sigv4_encode_path(const char *path, char *out, size_t size)
{
	Text text;

	(void) text_begin(&text, out, size);
	text_add_encoded(&text, path, true);
	return !text.full;
}

/* Sorts the numbers of fields by name, then by value; there are few. */
static void
sort_fields(const HttpField *fields, int count, int *order)
{
	for (int i = 0; i < count; i++)
	{
		int at = i;

		for (; at > 0; at--)
		{
			const HttpField *before = &fields[order[at - 1]];
			int				 by_name = strcmp(before->name, fields[i].name);

			if (by_name < 0 ||
				(by_name == 0 && strcmp(before->value, fields[i].value) <= 0))
				break;
			order[at] = order[at - 1];
		}
		order[at] = i;
	}
}

bool
sigv4_encode_query(const HttpField *parameters, int count, char *out,
				   size_t size)
{
	int	 order[SIGV4_MAX_FIELDS];
	Text text;

	(void) text_begin(&text, out, size);
	if (count > SIGV4_MAX_FIELDS)
		return false;
	sort_fields(parameters, count, order);
	for (int i = 0; i < count; i++)
	{
		if (i > 0)
			text_add_string(&text, "&");
		text_add_encoded(&text, parameters[order[i]].name, false);
		text_add_string(&text, "=");
		text_add_encoded(&text, parameters[order[i]].value, false);
	}
	return !text.full;
}

bool
sigv4_time(time_t now, char *out)
{
	struct tm tm;

	return gmtime_r(&now, &tm) != NULL &&
		   strftime(out, SIGV4_TIME_SIZE, "%Y%m%dT%H%M%SZ", &tm) ==
			   SIGV4_TIME_SIZE - 1;
}

static void
to_hex(const unsigned char *bytes, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < HASH_BYTES; i++)
	{
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * HASH_BYTES] = '\0';
}

bool
sigv4_hash(const void *data, size_t len, char *out)
{
	unsigned char sum[HASH_BYTES];

	if (EVP_Digest(data, len, sum, NULL, EVP_sha256(), NULL) != 1)
		return false;
	to_hex(sum, out);
	return true;
}

static bool
hash_string(EVP_MD_CTX *hash, const char *string)
{
	return EVP_DigestUpdate(hash, string, strlen(string)) == 1;
}

/* Without white space around it, and one space for each run in it. */
static bool
sigv4_hash_value(EVP_MD_CTX *hash, const char *value)
{
	bool begun = false;

	for (;;)
	{
		size_t blank = strspn(value, " \t");
		size_t word;

		value += blank;
		word = strcspn(value, " \t");
		if (word == 0)
			return true;
		if (begun && !hash_string(hash, " "))
			return false;
		if (EVP_DigestUpdate(hash, value, word) != 1)
			return false;
		begun = true;
		value += word;
	}
}

static bool
hash_headers(EVP_MD_CTX *hash, const Sigv4Request *request, const int *order)
{
	for (int i = 0; i < request->nheaders; i++)
	{
		const HttpField *header = &request->headers[order[i]];

		if (!hash_string(hash, header->name) || !hash_string(hash, ":") ||
			!sigv4_hash_value(hash, header->value) || !hash_string(hash, "\n"))
			return false;
	}
	return hash_string(hash, "\n");
}

static void
add_signed_names(Text *text, const Sigv4Request *request, const int *order)
{
	for (int i = 0; i < request->nheaders; i++)
	{
		if (i > 0)
			text_add_string(text, ";");
		text_add_string(text, request->headers[order[i]].name);
	}
}

static bool
hash_request(const Sigv4Request *request, const int *order, const char *names,
			 char *out)
{
	EVP_MD_CTX	 *hash = EVP_MD_CTX_new();
	unsigned char sum[HASH_BYTES];
	bool		  ok;

	ok = hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1 &&
		 hash_string(hash, request->method) && hash_string(hash, "\n") &&
		 hash_string(hash, request->path) && hash_string(hash, "\n") &&
		 hash_string(hash, request->query) && hash_string(hash, "\n") &&
		 hash_headers(hash, request, order) && hash_string(hash, names) &&
		 hash_string(hash, "\n") && hash_string(hash, request->payload_hash) &&
		 EVP_DigestFinal_ex(hash, sum, NULL) == 1;
	EVP_MD_CTX_free(hash);
	if (ok)
		to_hex(sum, out);
	return ok;
}

static bool
hmac(const unsigned char *key, size_t key_len, const char *data, size_t len,
	 unsigned char *out)
{
	return HMAC(EVP_sha256(), key, (int) key_len, (const unsigned char *) data,
				len, out, NULL) != NULL;
}

/* The signature of a text with a key of the day, the region and the service. */
static bool
sign_text(const Sigv4Request *request, const Text *text, char *out)
{
	unsigned char key[HASH_BYTES];
	unsigned char sum[HASH_BYTES];
	char		  first[512];
	Text		  prefixed;
	bool		  ok;

	(void) text_begin(&prefixed, first, sizeof(first));
	text_add_string(&prefixed, "AWS4");
	text_add_string(&prefixed, request->secret);
	ok =
		!prefixed.full &&
		hmac((unsigned char *) first, prefixed.len, request->time, DATE_LEN,
			 key) &&
		hmac(key, HASH_BYTES, request->region, strlen(request->region), key) &&
		hmac(key, HASH_BYTES, request->service, strlen(request->service),
			 key) &&
		hmac(key, HASH_BYTES, "aws4_request", strlen("aws4_request"), key) &&
		hmac(key, HASH_BYTES, text->data, text->len, sum);
	if (ok)
		to_hex(sum, out);
	OPENSSL_cleanse(first, sizeof(first));
	OPENSSL_cleanse(key, sizeof(key));
	return ok;
}

/* day/region/service/aws4_request */
static void
add_scope(Text *text, const Sigv4Request *request)
{
	sigv4_text_add(text, request->time, DATE_LEN);
	text_add_string(text, "/");
	text_add_string(text, request->region);
	text_add_string(text, "/");
	text_add_string(text, request->service);
	text_add_string(text, "/aws4_request");
}

bool
sigv4_sign(const Sigv4Request *request, char *out, size_t size)
{
	int	 order[SIGV4_MAX_FIELDS];
	char names_data[1024];
	char hash[SIGV4_HASH_SIZE];
	char to_sign_data[512];
	char signature[SIGV4_HASH_SIZE];
	Text names;
	Text to_sign;
	Text text;

	if (request->nheaders > SIGV4_MAX_FIELDS ||
		strlen(request->time) != SIGV4_TIME_SIZE - 1)
		return false;
	sort_fields(request->headers, request->nheaders, order);
	(void) text_begin(&names, names_data, sizeof(names_data));
	add_signed_names(&names, request, order);
	if (names.full || !hash_request(request, order, names_data, hash))
		return false;

	(void) text_begin(&to_sign, to_sign_data, sizeof(to_sign_data));
	text_add_string(&to_sign, "AWS4-HMAC-SHA256\n");
	text_add_string(&to_sign, request->time);
	text_add_string(&to_sign, "\n");
	add_scope(&to_sign, request);
	text_add_string(&to_sign, "\n");
	text_add_string(&to_sign, hash);
	if (to_sign.full || !sign_text(request, &to_sign, signature))
		return false;

	(void) text_begin(&text, out, size);
	text_add_string(&text, "AWS4-HMAC-SHA256 Credential=");
	text_add_string(&text, request->key_id);
	text_add_string(&text, "/");
	add_scope(&text, request);
	text_add_string(&text, ",SignedHeaders=");
	text_add_string(&text, names_data);
	text_add_string(&text, ",Signature=");
	text_add_string(&text, signature);
	return !text.full;
}
