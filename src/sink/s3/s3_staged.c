/*
 * s3_staged.c
 *		A job's own files in an S3 store.
 *
 * Staged files are objects below "prefix/.outflow-ID/", and so are the uploads
 * on their way there.  Publication copies them to their keys, within the store;
 * the staged ones go when all is published.  _owner holds the owner's token.
 *
 * Within this cluster a lock keeps two processes from taking the same staged
 * files; it ends with its process, so nothing that a killed one leaves at the
 * store is in anybody's way.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "session_lock.h"
#include "sink/s3/s3_destination.h"
#include "utils/memutils.h"

#define OWNER "_owner"
/* Of an upload that copies a part to its key: these, and the part's name. */
#define RECORD_BEGUN "_copy-"
#define RECORD_ID	 "_upload-"
#define OWNER_MAX	 4096
/* SQL's advisory locks use the classes 1 and 2, jobs the two before this. */
#define STAGING_LOCK_CLASS 28520

void
s3_unlock(void *arg)
{
	S3Destination *self = arg;

	if (self->is_locked)
		session_lock_release(&self->lock);
	self->is_locked = false;
}

void
s3_release(Destination *to)
{
	s3_unlock(to);
}

/* False if another process has them, or this one by another Destination. */
static bool
lock_staging(S3Destination *self)
{
	char  *name = s3_staged_key(&self->base, "");
	uint64 hash;

	name = psprintf("%s %s", self->base.location, name);
	hash = hash_bytes_extended((unsigned char *) name, strlen(name), 0);
	SET_LOCKTAG_ADVISORY(self->lock, MyDatabaseId, (uint32) (hash >> 32),
						 (uint32) hash, STAGING_LOCK_CLASS);
	self->is_locked = session_lock_try(&self->lock, ExclusiveLock);
	return self->is_locked;
}

DestinationClaim
s3_claim(Destination *to, const char *id, const char *token,
		 DestinationAccess access)
{
	S3Destination *self = s3_self(to);
	char		   object_id[S3_ID_SIZE];
	char		  *owner;
	size_t		   len;

	s3_unlock(self);
	self->staging = MemoryContextStrdup(GetMemoryChunkContext(to),
										psprintf(DESTINATION_HIDDEN "%s", id));
	id = psprintf("%s/%s", self->staging, OWNER);
	owner = to->driver->get(to, id, OWNER_MAX, &len);
	self->is_claimed = owner != NULL || access == ACCESS_CREATE;
	if (!self->is_claimed)
		return access == ACCESS_LEFT ? CLAIM_FOREIGN : CLAIM_MISSING;
	if (access == ACCESS_LOOK)
		return CLAIM_GRANTED;
	if (owner == NULL)
	{
		s3_new_id(object_id);
		(void) s3_put(self->store, s3_full_key(to, id), token, strlen(token),
					  object_id, true);
		owner = to->driver->get(to, id, OWNER_MAX, &len);
	}
	if (owner == NULL || strcmp(owner, token) != 0)
		return CLAIM_FOREIGN;
	if (access == ACCESS_JOIN)
		return CLAIM_GRANTED;
	return lock_staging(self) ? CLAIM_GRANTED : CLAIM_LOCKED;
}

bool
s3_is_claimed(const Destination *to)
{
	return s3_self(to)->is_claimed;
}

Sink *
s3_new_part(Destination *to, const char *key)
{
	return s3_upload_new(s3_store_of(to), s3_staged_key(to, key));
}

/* One key has to be allowed to read the one and write the other. */
static bool
can_copy(const S3Store *to, const S3Store *from)
{
	return strcmp(to->config.host, from->config.host) == 0 &&
		   to->config.port == from->config.port &&
		   strcmp(to->secrets.key_id, from->secrets.key_id) == 0;
}

/* Through this process. */
static void
carry_bytes(Destination *to, const char *staged, Destination *from,
			const char *from_key)
{
	Sink *upload = s3_upload_new(s3_store_of(to), staged);

	if (!from->driver->read(from, DESTINATION_FINAL, from_key, upload, NULL))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("could not read %s",
							   s3_object_name(s3_store_of(from), from_key))));
	sink_cleanup(upload);
}

