/*
 * http.c
 *		Requests over HTTP by libcurl's multi interface.
 *
 * Much of it tells libcurl what not to do by itself: to resolve names, follow
 * redirects, use proxies, read files, or start threads.
 *
 * One request's life is all here, with what frees it at each of its ends: libcurl
 * calls back in the midst of it.
 */
#include "postgres.h"

#if __has_include(<curl/curl.h>)

#include <openssl/crypto.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pgstat.h"
#include "sink/http/address.h"
#include "sink/http/curl_library.h"
#include "sink/http/http.h"
#include "sink/patience.h"
#include "sink/stage.h"
#include "storage/fd.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

/* An answer that is no object's bytes; a page of a list is the longest one. */
#define MAX_ANSWER	(8 * 1024 * 1024)
#define MAX_HEADERS (64 * 1024)
/* So much of a stream is held back at most, but for one delivery. */
#define STREAM_SIZE (512 * 1024)
/* Addresses are looked up anew after so long. */
#define RESOLVED_FOR_MS 60000

struct HttpClient
{
	const CurlLibrary *curl;
	HttpPlace		   place;
	CURLM			  *multi;
	MemoryContext	   context;
	char	   *resolved; /* "host:port:address,..."; NULL: to be looked up */
	TimestampTz resolved_at;
	bool		by_directory; /* see set_authorities() */
};

/* ---- what arrives */

static size_t
take_header(char *data, size_t size, size_t count, void *arg)
{
	HttpRequest *request = arg;

	/* those of a "100 Continue" before it don't count */
	if (size * count > 5 && strncmp(data, "HTTP/", 5) == 0)
		http_text_free(&request->answer_headers);
	return http_text_add(&request->answer_headers, data, size * count)
			   ? size * count
			   : 0;
}

static size_t
take_body(char *data, size_t size, size_t count, void *arg)
{
	HttpRequest *request = arg;
	size_t		 len = size * count;
	long		 status = 0;

	if (request->streams)
		(void) request->client->curl->easy_getinfo(
			request->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 200 && status < 300)
	{
		request->status = status;
		request->answer.max = SIZE_MAX / 2;
		if (request->answer.len > 0 && request->answer.len + len > STREAM_SIZE)
		{
			request->paused = true;
			return CURL_WRITEFUNC_PAUSE;
		}
	}
	return http_text_add(&request->answer, data, len) ? len : 0;
}

const char *
http_take(HttpRequest *request, size_t *len)
{
	HttpText full = request->answer;

	*len = full.len;
	if (full.len == 0)
		return NULL;
	request->answer = request->taken;
	request->answer.len = 0;
	request->answer.max = full.max;
	request->taken = full;
	if (request->paused)
	{
		request->paused = false;
		(void) request->client->curl->easy_pause(request->easy,
												 CURLPAUSE_CONT);
	}
	return full.data;
}

/* ---- addresses */

/* The last word: whatever made the library choose this address. */
static curl_socket_t
open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	HttpRequest *request = arg;
	AddressKind	 kind = address_kind(&address->addr);
	int			 fd;

	if (!address_is_allowed(kind, request->client->place.allow_private))
	{
		request->refused = address_kind_name(kind);
		return CURL_SOCKET_BAD;
	}
	if (!AcquireExternalFD())
		return CURL_SOCKET_BAD;
	fd = socket(address->family, address->socktype | SOCK_CLOEXEC,
				address->protocol);
	if (fd < 0)
		ReleaseExternalFD();
	return fd;
}

static int
close_socket(void *arg, curl_socket_t fd)
{
	ReleaseExternalFD();
	return close(fd);
}

static void
forget_addresses(HttpClient *client)
{
	if (client->resolved)
		pfree(client->resolved);
	client->resolved = NULL;
}

static bool
is_ipv6_literal(const char *host)
{
	return host[0] == '[';
}

