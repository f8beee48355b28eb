/*
 * deliver_milvus.c
 *		milvus://: rows of collections, by Milvus's REST API, version 2, one
 *		request at a time.
 *
 * A batch of records becomes one operation for each row, so that the order of
 * requests, and of rows in them, does not matter.  It is acknowledged when all of
 * them were answered.  What comes again after a crash is put and deleted again, up
 * to where it had been, which gives the same collection.
 *
 * When Milvus rejects a request, the batch's records are sent one by one, in their
 * order, to find which of them it means.
 *
 * The states of the one request, from its batch to its answer, are all here.
 */
#ifdef HAVE_LIBCURL

#include <stdlib.h>
#include <string.h>

#include "client/targets/milvus_target.h"
#include "client/targets/targets.h"

#define UNCLEAR_TIMES 5 /* then it is a rejection */

/* ---- requests */

static void
milvus_send(MilvusTarget *self, MilvusRequest request, const char *path)
{
	char *url = client_format("%s%s", self->address, path);

	self->request = request;
	curl_easy_setopt(self->curl.easy, CURLOPT_URL, url);
	curl_easy_setopt(self->curl.easy, CURLOPT_POSTFIELDS, self->body.data);
	curl_easy_setopt(self->curl.easy, CURLOPT_POSTFIELDSIZE_LARGE,
					 (curl_off_t) self->body.length);
	curl_loop_send(&self->curl);
	free(url);
}

/*
 * A wrong type and no data: a server that knows the parameter can't read the
 * request (1801), another one misses the data (1802); nothing happens in either.
 */
static void
ask_partial(MilvusTarget *self)
{
	milvus_begin_body(&self->body, self->database, "outflow");
	mem_add(&self->body, ",\"partialUpdate\":\"?\"}");
	milvus_send(self, MILVUS_ASK_PARTIAL, MILVUS_PUT);
}

static void
ask_collection(MilvusTarget *self)
{
	milvus_begin_body(&self->body, self->database,
					  self->to_describe->collection);
	mem_add(&self->body, "}");
	milvus_send(self, MILVUS_ASK_COLLECTION, MILVUS_DESCRIBE);
}

static void
ask_row(MilvusTarget *self)
{
	milvus_ask_row(&self->body, self->database,
				   &self->batch.operations[self->places[0]]);
	milvus_send(self, MILVUS_ASK_ROW, MILVUS_QUERY);
}

/* The first operations that aren't done; false if all are. */
static bool
send_operations(MilvusTarget *self)
{
	const char *path;
	size_t		first = 0;

	while (first < self->batch.count && self->batch.operations[first].is_done)
		first++;
	if (first == self->batch.count)
		return false;
	if (self->nplaces_allocated < self->batch.count)
	{
		self->nplaces_allocated = self->batch.allocated;
		self->places = client_realloc(self->places, self->nplaces_allocated *
														sizeof(size_t));
	}
	path = milvus_build_request(&self->body, self->database, &self->batch,
								first, self->places, &self->nplaces);
	milvus_send(self, MILVUS_WRITE, path);
	return true;
}

static void
milvus_send_again(MilvusTarget *self, RetryReason reason, const char *why)
{
	self->retry_at = clock_ms() + target_backoff(++self->attempt);
	self->base.counts.retries[reason]++;
	log_limited(&self->base.limit, LOG_WARNING,
				"%s: %s; the request is sent again", self->base.name, why);
}

/* ---- answers */

static void
reject_this(MilvusTarget *self, const char *reason)
{
	target_rejected(&self->base, &self->records[self->done], reason);
	self->done++;
	milvus_load_record(self);
}

static void
operations_rejected(MilvusTarget *self, const char *reason)
{
	self->attempt = self->unclear = 0;
	if (!self->alone)
	{
		self->alone = true;
		if (self->nrecords > 1)
		{
			milvus_load_record(self);
			return;
		}
	}
	if (self->batch.operations[self->places[0]].kind == MILVUS_PARTIAL)
		self->rejection = client_strdup(reason);
	else
		reject_this(self, reason);
}

static void
judge_row(MilvusTarget *self)
{
	if (milvus_row_is_missing(&self->curl.answer))
	{
		milvus_wait_for_row(self, &self->batch.operations[self->places[0]]);
		self->done++;
		milvus_load_record(self);
	}
	else
	{
		char *reason = self->rejection;

		self->rejection = NULL;
		reject_this(self, reason);
		free(reason);
	}
}

/* The server took what it was asked for, or sent. */
static void
request_done(MilvusTarget *self)
{
	MilvusTable *table = self->to_describe;
	size_t		 i;

	self->attempt = self->unclear = 0;
	switch (self->request)
	{
		case MILVUS_ASK_COLLECTION:
			self->to_describe = NULL;
			milvus_described(table, &self->curl.answer, self->has_partial,
							 &self->base);
			log_message(LOG_INFO, "%s: table %s goes to collection \"%s\"",
						self->base.name, table->display, table->collection);
			break;
		case MILVUS_ASK_ROW:
			judge_row(self);
			break;
		case MILVUS_WRITE:
			self->base.counts.requests++;
			for (i = 0; i < self->nplaces; i++)
				self->batch.operations[self->places[i]].is_done = true;
			break;
		default:
			break;
	}
}

/* It must be one of two errors. */
static void
judge_partial(MilvusTarget *self, MilvusVerdict verdict, const char *reason)
{
	long long code = 0;

	if (verdict != MILVUS_REJECTED)
		client_exit(EXIT_TARGET, "%s: %s", self->base.name,
					reason ? reason : "a senseless request was taken");
	json_find_number(self->curl.answer.data, self->curl.answer.length, "code",
					 &code);
	self->has_asked = true;
	self->has_partial = code == 1801;
	self->attempt = 0;
	log_message(LOG_DEBUG, "%s knows %spartial updates", self->base.name,
				self->has_partial ? "" : "no ");
}

