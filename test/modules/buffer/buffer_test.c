/*
 * buffer_test.c
 *		How far a buffer grows.
 */
#include "postgres.h"

#include "fmgr.h"

#include "encode/buffer.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(room_after);

/*
 * room_after(len bigint, n bigint): the bytes that there is room for in a buffer
 * of len, after n more were asked for.
 */
Datum
room_after(PG_FUNCTION_ARGS)
{
	int64	   len = PG_GETARG_INT64(0);
	ByteBuffer buffer;
	size_t	   room;

	buffer_init(&buffer);
	buffer_advance(&buffer, len);
	(void) buffer_reserve(&buffer, PG_GETARG_INT64(1));
	room = buffer.cap - buffer.len;
	buffer_free(&buffer);
	PG_RETURN_INT64(room);
}
