/*
 * ddl.h
 *		Captured DDL: a logical message between the session and the stream.
 */
#ifndef OUTFLOW_DDL_H
#define OUTFLOW_DDL_H

#include "encode/change.h"
#include "lib/stringinfo.h"

/* Prefix of the messages, which is reserved. */
#define DDL_PREFIX "outflow.ddl"

/* Remembers the text of commands from now on (ddl_capture.c). */
extern void ddl_capture_init(void);

/* The message's content (ddl.c): command is NULL if it is not known. */
extern void ddl_message_begin(StringInfo content, const char *tag,
							  const char *command);
extern void ddl_message_add(StringInfo content, const char *type,
							const char *identity);

/*
 * Reads a message's content; false if it is none of ours.  The result lies in
 * the current memory context and points into the content.
 */
extern bool ddl_message_read(const char *content, Size size, DdlChange *ddl);

#endif /* OUTFLOW_DDL_H */
