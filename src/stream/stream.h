/*
 * stream.h
 *		The streaming half: from the output plugin's callbacks to messages.
 *
 * A StreamSession is one run of decoding, from the startup callback to the
 * shutdown callback or an error.  A change goes through
 *
 *		change.c -> relation.c (cache, filter) -> a ChangeFormat -> writer.c
 *
 * and transaction.c decides when begin and commit are due.
 */
#ifndef OUTFLOW_STREAM_H
#define OUTFLOW_STREAM_H

#include "encode/change.h"
#include "replication/logical.h"
#include "replication/output_plugin.h"
#include "stream/options.h"

/* ---- publications (publication.c, rowfilter.c) */

typedef struct StreamSession StreamSession;

/* How publications publish a relation. */
typedef struct Published
{
	Oid	  as;	   /* the relation itself or an ancestor */
	int	  actions; /* ACTION_ bits */
	List *through; /* of Publication *: those with rows under that name */
} Published;

extern bool		  publication_find(StreamSession *session, Relation relation,
								   Published *published);
extern Bitmapset *publication_columns(const Published *published);
extern List		 *publication_filters(const Published *published, int action);

typedef struct RowFilters RowFilters;

extern RowFilters *row_filters_build(const Published *published,
									 Relation table, const RowShape *shape);
extern bool		   row_filters_apply(RowFilters *filters, RowChange *row);

/* ---- the hand-over from an export (snapshot.c) */

typedef struct ExportSnapshot ExportSnapshot;

extern List *snapshots_parse(List *items);
extern void	 snapshots_start(StreamSession *session);
extern bool	 snapshots_have_all(StreamSession *session, TransactionId xid);
extern bool	 snapshot_has(const ExportSnapshot *snapshot, TransactionId xid);
extern const ExportSnapshot *
snapshot_of(StreamSession *session, const char *schema, const char *table);

/* ---- sessions */

/* How a partition's tuples become rows of the ancestor that it appears as. */
typedef struct LeafMap
{
	char  *schema;
	char  *name;
	int	  *attributes; /* by the ancestor's: index in the leaf's, or -1 */
	Datum *values;	   /* workspaces */
	bool  *nulls;
} LeafMap;

/*
 * A relation as the stream treats it.  Where publications publish a partition
 * as one of its ancestors, the shape is the ancestor's.
 */
typedef struct StreamRelation
{
	/* what every change needs */
	Oid	   relid;
	bool   valid;		 /* false: rebuild before the next use */
	bool   schema_due;	 /* look at the definition before a change */
	char   identity;	 /* relreplident of the relation itself */
	bool   has_identity; /* updates and deletes can be told apart */
	bool   has_leaves;	 /* partitions appear under this one's name */
	uint64 generation;	 /* of the cache, when this was built */
	int	   actions;		 /* ACTION_ bits; 0: passed over, and no shape */
	TransactionId
			  schema_in; /* in-progress transaction that schema_due was for */
	RowShape *shape;
	const ExportSnapshot *after; /* exported rows end here */
	LeafMap	   *leaf;	 /* of a partition that appears as its ancestor */
	RowFilters *filters; /* NULL: all rows */

	/* the entry under whose name it appears, mostly this one */
	struct StreamRelation *as;
	uint64 schema_hash; /* of the last schema record, 0 for none */
	bool   warned_identity;
	bool   warned_oversize;

	/* workspaces, owned by the shape's context as the filters and the map */
	Datum *old_values; /* for the old tuple */
	bool  *old_nulls;
	bool  *unchanged; /* these by column index */
	bool  *omitted;
	bool  *left_out;	 /* unchanged or omitted */
	bool  *key_skip;	 /* columns that don't name a row; NULL without key */
	bool  *key_left_out; /* the same, and omitted ones */
	int	   nvarlena;	 /* columns that may be TOASTed or large */
	int	  *varlena;
} StreamRelation;

/* What a consumer has seen of definitions in a transaction in progress. */
typedef struct StreamedDefinition
{
	Oid	   relid; /* hash key */
	uint64 hash;
} StreamedDefinition;

/* A transaction in progress, from one piece to the next. */
typedef struct StreamedTransaction
{
	MemoryContext  context;
	bool		   skipped;
	bool		   emitted; /* the consumer knows of it */
	uint64		   changes;
	ChangePosition position;
	HTAB		  *schemas; /* of StreamedDefinition */
} StreamedTransaction;

struct StreamSession
{
	LogicalDecodingContext *ctx;
	MemoryContext			context;		/* all below lives here */
	MemoryContext			change_context; /* one change's garbage */
	StreamOptions			options;
	ChangeFormatOptions		format_options;
	const ChangeFormat	   *format;
	PinnedSettings		   *pinned;

	/* relation.c */
	struct relation_hash *relations;
	HTAB  *watched; /* OIDs of composite types that shapes use, and ancestors
					* that lend their names */
	uint64 generation;	  /* older relations are invalid */
	int	   stale;		  /* relations marked since the cache was trimmed */
	StreamRelation *last; /* the last one found */

	/* publication.c */
	MemoryContext publication_context;
	List		 *publications; /* of Publication *, those that exist */
	uint64		  publications_generation;
	List		 *missing_publications; /* names that were warned about */

	/* origin.c */
	ReplOriginId record_origin; /* of the record at hand */
	ReplOriginId named_origin;
	char		*origin_name; /* that one's */

	/* transaction.c, streamed.c */
	StreamedTransaction *streamed; /* while a piece is being delivered */
	ChangeTransaction	 txn;
	bool				 begun;	  /* a begin record was written, or would be */
	bool				 skipped; /* nothing of this transaction is wanted */
	ChangePosition		 position; /* of the current change */

