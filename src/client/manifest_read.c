/*
 * manifest_read.c
 *		Walks a manifest once, without recursion: what it is not asked for is
 *		passed over, however deep it is.
 */
#include "client/manifest_read.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "client/json_scan.h"
#include "client/memory.h"

#define MAX_DIGITS 18 /* of a number that always fits */

const char *const manifest_sum_names[MANIFEST_SUMS] = {"xxh128", "sha256"};

/* The members of an object, or the elements of an array, one after another. */
typedef struct Walk
{
	const char *p;
	const char *end;
	char		close;
	bool		is_first;
	bool		is_broken; /* it is not what it must be */
} Walk;

static void
walk_blanks(Walk *walk)
{
	while (walk->p < walk->end && *walk->p && strchr(" \t\r\n", *walk->p))
		walk->p++;
}

static Walk
walk_begin(const JsonValue *value, char open, char close)
{
	Walk walk = {value->data, value->data + value->length, close, true, false};

	if (value->length < 2 || value->data[0] != open ||
		value->data[value->length - 1] != close)
		walk.is_broken = true;
	walk.p++;
	return walk;
}

static bool
walk_value(Walk *walk, JsonValue *value)
{
	walk_blanks(walk);
	value->data = walk->p;
	value->length = json_value_length(walk->p, walk->end);
	walk->p += value->length;
	return value->length > 0;
}

static bool
walk_sign(Walk *walk, char sign)
{
	walk_blanks(walk);
	if (walk->p >= walk->end || *walk->p != sign)
		return false;
	walk->p++;
	return true;
}

/* The next one; name is NULL in an array.  False at the end, or if broken. */
static bool
walk_next(Walk *walk, JsonValue *name, JsonValue *value)
{
	if (walk->is_broken)
		return false;
	if (walk_sign(walk, walk->close))
	{
		walk->is_broken = walk->p != walk->end;
		return false;
	}
	if ((!walk->is_first && !walk_sign(walk, ',')) ||
		(name && (!walk_value(walk, name) || name->data[0] != '"' ||
				  !walk_sign(walk, ':'))) ||
		!walk_value(walk, value))
	{
		walk->is_broken = true;
		return false;
	}
	walk->is_first = false;
	return true;
}

static bool
is_called(const JsonValue *name, const char *text)
{
	return name->length == strlen(text) + 2 &&
		   memcmp(name->data + 1, text, name->length - 2) == 0;
}

/* What is no number that fits stays -1. */
static void
take_number(const JsonValue *value, long long *number)
{
	size_t i;

	*number = -1;
	if (value->length > MAX_DIGITS)
		return;
	for (i = 0; i < value->length; i++)
		if (value->data[i] < '0' || value->data[i] > '9')
			return;
	*number = strtoll(value->data, NULL, 10);
}

static void
take_text(const JsonValue *value, char **text)
{
	free(*text);
	*text = json_unquoted(value);
}

static void
take_member(ManifestEntry *entry, const JsonValue *name,
			const JsonValue *value)
{
	int i;

	if (is_called(name, "file") || is_called(name, "folder"))
		take_text(value, &entry->name);
	else if (is_called(name, "part") || is_called(name, "parts"))
		take_number(value, &entry->number);
	else if (is_called(name, "rows"))
		take_number(value, &entry->rows);
	else if (is_called(name, "bytes_stored"))
		take_number(value, &entry->bytes_stored);
	else
		for (i = 0; i < MANIFEST_SUMS; i++)
			if (is_called(name, manifest_sum_names[i]))
				take_text(value, &entry->sums[i]);
}

static ManifestEntry *
add_entry(Manifest *manifest)
{
	/* grows by doubling: there may be a million of them */
	if ((manifest->count & (manifest->count - 1)) == 0)
	{
		size_t room = manifest->count ? manifest->count * (size_t) 2 : 1;

		if (manifest->count > INT_MAX / 2)
			return NULL;
		manifest->entries = client_realloc(manifest->entries,
										   room * sizeof(*manifest->entries));
	}
	manifest->entries[manifest->count] =
		(ManifestEntry){.number = -1, .rows = -1, .bytes_stored = -1};
	return &manifest->entries[manifest->count++];
}

static bool
read_entries(Manifest *manifest, const JsonValue *list, const char *what,
			 char **why)
{
	Walk	  walk = walk_begin(list, '[', ']');
	JsonValue object;

	while (walk_next(&walk, NULL, &object))
	{
		Walk		   members = walk_begin(&object, '{', '}');
		ManifestEntry *entry = add_entry(manifest);
		JsonValue	   name;
		JsonValue	   value;

		while (entry && walk_next(&members, &name, &value))
			take_member(entry, &name, &value);
		if (entry == NULL || members.is_broken || entry->name == NULL ||
			entry->number < 0 || entry->rows < 0 || entry->bytes_stored < 0)
		{
			*why = client_format("number %d of its %s is not sound",
								 manifest->count, what);
			return false;
		}
	}
	if (walk.is_broken)
		*why = client_format("its %s are not sound", what);
	return !walk.is_broken;
}

/* Parts and tables are read when all else is known to be sound. */
static bool
read_members(Manifest *manifest, const JsonValue *all, JsonValue *parts,
			 JsonValue *tables)
{
	Walk	  walk = walk_begin(all, '{', '}');
	JsonValue name;
	JsonValue value;

	while (walk_next(&walk, &name, &value))
	{
		if (is_called(&name, "uuid"))
			take_text(&value, &manifest->uuid);
		else if (is_called(&name, "rows"))
			take_number(&value, &manifest->rows);
		else if (is_called(&name, "bytes_stored"))
			take_number(&value, &manifest->bytes_stored);
		else if (is_called(&name, "parts"))
			*parts = value;
		else if (is_called(&name, "tables"))
			*tables = value;
	}
	return !walk.is_broken;
}

bool
manifest_read(Manifest *manifest, const char *data, size_t length, char **why)
{
	JsonValue all = {data, length};
	JsonValue parts = {0};
	JsonValue tables = {0};

	memset(manifest, 0, sizeof(*manifest));
	manifest->rows = manifest->bytes_stored = -1;
	while (all.length > 0 && strchr(" \t\r\n", all.data[all.length - 1]) &&
		   all.data[all.length - 1])
		all.length--;
	if (!read_members(manifest, &all, &parts, &tables))
	{
		*why = client_strdup("it is not JSON, or not all of it");
		return false;
	}
	if (manifest->uuid == NULL || manifest->rows < 0 ||
		manifest->bytes_stored < 0 ||
		(parts.data == NULL) == (tables.data == NULL))
	{
		*why = client_strdup("it is no manifest of an export");
		return false;
	}
	manifest->is_common = tables.data != NULL;
	return manifest->is_common ? read_entries(manifest, &tables, "tables", why)
							   : read_entries(manifest, &parts, "parts", why);
}

void
manifest_free(Manifest *manifest)
{
	int i;
	int k;

	for (i = 0; i < manifest->count; i++)
	{
		free(manifest->entries[i].name);
		for (k = 0; k < MANIFEST_SUMS; k++)
			free(manifest->entries[i].sums[k]);
	}
	free(manifest->entries);
	free(manifest->uuid);
}
