/*
 * echo_preload.c
 *		pg_outflow, with this preloaded, answers each WebSocket message by the same
 *		one: so a suite of conformance can look at how it handles frames.
 *
 * The handshake, the frames, the closing and the loop are its own; only what
 * becomes of a whole message, and how long one may be, is replaced.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <wslay/wslay.h>

#define MAX_MESSAGE (64 * 1024 * 1024)

static void *
find(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (function == NULL)
		abort();
	return function;
}

static void
echo(wslay_event_context_ptr ws, const struct wslay_event_on_msg_recv_arg *message, void *argument)
{
	struct wslay_event_msg answer = {message->opcode, message->msg, message->msg_length};

	(void) argument;
	if (!wslay_is_ctrl_frame(message->opcode))
		wslay_event_queue_msg(ws, &answer);
}

int
wslay_event_context_server_init(wslay_event_context_ptr *ws, const struct wslay_event_callbacks *given, void *argument)
{
	int (*init)(wslay_event_context_ptr *, const struct wslay_event_callbacks *, void *) =
		find("wslay_event_context_server_init");
	struct wslay_event_callbacks callbacks = *given;

	callbacks.on_msg_recv_callback = echo;
	return init(ws, &callbacks, argument);
}

void
wslay_event_config_set_max_recv_msg_length(wslay_event_context_ptr ws, uint64_t length)
{
	void (*set)(wslay_event_context_ptr, uint64_t) = find("wslay_event_config_set_max_recv_msg_length");

	(void) length;
	set(ws, MAX_MESSAGE);
}
