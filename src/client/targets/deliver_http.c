/*
 * deliver_http.c
 *		http://, https://: POST requests, one at a time, so that order is kept
 *		through every retry.
 *
 * A request holds a batch of records; a 2xx answer acknowledges them.  Its key
 * (Idempotency-Key, webhook-id) is made of the ids of its first and last record
 * and thus the same after a restart.  With a secret it is signed.
 *
 *	 2xx						taken
 *	 400, 409, 413, 415, 422	the records are rejected: one by one, to find
 *								which of them
 *	 408, 425, 429, 5xx, none	again, later; Retry-After says when
 *	 others						nothing will be taken: the program ends
 *
 * The states of the one request, from its batch to its answer, are all here;
 * forms and signatures have files of their own.
 */
#ifdef HAVE_LIBCURL

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/json_scan.h"
#include "client/memory.h"
#include "client/targets/curl_loop.h"
#include "client/targets/http_form.h"
#include "client/targets/http_signature.h"
#include "client/targets/targets.h"

#define BATCH_BYTES		(1024 * 1024)
#define MAX_ANSWER		1024 /* bytes of an answer that are kept, for messages */
#define MAX_RETRY_AFTER 3600

typedef struct HttpTarget
{
	Target			   base;
	const char		  *url;
	const HttpForm	  *form;
	CurlLoop		   curl;
	struct curl_slist *own_headers; /* of --http-header-file */
	struct curl_slist *headers;		/* of the request under way */
	Bytes			   secret;		/* of signatures; length 0: none */

	Record	 *records; /* of the batch: not yet acknowledged */
	size_t	  nrecords;
	size_t	  allocated;
	size_t	  bytes;
	uint64_t  last;	 /* number up to which the batch reaches */
	size_t	  done;	 /* of them are taken or rejected, when one by one */
	bool	  alone; /* one by one: the batch was rejected */
	long long since; /* the first of them was read */

	unsigned  attempt;
	long long retry_at;
	Bytes	  body;
} HttpTarget;

/* The URL as libcurl gets it: user and password go another way. */
static void
set_url(HttpTarget *self, const Url *url)
{
	char *at;

	if (url->host == NULL)
		client_exit(EXIT_USAGE, "\"%s\" names no host", url->display);
	if (url->user)
		curl_easy_setopt(self->curl.easy, CURLOPT_USERNAME, url->user);
	if (url->password)
		curl_easy_setopt(self->curl.easy, CURLOPT_PASSWORD, url->password);
	at = url->user ? strchr(url->text, '@') : NULL;
	/* as it was written: what the path escapes must stay so */
	self->url = at ? client_format("%s://%s", url->scheme, at + 1)
				   : client_strdup(url->text);
	curl_easy_setopt(self->curl.easy, CURLOPT_URL, self->url);
}

static Target *
http_open(const Url *url, const Settings *settings)
{
	HttpTarget *self = client_alloc(sizeof(HttpTarget));

	curl_loop_open(&self->curl, MAX_ANSWER);
	curl_loop_set_http(&self->curl, settings);
	set_url(self, url);
	self->form = http_form(settings->http_profile);
	if (settings->http_secret_file)
		self->secret = http_read_secret(settings->http_secret_file);
	if (settings->http_header_file)
		self->own_headers = curl_read_headers(settings->http_header_file);
	return &self->base;
}

/* The records of the next request: all, or the one whose turn it is. */
static const Record *
request_records(const HttpTarget *self, size_t *count)
{
	*count = self->alone ? 1 : self->nrecords;
	return self->records + (self->alone ? self->done : 0);
}

static void
build_body(HttpTarget *self)
{
	size_t		  count;
	const Record *records = request_records(self, &count);
	bool		  is_batch = target_batch_bytes(&self->base, BATCH_BYTES) > 0;
	size_t		  i;

	mem_reset(&self->body);
	if (is_batch)
		mem_add(&self->body, self->form->begin);
	for (i = 0; i < count; i++)
	{
		if (i > 0)
			mem_add(&self->body, self->form->separator);
		self->form->append(&self->body, &self->base, &self->base.identity,
						   &records[i]);
	}
	if (is_batch)
		mem_add(&self->body, self->form->end);
}

