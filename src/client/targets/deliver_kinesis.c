/*
 * deliver_kinesis.c
 *		kinesis://REGION/STREAM: records of an Amazon Kinesis data stream, by
 *		PutRecords, one request at a time.
 *
 * The order of a key is kept.  A request may fail for some of its records and
 * not for those after them, so it has at most one record of a key; whatever
 * follows of that key waits until that one is acknowledged.  Partition keys are
 * hashes of the row's key, so that all changes of a row are in one shard.  When
 * the stream is resharded, what follows goes to a child of that shard, which is
 * read after it: so that nothing here depends on which shard takes what.
 *
 * The states of the one request, from its records to what became of each, are all
 * here: their order is what keeps that of a key.
 */
#ifdef HAVE_LIBCURL

#include <stdlib.h>
#include <string.h>

#include "client/json_scan.h"
#include "client/loop.h"
#include "client/targets/kinesis_request.h"
#include "client/targets/kinesis_target.h"
#include "client/targets/targets.h"

#define RECORD_BYTES (1024 * 1024) /* of streams that don't say */
#define LISTING_MS	 5000		   /* shards are not asked for more often */

/* ProvisionedThroughputExceededException, ThrottlingException and the like */
static RetryReason
answer_reason(const char *answer)
{
	return strstr(answer, "Throttl") || strstr(answer, "Exceeded")
			   ? RETRY_THROTTLED
			   : RETRY_ERROR;
}

static void
kinesis_send_again(KinesisTarget *self, RetryReason reason, const char *why)
{
	self->retry_at = clock_ms() + target_backoff(++self->attempt);
	self->base.counts.retries[reason]++;
	log_limited(&self->base.limit, LOG_WARNING,
				"%s: %s; what it concerns is sent again", self->base.name,
				why);
}

static void
start_request(KinesisTarget *self, const char *operation)
{
	self->headers =
		kinesis_headers(self->headers, &self->credentials, self->endpoint,
						self->region, operation, &self->body);
	curl_easy_setopt(self->curl.easy, CURLOPT_HTTPHEADER, self->headers);
	curl_easy_setopt(self->curl.easy, CURLOPT_POSTFIELDS, self->body.data);
	curl_easy_setopt(self->curl.easy, CURLOPT_POSTFIELDSIZE_LARGE,
					 (curl_off_t) self->body.length);
	curl_loop_send(&self->curl);
}

static void
ask_for_stream(KinesisTarget *self)
{
	mem_reset(&self->body);
	mem_add(&self->body, "{\"StreamName\":");
	json_append_text(&self->body, self->stream);
	mem_add(&self->body, "}");
	start_request(self, "DescribeStreamSummary");
}

static void
ask_for_shards(KinesisTarget *self)
{
	self->nsent = 0;
	kinesis_shards_ask(&self->listing, &self->body, self->stream);
	start_request(self, "ListShards");
}

/* It was taken, by another shard than its key has been of: ask which there are. */
static void
compare_shard(KinesisTarget *self, const KinesisEntry *entry,
			  const char *shard)
{
	const char *foreseen = kinesis_shards_find(&self->shards, entry->key);

	if (shard == NULL || foreseen == NULL || strcmp(shard, foreseen) == 0 ||
		clock_ms() < self->listed_at + LISTING_MS)
		return;
	log_message(LOG_INFO, "%s was resharded: %s has taken what was of %s",
				self->base.name, shard, foreseen);
	self->phase = KINESIS_LISTING;
}

/* A new text, with the shard that is too hot. */
static char *
describe_failure(const KinesisTarget *self, const KinesisEntry *entry,
				 const char *code)
{
	const char *shard = kinesis_shards_find(&self->shards, entry->key);

	if (code == NULL)
		return client_strdup("no result");
	return shard ? client_format("%s by %s, of %zu shards", code, shard,
								 self->shards.count)
				 : client_strdup(code);
}

