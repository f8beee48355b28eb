/*
 * s3_destination.c
 *		The driver of "server:prefix" for servers of outflow_s3.
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
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "sink/s3/s3.h"
#include "sink/s3/s3_internal.h"
#include "sink/s3/s3_place.h"
#include "sink/stage.h"
#include "storage/lock.h"
#include "utils/memutils.h"

#define STAGING_PREFIX ".outflow-"
#define OWNER		   "_owner"
#define OWNER_MAX	   4096
/* SQL's advisory locks use the classes 1 and 2, jobs the two before this. */
#define STAGING_LOCK_CLASS 28520

typedef struct S3Destination
{
	Destination base;
	S3Store	   *store;
	char	   *prefix;	 /* "" for the bucket */
	char	   *staging; /* ".outflow-id"; NULL: nothing is claimed */
	LOCKTAG		lock;
	bool		is_locked;
} S3Destination;

static S3Destination *
self_of(const Destination *to)
{
	return (S3Destination *) to;
}

static S3Store *
store_of(const Destination *to)
{
	return self_of(to)->store;
}

static char *
full_key(const Destination *to, const char *key)
{
	const char *prefix = self_of(to)->prefix;

	return psprintf("%s%s%s", prefix, prefix[0] ? "/" : "", key);
}

static char *
staged_key(const Destination *to, const char *key)
{
	if (self_of(to)->staging == NULL)
		elog(ERROR, "nothing is claimed in \"%s\"", to->path);
	return full_key(
		to, psprintf("%s/%s", self_of(to)->staging, destination_name(key)));
}

/* ---- the place */

/* Each server has its own: USAGE. */
static void
s3_check_rights(void)
{
}

static char *
s3_locate(const char *place, const char *limit)
{
	S3Place found;

	s3_place_find(place, &found);
	return found.location;
}

static void
unlock(void *arg)
{
	S3Destination *self = arg;

	if (self->is_locked)
		(void) LockRelease(&self->lock, ExclusiveLock, true);
	self->is_locked = false;
}

static bool
stop_at_first(void *arg, const char *key, uint64 size)
{
	*(bool *) arg = true;
	return false;
}

/* Whether there is anything; NULL and errno if it can't be told, or an error. */
static bool
holds_something(Destination *to, int *error)
{
	bool something = false;

	(void) s3_list(store_of(to), full_key(to, ""), NULL, stop_at_first,
				   &something, error);
	return something;
}

static Destination *
s3_open(const char *place, const char *limit, DestinationMode mode)
{
	S3Destination *self = palloc0_object(S3Destination);
	S3Place		   found;
	int			   error = 0;

	if (mode != DESTINATION_KNOWN && mode != DESTINATION_TRY)
		s3_place_find(place, &found);
	else if (!s3_place_known(place, &found))
	{
		errno = ENOENT;
		if (mode == DESTINATION_TRY)
			return NULL;
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("no server that may be used leads to \"%s\"", place),
				 errhint("Make one again, with USAGE for this role, and a "
						 "user mapping.")));
	}
	self->base.driver = &s3_driver;
	self->store = s3_store_open(found.server);
	self->prefix = found.prefix;
	self->base.path =
		psprintf("%s:%s", found.server->servername, found.prefix);
	self->base.location = found.location;
	sink_guard(unlock, self);
	if (mode == DESTINATION_CREATE || mode == DESTINATION_EXISTING ||
		holds_something(&self->base, mode == DESTINATION_TRY ? &error : NULL))
		return &self->base;
	errno = error ? error : ENOENT;
	return NULL;
}

static void
s3_nothing(Destination *to)
{
}

/* The server may have been altered, or rights taken away. */
static void
s3_check_place(Destination *to)
{
	S3Store		  *store = store_of(to);
	ForeignServer *server =
		GetForeignServerExtended(store->server, FSV_MISSING_OK);

	if (server == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("server \"%s\" does not exist any more",
							   store->name)));
	(void) server_get(server->servername);
	if (strcmp(s3_place_location(server, self_of(to)->prefix), to->location) !=
		0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("server \"%s\" leads to another place by now",
							   store->name),
						errdetail("It was \"%s\".", to->location)));
	s3_store_refresh(store);
}

