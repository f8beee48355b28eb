/*
 * record.c
 *		One record: its bound, its forms, and how it is passed over.
 *
 * No input may stop a stream for good.  So each record is written under a
 * limit (encode/buffer.c), and in shorter forms where it passes it; the last
 * form doesn't depend on the input.  Whatever else may raise an error names the
 * change, which option "skip_changes" then passes over.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "compat.h"
#include "encoding.h"
#include "stream/stream.h"

static bool
try_form(StreamSession *session, Size limit, RecordWriter writer,
		 RecordForm form, const void *what)
{
	ByteBuffer *out = writer_begin(session);
	Size		bytes;

	buffer_limit_begin(&session->batch, limit, limit);
	writer(session, out, form, what);
	return buffer_limit_end(&session->batch, &bytes);
}

bool
record_make_room(StreamSession *session, int64 limit)
{
	(void) writer_begin(session);
	if (session->record_start == 0 ||
		buffer_room(&session->batch) >= (Size) limit)
		return false;
	if (session->options.traits.one_record)
		ereport(
			ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("a transaction of more than 1 GB cannot be one "
					"message"),
			 errhint("Use \"format-version\" 2, or \"write-in-chunks\".")));
	writer_make_room(session);
	return true;
}

RecordForm
record_write(StreamSession *session, int64 limit, RecordWriter writer,
			 const void *what)
{
	RecordForm form = RECORD_WHOLE;

	if (try_form(session, limit, writer, form, what))
		return form;
	if (record_make_room(session, limit) &&
		try_form(session, limit, writer, form, what))
		return form;
	while (++form < RECORD_BARE)
		if (try_form(session, limit, writer, form, what))
			return form;
	(void) try_form(session, MaxAllocSize, writer, form, what);
	return form;
}

void
record_report(StreamSession *session, const char *what, const char *left_out)
{
	bool error = session->options.oversize == OVERSIZE_ERROR;

	ereport(error ? ERROR : WARNING,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("%s is too large for the stream", encoding_shown(what)),
			 error
				 ? errhint("Raise \"max_value_bytes\", leave out what is too "
						   "large with oversize 'omit', or pass it over with "
						   "\"skip_changes\".")
				 : errhint("%s is left out.", left_out)));
}

bool
record_is_skipped(StreamSession *session, const ChangePosition *at)
{
	const StreamOptions *options = &session->options;
	int					 i;

	for (i = 0; i < options->nskipped; i++)
	{
		const SkippedChange *skipped = &options->skipped[i];

		if (skipped->lsn != at->lsn ||
			!(skipped->all || skipped->index == at->index))
			continue;
		ereport(WARNING, (errmsg("passing over change %X/%X/%04X, as "
								 "\"skip_changes\" says",
								 LSN_FORMAT_ARGS(at->lsn), at->index)));
		return true;
	}
	return false;
}
