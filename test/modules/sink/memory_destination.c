/*
 * memory_destination.c
 *		A second driver: an object store that lives as long as its backend.
 *
 * It has what such stores have, and no more: objects under keys, written
 * whole, if wanted only where there is none; a copy that the store makes;
 * uploads that nobody sees until they are completed; a list by prefix.  No
 * rename, no link, no directory, no lock.  Any of its requests can be made to
 * fail, before it has had its effect or after, when only the answer is lost.
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "sink/stage.h"
#include "sink_test.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(memory_fail_at);
PG_FUNCTION_INFO_V1(memory_failed);
PG_FUNCTION_INFO_V1(memory_reset);
PG_FUNCTION_INFO_V1(memory_objects);

extern PGDLLEXPORT Datum memory_fail_at(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum memory_failed(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum memory_reset(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum memory_objects(PG_FUNCTION_ARGS);

/* ---- the store */

typedef struct Object
{
	char		  *key;		  /* with its bucket */
	bool		   is_upload; /* not completed */
	StringInfoData data;
} Object;

static List *objects = NIL; /* of Object * */
static int	 countdown = 0; /* requests left until one fails; 0: none will */
static bool	 fails_after = false;

/* Every request begins and ends here. */
static void
request(const char *name, bool after)
{
	if (countdown == 0 || after != fails_after || --countdown > 0)
		return;
	ereport(ERROR, (errcode(ERRCODE_IO_ERROR),
					errmsg("could not %s: the store does not answer", name)));
}

static Object *
find(const char *key, bool is_upload)
{
	ListCell *cell;

	foreach (cell, objects)
	{
		Object *object = lfirst(cell);

		if (object->is_upload == is_upload && strcmp(object->key, key) == 0)
			return object;
	}
	return NULL;
}

static Object *
object_new(const char *key, bool is_upload)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
	Object		 *object = palloc0_object(Object);

	object->key = pstrdup(key);
	object->is_upload = is_upload;
	initStringInfo(&object->data);
	objects = lappend(objects, object);
	MemoryContextSwitchTo(caller);
	return object;
}

/* False if only_new and there is one. */
static bool
store_put(const char *key, const char *data, size_t len, bool only_new)
{
	Object *object = find(key, false);

	request("put", false);
	if (object && only_new)
		return false;
	if (object == NULL)
		object = object_new(key, false);
	resetStringInfo(&object->data);
	appendBinaryStringInfo(&object->data, data, len);
	request("put", true);
	return true;
}

static Object *
store_get(const char *key)
{
	request("get", false);
	return find(key, false);
}

static bool
store_delete(const char *key)
{
	Object *object = find(key, false);

	request("delete", false);
	objects = list_delete_ptr(objects, object);
	request("delete", true);
	return object != NULL;
}

/* False if there is none, or only_new and the copy's key is taken. */
static bool
store_copy(const char *from, const char *to, bool only_new)
{
	Object *object = find(from, false);

	return object &&
		   store_put(to, object->data.data, object->data.len, only_new);
}

/* ---- the driver */

typedef struct MemoryDestination
{
	Destination base;
	char	   *staging; /* ".outflow-id"; NULL: nothing is claimed */
	char	   *lock;	 /* its key, while it is held */
} MemoryDestination;

static char *
full_key(const Destination *to, const char *key)
{
	return psprintf("%s/%s", to->path, key);
}

static char *
staged_key(const Destination *to, const char *key)
{
	const MemoryDestination *self = (const MemoryDestination *) to;

	if (self->staging == NULL)
		elog(ERROR, "nothing is claimed in \"%s\"", to->path);
	return psprintf("%s/%s/%s", to->path, self->staging,
					destination_name(key));
}

static char *
memory_parse(const char *destination)
{
	return pstrdup(destination + strlen(memory_driver.scheme));
}

static char *
memory_locate(const char *place, const char *limit)
{
	return pstrdup(place);
}

