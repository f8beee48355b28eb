/*
 * mask_value.h
 *		Masks the values of a row, for both halves: see row/mask.h.
 */
#ifndef OUTFLOW_MASK_VALUE_H
#define OUTFLOW_MASK_VALUE_H

#include "row/mask.h"

/*
 * Puts the masks in the place of values[attnum - 1], in the current context.
 * What is stored outside of the row is fetched, or, where it may be gone, left
 * as it is: it is nothing that could be shown.
 */
extern void mask_row(const RowShape *shape, Datum *values, bool *nulls,
					 bool may_fetch);

/*
 * For looks at clear values by row filters and policies: whatever is reported
 * meanwhile names the table alone.  But while *shown, which NULL never is, look
 * does something else, whose reports stay as they are.
 */
extern bool mask_hide_reports(const RowShape	  *shape,
							  const volatile bool *shown,
							  bool (*look)(void *arg), void *arg);

/* Tells keys apart and nothing else of them; in hexadecimal. */
extern char *mask_key_fingerprint(const MaskKey *key);

#endif /* OUTFLOW_MASK_VALUE_H */
