/*
 * http_text.c
 *		What arrives of an answer, in memory that no callback throws about.
 */
#include "postgres.h"

#include <openssl/crypto.h>

#include "sink/http/http.h"

void
http_text_free(HttpText *text)
{
	if (text->secret && text->data)
		OPENSSL_cleanse(text->data, text->len);
	free(text->data);
	text->data = NULL;
	text->len = text->size = 0;
}

/* realloc() may leave a copy. */
static char *
text_grow(HttpText *text, size_t size)
{
	char *bigger = text->secret ? malloc(size) : realloc(text->data, size);

	if (bigger && text->secret && text->data)
	{
		memcpy(bigger, text->data, text->len);
		OPENSSL_cleanse(text->data, text->len);
		free(text->data);
	}
	return bigger;
}

bool
http_text_add(HttpText *text, const char *data, size_t len)
{
	if (len > text->max - text->len)
		return false;
	if (text->len + len + 1 > text->size)
	{
		size_t size = Max(text->size * 2, text->len + len + 1);
		char  *bigger = text_grow(text, size);

		if (bigger == NULL)
			return false;
		text->data = bigger;
		text->size = size;
	}
	memcpy(text->data + text->len, data, len);
	text->len += len;
	text->data[text->len] = '\0';
	return true;
}