static void
release(void *argument)
{
	MemoryDestination *self = argument;

	if (self->lock)
		objects = list_delete_ptr(objects, find(self->lock, false));
	self->lock = NULL;
}

static void
memory_release(Destination *to)
{
	release(to);
}

/* A bucket is there as soon as there is something in it. */
static Destination *
memory_open(const char *place, const char *limit, DestinationMode mode,
			int permissions, const char *destination)
{
	MemoryDestination *self = palloc0_object(MemoryDestination);

	self->base.driver = &memory_driver;
	self->base.path = self->base.location = pstrdup(place);
	sink_guard(release, self);
	if (mode != DESTINATION_CREATE &&
		self->base.driver->list(&self->base, "", NULL) == NIL)
	{
		errno = ENOENT;
		return NULL;
	}
	return &self->base;
}

static void
memory_check_rights(void)
{
}

static char *
memory_probe(Destination *to, const char *key)
{
	return NULL;
}

static void
memory_nothing(Destination *to)
{
}

static void
memory_no_mode(Destination *to, const char *key)
{
}

static void
memory_sync(Destination *to, const char *folder)
{
}

static int
compare_entries(const ListCell *a, const ListCell *b)
{
	return strcmp(((DestinationEntry *) lfirst(a))->name,
				  ((DestinationEntry *) lfirst(b))->name);
}

/* The next component of each key that begins with the folder, once. */
static List *
memory_list(Destination *to, const char *folder, int *error)
{
	MemoryDestination *self = (MemoryDestination *) to;
	char			  *prefix = full_key(to, destination_key(folder, ""));
	List			  *entries = NIL;
	ListCell		  *cell;
	ListCell		  *other;

	request("list", false);
	foreach (cell, objects)
	{
		Object			 *object = lfirst(cell);
		const char		 *rest = object->key + strlen(prefix);
		DestinationEntry *entry;

		if (object->is_upload ||
			strncmp(object->key, prefix, strlen(prefix)) != 0)
			continue;
		entry = palloc0_object(DestinationEntry);
		entry->name = pnstrdup(rest, strcspn(rest, "/"));
		entry->is_directory = strchr(rest, '/') != NULL;
		entry->is_regular = !entry->is_directory;
		entry->size = entry->is_regular ? object->data.len : 0;
		foreach (other, entries)
			if (compare_entries(other, &(ListCell){.ptr_value = entry}) == 0)
				break;
		if (other == NULL &&
			!(self->staging && strcmp(entry->name, self->staging) == 0))
			entries = lappend(entries, entry);
	}
	list_sort(entries, compare_entries);
	if (error)
		*error = 0;
	return entries;
}

static char *
memory_check_free(Destination *to, const char *folder)
{
	ListCell *cell;

	foreach (cell, memory_list(to, folder, NULL))
	{
		DestinationEntry *entry = lfirst(cell);

		if (strncmp(entry->name, ".outflow-", 9) == 0)
			return entry->name;
	}
	return NULL;
}

static DestinationClaim
memory_claim(Destination *to, const char *id, const char *token,
			 DestinationAccess access)
{
	MemoryDestination *self = (MemoryDestination *) to;
	MemoryContext caller = MemoryContextSwitchTo(GetMemoryChunkContext(to));
	char		 *lock;
	Object		 *owner;

	release(self);
	self->staging = psprintf(".outflow-%s", id);
	lock = staged_key(to, "_lock");
	MemoryContextSwitchTo(caller);
	owner = store_get(staged_key(to, "_owner"));
	if (owner == NULL && access != ACCESS_CREATE)
	{
		self->staging = NULL;
		return CLAIM_MISSING;
	}
	if (access == ACCESS_LOOK)
		return CLAIM_GRANTED;
	if (owner == NULL)
	{
		(void) store_put(staged_key(to, "_owner"), token, strlen(token), true);
		owner = store_get(staged_key(to, "_owner"));
	}
	if (strcmp(owner->data.data, token) != 0)
		return CLAIM_FOREIGN;
	if (access == ACCESS_JOIN)
		return CLAIM_GRANTED;
	/* a store that outlives its clients would need a lease here */
	if (find(lock, false))
		return CLAIM_LOCKED;
	object_new(lock, false);
	self->lock = lock;
	return CLAIM_GRANTED;
}

