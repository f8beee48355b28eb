/*
 * s3_list.c
 *		Lists of what is in a bucket below a prefix: objects, and uploads on
 *		their way.
 *
 * What is listed may be removed next, and what is not listed is taken for not
 * being there.  So a store is not trusted: a name that was not asked for, and a
 * list that ends before it is whole or begins anew, are errors.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "sink/s3/s3_internal.h"
#include "utils/memutils.h"

/* The two kinds of lists, as the API reference has them. */
typedef struct ListKind
{
	const char *parameter; /* that asks for such a list */
	const char *value;
	const char *root;
	const char *element; /* of a member */
	const char *time;	 /* in it */
	/* the parameters that say where a page begins, and where an answer has
	 * what they are for the next one */
	const char *from[2];
	const char *next[2];
} ListKind;

static const ListKind objects = {
	"list-type",
	"2",
	"ListBucketResult",
	"Contents",
	"LastModified",
	{"continuation-token"},
	{"NextContinuationToken"},
};

static const ListKind uploads = {
	"uploads",
	"",
	"ListMultipartUploadsResult",
	"Upload",
	"Initiated",
	{"key-marker", "upload-id-marker"},
	{"NextKeyMarker", "NextUploadIdMarker"},
};

typedef struct Listing
{
	S3Store		   *store;
	const ListKind *kind;
	const char	   *prefix;	   /* in UTF-8, as all keys of stores */
	const char	   *delimiter; /* or NULL */
	S3TakeListed	take;
	void		   *arg;
	bool			wanted;	  /* there is more to take */
	char		   *begin[2]; /* of the next page; NULL for what has none */
	MemoryContext	page;	  /* of the present one */
} Listing;

static S3Request *
s3_list_request(const Listing *self)
{
	S3Request *request = s3_request_new(self->store, "GET", NULL);

	s3_parameter(request, self->kind->parameter, self->kind->value);
	s3_parameter(request, "encoding-type", "url");
	s3_parameter(request, "prefix", self->prefix);
	if (self->delimiter)
		s3_parameter(request, "delimiter", self->delimiter);
	for (int i = 0; i < lengthof(self->begin); i++)
		if (self->begin[i])
			s3_parameter(request, self->kind->from[i], self->begin[i]);
	return request;
}

/* An ERROR that is no answer's, but about what an answer says. */
pg_noreturn static void
distrust(const Listing *self, char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_REPLY_HANDLE),
			 errmsg("could not list %s", s3_object_name(self->store, NULL)),
			 errdetail_internal("%s", detail)));
}

static bool
begins_with(const char *text, const char *begin)
{
	return strncmp(text, begin, strlen(begin)) == 0;
}

/* A name as it was asked for.  Some stores leave a plus as it is. */
static char *
decode(const Listing *self, const char *name, bool encoded)
{
	char *key = encoded ? s3_url_decode(name, true) : pstrdup(name);

	if (encoded && !begins_with(key, self->prefix))
		key = s3_url_decode(name, false);
	if (!begins_with(key, self->prefix))
		distrust(self, psprintf("The store's list has \"%s\", which does not "
								"begin with \"%s\".",
								s3_shown(self->store, key),
								s3_shown(self->store, self->prefix)));
	return pg_any_to_server(key, strlen(key), PG_UTF8);
}

/* Members of a page: in each of such an element, its key has that name. */
static void
take_members(Listing *self, const char *xml, size_t len, const char *element,
			 const char *name, bool encoded)
{
	MemoryContext caller = MemoryContextSwitchTo(self->page);
	const char	 *at = xml;
	const char	 *inner;
	size_t		  inner_len;

	while (self->wanted &&
		   (inner = s3_xml_next(&at, xml + len, element, &inner_len)) != NULL)
	{
		char	*key = s3_xml_text(inner, inner_len, name);
		char	*size = s3_xml_text(inner, inner_len, "Size");
		S3Listed found = {
			.size = size ? strtou64(size, NULL, 10) : 0,
			.upload = s3_xml_text(inner, inner_len, "UploadId"),
			.time = s3_xml_text(inner, inner_len, self->kind->time),
		};

		CHECK_FOR_INTERRUPTS();
		if (key == NULL)
			continue;
		found.key = decode(self, key, encoded);
		MemoryContextSwitchTo(caller);
		self->wanted = self->take(self->arg, &found);
		MemoryContextSwitchTo(self->page);
	}
	MemoryContextSwitchTo(caller);
}

