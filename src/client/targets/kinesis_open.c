/*
 * kinesis_open.c
 *		What a Kinesis target is told: its URL and options.
 */
#ifdef HAVE_LIBCURL

#include <string.h>

#include "client/targets/kinesis_request.h"
#include "client/targets/kinesis_target.h"
#include "client/targets/targets.h"

#define MAX_ANSWER	  (1024 * 1024) /* 500 results fit */
#define TIMEOUT_MS	  30000L
#define STREAM_SYMBOL "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define REGION_SYMBOL "abcdefghijklmnopqrstuvwxyz0123456789-"

static bool
is_name(const char *text, const char *symbols, size_t most)
{
	return *text && strlen(text) <= most &&
		   strspn(text, symbols) == strlen(text);
}

static void
check_options(const Settings *settings)
{
	const char *schemas = pairs_find(&settings->options, "include_schemas");

	if (settings->kinesis_records < 1 || settings->kinesis_bytes < 1)
		client_exit(EXIT_USAGE,
					"--kinesis-records and --kinesis-bytes must be positive");
	if (schemas && strcmp(schemas, "on") != 0)
		client_exit(EXIT_USAGE,
					"pg_outflow can't deliver to kinesis: with -o "
					"include_schemas=%s: it finds keys by schema records",
					schemas);
}

Target *
kinesis_open(const Url *url, const Settings *settings)
{
	KinesisTarget *self = client_alloc(sizeof(KinesisTarget));

	if (url->host == NULL || !is_name(url->host, REGION_SYMBOL, 64) ||
		url->path == NULL ||
		!is_name(url->path + 1, STREAM_SYMBOL "0123456789_.-", 128))
		client_exit(EXIT_USAGE, "\"%s\" must be kinesis://REGION/STREAM",
					url->display);
	check_options(settings);
	self->region = url->host;
	self->stream = url->path + 1;
	self->endpoint =
		settings->kinesis_endpoint
			? client_strdup(settings->kinesis_endpoint)
			: client_format("https://kinesis.%s.amazonaws.com%s", url->host,
							strncmp(url->host, "cn-", 3) == 0 ? ".cn" : "");
	self->max_bytes = settings->kinesis_bytes;
	self->max_records =
		settings->batch_bytes == 0 ? 1 : settings->kinesis_records;
	self->max_record = settings->kinesis_record_bytes;
	self->allocated = KINESIS_LOOK_AHEAD * self->max_records;
	self->entries = client_alloc(self->allocated * sizeof(KinesisEntry));
	self->sent = client_alloc(self->max_records * sizeof(*self->sent));
	for (self->nbusy = 64; self->nbusy < 4 * self->allocated;)
		self->nbusy *= 2;
	self->busy = client_alloc(self->nbusy * sizeof(*self->busy));
	aws_credentials_open(&self->credentials);
	curl_loop_open(&self->curl, MAX_ANSWER);
	curl_easy_setopt(self->curl.easy, CURLOPT_POST, 1L);
	curl_easy_setopt(self->curl.easy, CURLOPT_URL, self->endpoint);
	curl_easy_setopt(self->curl.easy, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
	return &self->base;
}

#endif /* HAVE_LIBCURL */