static void
judge_milvus_answer(MilvusTarget *self)
{
	MilvusVerdict verdict = MILVUS_AGAIN;
	char		 *reason = NULL;
	long		  status = 0;

	curl_easy_getinfo(self->curl.easy, CURLINFO_RESPONSE_CODE, &status);
	if (curl_loop_is_hopeless(self->curl.outcome))
		client_exit(EXIT_TARGET, "%s: %s", self->base.name,
					curl_loop_error(&self->curl));
	if (self->curl.outcome == CURLE_OK)
		verdict = milvus_verdict(status, &self->curl.answer, &reason);
	else
		reason = client_strdup(curl_loop_error(&self->curl));
	if (verdict == MILVUS_UNCLEAR)
		verdict =
			self->request == MILVUS_WRITE && ++self->unclear >= UNCLEAR_TIMES
				? MILVUS_REJECTED
				: MILVUS_AGAIN;
	if (verdict == MILVUS_AGAIN)
		milvus_send_again(self,
						  self->curl.outcome != CURLE_OK
							  ? curl_loop_retry_reason(self->curl.outcome)
						  : status == 429 ? RETRY_THROTTLED
										  : RETRY_ERROR,
						  reason);
	else if (self->request == MILVUS_ASK_PARTIAL)
		judge_partial(self, verdict, reason);
	else if (verdict == MILVUS_TAKEN)
		request_done(self);
	else if (verdict == MILVUS_REJECTED && self->request == MILVUS_WRITE)
		operations_rejected(self, reason);
	else if (self->request == MILVUS_ASK_COLLECTION)
		client_exit(EXIT_TARGET,
					"%s: collection \"%s\", for table %s: %s; create it, or "
					"leave the table out with -o exclude_tables=",
					self->base.name, self->to_describe->collection,
					self->to_describe->display, reason);
	else
		client_exit(EXIT_TARGET, "%s: %s", self->base.name, reason);
	free(reason);
}

/* ---- what the target does */

/* Starts the next request, if it is time; false: there is none. */
static bool
milvus_next_request(MilvusTarget *self)
{
	if (self->attempt > 0 && clock_ms() < self->retry_at)
	{
		self->base.wake_at = self->retry_at;
		return false;
	}
	if (!self->has_asked)
		ask_partial(self);
	else if (self->rejection)
		ask_row(self);
	else if (self->to_describe)
		ask_collection(self);
	else
	{
		while (self->is_complete && !send_operations(self))
		{
			if (self->done < self->nrecords)
				milvus_operations_done(self);
			if (self->nrecords > 0 && self->done == self->nrecords)
				milvus_finish_batch(self);
		}
		if (self->curl.is_sending)
			return true;
		if (self->nrecords == 0)
			milvus_judge_waiting(self);
		self->is_complete = milvus_fill_batch(self);
		if (self->is_complete || self->to_describe)
			return milvus_next_request(self);
		if (self->nrecords > 0)
			self->base.wake_at = self->since + target_linger(&self->base, 0);
		return false;
	}
	return true;
}

static void
milvus_work(Target *target)
{
	MilvusTarget *self = (MilvusTarget *) target;

	target->wake_at = NEVER;
	if (!self->is_active)
		return;
	do
	{
		if (self->curl.is_sending)
		{
			if (!curl_loop_ended(&self->curl))
			{
				target->wake_at = self->curl.timer_at;
				return;
			}
			judge_milvus_answer(self);
		}
	} while (milvus_next_request(self));
}

static void
milvus_resume(Target *target, const Identity *identity)
{
	MilvusTarget *self = (MilvusTarget *) target;
	Lsn			  endpos = target->settings->endpos;

	self->is_active = true;
	self->horizon = identity->head;
	if (endpos != 0 && endpos < self->horizon)
		self->horizon = endpos;
}

static void
milvus_close(Target *target)
{
	MilvusTarget *self = (MilvusTarget *) target;

	curl_loop_close(&self->curl);
	curl_slist_free_all(self->headers);
}

/* Does the API answer, to this login, in that database? */
static bool
milvus_probe(const Url *url, const Settings *settings, char **why)
{
	MilvusTarget *self = (MilvusTarget *) milvus_open(url, settings);
	char		 *address = client_format("%s" MILVUS_LIST, self->address);
	long		  status = 0;

	milvus_begin_body(&self->body, self->database, NULL);
	mem_add(&self->body, "}");
	mem_add(&self->curl.answer, "");
	curl_easy_setopt(self->curl.easy, CURLOPT_URL, address);
	curl_easy_setopt(self->curl.easy, CURLOPT_POSTFIELDS, self->body.data);
	self->curl.outcome = curl_easy_perform(self->curl.easy);
	if (self->curl.outcome != CURLE_OK)
	{
		*why = client_strdup(curl_loop_error(&self->curl));
		return false;
	}
	curl_easy_getinfo(self->curl.easy, CURLINFO_RESPONSE_CODE, &status);
	return milvus_verdict(status, &self->curl.answer, why) == MILVUS_TAKEN;
}

const TargetOps milvus_target = {
	.open = milvus_open,
	.resume = milvus_resume,
	.work = milvus_work,
	.remember = target_remember_nothing,
	.close = milvus_close,
	.probe = milvus_probe,
};

#endif /* HAVE_LIBCURL */
