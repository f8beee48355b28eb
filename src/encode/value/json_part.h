/*
 * json_part.h
 *		What JSON records of a stream tell beside the values of columns.
 */
#ifndef OUTFLOW_JSON_PART_H
#define OUTFLOW_JSON_PART_H

#include "encode/change.h"

/* ---- values, without a comma in front */

extern void json_append_lsn(StringInfo out, XLogRecPtr lsn);
extern void json_append_lsn_digits(StringInfo out, XLogRecPtr lsn,
								   int low_digits);
extern void json_append_uint(StringInfo out, uint64 value);
extern void json_append_bool(StringInfo out, bool value);
extern void json_append_time(StringInfo out, TimestampTz time);
extern void json_append_string(StringInfo out, const JsonStyle *style,
							   const char *text);
/* ["a","b"] of the columns that are marked; the shape is prepared */
extern void json_append_column_names(StringInfo out, const RowShape *shape,
									 const bool *marked);

/* ---- members: "id":"COMMIT/CHANGE/INDEX" */
extern void json_append_id(StringInfo out, const ChangeTransaction *txn,
						   const ChangePosition *position);
/* ,"xid":1 and, while in progress, ,"subxid":2 */
extern void json_append_xid(StringInfo out, const ChangeTransaction *txn,
							const ChangePosition *position);
/* ,"schema":"s","table":"t" */
extern void json_append_table(StringInfo out, const JsonStyle *style,
							  const char *schema, const char *table);

/* ---- ChangeFormat's value() */

extern void json_part_value(StringInfo out, const ChangeFormatOptions *options,
							RowShape *shape, int column, Datum value);

#endif /* OUTFLOW_JSON_PART_H */
