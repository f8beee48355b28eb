/*
 * send_queue.c
 *		Messages that a walsender sends together.
 *
 * The server sends a message as soon as it has been written.  For records of
 * the usual size that system call costs more than decoding and encoding, and
 * it is what limits plugins that write a message per row.  So messages are put
 * into the connection's send buffer in the form that the server gives them (a
 * CopyData message that holds XLogData, as the streaming replication protocol
 * describes it), and only one in some kilobytes is written through the server,
 * which then sends all of them, looks after replies and waits where the client
 * is slow.  The client gets the same messages in the same order.
 *
 * None is kept back: the walsender sends what is in the buffer after each
 * record of WAL that it has decoded, and so after each transaction, and when
 * an error ends the stream.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "replication/walsender.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "stream/stream.h"

/* Bytes that may wait for a message that is written through the server. */
#define MAX_QUEUED (16 * 1024)

/* Message type, start and end of the WAL, time of sending. */
#define HEADER_BYTES (1 + 3 * sizeof(uint64))

/*
 * Only the walsender's own callbacks write to a connection; the functions of
 * the SQL interface, which have no progress to report, fill a table.
 */
bool
send_queue_is_possible(const LogicalDecodingContext *ctx)
{
	return am_walsender && ctx->update_progress != NULL;
}

static char *
put_uint64(char *dst, uint64 value)
{
	value = pg_hton64(value);
	memcpy(dst, &value, sizeof(value));
	return dst + sizeof(value);
}

bool
send_queue_put(StreamSession *session, const char *data, int len,
			   XLogRecPtr lsn)
{
	ByteBuffer *message = &session->message;
	char	   *dst;

	if (!session->can_queue || session->queued + len > MAX_QUEUED)
	{
		session->queued = 0;
		return false;
	}
	buffer_clear(message);
	dst = buffer_reserve(message, HEADER_BYTES);
	*dst++ = 'w';
	dst = put_uint64(dst, lsn);
	dst = put_uint64(dst, lsn);
	put_uint64(dst, GetCurrentTimestamp());
	buffer_advance(message, HEADER_BYTES);
	buffer_append(message, data, len);
	pq_putmessage_noblock('d', message->data, message->len);
	session->queued += message->len;
	CHECK_FOR_INTERRUPTS();
	return true;
}