/* Looks the host's addresses up; false with the request's error and outcome. */
static bool
resolve(HttpClient *client, HttpRequest *request)
{
	char *list;
	bool  refused;

	/* needs no looking up; open_socket judges it */
	if (is_ipv6_literal(client->place.host))
		return true;
	if (client->resolved &&
		!TimestampDifferenceExceeds(client->resolved_at, GetCurrentTimestamp(),
									RESOLVED_FOR_MS))
		return true;
	forget_addresses(client);
	list = http_addresses(&client->place, request->error, &refused);
	if (list == NULL)
	{
		request->outcome = refused ? HTTP_REFUSED : HTTP_NO_ANSWER;
		return false;
	}
	client->resolved = MemoryContextStrdup(
		client->context,
		psprintf("%s:%d:%s", client->place.host, client->place.port, list));
	client->resolved_at = GetCurrentTimestamp();
	pfree(list);
	return true;
}

/* ---- clients and requests */

static void
release_client(void *arg)
{
	HttpClient *client = arg;

	if (client->multi)
		(void) client->curl->multi_cleanup(client->multi);
	client->multi = NULL;
}

HttpClient *
http_client_new(const HttpPlace *place)
{
	HttpClient *client = palloc0_object(HttpClient);

	client->curl = curl_library();
	client->place = *place;
	client->context = CurrentMemoryContext;
	client->by_directory =
		place->ca_file == NULL && client->curl->has_directory;
	sink_guard(release_client, client);
	client->multi = client->curl->multi_init();
	if (client->multi == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	return client;
}

/* A token is among them. */
static void
wipe_headers(HttpRequest *request)
{
	struct curl_slist *line = request->header_list;

	for (; line; line = line->next)
		OPENSSL_cleanse(line->data, strlen(line->data));
}

/* Its part of the library: the answer stays. */
static void
release_easy(HttpRequest *request)
{
	const CurlLibrary *curl = request->client->curl;

	if (request->easy)
	{
		(void) curl->multi_remove_handle(request->client->multi,
										 request->easy);
		curl->easy_cleanup(request->easy);
	}
	request->easy = NULL;
	wipe_headers(request);
	curl->slist_free_all(request->header_list);
	curl->slist_free_all(request->addresses);
	request->header_list = request->addresses = NULL;
}

static void
release_request(void *arg)
{
	HttpRequest *request = arg;

	release_easy(request);
	http_text_free(&request->answer_headers);
	http_text_free(&request->answer);
	http_text_free(&request->taken);
}

void
http_end(HttpRequest *request)
{
	release_request(request);
	request->outcome = HTTP_NOT_STARTED;
}

void
http_request_init(HttpClient *client, HttpRequest *request)
{
	memset(request, 0, sizeof(HttpRequest));
	request->client = client;
	sink_guard(release_request, request);
}

static void
append(HttpRequest *request, void **list, const char *line)
{
	struct curl_slist *longer =
		request->client->curl->slist_append(*list, line);

	if (longer == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	*list = longer;
}

static void
add_header(HttpRequest *request, const char *line)
{
	append(request, &request->header_list, line);
}

/* Those that are signed, and none that the library would add by itself. */
static void
add_headers(HttpRequest *request)
{
	bool has_type = false;

	for (int i = 0; i < request->nheaders; i++)
	{
		const HttpField *header = &request->headers[i];
		/* a header without a value has a semicolon there */
		char *line = header->value[0]
						 ? psprintf("%s: %s", header->name, header->value)
						 : psprintf("%s;", header->name);

		add_header(request, line);
		has_type |= strcmp(header->name, "content-type") == 0;
		OPENSSL_cleanse(line, strlen(line));
		pfree(line);
	}
	if (!has_type)
		add_header(request, "Content-Type:");
	add_header(request, "Accept:");
	add_header(request, "Expect:");
	add_header(request, "User-Agent: outflow/" OUTFLOW_VERSION);
}

#define SET(option, value)                                                    \
	do                                                                        \
	{                                                                         \
		if (curl->easy_setopt(request->easy, option, value) != CURLE_OK)      \
			elog(ERROR, "libcurl does not take option " #option);             \
	} while (0)

/*
 * The system's authorities are in a file, which is read whole for each connection
 * (20 ms), and in a directory, where each has its name.  So the file is left out
 * until the directory has not been enough.
 */
static void
set_authorities(HttpRequest *request)
{
	const CurlLibrary *curl = request->client->curl;
	const HttpPlace	  *place = &request->client->place;

	request->by_directory = request->client->by_directory;
	if (request->by_directory || place->ca_file)
		SET(CURLOPT_CAINFO, place->ca_file);
	/* nor the system's authorities beside these */
	if (place->ca_file)
		SET(CURLOPT_CAPATH, NULL);
}

/* What it must not do of its own accord. */
static void
set_limits(HttpRequest *request)
{
	const CurlLibrary *curl = request->client->curl;
	const HttpPlace	  *place = &request->client->place;

#if LIBCURL_VERSION_NUM >= 0x075500
	SET(CURLOPT_PROTOCOLS_STR, place->https ? "https" : "http");
#else
	SET(CURLOPT_PROTOCOLS,
		(long) (place->https ? CURLPROTO_HTTPS : CURLPROTO_HTTP));
#endif
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NOPROXY, "*");
	SET(CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	set_authorities(request);
	SET(CURLOPT_CONNECTTIMEOUT, (long) place->connect_timeout);
	SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
	SET(CURLOPT_LOW_SPEED_TIME,
		(long) place->stall_timeout * Max(request->patience, 1));
	SET(CURLOPT_TIMEOUT, (long) request->max_seconds);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_FRESH_CONNECT, request->only_once ? 1L : 0L);
	SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
	SET(CURLOPT_OPENSOCKETDATA, request);
	SET(CURLOPT_CLOSESOCKETFUNCTION, close_socket);
	if (request->client->resolved)
	{
		append(request, &request->addresses, request->client->resolved);
		SET(CURLOPT_RESOLVE, (struct curl_slist *) request->addresses);
	}
}

static void
set_request(HttpRequest *request, const char *url)
{
	const CurlLibrary *curl = request->client->curl;

	SET(CURLOPT_URL, url);
	/* as it was signed, dots and all */
	SET(CURLOPT_PATH_AS_IS, 1L);
	if (strcmp(request->method, "HEAD") == 0)
		SET(CURLOPT_NOBODY, 1L);
	else if (strcmp(request->method, "GET") != 0)
	{
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDS, request->body ? request->body : "");
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) request->body_len);
		SET(CURLOPT_CUSTOMREQUEST, request->method);
		if (request->body_len > 0)
			SET(CURLOPT_UPLOAD_BUFFERSIZE, 512L * 1024);
	}
	SET(CURLOPT_HTTPHEADER, (struct curl_slist *) request->header_list);
	SET(CURLOPT_HEADERFUNCTION, take_header);
	SET(CURLOPT_HEADERDATA, request);
	SET(CURLOPT_WRITEFUNCTION, take_body);
	SET(CURLOPT_WRITEDATA, request);
	SET(CURLOPT_ERRORBUFFER, request->error);
	SET(CURLOPT_PRIVATE, request);
}

