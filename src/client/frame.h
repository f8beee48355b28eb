/*
 * frame.h
 *		What a record is to the client: where transactions begin and end, in
 *		each of the plugin's formats.
 */
#ifndef CLIENT_FRAME_H
#define CLIENT_FRAME_H

#include <stdbool.h>
#include <stddef.h>

#include "client/lsn.h"

typedef enum FrameKind
{
	FRAME_CHANGE, /* and all that has no kind of its own */
	FRAME_SCHEMA,
	FRAME_BEGIN,
	FRAME_COMMIT,
} FrameKind;

typedef struct FrameFormat
{
	const char *name;
	/* what makes the plugin frame transactions, and frame by their records */
	const char *framing_option;
	bool		framed_by_default;
	const char *begin; /* how such records start */
	const char *commit;
	const char *schema; /* NULL: there are none */
	/* the commit LSN in a begin record */
	Lsn (*commit_lsn)(const char *data, size_t length);
	/* and when that was, in microseconds since 1970; 0 if it doesn't say */
	long long (*committed_us)(const char *data, size_t length);
	/* the id of a record, a new text; NULL if it has none */
	char *(*id)(const char *data, size_t length);
} FrameFormat;

/* NULL if the client doesn't know it. */
extern const FrameFormat *frame_format(const char *name);

extern FrameKind frame_kind(const FrameFormat *format, const char *data,
							size_t length);

#endif