static char *
request_key(const HttpTarget *self)
{
	size_t		  count;
	const Record *records = request_records(self, &count);
	char		 *first = target_record_id(&self->base, &records[0]);
	char		 *last =
		count > 1 ? target_record_id(&self->base, &records[count - 1]) : NULL;
	char *key = client_format("%s/%s/%s%s%s", self->base.identity.system_id,
							  self->base.identity.slot, first,
							  last ? ".." : "", last ? last : "");

	free(first);
	free(last);
	return key;
}

static void
add_header(HttpTarget *self, const char *name, const char *value)
{
	char *line = client_format("%s: %s", name, value);

	self->headers = curl_slist_append(self->headers, line);
	free(line);
}

static void
add_signature(HttpTarget *self, const char *key, const char *timestamp)
{
	char *value = http_signature(&self->secret, key, timestamp, &self->body);

	add_header(self, "webhook-signature", value);
	free(value);
}

static void
build_headers(HttpTarget *self)
{
	bool  is_batch = target_batch_bytes(&self->base, BATCH_BYTES) > 0;
	char *key = request_key(self);
	char  timestamp[32];
	struct curl_slist *own;

	curl_slist_free_all(self->headers);
	self->headers = NULL;
	snprintf(timestamp, sizeof(timestamp), "%lld", (long long) time(NULL));
	add_header(self, "Content-Type",
			   is_batch ? self->form->type_batch : self->form->type_alone);
	add_header(self, "Idempotency-Key", key);
	add_header(self, "webhook-id", key);
	add_header(self, "webhook-timestamp", timestamp);
	/* libcurl would wait for a word of the server before large bodies */
	self->headers = curl_slist_append(self->headers, "Expect:");
	if (self->secret.length > 0)
		add_signature(self, key, timestamp);
	for (own = self->own_headers; own; own = own->next)
		self->headers = curl_slist_append(self->headers, own->data);
	free(key);
}

static void
http_send(HttpTarget *self)
{
	build_body(self);
	build_headers(self);
	curl_easy_setopt(self->curl.easy, CURLOPT_HTTPHEADER, self->headers);
	curl_easy_setopt(self->curl.easy, CURLOPT_POSTFIELDS, self->body.data);
	curl_easy_setopt(self->curl.easy, CURLOPT_POSTFIELDSIZE_LARGE,
					 (curl_off_t) self->body.length);
	curl_loop_send(&self->curl);
}

static bool
is_rejection(long status)
{
	return status == 400 || status == 409 || status == 413 || status == 415 ||
		   status == 422;
}

static bool
may_mend(long status)
{
	return status == 408 || status == 425 || status == 429 || status >= 500;
}

static RetryReason
status_retry_reason(long status)
{
	return status == 408 || status == 504	? RETRY_TIMEOUT
		   : status == 429 || status == 503 ? RETRY_THROTTLED
											: RETRY_ERROR;
}

/* The request was taken. */
static void
request_taken(HttpTarget *self)
{
	size_t		  count;
	const Record *records = request_records(self, &count);
	size_t		  i;

	self->base.counts.requests++;
	self->base.counts.records += count;
	for (i = 0; i < count; i++)
		self->base.counts.bytes += records[i].length;
	self->attempt = 0;
	self->done += count;
}

/* The whole batch is dealt with, one way or another. */
static void
finish_batch(HttpTarget *self)
{
	target_taken(&self->base, 1, self->last);
	self->nrecords = self->done = self->bytes = 0;
	self->alone = false;
	self->last = 0;
}

static void
request_rejected(HttpTarget *self, long status)
{
	char *reason;

	if (self->nrecords > 1 && !self->alone)
	{
		self->alone = true;
		self->done = 0;
		return;
	}
	reason = client_format("status %ld: %s", status, self->curl.answer.data);
	target_rejected(&self->base, &self->records[self->done], reason);
	free(reason);
	self->attempt = 0;
	self->done++;
}