/* The answer to PutRecords: a result for each record, in order. */
static void
judge_results(KinesisTarget *self)
{
	const char *place = NULL;
	char	   *failure = NULL;
	size_t		taken = 0;
	size_t		i;

	for (i = 0; i < self->nsent; i++)
	{
		KinesisEntry *entry = self->sent[i];
		char		 *shard;
		char *code = kinesis_next_result(&self->curl.answer, &place, &shard);

		switch (code ? kinesis_verdict(code) : KINESIS_AGAIN)
		{
			case KINESIS_TAKEN:
				self->base.counts.records++;
				self->base.counts.bytes += entry->record.length;
				compare_shard(self, entry, shard);
				kinesis_done(self, entry);
				taken++;
				break;
			case KINESIS_REJECTED:
				kinesis_reject(self, entry, code);
				break;
			case KINESIS_REFUSED:
				client_exit(EXIT_TARGET, "%s: %s", self->base.name, code);
			default:
				free(failure);
				failure = describe_failure(self, entry, code);
		}
		free(code);
		free(shard);
	}
	self->base.counts.requests++;
	if (taken > 0 || failure == NULL)
		self->attempt = 0;
	if (failure)
		kinesis_send_again(self, answer_reason(failure), failure);
	free(failure);
}

static void
kinesis_request_rejected(KinesisTarget *self)
{
	self->attempt = 0;
	if (self->nsent > 1)
		self->alone = self->nsent + 1; /* this one counts, too */
	else
		kinesis_reject(self, self->sent[0], self->curl.answer.data);
}

/* What the stream takes; it may be older than that limit, or not tell us. */
static void
judge_description(KinesisTarget *self, KinesisVerdict verdict)
{
	JsonValue summary;
	long long kilobytes = RECORD_BYTES / 1024;

	if (verdict == KINESIS_TAKEN &&
		json_find(self->curl.answer.data, self->curl.answer.length,
				  "StreamDescriptionSummary", &summary))
		json_find_number(summary.data, summary.length, "MaxRecordSizeInKiB",
						 &kilobytes);
	if (verdict == KINESIS_REFUSED &&
		!strstr(self->curl.answer.data, "AccessDenied") &&
		!strstr(self->curl.answer.data, "UnknownOperation"))
		client_exit(EXIT_TARGET, "%s: %s", self->base.name,
					self->curl.answer.data);
	if (self->base.settings->kinesis_record_bytes < 0)
		self->max_record = kilobytes * 1024;
	if (self->max_record > self->max_bytes)
		self->max_record = self->max_bytes;
	log_message(LOG_INFO, "%s takes records of %zu bytes at most",
				self->base.name, self->max_record);
	self->attempt = 0;
	self->phase = KINESIS_LISTING;
}

/* Whoever may not know the shards, or just can't, goes on with what is known. */
static void
judge_listing(KinesisTarget *self, KinesisVerdict verdict)
{
	bool taken = verdict == KINESIS_TAKEN;

	self->attempt = 0;
	if (taken && kinesis_shards_take(&self->listing, &self->curl.answer))
		return;
	self->phase = KINESIS_READY;
	self->listed_at = clock_ms();
	if (taken && self->listing.next)
		log_message(LOG_WARNING,
					"%s has no end of shards: %zu of them are known",
					self->base.name, self->listing.count);
	if (taken && self->listing.count > 0)
	{
		kinesis_shards_forget(&self->shards);
		self->shards = self->listing;
		self->listing = (KinesisShards){0};
		log_message(LOG_INFO, "%s has %zu shards", self->base.name,
					self->shards.count);
	}
	kinesis_shards_forget(&self->listing);
}

static void
keys_expired(KinesisTarget *self)
{
	if (self->credentials.source < AWS_CONTAINER)
		client_exit(EXIT_TARGET, "%s: the keys have expired", self->base.name);
	aws_credentials_expired(&self->credentials);
	kinesis_send_again(self, RETRY_ERROR, "the keys have expired");
}

