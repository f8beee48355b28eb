/*
 * json_scan.h
 *		What the client needs of JSON: to find members of an object that is
 *		known to be valid, as the plugin wrote it, and to write texts.
 */
#ifndef CLIENT_JSON_SCAN_H
#define CLIENT_JSON_SCAN_H

#include "client/memory.h"

/* A value where it stands, quotes included. */
typedef struct JsonValue
{
	const char *data;
	size_t		length;
} JsonValue;

/* Where a walk through an object's members stands. */
typedef struct JsonCursor
{
	const char *next;
	const char *end;
} JsonCursor;

extern JsonCursor json_members(const char *object, size_t length);

/* The name with its quotes.  False after the last member. */
extern bool json_next_member(JsonCursor *cursor, JsonValue *name,
							 JsonValue *value);

/*
 * The value of a top-level member, found in one pass that stops there.  False
 * if there is none, or the text is no object.
 */
extern bool json_find(const char *object, size_t length, const char *name,
					  JsonValue *value);

/* The length of the value that starts there, 0 if it has no end. */
extern size_t json_value_length(const char *data, const char *end);

/* Appends the text of a string, its escapes resolved; false if it is none. */
extern bool json_append_unquoted(Bytes *out, const JsonValue *value);

/* The text of a string, its escapes resolved; a new one, NULL if no string. */
extern char *json_unquoted(const JsonValue *value);

/* The text of a member that is a string, or NULL. */
extern char *json_find_text(const char *object, size_t length,
							const char *name);
extern bool	 json_find_number(const char *object, size_t length,
							  const char *name, long long *number);
extern bool	 json_is(const JsonValue *value, const char *literal);

/* Appends a text as a string, with its quotes. */
extern void json_append_text(Bytes *bytes, const char *text);

#endif
