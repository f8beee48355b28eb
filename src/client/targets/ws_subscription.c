/*
 * ws_subscription.c
 *		What a client wants, and how much of it has been sent.
 *
 * A client subscribes to tables, from now, from the last changes or after a
 * position.  Records go out only as far as it has acknowledged the bytes before,
 * so that neither its memory nor ours grows.
 */
#ifdef HAVE_WSLAY

#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

#include "client/json_scan.h"
#include "client/targets/ws_server.h"

/* Takes the same time wherever they differ. */
static bool
same_token(const char *token, const char *given)
{
	size_t	 length = strlen(token);
	size_t	 other = strlen(given);
	unsigned difference = length != other;
	size_t	 i;

	for (i = 0; i < length; i++)
		difference |= token[i] ^ given[other ? i % other : 0];
	return difference == 0;
}

static bool
token_allows(const WsServer *server, const char *text, size_t length)
{
	char *given;
	bool  allows;

	if (server->token == NULL)
		return true;
	given = json_find_text(text, length, "token");
	allows = given && same_token(server->token, given);
	free(given);
	return allows;
}

/* A member that is a number, within bounds. */
static long long
find_bounded(const char *text, size_t length, const char *name,
			 long long number, long long least, long long most)
{
	(void) json_find_number(text, length, name, &number);
	return number < least ? least : number > most ? most : number;
}

/* Goes where the client wants to; false if that can't be. */
static bool
seek(WsReader *reader, const WsServer *server, const char *after,
	 const char *epoch)
{
	Lsn lsn;

	if (after && lsn_parse(after, &lsn) &&
		(epoch == NULL || strcmp(epoch, server->epoch) == 0) &&
		ws_reader_seek(reader, server->spool, lsn))
		return true;
	ws_reader_seek_end(reader, server->spool);
	return false;
}

/* Where it begins, and whether that is where it wanted to. */
static void
seek_and_reply(WsSubscription *self, const WsServer *server, const char *text,
			   size_t length, Bytes *reply)
{
	Spool *spool = server->spool;
	char  *after = json_find_text(text, length, "after");
	char  *epoch = json_find_text(text, length, "epoch");
	int	   recent = find_bounded(text, length, "recent", 0, 0, WS_MAX_RECENT);
	bool   recovered = seek(&self->reader, server, after, epoch);

	if (recent > 0)
		ws_reader_seek_recent(&self->reader, spool, recent);
	self->told = self->reader.position;
	mem_add(reply, "{\"type\":\"subscribed\",\"epoch\":");
	json_append_text(reply, server->epoch);
	mem_format(reply,
			   ",\"position\":\"" LSN_FORMAT "\",\"oldest\":\"" LSN_FORMAT
			   "\",\"head\":\"" LSN_FORMAT
			   "\",\"recovered\":%s,\"refetch\":%s,\"window\":%llu}",
			   LSN_ARGS(self->told), LSN_ARGS(spool_oldest(spool)),
			   LSN_ARGS(spool_head(spool)), recovered ? "true" : "false",
			   after && !recovered ? "true" : "false",
			   (unsigned long long) self->window);
	free(after);
	free(epoch);
}

static int
subscribe(WsSubscription *self, const WsServer *server, const char *text,
		  size_t length, Bytes *reply, const char **why)
{
	WsFilter *filter = &self->reader.filter;
	JsonValue tables;

	if (!token_allows(server, text, length))
	{
		*why = "the token is missing or wrong";
		return WS_CLOSE_TOKEN;
	}
	ws_filter_free(filter);
	if (json_find(text, length, "tables", &tables) &&
		!json_is(&tables, "null") &&
		!ws_filter_parse(filter, tables.data, tables.length))
	{
		*why = "\"tables\" is an array of patterns like \"public.*\"";
		return WSLAY_CODE_POLICY_VIOLATION;
	}
	self->window =
		find_bounded(text, length, "window", WS_WINDOW, 1, WS_MAX_WINDOW);
	seek_and_reply(self, server, text, length, reply);
	self->subscribed = true;
	return 0;
}

static int
acknowledge(WsSubscription *self, const char *text, size_t length,
			const char **why)
{
	long long bytes;

	if (!json_find_number(text, length, "bytes", &bytes) ||
		bytes < (long long) self->acknowledged ||
		bytes > (long long) self->bytes)
	{
		*why = "\"bytes\" of an ack counts what was received";
		return WSLAY_CODE_POLICY_VIOLATION;
	}
	self->acknowledged = bytes;
	self->due_at = 0;
	return 0;
}

int
ws_subscription_take(WsSubscription *self, const WsServer *server,
					 const char *text, size_t length, Bytes *reply,
					 const char **why)
{
	char *type = json_find_text(text, length, "type");
	int	  code = 0;

	if (type && !self->subscribed && strcmp(type, "subscribe") == 0)
		code = subscribe(self, server, text, length, reply, why);
	else if (type && self->subscribed && strcmp(type, "ack") == 0)
		code = acknowledge(self, text, length, why);
	else if (type && self->subscribed && strcmp(type, "watch") == 0)
		self->watching = true;
	else
	{
		*why = "the first message is {\"type\":\"subscribe\"}, later ones are "
			   "\"ack\" and \"watch\"";
		code = WSLAY_CODE_POLICY_VIOLATION;
	}
	free(type);
	return code;
}

bool
ws_subscription_is_full(WsSubscription *self, long long now)
{
	if (self->bytes - self->acknowledged < self->window)
		return false;
	if (self->due_at == 0)
		self->due_at = now;
	return true;
}

/* Some, or with none only where the client is. */
static void
append_message(WsSubscription *self, const Bytes *records, Bytes *message)
{
	const WsReader *reader = &self->reader;

	self->bytes += records->length;
	mem_format(
		message,
		"{\"type\":\"records\",\"bytes\":%llu,\"position\":\"" LSN_FORMAT
		"\",\"whole\":%s,\"records\":[",
		(unsigned long long) self->bytes, LSN_ARGS(reader->position),
		reader->inside ? "false" : "true");
	mem_append(message, records->data ? records->data : "", records->length);
	mem_add(message, "]}");
	self->told = reader->position;
}

bool
ws_subscription_next(WsSubscription *self, Spool *spool, Bytes *message,
					 bool *has_more)
{
	WsReader *reader = &self->reader;
	Bytes	  records = {0};
	bool	  is_there = ws_reader_next(reader, spool, &records, has_more);

	/* positions alone are told when nothing else comes */
	if (is_there &&
		(records.length > 0 || (!*has_more && reader->position != self->told)))
		append_message(self, &records, message);
	mem_free(&records);
	return is_there;
}

void
ws_subscription_beat(WsSubscription *self, Bytes *message)
{
	static const Bytes none;

	append_message(self, &none, message);
}

void
ws_subscription_free(WsSubscription *self)
{
	ws_reader_free(&self->reader);
}

#endif /* HAVE_WSLAY */
