/*
 * row_digest.c
 *		A sum of rows that does not depend on their order.
 *
 * Rows are found in COPY's text by their newlines, which values have none of,
 * and in its binary form by the lengths of their fields.
 */
#include "postgres.h"

#include <xxhash.h>

#include "sink/postgres/row_digest.h"
#include "sink/stage.h"

/* Signature, flags and the length of an extension, of which there is none. */
#define BINARY_HEADER_SIZE 19

typedef enum Awaited
{
	AWAIT_HEADER,
	AWAIT_COUNT,  /* of fields; begins a row */
	AWAIT_LENGTH, /* of a field */
	AWAIT_FIELD,
	AWAIT_NOTHING
} Awaited;

struct RowDigest
{
	XXH3_state_t *state; /* of a row that has come in part; NULL: released */
	bool		  is_split; /* there is such a row */
	bool		  is_binary;
	uint64		  rows;
	uint64		  sum;
	/* of the binary form */
	Awaited awaited;
	uint32	left;	/* bytes of what is awaited */
	uint32	number; /* as far as it has come */
	uint32	fields; /* of the row that are left */
};

static void
release(void *argument)
{
	RowDigest *self = argument;

	if (self->state)
		(void) XXH3_freeState(self->state);
	self->state = NULL;
}

RowDigest *
row_digest_new(bool is_binary)
{
	RowDigest *self = palloc0_object(RowDigest);

	self->is_binary = is_binary;
	self->awaited = AWAIT_HEADER;
	self->left = BINARY_HEADER_SIZE;
	sink_guard(release, self);
	self->state = XXH3_createState();
	if (self->state == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	return self;
}

static void
keep_beginning(RowDigest *self, const char *data, size_t len)
{
	if (len == 0)
		return;
	if (!self->is_split)
		(void) XXH3_64bits_reset(self->state);
	self->is_split = true;
	(void) XXH3_64bits_update(self->state, data, len);
}

static void
end_digest_row(RowDigest *self, const char *data, size_t len)
{
	if (self->is_split)
	{
		keep_beginning(self, data, len);
		self->sum += XXH3_64bits_digest(self->state);
	}
	else
		self->sum += XXH3_64bits(data, len);
	self->is_split = false;
	self->rows++;
}

static void
add_text(RowDigest *self, const char *data, size_t len)
{
	const char *end = data + len;

	while (data < end)
	{
		const char *newline = memchr(data, '\n', end - data);

		if (newline == NULL)
		{
			keep_beginning(self, data, end - data);
			return;
		}
		end_digest_row(self, data, newline - data);
		data = newline + 1;
	}
}

static void
await(RowDigest *self, Awaited what, uint32 bytes)
{
	self->awaited = what;
	self->left = bytes;
	self->number = 0;
}

/* What was awaited has come; true if that is the end of a row. */
static bool
go_on(RowDigest *self)
{
	switch (self->awaited)
	{
		case AWAIT_COUNT:
			self->fields = self->number;
			if (self->fields == PG_UINT16_MAX)
			{
				await(self, AWAIT_NOTHING, 0);
				return false;
			}
			break;
		case AWAIT_LENGTH:
			self->fields--;
			if (self->number != 0 && self->number != PG_UINT32_MAX)
			{
				await(self, AWAIT_FIELD, self->number);
				return false;
			}
			break;
		case AWAIT_HEADER:
			await(self, AWAIT_COUNT, 2);
			return false;
		default:
			break;
	}
	if (self->fields > 0)
	{
		await(self, AWAIT_LENGTH, 4);
		return false;
	}
	await(self, AWAIT_COUNT, 2);
	return true;
}

static void
add_binary(RowDigest *self, const char *data, size_t len)
{
	const char *row = data;
	const char *end = data + len;

	while (data < end && self->awaited != AWAIT_NOTHING)
	{
		uint32 taken = (uint32) Min((size_t) (end - data), self->left);

		/* of fields of no length nothing is awaited, so there is progress */
		if (self->awaited == AWAIT_HEADER)
			row = data + taken;
		else if (self->awaited != AWAIT_FIELD)
			for (uint32 i = 0; i < taken; i++)
				self->number = self->number << 8 | (uint8) data[i];
		data += taken;
		self->left -= taken;
		if (self->left > 0 || !go_on(self))
			continue;
		end_digest_row(self, row, data - row);
		row = data;
	}
	/* after the last row comes a mark, which is none */
	if (self->awaited != AWAIT_NOTHING)
		keep_beginning(self, row, end - row);
}

void
row_digest_add(void *digest, const char *data, size_t len)
{
	RowDigest *self = digest;

	if (self->is_binary)
		add_binary(self, data, len);
	else
		add_text(self, data, len);
}

uint64
row_digest_rows(const RowDigest *digest)
{
	return digest->rows;
}

uint64
row_digest_sum(const RowDigest *digest)
{
	return digest->sum;
}
