/*
 * part_scan.h
 *		A part while it is exported: what part.c opens and part_rows.c reads.
 */
#ifndef OUTFLOW_PART_SCAN_H
#define OUTFLOW_PART_SCAN_H

#include "access/tupconvert.h"
#include "executor/executor.h"
#include "export/job/job.h"
#include "export/job/part_table.h"
#include "export/part/part.h"

typedef struct PartScan
{
	const PartContext *context;
	const Job		  *job;
	const PlannedPart *part;
	JobSource		  *source;
	Relation		   root;
	Relation		   leaf;
	char			  *leaf_name; /* as users write it */
	RowShape		  *shape;
	RowEncoder		  *encoder;
	bool			   encoding; /* a row, not filtering it */
	ItemPointerData	   place;	 /* of the row at hand, in the leaf */
	Sink			  *chain;
	RowHost			   host; /* what the encoder is told of this part */
	ByteBuffer		   out;
	MemoryContext	   row_context;
	TupleTableSlot	  *slot;   /* of the leaf */
	TupleTableSlot	  *mapped; /* of the root, if it is laid out otherwise */
	AttrMap			  *map;
	Node			  *filter_tree;	   /* NULL for none */
	ExprState		  *filter;		   /* NULL if every row passes */
	ExprContext		  *filter_context; /* NULL for none */
	int				   last_attribute; /* that is exported */
	Stamp			   stamp;
	Digest			   digest;
	uint64			   stored;		/* bytes that the throttle knows of */
	int64			   rows_before; /* of the query's other parts, for those */
	int64			   bytes_before; /* who watch its progress */
	PartResult		  *result;
} PartScan;

/* Builds the chain from its end and opens the encoder in front of it. */
extern void part_open_chain(PartScan *scan);
/* The file's end; the result's lsn is known. */
extern void part_close_chain(PartScan *scan);

extern void part_open_filter(PartScan *scan);
extern void part_begin_progress(Oid relid);
extern void part_export_rows(PartScan *scan);
/* One row that comes from a plan; its slot is laid out like the shape. */
extern void part_export_row(PartScan *scan, const ItemPointerData *place,
							TupleTableSlot *slot);

/*
 * Before an encoder is called: a format whose values have one text quotes no name
 * more than it must, though filters may.  Returns quote_all_identifiers as it was;
 * after an error that is the pinned settings' again.
 */
extern bool part_quote(const PartScan *scan);
/* What the encoder held back. */
extern void part_close_encoder(PartScan *scan);
/* Hands what is encoded to the chain. */
extern void part_flush_rows(PartScan *scan);
/* The same for a format whose rows may pass 1 GB, inside of its row(). */
extern void part_drain_rows(void *arg, ByteBuffer *out);
/* Waits as long as outflow.rate_limit wants for what was stored since. */
extern void part_spend_stored(PartScan *scan);

#endif /* OUTFLOW_PART_SCAN_H */
