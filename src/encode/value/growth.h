/*
 * growth.h
 *		How much a type's values may grow as text: for output.c.
 */
#ifndef OUTFLOW_GROWTH_H
#define OUTFLOW_GROWTH_H

#include "row/row.h"

/* Text of a numeric at most. */
#define MAX_NUMERIC_TEXT 147500

/* Bytes of text, and special ones, to a byte of the value at most. */
extern double output_growth(TypeShape *type);

/*
 * Bytes of values whose output may need any depth of stack that are in a byte
 * of a value at most; less than 0 if there are none.
 */
extern double output_nesting(TypeShape *type);

#endif /* OUTFLOW_GROWTH_H */