static bool
memory_is_claimed(const Destination *to)
{
	return ((const MemoryDestination *) to)->staging != NULL;
}

typedef struct MemorySink
{
	Sink	base;
	char   *key;
	Object *upload;
} MemorySink;

static void
upload_abort(void *argument)
{
	MemorySink *self = argument;

	/* sweep may have been faster */
	if (self->upload && list_member_ptr(objects, self->upload))
		objects = list_delete_ptr(objects, self->upload);
	self->upload = NULL;
}

static void
upload_write(Sink *sink, const char *data, size_t len)
{
	request("upload", false);
	appendBinaryStringInfo(&((MemorySink *) sink)->upload->data, data, len);
}

static void
upload_finish(Sink *sink)
{
	MemorySink *self = (MemorySink *) sink;

	(void) store_put(self->key, self->upload->data.data,
					 self->upload->data.len, false);
	upload_abort(self);
}

static void
upload_cleanup(Sink *sink)
{
	upload_abort(sink);
}

static const SinkOps upload_ops = {
	.write = upload_write,
	.finish = upload_finish,
	.cleanup = upload_cleanup,
};

static Sink *
memory_new_part(Destination *to, const char *key)
{
	MemorySink *self = sink_stage_new(sizeof(MemorySink), &upload_ops, NULL);

	request("begin upload", false);
	self->key = staged_key(to, key);
	self->upload = object_new(self->key, true);
	sink_guard(upload_abort, self);
	return &self->base;
}

static bool
memory_carry(Destination *to, const char *key, Destination *from,
			 const char *from_key)
{
	return store_copy(full_key(from, from_key), staged_key(to, key), false);
}

static bool
same_content(const Object *a, const Object *b)
{
	return a && b && a->data.len == b->data.len &&
		   memcmp(a->data.data, b->data.data, a->data.len) == 0;
}

static bool
memory_is_staged(Destination *to, const char *key)
{
	Object *staged = store_get(staged_key(to, key));

	return staged && !same_content(staged, store_get(full_key(to, key)));
}

static bool
memory_publish(Destination *to, const char *key,
			   const DestinationLook *written)
{
	char   *from = staged_key(to, key);
	char   *final = full_key(to, key);
	Object *staged = store_get(from);

	if (staged == NULL && store_get(final))
		return false;
	if (staged == NULL)
		ereport(ERROR,
				(errmsg("could not publish \"%s\": it is not there", final)));
	if (!store_copy(from, final, true) &&
		!same_content(staged, store_get(final)))
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_FILE),
						errmsg("\"%s\" already exists", final)));
	(void) store_delete(from);
	return true;
}

static void
remove_staged(Destination *to, bool uploads)
{
	char	 *prefix = staged_key(to, "");
	ListCell *cell;

	foreach (cell, objects)
	{
		Object *object = lfirst(cell);

		if (object->is_upload == uploads &&
			strncmp(object->key, prefix, strlen(prefix)) == 0 &&
			(uploads || destination_name(object->key)[0] != '_'))
		{
			request("delete", false);
			objects = foreach_delete_current(objects, cell);
			request("delete", true);
		}
	}
}

static void
memory_sweep(Destination *to)
{
	if (memory_is_claimed(to))
		remove_staged(to, true);
}

static void
memory_discard(Destination *to)
{
	MemoryDestination *self = (MemoryDestination *) to;

	if (!memory_is_claimed(to))
		return;
	remove_staged(to, true);
	remove_staged(to, false);
	(void) store_delete(staged_key(to, "_owner"));
	release(self);
	self->staging = NULL;
}

static void
memory_put(Destination *to, const char *key, const char *data, size_t len,
		   bool replace)
{
	if (!store_put(full_key(to, key), data, len, !replace))
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_FILE),
						errmsg("\"%s\" already exists", full_key(to, key))));
}

