/*
 * s3_test.c
 *		The parts of the S3 driver that need no store: signatures, the judgement
 *		of addresses, and the XML of answers.
 */
#include "postgres.h"

#include <arpa/inet.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "sink/http/address.h"
#include "sink/s3/s3_request.h"
#include "utils/array.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(s3_sign);
PG_FUNCTION_INFO_V1(s3_address);
PG_FUNCTION_INFO_V1(s3_xml);

extern PGDLLEXPORT Datum s3_sign(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum s3_address(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum s3_xml(PG_FUNCTION_ARGS);

#define STRING(n) text_to_cstring(PG_GETARG_TEXT_PP(n))

/* Names and values, in turn. */
static int
fields_of(Datum array, HttpField *fields)
{
	Datum *items;
	int	   count;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false,
					  TYPALIGN_INT, &items, NULL, &count);
	for (int i = 0; i < count / 2; i++)
		fields[i] = (HttpField){TextDatumGetCString(items[2 * i]),
								 TextDatumGetCString(items[2 * i + 1])};
	return count / 2;
}

/*
 * s3_sign(method, path, query text[], headers text[], body, time, region,
 * service, key, secret): the path and query as sent, and the authorization
 */
Datum
s3_sign(PG_FUNCTION_ARGS)
{
	HttpField	 parameters[SIGV4_MAX_FIELDS];
	HttpField	 headers[SIGV4_MAX_FIELDS];
	char		 path[4096];
	char		 query[4096];
	char		 hash[SIGV4_HASH_SIZE];
	char		 out[2048];
	char		*body = STRING(4);
	Sigv4Request request = {
		.method = STRING(0),
		.path = path,
		.query = query,
		.headers = headers,
		.nheaders = fields_of(PG_GETARG_DATUM(3), headers),
		.payload_hash = hash,
		.time = STRING(5),
		.region = STRING(6),
		.service = STRING(7),
		.key_id = STRING(8),
		.secret = STRING(9),
	};

	if (!sigv4_encode_path(STRING(1), path, sizeof(path)) ||
		!sigv4_encode_query(parameters,
							fields_of(PG_GETARG_DATUM(2), parameters), query,
							sizeof(query)) ||
		!sigv4_hash(body, strlen(body), hash) ||
		!sigv4_sign(&request, out, sizeof(out)))
		elog(ERROR, "could not sign");
	PG_RETURN_TEXT_P(cstring_to_text(psprintf("%s?%s %s", path, query, out)));
}

/* What kind of address that is, and whether it is allowed with allow_private */
Datum
s3_address(PG_FUNCTION_ARGS)
{
	char				   *name = STRING(0);
	struct sockaddr_storage address = {0};
	AddressKind				kind;

	if (inet_pton(AF_INET, name, &((struct sockaddr_in *) &address)->sin_addr))
		address.ss_family = AF_INET;
	else if (inet_pton(AF_INET6, name,
					   &((struct sockaddr_in6 *) &address)->sin6_addr))
		address.ss_family = AF_INET6;
	else
		elog(ERROR, "no address: %s", name);
	kind = address_kind((struct sockaddr *) &address);
	PG_RETURN_TEXT_P(
		cstring_to_text(psprintf("%s%s", address_kind_name(kind),
								 address_is_allowed(kind, false)  ? ""
								 : address_is_allowed(kind, true) ? " ?"
																  : " !")));
}

/* The first element of that name */
Datum
s3_xml(PG_FUNCTION_ARGS)
{
	char *xml = STRING(0);
	char *found = s3_xml_text(xml, strlen(xml), STRING(1));

	if (found == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(found));
}
