/*
 * sink.c
 *		What stages share: forwarders, construction, release after an error,
 *		and the end of a chain that forgets.
 */
#include "postgres.h"

#include <openssl/err.h>

#include "sink/stage.h"
#include "utils/memutils.h"

static void null_write(Sink *sink, const char *data, size_t len);
static void null_finish(Sink *sink);
static void null_cleanup(Sink *sink);

static const SinkOps null_ops = {
	.write = null_write,
	.finish = null_finish,
	.cleanup = null_cleanup,
};

void *
sink_stage_new(size_t size, const SinkOps *ops, Sink *next)
{
	Sink *sink = palloc0(size);

	Assert(size >= sizeof(Sink));
	sink->ops = ops;
	sink->next = next;
	return sink;
}

void
sink_guard(void (*release)(void *), void *argument)
{
	MemoryContextCallback *callback = palloc(sizeof(MemoryContextCallback));

	callback->func = release;
	callback->arg = argument;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
}

/*
 * Also empties OpenSSL's queue: the server's TLS code would take an error
 * left in it for one of its own.
 */
const char *
openssl_reason(void)
{
	const char *reason = ERR_reason_error_string(ERR_get_error());

	ERR_clear_error();
	return reason ? reason : "no reason given";
}

Sink *
sink_null_new(void)
{
	return sink_stage_new(sizeof(Sink), &null_ops, NULL);
}

static void
null_write(Sink *sink, const char *data, size_t len)
{
}

static void
null_finish(Sink *sink)
{
}

static void
null_cleanup(Sink *sink)
{
}
