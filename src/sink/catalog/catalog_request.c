/*
 * catalog_request.c
 *		One request to a catalog, and what became of it.
 *
 * What only asks is asked again where that may help.  What changes a table is
 * sent once: whether a lost answer was a yes, the caller has to look.
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "sink/catalog/catalog.h"

/* The wait before the nth try is random, up to 2^n times this. */
#define FIRST_WAIT_MS 200
#define MAX_WAIT_MS	  20000
/* How often waiting looks whether it should go on. */
#define TICK_MS 100
/* A table's whole metadata is an answer. */
#define ANSWER_MAX ((size_t) 512 * 1024 * 1024)
/* Of what a catalog says, as much is shown. */
#define SHOWN_LENGTH 300

#define HINT_SECRETS                                                          \
	"Correct the user mapping's token, or client_id and client_secret; a "    \
	"job "                                                                    \
	"goes on with the new ones."
#define HINT_PLACE                                                            \
	"Check the server's options uri, oauth2_uri and ca_file; loopback and "   \
	"private addresses need allow_private, which only a superuser may set."

/* ---- what an answer says */

/* What a catalog wrote, as a message may show it. */
static char *
catalog_shown(const char *text, size_t len)
{
	char *copy = pnstrdup(text, Min(len, SHOWN_LENGTH));

	for (char *c = copy; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return copy;
}

/* A catalog may repeat what it was sent, also as it was written in a form. */
static void
blank_secrets(char *in, const Catalog *catalog)
{
	const char *secrets[] = {catalog->token, catalog->secrets.token,
							 catalog->secrets.client_secret};

	for (int i = 0; i < lengthof(secrets); i++)
	{
		StringInfoData encoded;

		if (secrets[i] == NULL)
			continue;
		server_blank_secret(in, secrets[i]);
		initStringInfo(&encoded);
		catalog_encode(&encoded, secrets[i]);
		server_blank_secret(in, encoded.data);
		server_forget_secret(&encoded.data);
	}
}

/* The character that an escape of JSON stands for, and its length. */
static char
escaped(const char *escape, size_t *len)
{
	char  digits[5];
	long  code;
	char *end;

	*len = 2;
	if (escape[1] != 'u')
		return strchr("bfnrt", escape[1]) ? ' ' : escape[1];
	strlcpy(digits, escape + 2, sizeof(digits));
	code = strtol(digits, &end, 16);
	if (end != digits + 4)
		return '?';
	*len = 6;
	return code >= ' ' && code <= '~' ? (char) code : '?';
}

static void
unescape(char *text)
{
	char  *to = text;
	size_t len;

	for (const char *from = text; *from; from += len)
	{
		len = 1;
		if (*from == '\\' && from[1])
			*to++ = escaped(from, &len);
		else
			*to++ = *from;
	}
	*to = '\0';
}

/*
 * The text of a member of an answer that need not be JSON; NULL for none.  Good
 * enough to be shown.
 */
static char *
member_shown(const Catalog *catalog, const char *answer, const char *name)
{
	char	   *text;
	const char *at = strstr(answer, psprintf("\"%s\"", name));
	const char *end;

	if (at == NULL)
		return NULL;
	at += strlen(name) + 2;
	at += strspn(at, " \t\r\n:");
	if (*at++ != '"')
		return NULL;
	for (end = at; *end && *end != '"'; end++)
		if (*end == '\\' && end[1])
			end++;
	text = pnstrdup(at, end - at);
	unescape(text);
	blank_secrets(text, catalog);
	return catalog_shown(text, strlen(text));
}

static char *
reason_of_status(const Catalog *catalog, int status, const char *answer)
{
	char *type = member_shown(catalog, answer, "type");
	char *message = member_shown(catalog, answer, "message");

	/* as OAuth2 has them */
	if (type == NULL)
		type = member_shown(catalog, answer, "error");
	if (message == NULL)
		message = member_shown(catalog, answer, "error_description");
	return psprintf("The catalog answered %d%s%s%s%s.", status,
					type ? " " : "", type ? type : "", message ? ": " : "",
					message ? message : "");
}

static int
sqlstate_of_status(int status)
{
	switch (status)
	{
		case 401:
		case 419:
			return ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION;
		case 403:
			return ERRCODE_INSUFFICIENT_PRIVILEGE;
		case 404:
			return ERRCODE_UNDEFINED_OBJECT;
		case 409:
			return ERRCODE_OBJECT_IN_USE;
		default:
			return status == 429 || status >= 500 ? ERRCODE_CONNECTION_FAILURE
												  : ERRCODE_FDW_ERROR;
	}
}

static CatalogResult
result_of_status(int status)
{
	switch (status)
	{
		case 401:
		case 419:
			return CATALOG_UNAUTHORIZED;
		case 404:
			return CATALOG_MISSING;
		case 409:
			return CATALOG_CONFLICT;
		default:
			if (status >= 200 && status < 300)
				return CATALOG_DONE;
			return status == 408 || status >= 500 ? CATALOG_UNKNOWN
												  : CATALOG_REFUSED;
	}
}

static void
judge_failure(CatalogCall *call, const HttpRequest *http)
{
	bool may_pass = http->outcome == HTTP_NO_ANSWER;

	call->result = may_pass ? CATALOG_UNKNOWN : CATALOG_REFUSED;
	call->sqlstate = may_pass ? ERRCODE_CONNECTION_FAILURE
							  : ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION;
	call->reason = psprintf(
		"There was no answer: %s.",
		http->error[0] ? catalog_shown(http->error, strlen(http->error))
					   : "unknown");
	call->hint = may_pass ? NULL : HINT_PLACE;
}

static void
catalog_judge(const Catalog *catalog, CatalogCall *call,
			  const HttpRequest *http)
{
	call->answer =
		pnstrdup(http->answer.data ? http->answer.data : "", http->answer.len);
	call->answer_len = http->answer.len;
	call->hint = NULL;
	if (http->outcome != HTTP_ANSWERED)
	{
		judge_failure(call, http);
		return;
	}
	call->result = result_of_status(http->status);
	if (call->result == CATALOG_DONE)
		return;
	/* it says so of wrong credentials in more than one way */
	if (call->is_login && call->result != CATALOG_UNKNOWN &&
		http->status != 429)
	{
		call->result = CATALOG_REFUSED;
		call->hint = HINT_SECRETS;
	}
	call->sqlstate = sqlstate_of_status(http->status);
	call->reason = reason_of_status(catalog, http->status, call->answer);
	if (call->result == CATALOG_UNAUTHORIZED)
		call->hint = HINT_SECRETS;
}

/* ---- the request */

static char *
target_of(const Catalog *catalog, const CatalogCall *call)
{
	return call->is_login
			   ? pstrdup(catalog->config.oauth2.path)
			   : psprintf("%s%s", catalog->config.place.path, call->path);
}

static void
catalog_try(Catalog *catalog, CatalogCall *call)
{
	HttpClient	 *client = call->is_login ? catalog->login : catalog->http;
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "outflow catalog request", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	HttpRequest	 *http = palloc0_object(HttpRequest);
	HttpField	  headers[4];
	char		 *authorization = NULL;
	int			  n = 0;

	headers[n++] = (HttpField){
		"host", http_endpoint_host(call->is_login ? &catalog->config.oauth2
												  : &catalog->config.place)};
	if (call->body)
		headers[n++] =
			(HttpField){"content-type",
						call->is_login ? "application/x-www-form-urlencoded"
									   : "application/json"};
	if (catalog->token && !call->is_login)
	{
		authorization = psprintf("Bearer %s", catalog->token);
		headers[n++] = (HttpField){"authorization", authorization};
	}
	http_request_init(client, http);
	http->method = call->method;
	http->target = target_of(catalog, call);
	http->headers = headers;
	http->nheaders = n;
	http->body = call->body;
	http->body_len = call->body ? strlen(call->body) : 0;
	http->max_answer = ANSWER_MAX;
	http->only_once = call->only_once;
	http->secret = call->is_login;
	http_start(http);
	while (http->outcome == HTTP_RUNNING)
		http_poll(client, TICK_MS);
	server_forget_secret(&authorization);
	MemoryContextSwitchTo(caller);
	catalog_judge(catalog, call, http);
	MemoryContextDelete(context);
}

void
catalog_pause(Catalog *catalog, int tries)
{
	int			most = FIRST_WAIT_MS << Min(tries, 10);
	TimestampTz end = TimestampTzPlusMilliseconds(
		GetCurrentTimestamp(),
		pg_prng_uint64_range(&pg_global_prng_state, FIRST_WAIT_MS / 2,
							 Min(most, MAX_WAIT_MS)));

	while (GetCurrentTimestamp() < end)
		http_poll(catalog->http, Min(TimestampDifferenceMilliseconds(
										 GetCurrentTimestamp(), end),
									 TICK_MS));
}

/* Turned away at once: nothing was done. */
static bool
was_turned_away(const CatalogCall *call)
{
	return call->result == CATALOG_REFUSED &&
		   call->sqlstate == ERRCODE_CONNECTION_FAILURE;
}

CatalogResult
catalog_call(Catalog *catalog, CatalogCall *call)
{
	for (int tries = 1;; tries++)
	{
		if (call->sending)
			call->sending->tell(call->sending->arg,
								catalog->config.connect_timeout +
									catalog->config.stall_timeout);
		catalog_try(catalog, call);
		if (tries > catalog->config.retries ||
			!(was_turned_away(call) ||
			  (call->result == CATALOG_UNKNOWN && !call->only_once)))
			return call->result;
		catalog_pause(catalog, tries);
	}
}

void
catalog_throw(const Catalog *catalog, const CatalogCall *call,
			  const char *what)
{
	ereport(ERROR,
			(errcode(call->sqlstate),
			 errmsg("could not %s of server \"%s\"", what, catalog->name),
			 errdetail_internal("%s", call->reason),
			 call->hint ? errhint("%s", call->hint) : 0));
}