typedef struct Entries
{
	List	   *list;
	size_t		prefix_len;
	const char *staging; /* left out; or NULL */
} Entries;

static bool
take_entry(void *arg, const char *key, uint64 size)
{
	Entries			 *entries = arg;
	const char		 *name = key + entries->prefix_len;
	size_t			  len = strcspn(name, "/");
	DestinationEntry *entry;

	/* some programs make an object for a folder itself */
	if (strlen(key) <= entries->prefix_len || len == 0)
		return true;
	entry = palloc0_object(DestinationEntry);
	entry->name = pnstrdup(name, len);
	entry->is_directory = name[len] == '/';
	entry->is_regular = !entry->is_directory;
	entry->size = entry->is_regular ? size : 0;
	if (entries->staging == NULL || strcmp(entry->name, entries->staging) != 0)
		entries->list = lappend(entries->list, entry);
	return true;
}

/*
 * Stores that keep folders in a file system of their own list them also when
 * they have become empty.  Only whether the hidden ones are there matters.
 */
static bool
is_empty_staging(Destination *to, const char *prefix,
				 const DestinationEntry *entry)
{
	bool something = false;

	if (strncmp(entry->name, STAGING_PREFIX, strlen(STAGING_PREFIX)) != 0 ||
		!entry->is_directory)
		return false;
	(void) s3_list(store_of(to), psprintf("%s%s/", prefix, entry->name), NULL,
				   stop_at_first, &something, NULL);
	return !something;
}

static int
compare_entries(const ListCell *a, const ListCell *b)
{
	return strcmp(((DestinationEntry *) lfirst(a))->name,
				  ((DestinationEntry *) lfirst(b))->name);
}

static List *
s3_list_folder(Destination *to, const char *folder, int *error)
{
	char	 *prefix = full_key(to, folder[0] ? psprintf("%s/", folder) : "");
	Entries	  entries = {NIL, strlen(prefix), self_of(to)->staging};
	ListCell *cell;

	if (!s3_list(store_of(to), prefix, "/", take_entry, &entries, error))
		return NIL;
	foreach (cell, entries.list)
		if (is_empty_staging(to, prefix, lfirst(cell)))
			entries.list = foreach_delete_current(entries.list, cell);
	/* not every store sorts */
	list_sort(entries.list, compare_entries);
	return entries.list;
}

static char *
s3_check_free(Destination *to, const char *folder)
{
	ListCell *cell;

	foreach (cell, s3_list_folder(to, folder, NULL))
	{
		DestinationEntry *entry = lfirst(cell);

		if (strncmp(entry->name, STAGING_PREFIX, strlen(STAGING_PREFIX)) == 0)
			return entry->name;
	}
	return NULL;
}

static void
s3_release(Destination *to)
{
	unlock(to);
}

/* ---- staged files */

/* False if another process has them, or this one by another Destination. */
static bool
lock_staging(S3Destination *self)
{
	char			 *name = staged_key(&self->base, "");
	uint64			  hash;
	LockAcquireResult result;

	name = psprintf("%s %s", self->base.location, name);
	hash = hash_bytes_extended((unsigned char *) name, strlen(name), 0);
	SET_LOCKTAG_ADVISORY(self->lock, MyDatabaseId, (uint32) (hash >> 32),
						 (uint32) hash, STAGING_LOCK_CLASS);
	result = LockAcquire(&self->lock, ExclusiveLock, true, true);
	if (result == LOCKACQUIRE_ALREADY_HELD)
		(void) LockRelease(&self->lock, ExclusiveLock, true);
	self->is_locked = result == LOCKACQUIRE_OK;
	return self->is_locked;
}

