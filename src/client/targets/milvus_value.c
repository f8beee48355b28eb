/*
 * milvus_value.c
 *		Values of records in the forms that fields of Milvus take.
 *
 * The REST API reads a string for what it holds, so that a text is always
 * written as one, and the JSON of a JSON field as a string that holds it: bare,
 * "abc" would be stored as abc, which is no JSON.
 */
#ifdef HAVE_LIBCURL

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "client/targets/milvus.h"

/* A JSON string with the value's own text in it. */
static void
append_as_string(Bytes *out, const JsonValue *value)
{
	char *text = client_strndup(value->data, value->length);

	json_append_text(out, text);
	free(text);
}

/* What is between its quotes; a vector's text has nothing to escape. */
static JsonValue
without_quotes(const JsonValue *value)
{
	if (value->length >= 2 && value->data[0] == '"')
		return (JsonValue){value->data + 1, value->length - 2};
	return *value;
}

static bool
append_vector(Bytes *out, const JsonValue *value)
{
	JsonValue text = without_quotes(value);

	if (text.length < 2 || text.data[0] != '[')
		return false;
	mem_append(out, text.data, text.length);
	return true;
}

/* The first bit is the highest of its byte, there as here. */
static bool
append_bits(Bytes *out, const JsonValue *value)
{
	JsonValue	   text = without_quotes(value);
	size_t		   nbytes = text.length / 8;
	unsigned char *bytes;
	size_t		   i;

	if (text.length == 0 || text.length % 8 != 0)
		return false;
	bytes = client_alloc(nbytes);
	for (i = 0; i < text.length; i++)
		if (text.data[i] == '1')
			bytes[i / 8] |= 0x80 >> (i % 8);
		else if (text.data[i] != '0')
			break;
	if (i == text.length)
	{
		mem_add(out, "\"");
		mem_reserve(out, nbytes / 3 * 4 + 8);
		out->length += EVP_EncodeBlock(
			(unsigned char *) out->data + out->length, bytes, (int) nbytes);
		mem_add(out, "\"");
	}
	free(bytes);
	return i == text.length;
}

/* {1:0.5,7:2}/9, counted from 1, becomes {"0":0.5,"6":2} */
static bool
append_sparse(Bytes *out, const JsonValue *value)
{
	JsonValue	text = without_quotes(value);
	const char *end = text.data + text.length;
	const char *p = text.data + 1;

	if (text.length < 2 || text.data[0] != '{')
		return false;
	mem_add(out, "{");
	while (p < end && *p != '}')
	{
		char	 *colon;
		long long index = strtoll(p, &colon, 10);
		size_t	  length;

		if (colon == p || *colon != ':' || index < 1)
			return false;
		length = strcspn(colon + 1, ",}");
		mem_format(out, "%s\"%lld\":", p > text.data + 1 ? "," : "",
				   index - 1);
		mem_append(out, colon + 1, length);
		p = colon + 1 + length;
		if (*p == ',')
			p++;
	}
	mem_add(out, "}");
	return p < end;
}

bool
milvus_append_value(Bytes *out, const MilvusField *field,
					const JsonValue *value)
{
	if (json_is(value, "null"))
	{
		mem_add(out, "null");
		return true;
	}
	switch (field->form)
	{
		case MILVUS_TEXT:
			if (value->data[0] != '"')
			{
				append_as_string(out, value);
				return true;
			}
			break;
		case MILVUS_JSON:
			append_as_string(out, value);
			return true;
		case MILVUS_VECTOR:
			return append_vector(out, value);
		case MILVUS_BITS:
			return append_bits(out, value);
		case MILVUS_SPARSE:
			return append_sparse(out, value);
		default:
			break;
	}
	mem_append(out, value->data, value->length);
	return true;
}

#endif /* HAVE_LIBCURL */
