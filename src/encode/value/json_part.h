/*
 * json_part.h
 *		What JSON records of a stream tell beside the values of columns.
 */
#ifndef OUTFLOW_JSON_PART_H
#define OUTFLOW_JSON_PART_H

#include "encode/change.h"

/* ---- values, without a comma in front */

extern void json_append_lsn(ByteBuffer *out, XLogRecPtr lsn);
extern void json_append_lsn_digits(ByteBuffer *out, XLogRecPtr lsn,
								   int low_digits);
extern void json_append_uint(ByteBuffer *out, uint64 value);
extern void json_append_bool(ByteBuffer *out, bool value);
extern void json_append_time(ByteBuffer *out, TimestampTz time);
extern void json_append_string(ByteBuffer *out, const JsonStyle *style,
							   const char *text);
/* ["a","b"] of the columns whose states have a bit of wanted; the shape is
 * prepared */
extern void json_append_column_names(ByteBuffer *out, const RowShape *shape,
									 const uint8 *states, uint8 wanted);

/* ---- members: "id":"COMMIT/CHANGE/INDEX" */
extern void json_append_id(ByteBuffer *out, const ChangeTransaction *txn,
						   const ChangePosition *position);
/* ,"xid":1 and, while in progress, ,"subxid":2 */
extern void json_append_xid(ByteBuffer *out, const ChangeTransaction *txn,
							const ChangePosition *position);
/* ,"schema":"s","table":"t" */
extern void json_append_table(ByteBuffer *out, const JsonStyle *style,
							  const char *schema, const char *table);

/* ---- ChangeFormat's value() */

extern void json_part_value(ByteBuffer				  *out,
							const ChangeFormatOptions *options,
							RowShape *shape, int column, Datum value);

#endif /* OUTFLOW_JSON_PART_H */