static DestinationClaim
s3_claim(Destination *to, const char *id, const char *token,
		 DestinationAccess access)
{
	S3Destination *self = self_of(to);
	char		   object_id[S3_ID_SIZE];
	char		  *owner;
	size_t		   len;

	unlock(self);
	self->staging = MemoryContextStrdup(GetMemoryChunkContext(to),
										psprintf(STAGING_PREFIX "%s", id));
	id = psprintf("%s/%s", self->staging, OWNER);
	owner = s3_driver.get(to, id, OWNER_MAX, &len);
	if (owner == NULL && access != ACCESS_CREATE)
	{
		self->staging = NULL;
		return CLAIM_MISSING;
	}
	if (access == ACCESS_LOOK)
		return CLAIM_GRANTED;
	if (owner == NULL)
	{
		s3_new_id(object_id);
		(void) s3_put(self->store, full_key(to, id), token, strlen(token),
					  object_id, true);
		owner = s3_driver.get(to, id, OWNER_MAX, &len);
	}
	if (owner == NULL || strcmp(owner, token) != 0)
		return CLAIM_FOREIGN;
	if (access == ACCESS_JOIN)
		return CLAIM_GRANTED;
	return lock_staging(self) ? CLAIM_GRANTED : CLAIM_LOCKED;
}

static bool
s3_is_claimed(const Destination *to)
{
	return self_of(to)->staging != NULL;
}

static Sink *
s3_new_part(Destination *to, const char *key)
{
	return s3_upload_new(store_of(to), staged_key(to, key));
}

/* Through this process: another store's, or one with other rights. */
static void
carry_bytes(Destination *to, const char *staged, Destination *from,
			const char *from_key)
{
	Sink *upload = s3_upload_new(store_of(to), staged);

	if (!from->driver->read(from, DESTINATION_FINAL, from_key, upload, NULL))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("could not read %s",
							   s3_object_name(store_of(from), from_key))));
	sink_cleanup(upload);
}

static bool
s3_carry(Destination *to, const char *key, Destination *from,
		 const char *from_key)
{
	char		   *staged = staged_key(to, key);
	char		   *original = full_key(from, from_key);
	const S3Config *config = &store_of(from)->config;
	S3Object		object;
	S3Object		there;

	if (!s3_head(store_of(from), original, &object, NULL))
		return false;
	if (object.id[0] && s3_head(store_of(to), staged, &there, NULL) &&
		strcmp(there.id, object.id) == 0)
		return true;
	if (strcmp(store_of(to)->config.host, config->host) != 0 ||
		store_of(to)->config.port != config->port || object.id[0] == '\0')
		carry_bytes(to, staged, from, from_key);
	else
		(void) s3_copy(store_of(to), staged, config->bucket, original, &object,
					   false);
	return true;
}

/* Whether the two keys have one content: one of ours, copied. */
static bool
is_same(const S3Object *a, const S3Object *b)
{
	return a->id[0] && strcmp(a->id, b->id) == 0 && a->size == b->size;
}

static bool
s3_is_staged(Destination *to, const char *key)
{
	S3Object staged;
	S3Object final;

	return s3_head(store_of(to), staged_key(to, key), &staged, NULL) &&
		   !(s3_head(store_of(to), full_key(to, key), &final, NULL) &&
			 is_same(&staged, &final));
}

static bool
s3_publish(Destination *to, const char *key)
{
	S3Store *store = store_of(to);
	char	*from = staged_key(to, key);
	char	*final_key = full_key(to, key);
	S3Object staged;
	S3Object final;
	bool	 is_there = s3_head(store, from, &staged, NULL);
	bool	 is_taken = s3_head(store, final_key, &final, NULL);

	if (is_taken && (!is_there || is_same(&staged, &final)))
		return false;
	if (!is_there)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FILE),
						errmsg("could not publish %s: it is not there",
							   s3_object_name(store, final_key))));
	if (is_taken ||
		!s3_copy(store, final_key, store->config.bucket, from, &staged, true))
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_FILE),
						errmsg("%s already exists",
							   s3_object_name(store, final_key))));
	return true;
}

static void
s3_sweep(Destination *to)
{
	if (s3_is_claimed(to))
		s3_upload_sweep(store_of(to), staged_key(to, ""));
}

static bool
take_key(void *arg, const char *key, uint64 size)
{
	List **keys = arg;

	*keys = lappend(*keys, pstrdup(key));
	return true;
}

