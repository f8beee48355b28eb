/*
 * milvus_request.c
 *		Bodies of requests, and what answers say.
 */
#ifdef HAVE_LIBCURL

#include <stdlib.h>
#include <string.h>

#include "client/targets/milvus.h"

/*
 * Codes of Milvus (pkg/util/merr).  The answer's status is 200 with most of them.
 * Those without a row here are of the server's state, and waited out.
 */
static const struct
{
	int			  first;
	int			  last;
	MilvusVerdict verdict;
} verdicts[] = {
	{0, 0, MILVUS_TAKEN},
	{200, 200, MILVUS_TAKEN},	   /* first servers with that API */
	{10, 10, MILVUS_REFUSED},	   /* unimplemented */
	{100, 100, MILVUS_REFUSED},	   /* no such collection */
	{800, 802, MILVUS_REFUSED},	   /* no such database */
	{1001, 1001, MILVUS_UNCLEAR},  /* input and output, or a geometry */
	{1100, 1102, MILVUS_REJECTED}, /* parameters */
	{1400, 1401, MILVUS_REFUSED},  /* login, rights */
	{1700, 1701, MILVUS_REJECTED}, /* fields */
	{1800, 1800, MILVUS_REFUSED},  /* login */
	{1801, 1804, MILVUS_REJECTED}, /* what was sent */
	{1806, 1806, MILVUS_REJECTED}, /* the primary key */
	{65535, 65535, MILVUS_UNCLEAR},
};

/* What errors without a code of their own say when a row's values are to blame. */
static const char *const of_values[] = {
	"is not a number or infinity",
	"in sparse float vector",
	"should divide the dim",
	"is not aligned to",
};

static MilvusVerdict
code_verdict(long long code, const char *message)
{
	size_t i;

	for (i = 0; code == 65535 && i < sizeof(of_values) / sizeof(of_values[0]);
		 i++)
		if (strstr(message, of_values[i]))
			return MILVUS_REJECTED;
	for (i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++)
		if (code >= verdicts[i].first && code <= verdicts[i].last)
			return verdicts[i].verdict;
	return MILVUS_AGAIN;
}

static MilvusVerdict
status_verdict(long status)
{
	if (status == 413)
		return MILVUS_REJECTED;
	if (status == 200 || status == 408 || status == 425 || status == 429 ||
		status >= 500)
		return MILVUS_AGAIN;
	return MILVUS_REFUSED;
}

MilvusVerdict
milvus_verdict(long status, const Bytes *answer, char **reason)
{
	long long	  code;
	char		 *message;
	MilvusVerdict verdict;

	*reason = NULL;
	if (json_value_length(answer->data, answer->data + answer->length) == 0 ||
		!json_find_number(answer->data, answer->length, "code", &code))
	{
		/* cut, or no answer of Milvus */
		*reason =
			client_format("status %ld: %.300s%s", status, answer->data,
						  status == 404 ? "; the REST API, version 2, is that "
										  "of Milvus 2.4 and later"
										: "");
		return status_verdict(status);
	}
	message = code == 0
				  ? NULL
				  : json_find_text(answer->data, answer->length, "message");
	verdict = code_verdict(code, message ? message : "");
	/* a proxy before it may say what the code doesn't */
	if (status != 200 && verdict == MILVUS_TAKEN)
		verdict = status_verdict(status);
	if (status == 401 || status == 403)
		verdict = MILVUS_REFUSED;
	if (verdict != MILVUS_TAKEN)
		*reason =
			client_format("code %lld: %.300s", code, message ? message : "");
	free(message);
	return verdict;
}

void
milvus_begin_body(Bytes *body, const char *database, const char *collection)
{
	mem_reset(body);
	mem_add(body, "{\"dbName\":");
	json_append_text(body, database);
	if (collection)
	{
		mem_add(body, ",\"collectionName\":");
		json_append_text(body, collection);
	}
}

static const MilvusField *
operation_key_field(const MilvusOperation *operation)
{
	return &operation->table->fields[operation->table->key];
}

/* A literal of a filter; Milvus reads strings as Go does, so much as JSON's. */
static void
append_key(Bytes *body, const MilvusOperation *operation)
{
	if (operation_key_field(operation)->form == MILVUS_TEXT)
		json_append_text(body, operation->key);
	else
		mem_add(body, operation->key);
}

