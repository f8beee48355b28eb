/*
 * delta_text.h
 *		Strings of a Delta table's log.
 */
#ifndef OUTFLOW_DELTA_TEXT_H
#define OUTFLOW_DELTA_TEXT_H

#include "lib/stringinfo.h"

/*
 * "..." of UTF-8, in ASCII: everything else is escaped, so that a database of
 * any encoding can keep it until the log is written.
 */
extern void delta_text(StringInfo out, const char *utf8, size_t len);

#endif /* OUTFLOW_DELTA_TEXT_H */