void
http_start(HttpRequest *request)
{
	HttpClient		  *client = request->client;
	const CurlLibrary *curl = client->curl;
	char			  *url;

	release_request(request);
	request->status = 0;
	request->error[0] = '\0';
	request->paused = false;
	request->refused = NULL;
	request->answer.max =
		request->max_answer ? request->max_answer : MAX_ANSWER;
	request->answer.secret = request->secret;
	request->answer_headers.max = MAX_HEADERS;
	if (!resolve(client, request))
		return;
	request->outcome = HTTP_RUNNING;
	add_headers(request);
	request->easy = curl->easy_init();
	if (request->easy == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	url = psprintf("%s://%s:%d%s", client->place.https ? "https" : "http",
				   client->place.host, client->place.port, request->target);
	set_limits(request);
	set_request(request, url);
	pfree(url);
	if (curl->multi_add_handle(client->multi, request->easy) != CURLM_OK)
		elog(ERROR, "libcurl does not take a request");
}

/* Whether another attempt is as hopeless. */
static bool
is_hopeless(CURLcode code)
{
	switch (code)
	{
		case CURLE_PEER_FAILED_VERIFICATION:
		case CURLE_SSL_CACERT_BADFILE:
		case CURLE_SSL_CERTPROBLEM:
		case CURLE_SSL_ISSUER_ERROR:
		case CURLE_URL_MALFORMAT:
		case CURLE_UNSUPPORTED_PROTOCOL:
		case CURLE_FAILED_INIT:
			return true;
		default:
			return false;
	}
}

/* Whether a request is to begin again, with the file.  Nothing of it has been sent. */
static bool
needs_file(HttpRequest *request, CURLcode code)
{
	if (!request->by_directory || (code != CURLE_PEER_FAILED_VERIFICATION &&
								   code != CURLE_SSL_CACERT_BADFILE))
		return false;
	request->client->by_directory = false;
	return true;
}

static void
end_of_transfer(HttpRequest *request, CURLcode code)
{
	const CurlLibrary *curl = request->client->curl;
	long			   status = 0;

	(void) curl->easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
	request->status = status;
	if (code != CURLE_OK && request->refused)
	{
		snprintf(request->error, HTTP_MAX_ERROR,
				 "%s address must not be connected to", request->refused);
		code = CURLE_FAILED_INIT;
	}
	request->outcome = code == CURLE_OK	   ? HTTP_ANSWERED
					   : is_hopeless(code) ? HTTP_REFUSED
										   : HTTP_NO_ANSWER;
	/* the buffer of the other's errors is empty for some */
	if (code != CURLE_OK && request->error[0] == '\0')
		strlcpy(request->error, curl->easy_strerror(code), HTTP_MAX_ERROR);
	if (code == CURLE_COULDNT_CONNECT && request->outcome == HTTP_NO_ANSWER)
		forget_addresses(request->client);
	release_easy(request);
}

void
http_poll(HttpClient *client, int milliseconds)
{
	const CurlLibrary *curl = client->curl;
	CURLMsg			  *message;
	int				   count;

	patience_check();
	if (milliseconds > 0)
	{
		pgstat_report_wait_start(PG_WAIT_EXTENSION);
		/* a signal ends it, so that interrupts are seen at once */
		(void) curl->multi_poll(client->multi, NULL, 0, milliseconds, NULL);
		pgstat_report_wait_end();
		patience_check();
	}
	(void) curl->multi_perform(client->multi, &count);
	while ((message = curl->multi_info_read(client->multi, &count)) != NULL)
	{
		CURLcode code = message->data.result;
		char	*request = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		(void) curl->easy_getinfo(message->easy_handle, CURLINFO_PRIVATE,
								  &request);
		if (needs_file((HttpRequest *) request, code))
			http_start((HttpRequest *) request);
		else
			end_of_transfer((HttpRequest *) request, code);
	}
}

char *
http_header(const HttpRequest *request, const char *name)
{
	const char *line = request->answer_headers.data;
	size_t		len = strlen(name);

	for (; line && *line; line = strchr(line, '\n'))
	{
		if (*line == '\n')
			line++;
		if (pg_strncasecmp(line, name, len) == 0 && line[len] == ':')
		{
			const char *value = line + len + 1;

			value += strspn(value, " \t");
			len = strcspn(value, "\r\n");
			while (len > 0 && value[len - 1] == ' ')
				len--;
			return pnstrdup(value, len);
		}
	}
	return NULL;
}

#else

#include "sink/http/http.h"

HttpClient *
http_client_new(const HttpPlace *place)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("destinations that are reached over HTTP, such as S3, are "
					"not supported by this build"),
			 errdetail("It was made without libcurl's headers."),
			 errhint("Build it again with Debian's libcurl4-openssl-dev.")));
	return NULL; /* not reached */
}

/* never called without a client */
void
http_request_init(HttpClient *client, HttpRequest *request)
{
}

void
http_start(HttpRequest *request)
{
}

void
http_poll(HttpClient *client, int milliseconds)
{
}

void
http_end(HttpRequest *request)
{
}

const char *
http_take(HttpRequest *request, size_t *len)
{
	return NULL;
}

char *
http_header(const HttpRequest *request, const char *name)
{
	return NULL;
}

#endif
