/*
 * parquet_dictionary.c
 *		The distinct values of a column chunk.
 *
 * A hash table with open addressing over values that are kept as PLAIN pages
 * hold them.  It gives up by saying that it is full: when its values or their
 * number pass the limit, or when a value collides too often, so that hostile
 * values cost no more than a PLAIN column.
 */
#include "postgres.h"

#include "encode/parquet/parquet_leaf.h"

#define FIRST_SLOTS	   64
#define MAX_ENTRIES	   65536 /* numbers of at most 16 bits */
#define MAX_COLLISIONS 64

/* Entries up to which a table fits a processor's fastest cache. */
#define FAST_ENTRIES 2048

Dictionary *
dictionary_new(int width, size_t max_bytes, MemoryContext context)
{
	Dictionary *dictionary =
		MemoryContextAllocZero(context, sizeof(Dictionary));

	dictionary->width = width;
	dictionary->max_bytes = max_bytes;
	bytes_init(&dictionary->values, context);
	bytes_init(&dictionary->offsets, context);
	dictionary->nslots = FIRST_SLOTS;
	dictionary->slots =
		MemoryContextAllocZero(context, FIRST_SLOTS * sizeof(DictionarySlot));
	return dictionary;
}

void
dictionary_close(Dictionary *dictionary)
{
	if (dictionary->slots)
		pfree(dictionary->slots);
	dictionary->slots = NULL;
}

void
dictionary_free(Dictionary *dictionary)
{
	dictionary_close(dictionary);
	bytes_free(&dictionary->values);
	bytes_free(&dictionary->offsets);
	pfree(dictionary);
}

const char *
dictionary_get(const Dictionary *dictionary, uint32 number, size_t *len)
{
	const uint32 *offsets;
	const char	 *value;
	uint32		  n;

	if (dictionary->width > 0)
	{
		*len = dictionary->width;
		return dictionary->values.data + (size_t) number * dictionary->width;
	}
	offsets = (const uint32 *) dictionary->offsets.data;
	value = dictionary->values.data + offsets[number];
	memcpy(&n, value, sizeof(n));
	*len = sizeof(n) + n;
	return value;
}

/* Eight bytes a step. */
static pg_attribute_always_inline uint32
hash_value(const char *data, size_t len)
{
	const uint64 factor = UINT64CONST(0x9E3779B97F4A7C15);
	uint64		 hash = len * factor;
	uint64		 word;

	while (len > sizeof(word))
	{
		memcpy(&word, data, sizeof(word));
		hash = (hash ^ word) * factor;
		hash ^= hash >> 32;
		data += sizeof(word);
		len -= sizeof(word);
	}
	word = 0;
	memcpy(&word, data, len);
	hash = (hash ^ word) * factor;
	hash ^= hash >> 29;
	hash *= factor;
	return (uint32) (hash >> 32);
}

static pg_attribute_always_inline bool
value_equals(const Dictionary *dictionary, uint32 number, const char *data,
			 size_t len, int width)
{
	size_t		n;
	const char *value;

	if (width > 0)
		return memcmp(dictionary->values.data + (size_t) number * width, data,
					  width) == 0;
	value = dictionary_get(dictionary, number, &n);
	return n == len + sizeof(uint32) &&
		   memcmp(value + sizeof(uint32), data, len) == 0;
}

static DictionarySlot *
free_slot(Dictionary *dictionary, uint32 hash)
{
	uint32 mask = dictionary->nslots - 1;
	uint32 at = hash & mask;

	while (dictionary->slots[at].entry != 0)
		at = (at + 1) & mask;
	return &dictionary->slots[at];
}

/*
 * A large table is slow, so values have to repeat for it: a few of them at
 * first, then half of them.  It is bounded as the values are: columns with
 * many different values all grow theirs at the same row.
 */
static bool
may_grow(const Dictionary *dictionary)
{
	uint64 needed = dictionary->nentries;

	if (dictionary->nentries > FAST_ENTRIES)
		needed *= 2;
	else if (dictionary->nentries == FAST_ENTRIES)
		needed += FAST_ENTRIES / 16;
	return dictionary->nvalues >= needed &&
		   dictionary->nslots * 4 * sizeof(DictionarySlot) <=
			   2 * dictionary->max_bytes;
}

static void
grow_slots(Dictionary *dictionary)
{
	DictionarySlot *old = dictionary->slots;
	uint32			nold = dictionary->nslots;
	uint32			i;

	dictionary->nslots = nold * 4;
	dictionary->slots =
		MemoryContextAllocZero(dictionary->values.context,
							   dictionary->nslots * sizeof(DictionarySlot));
	for (i = 0; i < nold; i++)
	{
		if (old[i].entry != 0)
			*free_slot(dictionary, old[i].hash) = old[i];
	}
	pfree(old);
}

static pg_noinline int
add_entry(Dictionary *dictionary, DictionarySlot *slot, uint32 hash,
		  const char *data, size_t len)
{
	uint32 number = dictionary->nentries;

	if (number == MAX_ENTRIES ||
		dictionary->values.len + len + sizeof(uint32) > dictionary->max_bytes)
		return DICTIONARY_FULL;
	if (number >= dictionary->nslots / 2)
	{
		if (!may_grow(dictionary))
			return DICTIONARY_FULL;
		grow_slots(dictionary);
		slot = free_slot(dictionary, hash);
	}
	if (dictionary->width == 0)
	{
		bytes_append_uint32(&dictionary->offsets,
							(uint32) dictionary->values.len);
		bytes_append_uint32(&dictionary->values, (uint32) len);
	}
	bytes_append(&dictionary->values, data, len);
	slot->hash = hash;
	slot->entry = number + 1;
	dictionary->nentries++;
	return (int) number;
}

/* Callers for which width is a constant get a copy without the rest. */
static pg_attribute_always_inline int
find_or_add(Dictionary *dictionary, const char *data, size_t len, int width)
{
	uint32 hash = hash_value(data, len);
	uint32 mask = dictionary->nslots - 1;
	uint32 at = hash & mask;

	for (int i = 0; i < MAX_COLLISIONS; i++)
	{
		DictionarySlot *slot = &dictionary->slots[at];

		if (slot->entry == 0)
			return add_entry(dictionary, slot, hash, data, len);
		if (slot->hash == hash &&
			value_equals(dictionary, slot->entry - 1, data, len, width))
			return (int) slot->entry - 1;
		at = (at + 1) & mask;
	}
	return DICTIONARY_FULL;
}

int
dictionary_put(Dictionary *dictionary, const char *data, size_t len)
{
	int width = dictionary->width;
	int number = find_or_add(dictionary, data, len, width);

	if (number != DICTIONARY_FULL)
	{
		dictionary->nvalues++;
		dictionary->plain_bytes += len + (width == 0 ? sizeof(uint32) : 0);
	}
	return number;
}

static pg_attribute_always_inline int
put_numbers(Dictionary *dictionary, const char *data, int n, uint32 *numbers,
			int width)
{
	int i;

	for (i = 0; i < n; i++)
	{
		int number = find_or_add(dictionary, data + i * width, width, width);

		if (number == DICTIONARY_FULL)
			break;
		numbers[i] = (uint32) number;
		dictionary->nvalues++;
	}
	dictionary->plain_bytes += (size_t) i * width;
	return i;
}

int
dictionary_put_numbers(Dictionary *dictionary, const char *data, int n,
					   uint32 *numbers)
{
	return dictionary->width == sizeof(int32)
			   ? put_numbers(dictionary, data, n, numbers, sizeof(int32))
			   : put_numbers(dictionary, data, n, numbers, sizeof(int64));
}
