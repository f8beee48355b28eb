/*
 * stamp.h
 *		What a finished part remembers of the moment it was read: enough to
 *		prove later that its rows have not changed.
 *
 * A stamp begins before the part's scan and ends after it, while the snapshot
 * is still held.  It counts nowhere before its transaction has committed with
 * synchronous_commit on.  Only stamps in this cluster's own tables are
 * trusted.  README.md of export/ has the proof.
 */
#ifndef OUTFLOW_STAMP_H
#define OUTFLOW_STAMP_H

#include "access/htup_details.h"
#include "access/transam.h"
#include "access/xlogdefs.h"
#include "common/relpath.h"
#include "common/sha2.h"
#include "nodes/bitmapset.h"
#include "nodes/nodes.h"
#include "nodes/parsenodes.h"
#include "storage/block.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

#include "compat.h"

/* All that a part's output depends on besides its heap pages, as a hash. */
typedef struct Signature
{
	uint8 bytes[PG_SHA256_DIGEST_LENGTH];
} Signature;

/* Which tuple versions a scan saw, in their order. */
typedef struct Digest
{
	uint64 rows;
	uint64 hash;
} Digest;

typedef struct Stamp
{
	uint64			  system_id;
	Oid				  database;
	Oid				  relation;
	RelFileNumber	  filenumber;
	char			  persistence;
	BlockNumber		  first_block;
	BlockNumber		  end_block; /* the first one after the part */
	FullTransactionId xmin;		 /* of the snapshot: all before it had ended */
	FullTransactionId xmax;		 /* of the snapshot: the next one to start */
	XLogRecPtr		  lsn;		 /* read after the scan */
	bool			  has_digest;
	Digest			  digest;
	Signature		  signature;
	char			 *snapshot; /* as pg_snapshot writes it */
} Stamp;

/*
 * Fills everything but the LSN and the digest, in the current context.  Blocks
 * are [first_block, end_block).  The caller holds a lock on rel, taken before
 * the snapshot, and holds the snapshot until after stamp_end().
 */
extern void stamp_begin(Stamp *stamp, Relation rel, BlockNumber first_block,
						BlockNumber end_block, Snapshot snapshot,
						const Signature *signature);

/*
 * Reads the LSN and flushes WAL up to it.  digest is that of all visible
 * tuples of the part, or NULL where the scan saw only some of them.  False
 * when nothing may be concluded from a stamp of this server: the part counts
 * for its own snapshot only.
 */
extern bool stamp_end(Stamp *stamp, const Digest *digest);

/* One line of text, for the checkpoint row, and back. */
extern char *stamp_to_text(const Stamp *stamp);
extern void	 stamp_from_text(Stamp *stamp, const char *text);

/* The tuples of a scan, in its order. */
extern void digest_begin(Digest *digest);
extern void digest_add(Digest *digest, const HeapTupleData *tuple);

/*
 * The digest of the blocks' tuples that the snapshot sees.  With a limit,
 * false as soon as one of them may have been inserted by it or a later
 * transaction; 0 is no limit.
 */
extern bool digest_range(Digest *digest, Relation rel, BlockNumber first_block,
						 BlockNumber end_block, Snapshot snapshot,
						 uint64 xid_limit);

/*
 * Hashes the columns (attribute numbers, also of those that the filter looks at; NULL
 * for all), types, enum labels, nested composites, domains and generation expressions
 * that the output is made of, the filter (from filter_plan(), or NULL), and "output":
 * all else that it depends on, in any text (format, options, settings).  NULL,
 * or the reason, as a clause, why the output depends on more than can be
 * hashed, so that no part of it may be carried.
 */
extern const char *signature_of(Signature *signature, Relation rel,
								const Bitmapset *columns, Node *filter,
								const char *output);
/* A query as a part of such text, to tell whether it means the same. */
extern char *signature_query_text(Query *query);

#endif /* OUTFLOW_STAMP_H */
