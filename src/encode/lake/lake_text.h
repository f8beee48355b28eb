/*
 * lake_text.h
 *		Strings of a lake table's log or metadata.
 */
#ifndef OUTFLOW_LAKE_TEXT_H
#define OUTFLOW_LAKE_TEXT_H

#include "lib/stringinfo.h"

/*
 * "..." of UTF-8, in ASCII: everything else is escaped, so that a database of
 * any encoding can keep it until the log is written.
 */
extern void lake_text(StringInfo out, const char *utf8, size_t len);

/* JSON in the server's encoding, as jsonb_in() can read it. */
extern char *lake_text_to_server(const char *utf8, size_t len);

#endif /* OUTFLOW_LAKE_TEXT_H */
