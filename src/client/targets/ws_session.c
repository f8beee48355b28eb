/*
 * ws_session.c
 *		One client: from its request to its end.
 *
 * A client asks for the page or becomes a WebSocket, whose frames libwslay
 * reads and writes; it does nothing else, and so fits the loop that is here,
 * where libwebsockets would bring its own.  It never holds anything back but
 * itself: what it reads is the spool.
 *
 * All states of a client are here, as what bounds each of them, in bytes, in turns
 * and in time, is one rule: nobody costs more than its share.
 */
#ifdef HAVE_WSLAY

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wslay/wslay.h>

#include "client/json_scan.h"
#include "client/targets/ws_server.h"

#define LEAVING_MS	  2000
#define MAX_QUEUED	  16 /* messages, pongs among them */
#define READS_AT_ONCE 16 /* of the spool */

typedef enum WsPhase
{
	WS_REQUEST, /* of HTTP */
	WS_ANSWER,	/* it is sent, and then the connection ends */
	WS_OPEN,
	WS_LEAVING, /* all is said: until the client has read it, and goes */
	WS_ENDED,
} WsPhase;

struct WsSession
{
	WsServer			   *server;
	int						fd;
	WsPhase					phase;
	Bytes					request;
	Bytes					answer;
	size_t					sent; /* of it */
	wslay_event_context_ptr ws;
	long long				opened_at;
	long long				heard_at;
	long long				pinged_at;
	long long				left_at; /* since when it is told to go; 0 */

	bool may_read;
	bool has_more; /* in the spool, and nothing waits to be sent */

	long long	   status_at;
	WsSubscription subscription;
};