static void
request_again(HttpTarget *self, RetryReason reason, const char *why)
{
	curl_off_t after = 0;
	long long  pause = target_backoff(++self->attempt);

	curl_easy_getinfo(self->curl.easy, CURLINFO_RETRY_AFTER, &after);
	if (after > MAX_RETRY_AFTER)
		after = MAX_RETRY_AFTER;
	if (after * 1000 > pause)
		pause = after * 1000 + random() % 1000;
	self->retry_at = clock_ms() + pause;
	self->base.counts.retries[reason]++;
	log_limited(&self->base.limit, LOG_WARNING,
				"%s: %s; the request is sent again", self->base.name, why);
}

static void
answer_status(HttpTarget *self)
{
	long  status = 0;
	char *why;

	curl_easy_getinfo(self->curl.easy, CURLINFO_RESPONSE_CODE, &status);
	if (self->curl.outcome != CURLE_OK)
	{
		if (curl_loop_is_hopeless(self->curl.outcome))
			client_exit(EXIT_TARGET, "%s: %s", self->base.name,
						curl_loop_error(&self->curl));
		request_again(self, curl_loop_retry_reason(self->curl.outcome),
					  curl_loop_error(&self->curl));
		return;
	}
	if (status >= 200 && status < 300)
		request_taken(self);
	else if (is_rejection(status))
		request_rejected(self, status);
	else if (may_mend(status))
	{
		why = client_format("status %ld", status);
		request_again(self, status_retry_reason(status), why);
		free(why);
	}
	else
		client_exit(EXIT_TARGET, "%s answers with status %ld: %s",
					self->base.name, status, self->curl.answer.data);
}

static void
keep_record(HttpTarget *self, const Record *record)
{
	if (self->nrecords == self->allocated)
	{
		self->allocated = self->allocated ? self->allocated * 2 : 64;
		self->records =
			client_realloc(self->records, self->allocated * sizeof(Record));
	}
	if (self->nrecords == 0)
		self->since = clock_ms();
	self->records[self->nrecords++] = *record;
	self->bytes += record->length;
}

/* Reads from the queue; true when the batch should go. */
static bool
fill_batch(HttpTarget *self)
{
	size_t most = target_batch_bytes(&self->base, BATCH_BYTES);
	Record record;

	while ((self->nrecords == 0 || self->bytes < most) &&
		   target_next(&self->base, &record))
	{
		self->last = record.number;
		if (record.wanted)
			keep_record(self, &record);
	}
	if (self->nrecords == 0)
	{
		if (self->last > 0)
			finish_batch(self);
		return false;
	}
	return self->bytes >= most || self->base.draining ||
		   clock_ms() >= self->since + target_linger(&self->base, 0);
}

static void
http_work(Target *target)
{
	HttpTarget *self = (HttpTarget *) target;

	target->wake_at = NEVER;
	for (;;)
	{
		if (self->curl.is_sending)
		{
			if (!curl_loop_ended(&self->curl))
			{
				target->wake_at = self->curl.timer_at;
				return;
			}
			answer_status(self);
			if (self->done == self->nrecords)
				finish_batch(self);
		}
		if (self->attempt > 0 && clock_ms() < self->retry_at)
		{
			target->wake_at = self->retry_at;
			return;
		}
		if (self->attempt == 0 && !self->alone && !fill_batch(self))
			break;
		http_send(self);
	}
	if (self->nrecords > 0)
		target->wake_at = self->since + target_linger(target, 0);
}

static void
http_close(Target *target)
{
	HttpTarget *self = (HttpTarget *) target;

	curl_loop_close(&self->curl);
	curl_slist_free_all(self->headers);
	curl_slist_free_all(self->own_headers);
}

/* Name, connection, TLS; no request, which could mean something to it. */
static bool
http_probe(const Url *url, const Settings *settings, char **why)
{
	CURL	*easy = ((HttpTarget *) http_open(url, settings))->curl.easy;
	char	 error[CURL_ERROR_SIZE] = "";
	CURLcode code;

	curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
	code = curl_easy_perform(easy);
	if (code == CURLE_OK)
		return true;
	*why = client_strdup(error[0] ? error : curl_easy_strerror(code));
	return false;
}

const TargetOps http_target = {
	.open = http_open,
	.resume = target_resume_nothing,
	.work = http_work,
	.remember = target_remember_nothing,
	.close = http_close,
	.probe = http_probe,
};

#endif /* HAVE_LIBCURL */