/* The claim goes last: without it nothing here is known to be the job's. */
static void
s3_discard(Destination *to)
{
	S3Destination *self = self_of(to);
	char		  *owner;
	List		  *keys = NIL;
	ListCell	  *cell;

	if (!s3_is_claimed(to))
		return;
	s3_sweep(to);
	owner = staged_key(to, OWNER);
	(void) s3_list(self->store, staged_key(to, ""), NULL, take_key, &keys,
				   NULL);
	foreach (cell, keys)
		if (strcmp(lfirst(cell), owner) != 0)
			s3_delete(self->store, lfirst(cell));
	s3_delete(self->store, owner);
	unlock(self);
	self->staging = NULL;
}

/* ---- final files */

static void
s3_put_file(Destination *to, const char *key, const char *data, size_t len,
			bool replace)
{
	S3Store *store = store_of(to);
	char	*full = full_key(to, key);
	char	 id[S3_ID_SIZE];
	S3Object object;

	s3_new_id(id);
	/* not every store knows conditions */
	if ((!replace && s3_head(store, full, &object, NULL)) ||
		!s3_put(store, full, data, len, id, !replace))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_FILE),
				 errmsg("%s already exists", s3_object_name(store, full))));
}

static bool
s3_stat(Destination *to, const char *key, uint64 *size, int *error)
{
	S3Object object;

	if (!s3_head(store_of(to), full_key(to, key), &object, error))
		return false;
	*size = object.size;
	return true;
}

static bool
s3_read(Destination *to, DestinationPlace place, const char *key, Sink *chain,
		int *error)
{
	return s3_download(store_of(to),
					   place == DESTINATION_STAGED ? staged_key(to, key)
												   : full_key(to, key),
					   chain, error);
}

/* A chain's end that keeps what it gets, up to a limit. */
typedef struct GetSink
{
	Sink		   base;
	StringInfoData text;
	size_t		   max;
	char		  *name;
} GetSink;

static void
get_write(Sink *sink, const char *data, size_t len)
{
	GetSink *self = (GetSink *) sink;

	if (len > self->max - self->text.len)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("%s is longer than %zu bytes", self->name,
							   self->max)));
	appendBinaryStringInfo(&self->text, data, len);
}

static void
get_nothing(Sink *sink)
{
}

static const SinkOps get_ops = {
	.write = get_write,
	.finish = get_nothing,
	.cleanup = get_nothing,
};

static char *
s3_get(Destination *to, const char *key, size_t max, size_t *len)
{
	GetSink *sink = sink_stage_new(sizeof(GetSink), &get_ops, NULL);

	initStringInfo(&sink->text);
	sink->max = max;
	sink->name = s3_object_name(store_of(to), full_key(to, key));
	if (!s3_download(store_of(to), full_key(to, key), &sink->base, NULL))
		return NULL;
	*len = sink->text.len;
	return sink->text.data;
}

/* A folder is gone with the last key that begins with it. */
static bool
s3_remove(Destination *to, const char *key)
{
	char	*full = full_key(to, key);
	S3Object object;

	if (key[0] == '\0' || key[strlen(key) - 1] == '/' ||
		!s3_head(store_of(to), full, &object, NULL))
		return false;
	s3_delete(store_of(to), full);
	return true;
}

static void
s3_sync(Destination *to, const char *folder)
{
}

const DestinationDriver s3_driver = {
	.wrapper = "outflow_s3",
	.location = S3_LOCATION,
	.parse = s3_place_parse,
	.check_rights = s3_check_rights,
	.locate = s3_locate,
	.open = s3_open,
	.check_writable = s3_nothing,
	.check_place = s3_check_place,
	.check_free = s3_check_free,
	.close = s3_release,
	.claim = s3_claim,
	.is_claimed = s3_is_claimed,
	.release = s3_release,
	.new_part = s3_new_part,
	.carry = s3_carry,
	.is_staged = s3_is_staged,
	.publish = s3_publish,
	.sweep = s3_sweep,
	.discard = s3_discard,
	.put = s3_put_file,
	.list = s3_list_folder,
	.stat = s3_stat,
	.read = s3_read,
	.get = s3_get,
	.remove = s3_remove,
	.sync = s3_sync,
};