static void
judge_request(KinesisTarget *self)
{
	const Bytes	  *answer = &self->curl.answer;
	KinesisVerdict verdict;
	long		   status = 0;
	size_t		   i;

	curl_easy_getinfo(self->curl.easy, CURLINFO_RESPONSE_CODE, &status);
	verdict = self->curl.outcome == CURLE_OK
				  ? kinesis_request_verdict(status, answer)
				  : KINESIS_AGAIN;
	if (curl_loop_is_hopeless(self->curl.outcome))
		client_exit(EXIT_TARGET, "%s: %s", self->base.name,
					curl_loop_error(&self->curl));
	for (i = 0; i < self->nsent; i++)
		self->sent[i]->state = ENTRY_WAITING;
	if (verdict == KINESIS_EXPIRED)
		keys_expired(self);
	else if (self->phase == KINESIS_LISTING)
		judge_listing(self, verdict);
	else if (verdict == KINESIS_AGAIN)
	{
		bool answered = self->curl.outcome == CURLE_OK;

		kinesis_send_again(
			self,
			answered ? answer_reason(answer->data)
					 : curl_loop_retry_reason(self->curl.outcome),
			answered ? answer->data : curl_loop_error(&self->curl));
	}
	else if (self->phase == KINESIS_DESCRIBING)
		judge_description(self, verdict);
	else if (verdict == KINESIS_REFUSED)
		client_exit(EXIT_TARGET, "%s: status %ld: %s", self->base.name, status,
					answer->data);
	else
	{
		if (verdict == KINESIS_TAKEN)
			judge_results(self);
		else
			kinesis_request_rejected(self);
		if (self->alone > 0 && self->attempt == 0)
			self->alone--;
	}
	kinesis_shift(self);
}

/* Starts the next request, if it is time; false: there is none. */
static bool
next_request(KinesisTarget *self)
{
	if (self->attempt > 0 && clock_ms() < self->retry_at)
	{
		self->base.wake_at = self->retry_at;
		return false;
	}
	if (!aws_credentials_ready(&self->credentials))
	{
		self->base.wake_at = aws_credentials_wake_at(&self->credentials);
		if (self->credentials.failure.length > 0)
			log_limited(&self->base.limit, LOG_WARNING,
						"%s: no keys: %s; asking again", self->base.name,
						self->credentials.failure.data);
		return false;
	}
	if (self->phase == KINESIS_DESCRIBING)
	{
		ask_for_stream(self);
		return true;
	}
	if (self->phase == KINESIS_LISTING)
	{
		ask_for_shards(self);
		return true;
	}
	kinesis_fill(self);
	if (self->count > 0 && self->count < self->max_records &&
		self->bytes < self->max_bytes && !self->base.draining &&
		clock_ms() < self->since + target_linger(&self->base, 0))
	{
		self->base.wake_at = self->since + target_linger(&self->base, 0);
		return false;
	}
	if (!kinesis_build_request(self))
		return false;
	start_request(self, "PutRecords");
	return true;
}

static void
kinesis_work(Target *target)
{
	KinesisTarget *self = (KinesisTarget *) target;

	target->wake_at = NEVER;
	if (self->phase == KINESIS_UNUSED)
		return;
	for (;;)
	{
		if (self->curl.is_sending)
		{
			if (!curl_loop_ended(&self->curl))
			{
				target->wake_at = self->curl.timer_at;
				return;
			}
			judge_request(self);
		}
		if (!next_request(self))
			return;
	}
}

static void
kinesis_resume(Target *target, const Identity *identity)
{
	(void) identity;
	((KinesisTarget *) target)->phase = KINESIS_DESCRIBING;
}

static void
kinesis_close(Target *target)
{
	KinesisTarget *self = (KinesisTarget *) target;

	curl_loop_close(&self->curl);
	kinesis_shards_forget(&self->shards);
	kinesis_shards_forget(&self->listing);
	curl_slist_free_all(self->headers);
	aws_credentials_close(&self->credentials);
}

/* Keys, and the stream's description: what a stream begins with. */
static bool
kinesis_probe(const Url *url, const Settings *settings, char **why)
{
	KinesisTarget *self = (KinesisTarget *) kinesis_open(url, settings);

	target_begin_probe(&self->base, url, settings);
	self->phase = KINESIS_DESCRIBING;
	for (;;)
	{
		kinesis_work(&self->base);
		if (self->phase == KINESIS_READY)
			return true;
		if (self->attempt > 0 || self->credentials.failure.length > 0)
			break;
		loop_wait(self->base.wake_at);
	}
	if (self->attempt == 0)
		*why = client_format("no keys: %s", self->credentials.failure.data);
	else
		*why = client_strdup(self->curl.outcome == CURLE_OK
								 ? self->curl.answer.data
								 : curl_loop_error(&self->curl));
	return false;
}

const TargetOps kinesis_target = {
	.open = kinesis_open,
	.resume = kinesis_resume,
	.work = kinesis_work,
	.remember = target_remember_nothing,
	.close = kinesis_close,
	.probe = kinesis_probe,
};

#endif /* HAVE_LIBCURL */
