/*
 * change_json.h
 *		What the files of format "json" share among themselves.
 */
#ifndef OUTFLOW_CHANGE_JSON_H
#define OUTFLOW_CHANGE_JSON_H

#include "encode/value/json_part.h"

extern void change_json_schema(ByteBuffer				 *out,
							   const ChangeFormatOptions *options,
							   const ChangeTransaction	 *txn,
							   const RowShape *shape, RecordForm form);
extern void
change_json_transaction(ByteBuffer *out, const ChangeFormatOptions *options,
						TransactionEvent event, const ChangeTransaction *txn,
						const ChangePosition *position, RecordForm form);

#endif /* OUTFLOW_CHANGE_JSON_H */