static ssize_t
session_receive(wslay_event_context_ptr ws, uint8_t *data, size_t length,
				int flags, void *argument)
{
	WsSession *self = argument;
	ssize_t	   n;

	(void) flags;
	/* once a turn: whoever never stops talking is not the only one */
	if (!self->may_read)
	{
		wslay_event_set_error(ws, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	self->may_read = false;
	do
		n = recv(self->fd, data, length, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0)
	{
		self->heard_at = clock_ms();
		return n;
	}
	wslay_event_set_error(ws, n < 0 && errno == EAGAIN
								  ? WSLAY_ERR_WOULDBLOCK
								  : WSLAY_ERR_CALLBACK_FAILURE);
	return -1;
}

static ssize_t
session_send(wslay_event_context_ptr ws, const uint8_t *data, size_t length,
			 int flags, void *argument)
{
	WsSession *self = argument;
	int		   more = flags & WSLAY_MSG_MORE ? MSG_MORE : 0;
	ssize_t	   n;

	do
		n = send(self->fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL | more);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	wslay_event_set_error(ws, errno == EAGAIN ? WSLAY_ERR_WOULDBLOCK
											  : WSLAY_ERR_CALLBACK_FAILURE);
	return -1;
}

static void
queue_text(WsSession *self, const Bytes *text)
{
	struct wslay_event_msg message = {
		WSLAY_TEXT_FRAME, (const uint8_t *) text->data, text->length};

	if (wslay_event_queue_msg(self->ws, &message) == WSLAY_ERR_NOMEM)
		client_exit(EXIT_FAILED, "out of memory");
}

static void
queue_close(WsSession *self, int code, const char *reason)
{
	wslay_event_queue_close(self->ws, code, (const uint8_t *) reason,
							strlen(reason));
	if (self->left_at == 0)
		self->left_at = clock_ms();
}

static void
session_message(wslay_event_context_ptr					  ws,
				const struct wslay_event_on_msg_recv_arg *message,
				void									 *argument)
{
	WsSession  *self = argument;
	const char *text = (const char *) message->msg;
	const char *why;
	Bytes		reply = {0};
	int			code;

	(void) ws;
	if (wslay_is_ctrl_frame(message->opcode))
		return;
	code = ws_subscription_take(
		&self->subscription, self->server, text,
		message->opcode == WSLAY_TEXT_FRAME ? message->msg_length : 0, &reply,
		&why);
	if (code)
		queue_close(self, code, why);
	else if (reply.length > 0)
		queue_text(self, &reply);
	mem_free(&reply);
}

static void
open_websocket(WsSession *self)
{
	static const struct wslay_event_callbacks callbacks = {
		.recv_callback = session_receive,
		.send_callback = session_send,
		.on_msg_recv_callback = session_message,
	};

	if (wslay_event_context_server_init(&self->ws, &callbacks, self) != 0)
		client_exit(EXIT_FAILED, "out of memory");
	wslay_event_config_set_max_recv_msg_length(self->ws, WS_MAX_MESSAGE);
	self->phase = WS_OPEN;
}

WsSession *
ws_session_new(WsServer *server, int fd)
{
	WsSession *self = client_alloc(sizeof(WsSession));
	int		   on = 1;

	/* nothing waits for the answer to what went before */
	(void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	self->server = server;
	self->fd = fd;
	self->opened_at = self->heard_at = self->pinged_at = clock_ms();
	return self;
}

static void
read_request(WsSession *self)
{
	char	buffer[2048];
	ssize_t n = recv(self->fd, buffer, sizeof(buffer), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || self->request.length + n > WS_MAX_REQUEST)
	{
		self->phase = WS_ENDED;
		return;
	}
	/* a client speaks only after our answer */
	mem_append(&self->request, buffer, n);
	if (memchr(self->request.data, '\0', self->request.length))
		self->phase = WS_ENDED;
	else if (strstr(self->request.data, "\r\n\r\n"))
	{
		bool is_websocket =
			ws_http_answer(self->server, self->request.data, &self->answer);

		self->phase = WS_ANSWER;
		if (is_websocket)
			open_websocket(self);
	}
}

/* It doesn't even read what answers to its messages. */
static bool
is_clogged(const WsSession *self)
{
	return wslay_event_get_queued_msg_count(self->ws) > MAX_QUEUED;
}

void
ws_session_read(WsSession *self)
{
	self->may_read = true;
	if (self->phase == WS_OPEN && is_clogged(self))
		return;
	if (self->phase == WS_REQUEST)
		read_request(self);
	else if (self->phase == WS_OPEN && wslay_event_want_read(self->ws) &&
			 wslay_event_recv(self->ws) != 0)
		self->phase = WS_ENDED;
	else if (self->phase == WS_ANSWER || self->phase == WS_LEAVING)
	{
		char	none[4096];
		ssize_t n = recv(self->fd, none, sizeof(none), MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			self->phase = WS_ENDED;
	}
}

/*
 * Closing while something of the client's is unread would reset the connection,
 * and our last words would be lost.
 */
static void
leave(WsSession *self, long long now)
{
	shutdown(self->fd, SHUT_WR);
	self->phase = WS_LEAVING;
	self->left_at = now;
}

/* False: there is nothing to send, or the client's place is gone. */
static bool
send_records(WsSession *self)
{
	Bytes message = {0};
	bool  has_more;

	if (!ws_subscription_next(&self->subscription, self->server->spool,
							  &message, &has_more))
		queue_close(self, WS_CLOSE_SLOW,
					"too slow: the spool has gone on without this client");
	else if (message.length > 0)
		queue_text(self, &message);
	mem_free(&message);
	return has_more;
}

/* A page isn't told of pings, and of a lost network its browser says nothing. */
static void
send_ping(WsSession *self, long long now)
{
	static const struct wslay_event_msg ping = {WSLAY_PING, NULL, 0};
	Bytes								message = {0};

	self->pinged_at = now;
	wslay_event_queue_msg(self->ws, &ping);
	if (!self->subscription.subscribed || is_clogged(self))
		return;
	ws_subscription_beat(&self->subscription, &message);
	queue_text(self, &message);
	mem_free(&message);
}

static void
keep_alive(WsSession *self, long long now)
{
	if (now - self->heard_at > WS_SILENT_MS ||
		(self->left_at && now - self->left_at > WS_HELLO_MS))
		self->phase = WS_ENDED;
	else if (self->left_at)
		return;
	else if (!self->subscription.subscribed &&
			 now - self->opened_at > WS_HELLO_MS)
		queue_close(self, WS_CLOSE_UNASKED, "nothing was subscribed to");
	else if (self->subscription.due_at &&
			 now - self->subscription.due_at > WS_SLOW_MS)
		queue_close(self, WS_CLOSE_SLOW, "too slow: no acknowledgement came");
	else if (now - self->pinged_at > WS_PING_MS)
		send_ping(self, now);
}

static void
send_status(WsSession *self, long long now)
{
	Bytes status = {0};

	if (!self->subscription.watching || now < self->status_at)
		return;
	self->status_at = now + 1000;
	self->server->status(self->server->argument, &status);
	queue_text(self, &status);
	mem_free(&status);
}

static void
work_open(WsSession *self, long long now)
{
	int reads = 0;

	keep_alive(self, now);
	self->has_more = false;
	while (self->phase == WS_OPEN)
	{
		if (wslay_event_want_write(self->ws) &&
			wslay_event_send(self->ws) != 0)
			self->phase = WS_ENDED;
		/* one message at a time waits for the socket */
		if (self->phase != WS_OPEN ||
			wslay_event_get_queued_msg_count(self->ws) > 0 ||
			wslay_event_get_close_sent(self->ws))
			break;
		send_status(self, now);
		if ((!self->subscription.subscribed ||
			 ws_subscription_is_full(&self->subscription, now) ||
			 !send_records(self)) &&
			wslay_event_get_queued_msg_count(self->ws) == 0)
			break;
		/* of a spool full of what it doesn't want, some at a time */
		if (++reads == READS_AT_ONCE)
		{
			self->has_more = true;
			break;
		}
	}
	if (self->phase == WS_OPEN && !wslay_event_want_read(self->ws) &&
		!wslay_event_want_write(self->ws))
		leave(self, now);
}

static bool
send_http(WsSession *self)
{
	while (self->sent < self->answer.length)
	{
		ssize_t n = send(self->fd, self->answer.data + self->sent,
						 self->answer.length - self->sent,
						 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return false;
		if (n <= 0)
		{
			self->phase = WS_ENDED;
			return false;
		}
		self->sent += n;
	}
	return true;
}

void
ws_session_work(WsSession *self, long long now)
{
	if ((self->phase == WS_REQUEST || self->phase == WS_ANSWER) &&
		now - self->opened_at > WS_HELLO_MS)
		self->phase = WS_ENDED;
	if (self->phase == WS_LEAVING && now - self->left_at >= LEAVING_MS)
		self->phase = WS_ENDED;
	if (self->phase == WS_ANSWER && send_http(self))
		leave(self, now);
	else if (self->phase == WS_OPEN && send_http(self))
		work_open(self, now);
}

short
ws_session_events(const WsSession *self)
{
	switch (self->phase)
	{
		case WS_REQUEST:
		case WS_LEAVING:
			return POLLIN;
		case WS_ANSWER:
			return POLLOUT;
		case WS_OPEN:
			return (is_clogged(self) ? 0 : POLLIN) |
				   (self->sent < self->answer.length ||
							wslay_event_want_write(self->ws)
						? POLLOUT
						: 0);
		case WS_ENDED:
			break;
	}
	return 0;
}

bool
ws_session_watches(const WsSession *self)
{
	return self->subscription.watching;
}

long long
ws_session_wake_at(const WsSession *self)
{
	long long at = self->pinged_at + WS_PING_MS;

	if (self->phase == WS_LEAVING)
		return self->left_at + LEAVING_MS;
	if (self->phase == WS_OPEN && self->left_at)
		return self->left_at + WS_HELLO_MS + 1;
	if (self->phase != WS_OPEN || !self->subscription.subscribed)
		return self->opened_at + WS_HELLO_MS + 1;
	if (wslay_event_get_queued_msg_count(self->ws) == 0)
	{
		if (self->has_more)
			return 0;
		if (self->subscription.watching && self->status_at < at)
			at = self->status_at;
	}
	if (self->subscription.due_at &&
		self->subscription.due_at + WS_SLOW_MS < at)
		at = self->subscription.due_at + WS_SLOW_MS;
	return at + 1;
}

void
ws_session_free(WsSession *self, int code, const char *reason)
{
	if (self->phase == WS_OPEN && code)
	{
		queue_close(self, code, reason);
		wslay_event_send(self->ws);
	}
	if (self->ws)
		wslay_event_context_free(self->ws);
	close(self->fd);
	ws_subscription_free(&self->subscription);
	mem_free(&self->request);
	mem_free(&self->answer);
	free(self);
}

#endif /* HAVE_WSLAY */
