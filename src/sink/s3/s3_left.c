/*
 * s3_left.c
 *		An upload that an earlier attempt at a part has left, and what of it has
 *		arrived.
 *
 * A part that is made again has the same bytes, or it has not: rows change, and
 * what is encrypted never is the same.  So nothing is taken for granted.  Only a
 * chunk of the same number, size and checksum is not sent again; without a
 * checksum of the store's nothing goes on.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "sink/s3/s3_internal.h"

typedef struct Search
{
	const char *key;
	List	   *uploads;
} Search;

static bool
take_upload(void *arg, const S3Listed *found)
{
	Search *search = arg;

	if (found->upload && strcmp(found->key, search->key) == 0)
		search->uploads = lappend(search->uploads, pstrdup(found->upload));
	return true;
}

static void
add_arrived(S3Left *left, int number, const S3Arrived *part)
{
	Size size = number * sizeof(S3Arrived);

	left->parts = left->parts ? repalloc(left->parts, size) : palloc(size);
	memset(left->parts + left->count, 0,
		   (number - left->count) * sizeof(S3Arrived));
	left->parts[number - 1] = *part;
	left->count = number;
}

/* Parts of a page; whether one has a checksum that can be compared. */
static bool
take_parts(const char *xml, size_t len, const char *element, S3Left *left)
{
	const char *at = xml;
	const char *inner;
	size_t		inner_len;
	bool		useful = false;

	while ((inner = s3_xml_next(&at, xml + len, "Part", &inner_len)) != NULL)
	{
		char	 *number = s3_xml_text(inner, inner_len, "PartNumber");
		int		  n = number ? atoi(number) : 0;
		char	 *size;
		S3Arrived part;

		CHECK_FOR_INTERRUPTS();
		if (number)
			pfree(number);
		/* they are in order, so that a list that lies takes no memory */
		if (n <= left->count || n > S3_MAX_PARTS)
			continue;
		size = s3_xml_text(inner, inner_len, "Size");
		part = (S3Arrived){
			.size = size ? strtou64(size, NULL, 10) : 0,
			.etag = s3_xml_text(inner, inner_len, "ETag"),
			.sum = s3_xml_text(inner, inner_len, element),
		};
		useful |= part.sum != NULL;
		add_arrived(left, n, &part);
	}
	return useful;
}

/* Whether an answer to ListParts can be had, with parts that can be compared. */
static bool
list_parts(S3Store *store, const char *key, S3Left *left)
{
	const char *element = s3_checksum_element(store);
	char	   *from = NULL;
	bool		useful = false;
	bool		more = true;

	while (more)
	{
		S3Request  *request = s3_request_new(store, "GET", key);
		const char *xml;
		size_t		len;
		char	   *truncated;
		char	   *next;

		s3_parameter(request, "uploadId", left->upload);
		if (from)
			s3_parameter(request, "part-number-marker", from);
		if (s3_run(request) != S3_OK)
		{
			/* what can't be had is done without */
			if (request->may_pass)
				s3_throw(request, "look at an upload of");
			s3_end(request);
			return false;
		}
		xml = request->http.answer.data;
		len = request->http.answer.len;
		useful |= take_parts(xml, len, element, left);
		truncated = s3_xml_text(xml, len, "IsTruncated");
		next = s3_xml_text(xml, len, "NextPartNumberMarker");
		more = truncated && strcmp(truncated, "true") == 0 && next &&
			   atoi(next) > (from ? atoi(from) : 0) &&
			   atoi(next) < S3_MAX_PARTS;
		from = next;
		s3_end(request);
	}
	return useful;
}

bool
s3_left_find(S3Store *store, const char *key, S3Left *left)
{
	Search search = {.key = key};

	memset(left, 0, sizeof(S3Left));
	s3_list_uploads(store, key, take_upload, &search);
	/* of several, the last one goes on */
	while (list_length(search.uploads) > 1)
	{
		s3_upload_remove(store, key, linitial(search.uploads));
		search.uploads = list_delete_first(search.uploads);
	}
	if (search.uploads == NIL)
		return false;
	left->upload = linitial(search.uploads);
	if (s3_checksum_element(store) && list_parts(store, key, left))
		return true;
	s3_upload_remove(store, key, left->upload);
	memset(left, 0, sizeof(S3Left));
	return false;
}

bool
s3_left_is_empty(S3Store *store, const char *key, const char *upload)
{
	S3Request  *request = s3_request_new(store, "GET", key);
	const char *at;
	const char *list = NULL;
	char	   *truncated;
	size_t		len;
	bool		is_empty = false;

	s3_parameter(request, "uploadId", upload);
	if (s3_run(request) == S3_OK && (at = request->http.answer.data) != NULL)
		list = s3_xml_next(&at, at + request->http.answer.len,
						   "ListPartsResult", &len);
	if (list)
	{
		at = list;
		truncated = s3_xml_text(list, len, "IsTruncated");
		is_empty = s3_xml_next(&at, list + len, "Part", &len) == NULL &&
				   !(truncated && strcmp(truncated, "true") == 0);
	}
	s3_end(request);
	return is_empty;
}
