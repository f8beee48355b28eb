/*
 * kinesis_shards.c
 *		Ranges of hashes: 128-bit numbers, which are decimal in answers and the
 *		MD5 of a partition key otherwise.
 */
#ifdef HAVE_LIBCURL

#include "client/targets/kinesis_shards.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "client/json_scan.h"
#include "client/targets/kinesis_request.h"

#define MAX_SHARDS 100000
#define MAX_PAGES  1000 /* of 1000 shards each, unless something is wrong */

void
kinesis_shards_ask(const KinesisShards *self, Bytes *body, const char *stream)
{
	mem_reset(body);
	/* the API takes one of them alone */
	mem_add(body, self->next ? "{\"NextToken\":" : "{\"StreamName\":");
	json_append_text(body, self->next ? self->next : stream);
	mem_add(body, "}");
}

/* False if it is none of that size. */
static bool
parse_hash(const JsonValue *range, const char *name, unsigned char *hash)
{
	char	   *text = json_find_text(range->data, range->length, name);
	const char *p = text;
	bool		ok = text && *text;

	memset(hash, 0, KINESIS_HASH_BYTES);
	for (; ok && *p; p++)
	{
		unsigned carry = *p - '0';
		int		 i;

		ok = carry <= 9;
		for (i = KINESIS_HASH_BYTES - 1; i >= 0; i--)
		{
			carry += hash[i] * 10;
			hash[i] = carry & 0xFF;
			carry >>= 8;
		}
		ok &= carry == 0;
	}
	free(text);
	return ok;
}

/* A shard with a last sequence number takes nothing any more. */
static void
add_shard(KinesisShards *self, const JsonValue *shard)
{
	KinesisShard added = {0};
	JsonValue	 range;
	JsonValue	 last;

	if (json_find(shard->data, shard->length, "SequenceNumberRange", &range) &&
		json_find(range.data, range.length, "EndingSequenceNumber", &last) &&
		!json_is(&last, "null"))
		return;
	if (!json_find(shard->data, shard->length, "HashKeyRange", &range) ||
		!parse_hash(&range, "StartingHashKey", added.first) ||
		!parse_hash(&range, "EndingHashKey", added.last))
		return;
	added.id = json_find_text(shard->data, shard->length, "ShardId");
	if (added.id == NULL)
		return;
	self->shards =
		client_realloc(self->shards, (self->count + 1) * sizeof(KinesisShard));
	self->shards[self->count++] = added;
}

bool
kinesis_shards_take(KinesisShards *self, const Bytes *answer)
{
	const char *place = NULL;
	JsonValue	shard;

	while (kinesis_next_member(answer, "Shards", &place, &shard))
		add_shard(self, &shard);
	free(self->next);
	self->next = json_find_text(answer->data, answer->length, "NextToken");
	return self->next != NULL && self->count < MAX_SHARDS &&
		   ++self->pages < MAX_PAGES;
}

void
kinesis_shards_forget(KinesisShards *self)
{
	while (self->count > 0)
		free(self->shards[--self->count].id);
	free(self->shards);
	free(self->next);
	*self = (KinesisShards){0};
}

const char *
kinesis_shards_find(const KinesisShards *self, const char *partition_key)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned int  length;
	size_t		  i;

	/* there are systems without MD5 */
	if (self->count == 0 || !EVP_Digest(partition_key, strlen(partition_key),
										hash, &length, EVP_md5(), NULL))
		return NULL;
	for (i = 0; i < self->count; i++)
		if (memcmp(hash, self->shards[i].first, KINESIS_HASH_BYTES) >= 0 &&
			memcmp(hash, self->shards[i].last, KINESIS_HASH_BYTES) <= 0)
			return self->shards[i].id;
	return NULL;
}

#endif /* HAVE_LIBCURL */
