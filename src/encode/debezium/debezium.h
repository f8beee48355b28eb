/*
 * debezium.h
 *		What the files of format debezium share.
 */
#ifndef OUTFLOW_DEBEZIUM_H
#define OUTFLOW_DEBEZIUM_H

#include "encode/change.h"
#include "nodes/pg_list.h"
#include "utils/hsearch.h"

/* One run of decoding: names, and what is known of the transaction. */
typedef struct Debezium
{
	const char *server;	  /* source.name */
	const char *database; /* source.db */
	bool		transaction_metadata;

	/* the transaction that all below is of */
	TransactionId xid;
	XLogRecPtr	  commit_lsn;
	ByteBuffer	  source; /* "source":{ up to the change's LSN */
	ByteBuffer	  middle; /* from after the table's name up to the LSN */
	HTAB		 *counts; /* of events, by relation */
	List		 *order;  /* its entries, in the order of first events */
} Debezium;

static inline Debezium *
debezium_of(const ChangeFormatOptions *options)
{
	return (Debezium *) options->own;
}

/* Completes one whose names are set, in the current memory context. */
extern void debezium_init(Debezium *debezium);

/* ---- debezium_source.c: members, with the comma in front */

/* Makes the texts those of txn. */
extern void debezium_enter(Debezium *debezium, const JsonStyle *style,
						   const ChangeTransaction *txn);

/* ,"source":{..}; "table" is ,"schema":..,"table":.. */
extern void debezium_source(ByteBuffer *out, const Debezium *debezium,
							const ChangePosition *position,
							const ShapeText		 *table);

/* ,"ts_ms":..,"ts_us":..,"ts_ns":.. */
extern void debezium_times(ByteBuffer *out, TimestampTz time);

/* ,"transaction":null or its number within the transaction */
extern void debezium_number(ByteBuffer *out, Debezium *debezium,
							const ChangeTransaction *txn,
							const RowShape			*shape);

/* Records of where a transaction begins and ends. */
extern void
debezium_transaction(ByteBuffer *out, const ChangeFormatOptions *options,
					 TransactionEvent event, const ChangeTransaction *txn,
					 const ChangePosition *position, RecordForm form);

extern const ChangeFormat change_format_debezium;

#endif /* OUTFLOW_DEBEZIUM_H */