	/* tuple.c: the size of the change's tuples, far too much where a part of
	 * them is stored elsewhere */
	int64 tuple_bytes;

	/* writer.c */
	StringInfoData batch;		 /* records not yet handed to the server */
	int			   record_start; /* where the current record begins */
	int			   unreported;	 /* changes since progress was reported */

	/* send_queue.c */
	bool		   can_queue; /* messages go to a connection */
	int			   queued;	  /* bytes that wait in its buffer, at most */
	StringInfoData message;
};

static inline StreamSession *
stream_session(LogicalDecodingContext *ctx)
{
	return (StreamSession *) ctx->output_plugin_private;
}

/* ---- relation.c */

extern void relation_cache_open(StreamSession *session);

/* Gives back what marked entries hold; no entry is in use then. */
extern void relation_cache_trim(StreamSession *session);

/* Makes every entry be built again before its next use. */
extern void relation_cache_invalidate(void);

/* A hash table by OID. */
extern HTAB *relation_table(const char *name, Size entrysize,
							MemoryContext context);

/* The entry for a relation, good until the next call. */
extern StreamRelation *relation_find(StreamSession *session, Relation rel);

/* The same, which may have to be built before it is used. */
extern StreamRelation *relation_entry(StreamSession *session, Oid relid);

/* Writes the schema record that is due before a change, if any. */
extern void relation_announce(StreamSession *session, StreamRelation *rel);

/* ---- relation_build.c */

extern void relation_build(StreamSession *session, StreamRelation *rel,
						   Relation relation);

/* ---- tuple.c */

/* Fills row from the change's tuples; false if nothing of it is wanted. */
extern bool tuple_read(StreamSession *session, StreamRelation *rel,
					   Relation relation, ReorderBufferChange *change,
					   RowChange *row);

/* ---- origin.c */

extern bool origin_filter(LogicalDecodingContext *ctx, ReplOriginId origin);
extern bool origin_is_wanted(StreamSession *session, ReplOriginId origin);
extern const char *origin_name(StreamSession *session, ReplOriginId origin);

/* ---- transaction.c */

extern void transaction_describe(ChangeTransaction		*t,
								 const ReorderBufferTXN *txn);
extern bool transaction_is_wanted(StreamSession			 *session,
								  const ReorderBufferTXN *txn);
extern void transaction_write(StreamSession *session, TransactionEvent event,
							  const ChangeTransaction *txn,
							  TransactionId			   subxid);

extern void transaction_begin(LogicalDecodingContext *ctx,
							  ReorderBufferTXN		 *txn);
extern void transaction_commit(LogicalDecodingContext *ctx,
							   ReorderBufferTXN *txn, XLogRecPtr commit_lsn);

extern void transaction_begin_prepare(LogicalDecodingContext *ctx,
									  ReorderBufferTXN		 *txn);
extern void transaction_prepare(LogicalDecodingContext *ctx,
								ReorderBufferTXN *txn, XLogRecPtr prepare_lsn);
extern void transaction_commit_prepared(LogicalDecodingContext *ctx,
										ReorderBufferTXN	   *txn,
										XLogRecPtr				commit_lsn);
extern void transaction_rollback_prepared(LogicalDecodingContext *ctx,
										  ReorderBufferTXN		 *txn,
										  XLogRecPtr  prepare_end_lsn,
										  TimestampTz prepare_time);

/* Called before a transaction's first record. */
extern void transaction_ensure_begun(StreamSession *session);

/* Moves to the change or message at lsn, before any filter. */
extern void position_advance(StreamSession *session, XLogRecPtr lsn,
							 TransactionId subxid);

/* ---- streamed.c */

extern void streamed_start(LogicalDecodingContext *ctx, ReorderBufferTXN *txn);
extern void streamed_stop(LogicalDecodingContext *ctx, ReorderBufferTXN *txn);
extern void streamed_abort(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
						   XLogRecPtr abort_lsn);
extern void streamed_prepare(LogicalDecodingContext *ctx,
							 ReorderBufferTXN *txn, XLogRecPtr prepare_lsn);
extern void streamed_commit(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
							XLogRecPtr commit_lsn);

/* ---- change.c, message.c, oversize.c */

extern void change_row(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
					   Relation relation, ReorderBufferChange *change);
extern void change_truncate(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
							int nrelations, Relation relations[],
							ReorderBufferChange *change);
extern void change_message(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
						   XLogRecPtr lsn, bool transactional,
						   const char *prefix, Size size, const char *content);

/* Whether the row should be measured before it is written. */
extern bool oversize_expected(StreamSession *session, StreamRelation *rel,
							  const RowChange *change);

/* Measures: marks the values that must stay out in rel->omitted; true if any. */
extern bool oversize_find(StreamSession *session, StreamRelation *rel,
						  const RowChange *change);

/* Whether a message's content must stay out. */
extern bool oversize_message(StreamSession		 *session,
							 const MessageChange *message);

/* ---- writer.c */

/* Where to append one record; writer_end() takes it. */
extern StringInfo writer_begin(StreamSession *session);
extern void		  writer_end(StreamSession *session);

/* Hands over what is waiting; last_write at the end of a transaction. */
extern void writer_flush(StreamSession *session, bool last_write);

/* Keeps the connection alive while changes are passed over. */
extern void writer_progress(StreamSession *session);

/* ---- send_queue.c */

extern bool send_queue_is_possible(const LogicalDecodingContext *ctx);

/* Leaves a message to be sent with others; false: it must be written now. */
extern bool send_queue_put(StreamSession *session, const char *data, int len,
						   bool last_write);

extern void stream_init_callbacks(OutputPluginCallbacks *cb);

#endif /* OUTFLOW_STREAM_H */
