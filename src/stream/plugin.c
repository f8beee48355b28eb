/*
 * plugin.c
 *		The output plugin's startup and shutdown, and its table of callbacks.
 *
 * All state of a run hangs under the decoding context, so that an error, which
 * calls no shutdown callback, leaves nothing behind.
 */
#include "postgres.h"

#include "access/xact.h"
#include "replication/slot.h"
#include "utils/memutils.h"

#include "compat.h"
#include "limit.h"
#include "row/mask.h"
#include "stream/stream.h"

static void
set_format(StreamSession *session, const ChangeFormat *format)
{
	StreamOptions *options = &session->options;

	session->format = format;
	session->format_options.style = json_style_default();
	session->format_options.style.numbers_as_string = options->numbers != 0;
	session->format_options.style.base64 = options->traits.connect_values;
	session->format_options.style.quoted_documents =
		options->traits.connect_values || options->nested != 0;
	session->format_options.style.nested_as_text = options->nested != 0;
	session->format_options.include_old = options->include_old;
	session->format_options.include_transactions =
		options->include_transactions;
	session->format_options.include_schemas = options->include_schemas;
	session->format_options.own = options->own;
}

/*
 * When transactions are delivered.  A slot that was made for two-phase commits
 * delivers at PREPARE whatever the option says: it may have done so before,
 * and then only the second phase is left to come.
 */
static void
set_delivery(StreamSession *session)
{
	LogicalDecodingContext *ctx = session->ctx;
	const StreamOptions	   *options = &session->options;

	ctx->streaming &= options->streaming;
	ctx->twophase_opt_given = options->two_phase;
	ctx->twophase &= !options->traits.no_two_phase &&
					 (options->two_phase || ctx->slot->data.two_phase);
}

/* That a function reads, until its end. */
static const ReplicationSlot *read_by_sql = NULL;

/*
 * An error ends the function without its releasing the slot.  If PL/pgSQL catches
 * the error, the session keeps the slot, and when it has read another one, drops
 * the first at its end: the server takes it for a temporary one.
 */
static void
release_slot(void *slot)
{
	if (read_by_sql != slot)
		return;
	read_by_sql = NULL;
	if (MyReplicationSlot == slot)
		ReplicationSlotRelease();
}

static void
release_slot_after_error(LogicalDecodingContext *ctx)
{
	MemoryContextCallback *callback =
		MemoryContextAlloc(ctx->context, sizeof(MemoryContextCallback));

	callback->func = release_slot;
	callback->arg = ctx->slot;
	MemoryContextRegisterResetCallback(ctx->context, callback);
	read_by_sql = ctx->slot;
}

/*
 * is_init: a slot is being made.  No change will come and no option is given.
 */
static void
stream_startup(LogicalDecodingContext *ctx, OutputPluginOptions *opt,
			   bool is_init)
{
	MemoryContext  context;
	MemoryContext  old;
	StreamSession *session;

	opt->output_type = OUTPUT_PLUGIN_TEXTUAL_OUTPUT;
	opt->receive_rewrites = false;
	if (is_init)
	{
		ctx->streaming = false;
		ctx->twophase = false;
		return;
	}

	if (IsTransactionState())
		release_slot_after_error(ctx);
	limits_check_stream();
	context = AllocSetContextCreate(ctx->context, "outflow stream",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	session = palloc0(sizeof(StreamSession));
	session->ctx = ctx;
	session->context = context;
	session->change_context = AllocSetContextCreate(
		context, "outflow stream change", ALLOCSET_DEFAULT_SIZES);
	set_format(session, stream_options_parse(NameStr(ctx->slot->data.plugin),
											 ctx->output_plugin_options,
											 &session->options));
	session->mask_key = mask_key_for(session->options.masks);
	buffer_init(&session->batch);
	buffer_init(&session->message);
	session->can_queue = send_queue_is_possible(ctx);
	relation_cache_open(session);
	ctx->output_plugin_private = session;
	MemoryContextSwitchTo(old);
	set_delivery(session);
	snapshots_start(session);

	if (!session->options.traits.session_settings)
		session->pinned = settings_pin_canonical(context);
	overlap_empty_caches(session); /* nothing more is looked up as of now */
}

static void
stream_shutdown(LogicalDecodingContext *ctx)
{
	StreamSession *session = stream_session(ctx);

	read_by_sql = NULL;
	if (session == NULL)
		return;
	if (session->pinned)
		settings_unpin(session->pinned);
	ctx->output_plugin_private = NULL;
	MemoryContextDelete(session->context);
}

void
stream_init_callbacks(OutputPluginCallbacks *cb)
{
	cb->startup_cb = stream_startup;
	cb->shutdown_cb = stream_shutdown;
	cb->begin_cb = transaction_begin;
	cb->commit_cb = transaction_commit;
	cb->change_cb = change_row;
	cb->truncate_cb = change_truncate;
	cb->message_cb = change_message;
	cb->filter_by_origin_cb = origin_filter;

	cb->filter_prepare_cb = prepared_filter;
	cb->begin_prepare_cb = transaction_begin_prepare;
	cb->prepare_cb = transaction_prepare;
	cb->commit_prepared_cb = prepared_commit;
	cb->rollback_prepared_cb = prepared_rollback;

	cb->stream_start_cb = streamed_start;
	cb->stream_stop_cb = streamed_stop;
	cb->stream_abort_cb = streamed_abort;
	cb->stream_prepare_cb = streamed_prepare;
	cb->stream_commit_cb = streamed_commit;
	cb->stream_change_cb = change_row;
	cb->stream_message_cb = change_message;
	cb->stream_truncate_cb = change_truncate;
}