/* The filter of a body, which is a string in it. */
static void
append_filter(Bytes *body, const Bytes *filter)
{
	mem_add(body, ",\"filter\":");
	json_append_text(body, filter->data);
}

static bool
go_together(const MilvusOperation *one, const MilvusOperation *other)
{
	size_t i;

	if (one->table != other->table || one->kind != other->kind)
		return false;
	if (one->kind != MILVUS_PARTIAL)
		return true;
	/* the rows of a partial update name the same fields */
	for (i = 0; i < one->nvalues || i < other->nvalues; i++)
		if ((i < one->nvalues && one->values[i]) !=
			(i < other->nvalues && other->values[i]))
			return false;
	return true;
}

static void
append_row(Bytes *body, const MilvusOperation *operation)
{
	size_t first = 1;
	size_t i;

	mem_add(body, "{");
	for (i = 0; i < operation->nvalues; i++)
		if (operation->values[i])
		{
			if (!first)
				mem_add(body, ",");
			first = 0;
			json_append_text(body, operation->table->fields[i].name);
			mem_add(body, ":");
			mem_add(body, operation->values[i]);
		}
	mem_add(body, "}");
}

/* Everything: there is no other way in all versions. */
static void
build_truncate(Bytes *body, const MilvusOperation *operation)
{
	const MilvusField *key = operation_key_field(operation);
	Bytes			   filter = {0};

	if (key->form == MILVUS_TEXT)
		mem_format(&filter, "%s >= \"\"", key->name);
	else
		mem_format(&filter, "%s > 0 or %s <= 0", key->name, key->name);
	append_filter(body, &filter);
	mem_free(&filter);
}

static void
build_delete(Bytes *body, const MilvusBatch *batch, const size_t *places,
			 size_t nplaces)
{
	Bytes  filter = {0};
	size_t i;

	mem_format(&filter, "%s in [",
			   operation_key_field(&batch->operations[places[0]])->name);
	for (i = 0; i < nplaces; i++)
	{
		if (i > 0)
			mem_add(&filter, ",");
		append_key(&filter, &batch->operations[places[i]]);
	}
	mem_add(&filter, "]");
	append_filter(body, &filter);
	mem_free(&filter);
}

const char *
milvus_build_request(Bytes *body, const char *database,
					 const MilvusBatch *batch, size_t first, size_t *places,
					 size_t *nplaces)
{
	const MilvusOperation *operation = &batch->operations[first];
	size_t				   i;

	*nplaces = 0;
	for (i = first; i < batch->count; i++)
		if (!batch->operations[i].is_done &&
			go_together(operation, &batch->operations[i]))
			places[(*nplaces)++] = i;
	milvus_begin_body(body, database, operation->table->collection);
	if (operation->kind == MILVUS_TRUNCATE)
		build_truncate(body, operation);
	else if (operation->kind == MILVUS_DELETE)
		build_delete(body, batch, places, *nplaces);
	else
	{
		if (operation->kind == MILVUS_PARTIAL)
			mem_add(body, ",\"partialUpdate\":true");
		mem_add(body, ",\"data\":[");
		for (i = 0; i < *nplaces; i++)
		{
			if (i > 0)
				mem_add(body, ",");
			append_row(body, &batch->operations[places[i]]);
		}
		mem_add(body, "]");
	}
	mem_add(body, "}");
	return operation->kind == MILVUS_UPSERT ||
				   operation->kind == MILVUS_PARTIAL
			   ? MILVUS_PUT
			   : MILVUS_REMOVE;
}

void
milvus_ask_row(Bytes *body, const char *database,
			   const MilvusOperation *operation)
{
	const char *key = operation_key_field(operation)->name;
	Bytes		filter = {0};

	milvus_begin_body(body, database, operation->table->collection);
	mem_format(&filter, "%s in [", key);
	append_key(&filter, operation);
	mem_add(&filter, "]");
	append_filter(body, &filter);
	mem_add(body, ",\"outputFields\":[");
	json_append_text(body, key);
	mem_add(body, "],\"limit\":1,\"consistencyLevel\":\"Strong\"}");
	mem_free(&filter);
}

bool
milvus_row_is_missing(const Bytes *answer)
{
	JsonValue data;

	return json_find(answer->data, answer->length, "data", &data) &&
		   (json_is(&data, "[]") || json_is(&data, "null"));
}

#endif /* HAVE_LIBCURL */
