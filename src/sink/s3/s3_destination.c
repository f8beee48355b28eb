/*
 * s3_destination.c
 *		The driver of "server:prefix" for servers of outflow_s3: the place, and
 *		what is final there.  The job's own files are in s3_staged.c.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "sink/s3/s3.h"
#include "sink/s3/s3_destination.h"
#include "sink/s3/s3_place.h"
#include "sink/stage.h"

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

static bool
stop_at_first(void *arg, const S3Listed *found)
{
	*(bool *) arg = true;
	return false;
}

/* Whether there is anything; false and *error if it can't be told. */
static bool
holds_something(Destination *to, int *error)
{
	bool something = false;

	(void) s3_list(s3_store_of(to), s3_full_key(to, ""), NULL, stop_at_first,
				   &something, error);
	return something;
}

static Destination *
s3_open(const char *place, const char *limit, DestinationMode mode,
		int permissions, const char *destination)
{
	S3Destination *self = palloc0_object(S3Destination);
	S3Place		   found;
	int			   error = 0;

	if (mode != DESTINATION_KNOWN && mode != DESTINATION_TRY)
		s3_place_find(place, &found);
	else if (!s3_place_known(place, destination, &found))
	{
		server_place_lost(place, mode);
		return NULL;
	}
	self->base.driver = &s3_driver;
	self->store = s3_store_open(found.server);
	self->prefix = found.prefix;
	self->base.path =
		psprintf("%s:%s", found.server->servername, found.prefix);
	self->base.location = found.location;
	sink_guard(s3_unlock, self);
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

static void
s3_no_mode(Destination *to, const char *key)
{
}

/* The server may have been altered, or rights taken away. */
static void
s3_check_place(Destination *to)
{
	S3Store		  *store = s3_store_of(to);
	ForeignServer *server = s3_store_server(store);

	(void) server_get(server->servername);
	if (strcmp(s3_place_location(server, s3_self(to)->prefix), to->location) !=
		0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("server \"%s\" leads to another place by now",
							   store->name),
						errdetail("It was \"%s\".", to->location)));
	(void) s3_store_refresh(store);
}

typedef struct Entries
{
	List	   *list;
	size_t		prefix_len;
	const char *staging; /* left out; or NULL */
} Entries;

static bool
take_entry(void *arg, const S3Listed *found)
{
	Entries			 *entries = arg;
	const char		 *name = found->key + entries->prefix_len;
	size_t			  len = strcspn(name, "/");
	DestinationEntry *entry;

	/* some programs make an object for a folder itself */
	if (len == 0)
		return true;
	entry = palloc0_object(DestinationEntry);
	entry->name = pnstrdup(name, len);
	entry->is_directory = name[len] == '/';
	entry->is_regular = !entry->is_directory;
	entry->size = entry->is_regular ? found->size : 0;
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

	if (strncmp(entry->name, DESTINATION_HIDDEN, strlen(DESTINATION_HIDDEN)) !=
			0 ||
		!entry->is_directory)
		return false;
	(void) s3_list(s3_store_of(to), psprintf("%s%s/", prefix, entry->name),
				   NULL, stop_at_first, &something, NULL);
	return !something;
}

static int
s3_destination_compare_entries(const ListCell *a, const ListCell *b)
{
	return strcmp(((DestinationEntry *) lfirst(a))->name,
				  ((DestinationEntry *) lfirst(b))->name);
}

static List *
s3_list_folder(Destination *to, const char *folder, int *error)
{
	char   *prefix = s3_full_key(to, folder[0] ? psprintf("%s/", folder) : "");
	Entries entries = {NIL, strlen(prefix), s3_self(to)->staging};
	ListCell *cell;

	if (!s3_list(s3_store_of(to), prefix, "/", take_entry, &entries, error))
		return NIL;
	foreach (cell, entries.list)
		if (is_empty_staging(to, prefix, lfirst(cell)))
			entries.list = foreach_delete_current(entries.list, cell);
	/* not every store sorts */
	list_sort(entries.list, s3_destination_compare_entries);
	return entries.list;
}

static char *
s3_check_free(Destination *to, const char *folder)
{
	ListCell *cell;

	foreach (cell, s3_list_folder(to, folder, NULL))
	{
		DestinationEntry *entry = lfirst(cell);

		if (strncmp(entry->name, DESTINATION_HIDDEN,
					strlen(DESTINATION_HIDDEN)) == 0)
			return entry->name;
	}
	return NULL;
}

static char *
s3_probe(Destination *to, const char *key)
{
	return s3_probe_checksum(s3_store_of(to), s3_full_key(to, key));
}

/* ---- final files */

static bool
is_sent(const S3Object *object, const char *data, size_t len)
{
	return object->size == len && object->has_sent_sum &&
		   object->sent_sum == checksum_crc32c(data, len);
}

/*
 * A request that is carried out after it was given up must not replace what a
 * later attempt has written.  So nothing is sent again, and what seems to be new
 * is sent with that condition, also by whoever may replace it.
 */