static bool
memory_put_new(Destination *to, const char *key, const char *data, size_t len,
			   const Sending *sending)
{
	return store_put(full_key(to, key), data, len, true);
}

static bool
memory_stat(Destination *to, const char *key, uint64 *size, int *error)
{
	Object *object = store_get(full_key(to, key));

	if (object)
		*size = object->data.len;
	if (error)
		*error = 0;
	return object != NULL;
}

static bool
memory_look(Destination *to, const char *key, DestinationLook *look,
			int *error)
{
	look->has_crc = false;
	return memory_stat(to, key, &look->size, error);
}

static bool
memory_read(Destination *to, DestinationPlace place, const char *key,
			Sink *chain, int *error)
{
	Object *object = store_get(
		place == DESTINATION_STAGED ? staged_key(to, key) : full_key(to, key));

	if (error)
		*error = 0;
	if (object == NULL)
		return false;
	sink_write(chain, object->data.data, object->data.len);
	sink_finish(chain);
	return true;
}

static char *
memory_get(Destination *to, const char *key, size_t max, size_t *len)
{
	Object *object = store_get(full_key(to, key));

	if (object == NULL)
		return NULL;
	if (object->data.len > max)
		ereport(ERROR,
				(errmsg("\"%s\" is longer than %zu bytes", object->key, max)));
	*len = object->data.len;
	return pnstrdup(object->data.data, object->data.len);
}

/* A folder is gone with the last key that begins with it. */
static bool
memory_remove(Destination *to, const char *key)
{
	return store_delete(full_key(to, key));
}

static char *
memory_uri(Destination *to, const char *key)
{
	return psprintf("memory://%s", key);
}

const DestinationDriver memory_driver = {
	.scheme = "memory://",
	.location = "",
	.parse = memory_parse,
	.check_rights = memory_check_rights,
	.locate = memory_locate,
	.open = memory_open,
	.check_writable = memory_nothing,
	.check_place = memory_nothing,
	.uri = memory_uri,
	.check_free = memory_check_free,
	.probe = memory_probe,
	.close = memory_release,
	.claim = memory_claim,
	.is_claimed = memory_is_claimed,
	.release = memory_release,
	.new_part = memory_new_part,
	.carry = memory_carry,
	.is_staged = memory_is_staged,
	.publish = memory_publish,
	.sweep = memory_sweep,
	.discard = memory_discard,
	.put = memory_put,
	.put_new = memory_put_new,
	.list = memory_list,
	.look = memory_look,
	.stat = memory_stat,
	.read = memory_read,
	.get = memory_get,
	.remove = memory_remove,
	.remove_place = memory_nothing,
	.keep_mode = memory_no_mode,
	.give_mode = memory_no_mode,
	.sync = memory_sync,
};

/* ---- what tests ask of it */

/* memory_fail_at(n, after): the nth request, before or after its effect */
Datum
memory_fail_at(PG_FUNCTION_ARGS)
{
	countdown = PG_GETARG_INT32(0);
	fails_after = PG_GETARG_BOOL(1);
	PG_RETURN_VOID();
}

/* Whether one has failed since then. */
Datum
memory_failed(PG_FUNCTION_ARGS)
{
	bool failed = countdown == 0;

	countdown = 0;
	PG_RETURN_BOOL(failed);
}

Datum
memory_reset(PG_FUNCTION_ARGS)
{
	objects = NIL;
	PG_RETURN_VOID();
}

/* All there is, with "?" after an upload. */
Datum
memory_objects(PG_FUNCTION_ARGS)
{
	StringInfoData keys;
	ListCell	  *cell;

	initStringInfo(&keys);
	foreach (cell, objects)
	{
		Object *object = lfirst(cell);

		appendStringInfo(&keys, "%s%s%s", keys.len > 0 ? " " : "", object->key,
						 object->is_upload ? "?" : "");
	}
	PG_RETURN_TEXT_P(cstring_to_text(keys.data));
}