/* Where the next page begins; whether there is one. */
static bool
move_on(Listing *self, const char *xml, size_t len, bool encoded)
{
	char *truncated = s3_xml_text(xml, len, "IsTruncated");
	bool  goes_on = false;

	if (truncated && strcmp(truncated, "true") != 0)
		return false;
	for (int i = 0; i < lengthof(self->begin); i++)
	{
		const char *name = self->kind->next[i];
		char	   *was = self->begin[i];
		char	   *now = name ? s3_xml_text(xml, len, name) : NULL;

		if (now && i == 0 && encoded && self->kind == &uploads)
			now = s3_url_decode(now, true);
		if (now && now[0] == '\0')
			now = NULL;
		if (now && (was == NULL || strcmp(now, was) != 0))
			goes_on = true;
		self->begin[i] = now;
	}
	if (self->begin[0] == NULL && truncated == NULL)
		return false;
	if (self->begin[0] == NULL || !goes_on)
		distrust(self, pstrdup("The store's list does not go on where it says "
							   "that it does."));
	return true;
}

/* Whether there is another page; *error as s3_list has it */
static bool
take_page(Listing *self, int *error)
{
	S3Request  *request = s3_list_request(self);
	const char *at;
	const char *xml;
	size_t		len;
	bool		encoded;
	bool		more;

	if (s3_run(request) != S3_OK)
	{
		/* a store that knows no such list has nothing that lasts */
		bool unknown =
			self->kind == &uploads &&
			(request->result == S3_NOT_FOUND || request->http.status == 501);

		if (!unknown && error == NULL)
			s3_throw(request, "list");
		if (!unknown)
			*error = s3_errno(request);
		s3_end(request);
		return false;
	}
	at = request->http.answer.data;
	xml = at ? s3_xml_next(&at, at + request->http.answer.len,
						   self->kind->root, &len)
			 : NULL;
	if (xml == NULL)
		distrust(self, pstrdup("The store's answer is no list, or not all of "
							   "it."));
	encoded = s3_xml_text(xml, len, "EncodingType") != NULL;
	take_members(self, xml, len, self->kind->element, "Key", encoded);
	if (self->delimiter)
		take_members(self, xml, len, "CommonPrefixes", "Prefix", encoded);
	more = self->wanted && move_on(self, xml, len, encoded);
	s3_end(request);
	MemoryContextReset(self->page);
	return more;
}

static bool
s3_list_all(S3Store *store, const ListKind *kind, const char *prefix,
			const char *delimiter, S3TakeListed take, void *arg, int *error)
{
	Listing self = {
		.store = store,
		.kind = kind,
		.prefix = pg_server_to_any(prefix, strlen(prefix), PG_UTF8),
		.delimiter = delimiter,
		.take = take,
		.arg = arg,
		.wanted = true,
		.page = AllocSetContextCreate(CurrentMemoryContext, "outflow S3 list",
									  ALLOCSET_DEFAULT_SIZES),
	};
	int failure = 0;

	while (take_page(&self, error ? &failure : NULL))
		;
	MemoryContextDelete(self.page);
	if (error)
		*error = failure;
	return failure == 0;
}

bool
s3_list(S3Store *store, const char *prefix, const char *delimiter,
		S3TakeListed take, void *arg, int *error)
{
	return s3_list_all(store, &objects, prefix, delimiter, take, arg, error);
}

void
s3_list_uploads(S3Store *store, const char *prefix, S3TakeListed take,
				void *arg)
{
	(void) s3_list_all(store, &uploads, prefix, NULL, take, arg, NULL);
}