static void
s3_put_file(Destination *to, const char *key, const char *data, size_t len,
			bool replace)
{
	S3Store *store = s3_store_of(to);
	char	*full = s3_full_key(to, key);
	char	 id[S3_ID_SIZE];
	S3Object object;
	bool	 is_there = s3_head(store, full, &object, NULL);

	if (is_there && replace && is_sent(&object, data, len))
		return;
	s3_new_id(id);
	/* not every store knows conditions */
	if (!(is_there && !replace) &&
		(s3_put(store, full, data, len, id, !is_there) ||
		 (replace && s3_put(store, full, data, len, id, false))))
		return;
	ereport(ERROR, (errcode(ERRCODE_DUPLICATE_FILE),
					errmsg("%s already exists", s3_object_name(store, full))));
}

static bool
s3_put_new(Destination *to, const char *key, const char *data, size_t len,
		   const Sending *sending)
{
	S3Store *store = s3_store_of(to);
	char	 id[S3_ID_SIZE];

	if (store->config.conditional == S3_CONDITIONAL_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("could not write %s, since nothing decides between "
						"two writers",
						s3_object_name(store, s3_full_key(to, key))),
				 errdetail("The server's option \"conditional\" is "
						   "\"none\"."),
				 errhint("Set it to \"publish\", if the store knows "
						 "conditional writes.")));
	s3_new_id(id);
	return s3_put_told(store, s3_full_key(to, key), data, len, id, sending);
}

static bool
s3_stat(Destination *to, const char *key, uint64 *size, int *error)
{
	S3Object object;

	if (!s3_head(s3_store_of(to), s3_full_key(to, key), &object, error))
		return false;
	*size = object.size;
	return true;
}

static bool
s3_look(Destination *to, const char *key, DestinationLook *look, int *error)
{
	S3Object object;

	if (!s3_head_sum(s3_store_of(to), s3_full_key(to, key), &object, error))
		return false;
	look->size = object.size;
	look->has_crc = object.has_crc32c;
	look->crc = object.crc32c;
	return true;
}

static bool
s3_read(Destination *to, DestinationPlace place, const char *key, Sink *chain,
		int *error)
{
	return s3_download(s3_store_of(to),
					   place == DESTINATION_STAGED ? s3_staged_key(to, key)
												   : s3_full_key(to, key),
					   chain, error);
}

static char *
s3_get(Destination *to, const char *key, size_t max, size_t *len)
{
	return s3_download_text(s3_store_of(to), s3_full_key(to, key), max, len);
}

/*
 * A folder is gone with the last key that begins with it; where it is one of a
 * file system below the store, this key removes it.
 */
static void
remove_empty_folder(Destination *to, const char *full)
{
	bool something = false;

	(void) s3_list(s3_store_of(to), full, NULL, stop_at_first, &something,
				   NULL);
	if (!something)
		s3_delete(s3_store_of(to), full);
}

static bool
s3_remove(Destination *to, const char *key)
{
	char	*full = s3_full_key(to, key);
	S3Object object;

	if (key[0] && key[strlen(key) - 1] == '/')
	{
		remove_empty_folder(to, full);
		return false;
	}
	if (!s3_head(s3_store_of(to), full, &object, NULL))
		return false;
	s3_delete(s3_store_of(to), full);
	return true;
}

static void
s3_sync(Destination *to, const char *folder)
{
}

static char *
s3_uri(Destination *to, const char *key)
{
	char *full = s3_full_key(to, key);
	int	  len = (int) strlen(full);

	/* the place has no slash at its end */
	if (len > 0 && full[len - 1] == '/')
		len--;
	return psprintf("s3://%s%s%.*s", s3_store_of(to)->config.bucket,
					len > 0 ? "/" : "", len, full);
}

const DestinationDriver s3_driver = {
	.wrapper = "outflow_s3",
	.location = S3_LOCATION,
	.keeps_utf8 = true,
	.parse = s3_place_parse,
	.check_rights = s3_check_rights,
	.locate = s3_locate,
	.open = s3_open,
	.check_writable = s3_nothing,
	.check_place = s3_check_place,
	.uri = s3_uri,
	.check_free = s3_check_free,
	.probe = s3_probe,
	.close = s3_release,
	.claim = s3_claim,
	.is_claimed = s3_is_claimed,
	.release = s3_release,
	.new_part = s3_new_part,
	.carry = s3_carry,
	.is_staged = s3_is_staged,
	.publish = s3_publish,
	.sweep = s3_nothing, /* uploads that were left go on */
	.discard = s3_discard,
	.put = s3_put_file,
	.put_new = s3_put_new,
	.list = s3_list_folder,
	.look = s3_look,
	.stat = s3_stat,
	.read = s3_read,
	.get = s3_get,
	.remove = s3_remove,
	.remove_place = s3_nothing, /* a prefix is not a thing */
	.keep_mode = s3_no_mode,
	.give_mode = s3_no_mode,
	.sync = s3_sync,
};
