/*
 * oversize.c
 *		Values and records that are too large for the stream.
 *
 * PostgreSQL's messages end at 1 GB, and a text may grow to six times its
 * length when it is escaped.  So that no row can wedge a slot, rows that may be
 * too large by the sizes that their tuples state are measured before anything
 * is written.  All others are written under a limit, since some values grow
 * without bounds (see encode/buffer.c), and measured when they pass it.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

#include "compat.h"
#include "encoding.h"
#include "stream/stream.h"

#define MAX_ESCAPE 6
/* How often the size in which it is compressed a value may have: 255 by LZ4. */
#define MAX_COMPRESSION 256
/* A value is measured in a buffer that keeps no more than this of it. */
#define MAX_KEPT_SCRATCH (1024 * 1024)

/*
 * Size of a value once written, or more than max_value_bytes.  It is written
 * for that, and what it leaves behind is given back.
 */
static int64
measure(StreamSession *session, RowShape *shape, int column, Datum value)
{
	MemoryContext context, old;
	ByteBuffer	  scratch;
	Size		  size;

	/* a client may take a long silence for the server's end */
	writer_report(session);
	context =
		AllocSetContextCreate(CurrentMemoryContext, "outflow stream measure",
							  ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	buffer_init(&scratch);
	buffer_limit_begin(&scratch, session->options.max_value_bytes,
					   MAX_KEPT_SCRATCH);
	session->format->value(&scratch, &session->format_options, shape, column,
						   value);
	if (!buffer_limit_end(&scratch, &size))
		size = Max((int64) size, session->options.max_value_bytes + 1);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return size;
}

/* Size as stored, not compressed. */
static inline int64
stored_bytes(Datum value)
{
	if (VARATT_IS_EXTENDED(DatumGetPointer(value)))
		return toast_raw_datum_size(value);
	return VARSIZE(DatumGetPointer(value));
}

/* Whether a size as stored rules out that either limit is passed. */
static inline bool
is_small(const StreamOptions *options, int64 largest, int64 total)
{
	return largest * MAX_ESCAPE <= options->max_value_bytes &&
		   total * MAX_ESCAPE <= options->max_record_bytes;
}

static void
report_column(StreamSession *session, StreamRelation *rel, int column,
			  int64 size)
{
	const RowShape *shape = rel->shape;
	bool			error = session->options.oversize == OVERSIZE_ERROR;

	if (!error && rel->warned_oversize)
		return;
	rel->warned_oversize = true;
	ereport(
		error ? ERROR : WARNING,
		(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
		 errmsg("value of column \"%s\" of table \"%s.%s\" is too large "
				"for the stream",
				encoding_shown(shape->columns[column].name),
				encoding_shown(shape->schema), encoding_shown(shape->name)),
		 size > session->options.max_value_bytes
			 ? errdetail("The change at %X/%X needs more than " INT64_FORMAT
						 " bytes for it, or the server lacks the stack to "
						 "write it.",
						 LSN_FORMAT_ARGS(session->position.lsn),
						 session->options.max_value_bytes)
			 : errdetail("The change at %X/%X needs " INT64_FORMAT
						 " bytes for it.",
						 LSN_FORMAT_ARGS(session->position.lsn), size),
		 error ? errhint("Raise \"max_value_bytes\" or "
						 "\"max_record_bytes\", leave the value out with "
						 "oversize 'omit', or pass the change over with "
						 "\"skip_changes\".")
			   : errhint("Such values are left out of the stream.")));
}

/* Larger of the column's new and old value, and both together. */
typedef struct ColumnSize
{
	int64 largest;
	int64 total;
} ColumnSize;

static void
add_size_of(ColumnSize *size, StreamSession *session, RowShape *shape,
			int column, Datum value, bool exact)
{
	int64 bytes;

	/* not in the WAL, and so not in the record */
	if (VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(value)))
		return;
	bytes = stored_bytes(value);
	if (exact && bytes <= session->options.max_value_bytes)
		bytes = measure(session, shape, column, value);
	size->largest = Max(size->largest, bytes);
	size->total += bytes;
}

static ColumnSize
column_size(StreamSession *session, StreamRelation *rel,
			const RowChange *change, int column, bool exact)
{
	RowShape  *shape = rel->shape;
	int		   att = shape->columns[column].attnum - 1;
	ColumnSize size = {0, 0};

	if (change->new_values && !change->new_nulls[att] &&
		!change_column_is(change, column, COLUMN_UNCHANGED))
		add_size_of(&size, session, shape, column, change->new_values[att],
					exact);
	if (change->old_values && !change->old_nulls[att])
		add_size_of(&size, session, shape, column, change->old_values[att],
					exact);
	/* the key is written once more */
	if (change->key_values &&
		!change_column_is(change, column, COLUMN_NOT_KEY))
		size.total += size.largest;
	return size;
}

static void
omit(StreamSession *session, StreamRelation *rel, int column, ColumnSize *size,
	 int64 *total)
{
	report_column(session, rel, column, size->largest);
	rel->states[column] |= COLUMN_OMITTED;
	*total -= size->total;
	size->total = 0;
}

/* Leaves out what is too large for itself, then the largest until all fits. */
static bool
find_exactly(StreamSession *session, StreamRelation *rel,
			 const RowChange *change)
{
	ColumnSize *sizes = palloc0(sizeof(ColumnSize) * rel->nvarlena);
	int64		total = 0;
	bool		any = false;
	int			k;

	for (k = 0; k < rel->nvarlena; k++)
	{
		rel->states[rel->varlena[k]] &= ~COLUMN_OMITTED;
		sizes[k] = column_size(session, rel, change, rel->varlena[k], true);
		total += sizes[k].total;
		if (sizes[k].largest > session->options.max_value_bytes)
		{
			omit(session, rel, rel->varlena[k], &sizes[k], &total);
			any = true;
		}
	}
	while (total > session->options.max_record_bytes && rel->nvarlena > 0)
	{
		int largest = 0;

		for (k = 1; k < rel->nvarlena; k++)
			if (sizes[k].total > sizes[largest].total)
				largest = k;
		omit(session, rel, rel->varlena[largest], &sizes[largest], &total);
		any = true;
	}
	return any;
}

bool
oversize_expected(StreamSession *session, StreamRelation *rel,
				  const RowChange *change)
{
	int64 largest = 0;
	int64 total = 0;
	int64 most = session->tuple_bytes * MAX_COMPRESSION;
	int	  k;

	/* mostly the tuples as a whole are small enough */
	if (likely(is_small(&session->options, most, most)))
		return false;
	for (k = 0; k < rel->nvarlena; k++)
	{
		ColumnSize size =
			column_size(session, rel, change, rel->varlena[k], false);

		largest = Max(largest, size.largest);
		total += size.total;
	}
	return unlikely(!is_small(&session->options, largest, total));
}

bool
oversize_find(StreamSession *session, StreamRelation *rel,
			  const RowChange *change)
{
	/* a record of this size must not share a buffer with others */
	if (!session->options.traits.one_record)
		writer_make_room(session);
	return find_exactly(session, rel, change);
}