bool
s3_carry(Destination *to, const char *key, Destination *from,
		 const char *from_key)
{
	char	*staged = s3_staged_key(to, key);
	char	*original = s3_full_key(from, from_key);
	S3Object object;
	S3Object there;

	if (!s3_head(s3_store_of(from), original, &object, NULL))
		return false;
	if (object.id[0] && s3_head(s3_store_of(to), staged, &there, NULL) &&
		strcmp(there.id, object.id) == 0)
		return true;
	if (object.id[0] == '\0' || !can_copy(s3_store_of(to), s3_store_of(from)))
		carry_bytes(to, staged, from, from_key);
	else
		(void) s3_copy(s3_store_of(to), staged,
					   s3_store_of(from)->config.bucket, original, &object,
					   false, NULL);
	return true;
}

/* Whether the two keys have one content: one of ours, copied. */
static bool
is_same(const S3Object *a, const S3Object *b)
{
	return a->id[0] && strcmp(a->id, b->id) == 0 && a->size == b->size;
}

bool
s3_is_staged(Destination *to, const char *key)
{
	S3Object staged;
	S3Object final;

	return s3_is_claimed(to) &&
		   s3_head(s3_store_of(to), s3_staged_key(to, key), &staged, NULL) &&
		   !(s3_head(s3_store_of(to), s3_full_key(to, key), &final, NULL) &&
			 is_same(&staged, &final));
}

/* One that is made by several requests has no sum; s3_left.c ends those of
 * earlier attempts. */
static void
check_written(const S3Store *store, const char *key, const S3Object *staged,
			  const DestinationLook *written)
{
	if (written == NULL || (staged->size == written->size &&
							(!staged->has_sent_sum || !written->has_crc ||
							 staged->sent_sum == written->crc)))
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		 errmsg("%s is not as it was exported", s3_object_name(store, key)),
		 errdetail("The store may have carried out a request that had been "
				   "given up."),
		 errhint("Resume the job: the part is exported again.")));
}

static S3Record
record_of(Destination *to, const char *name)
{
	return (S3Record){.begun =
						  s3_staged_key(to, psprintf(RECORD_BEGUN "%s", name)),
					  .id = s3_staged_key(to, psprintf(RECORD_ID "%s", name))};
}

bool
s3_publish(Destination *to, const char *key, const DestinationLook *written)
{
	S3Store *store = s3_store_of(to);
	char	*from = s3_staged_key(to, key);
	char	*final_key = s3_full_key(to, key);
	S3Object staged;
	S3Object final;
	bool	 is_there = s3_head(store, from, &staged, NULL);
	bool	 is_taken = s3_head(store, final_key, &final, NULL);
	S3Record record = record_of(to, destination_name(key));

	if (is_taken && (!is_there || is_same(&staged, &final)))
		return false;
	if (!is_there)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FILE),
						errmsg("could not publish %s: it is not there",
							   s3_object_name(store, final_key))));
	check_written(store, from, &staged, written);
	if (is_taken || !s3_copy(store, final_key, store->config.bucket, from,
							 &staged, true, &record))
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_FILE),
						errmsg("%s already exists",
							   s3_object_name(store, final_key))));
	return true;
}

static bool
take_key(void *arg, const S3Listed *found)
{
	List **keys = arg;

	*keys = lappend(*keys, pstrdup(found->key));
	return true;
}

/* The claim goes last: without it nothing here is known to be the job's. */
void
s3_discard(Destination *to)
{
	S3Destination *self = s3_self(to);
	char		  *owner;
	char		  *begun;
	List		  *keys = NIL;
	ListCell	  *cell;

	if (!s3_is_claimed(to))
		return;
	s3_upload_sweep(self->store, s3_staged_key(to, ""));
	owner = s3_staged_key(to, OWNER);
	begun = s3_staged_key(to, RECORD_BEGUN);
	(void) s3_list(self->store, s3_staged_key(to, ""), NULL, take_key, &keys,
				   NULL);
	foreach (cell, keys)
	{
		char *key = lfirst(cell);

		if (strncmp(key, begun, strlen(begun)) == 0)
		{
			S3Record record = record_of(to, key + strlen(begun));

			s3_record_forget(self->store, &record);
		}
		if (strcmp(key, owner) == 0)
			keys = foreach_delete_current(keys, cell);
	}
	s3_delete_all(self->store, keys);
	s3_delete(self->store, owner);
	s3_unlock(self);
	self->is_claimed = false;
}
