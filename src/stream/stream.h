/*
 * stream.h
 *		The streaming half: from the output plugin's callbacks to messages.
 *
 * A StreamSession is one run of decoding, from the startup callback to the
 * shutdown callback or an error.  A change goes through
 *
 *		change.c -> relation.c (shape), tuple.c (filter) -> a ChangeFormat
 *		-> writer.c -> send_queue.c, or the server's own buffer
 *
 * and transaction.c decides when begin and commit are due.
 */
#ifndef OUTFLOW_STREAM_H
#define OUTFLOW_STREAM_H

#include "compat.h"
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
									 Relation table, RowShape *shape);
extern bool		   row_filters_apply(RowFilters *filters, RowChange *row);

/* ---- the hand-over from an export (snapshot.c) */

typedef struct JobSnapshot JobSnapshot;

extern List *snapshots_parse(List *items);
extern void	 snapshots_start(StreamSession *session);
extern bool	 snapshots_have_all(StreamSession *session, TransactionId xid);
extern bool	 snapshot_has(const JobSnapshot *snapshot, TransactionId xid);
extern const JobSnapshot *snapshot_of_table(StreamSession *session,
											const char	  *schema,
											const char	  *table);
extern const JobSnapshot *snapshot_of_rest(StreamSession *session);

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
	Oid		  relid;
	bool	  valid;		/* false: rebuild before the next use */
	bool	  schema_due;	/* look at the definition before a change */
	char	  identity;		/* relreplident of the relation itself */
	bool	  has_identity; /* updates and deletes can be told apart */
	bool	  key_masked;	/* ... but for a mask */
	bool	  key_filtered; /* they can, but columns of the key are left out */
	bool	  key_is_leafs; /* ... but from other partitions' rows */
	bool	  has_key;		/* columns name a row */
	bool	  has_leaves;	/* partitions appear under this one's name */
	bool	  expendable;	/* about to be thrown away */
	uint64	  generation;	/* of the cache, when this was built */
	uint64	  keys_checked; /* ... when a partitioned table's keys were read */
	int		  actions;		/* ACTION_ bits; 0: passed over, and no shape */
	uint64	  definition;	/* hash of its schema record; 0: not known */
	RowShape *shape;
	Size	  shape_size;	  /* bytes, when it was built */
	const JobSnapshot *after; /* exported rows end here */
	LeafMap			  *leaf;  /* of a partition that appears as its ancestor */
	RowFilters		  *filters; /* NULL: all rows */

	/* the entry under whose name it appears, mostly this one */
	struct StreamRelation *as;
	uint64		  schema_hash; /* of the last schema record, 0 for none */
	uint64		  shown;	   /* of the last one in pieces, too: */
	TransactionId shown_in; /* the transaction in progress that it was for */
	bool		  warned_identity;
	bool		  warned_oversize;
	bool		  warned_partial; /* that an insert lacks values */

	/* workspaces, owned by the shape's context as the filters and the map */
	Datum *old_values; /* for the old tuple */
	bool  *old_nulls;
	uint8 *states;	 /* ColumnStates by column index; COLUMN_NOT_KEY stays, the
					   * others are of the last change that used them */
	int	   nvarlena; /* columns that may be TOASTed or large */
	int	  *varlena;
} StreamRelation;

/* What a consumer has seen of definitions in a transaction in progress. */
typedef struct StreamedDefinition
{
	Oid	   relid; /* hash key */
	uint64 hash;
} StreamedDefinition;

/* What a subtransaction of it has written so far. */
typedef struct StreamedPart
{
	TransactionId subxid; /* hash key */
	uint64		  changes;
} StreamedPart;

/* A transaction in progress, from one piece to the next. */
typedef struct StreamedTransaction
{
	MemoryContext  context;
	bool		   skipped;
	bool		   emitted; /* the consumer knows of it */
	uint64		   changes;
	uint64		   undone; /* of these */
	ChangePosition position;
	HTAB		  *schemas; /* of StreamedDefinition */
	HTAB		  *parts;	/* of StreamedPart; NULL: none yet */
	StreamedPart  *part;	/* the last one found */
	/* of the record at which the last piece began, mostly its end's */
	ReplOriginId end_origin;
	bool		 end_wanted;
} StreamedTransaction;

/* LSNs of messages that capture wrote, ascending. */
typedef struct CapturedMessages
{
	XLogRecPtr *lsns;
	Size		count;
	Size		room;
} CapturedMessages;

/* ---- transactions beside changes of definitions (overlap.c) */

typedef struct ChangedRelation
{
	Oid		   relid;
	XLogRecPtr lsn;
} ChangedRelation;

typedef struct StreamOverlap
{
	bool			is_handled;
	bool			is_on_connection; /* which SQL comes by, too */
	bool			is_emptying;
	bool			is_of_now;	/* what is open */
	bool			uses_names; /* of objects of any kind */
	XLogRecPtr		changed;	/* where what is used has changed last */
	ChangedRelation unused[1024];
} StreamOverlap;

extern void overlap_open(StreamSession *session);
extern void overlap_close(StreamSession *session);
/* A relation, or InvalidOid for anything, has changed where the reader is. */
extern void overlap_changed(StreamSession *session, Oid relid, bool is_used);
/* What is cached depends on the relation from now on, or on InvalidOid: anything. */
extern void overlap_uses(StreamSession *session, Oid relid);
/* What is read next is of another time than what was read. */
extern void overlap_empty_caches(StreamSession *session);
/* A transaction, or a piece of one, begins. */
extern void overlap_begin(StreamSession *session, const ReorderBufferTXN *txn);

/* ---- relations that the calling statement has open (open_relation.c) */

/* An error, if the transaction has rewritten any. */
extern void open_relations_find(StreamSession *session);
extern void open_relations_as_of_then(StreamSession *session);

struct StreamSession
{
	LogicalDecodingContext *ctx;
	MemoryContext			context;		/* all below lives here */
	MemoryContext			change_context; /* one change's garbage */
	StreamOptions			options;
	ChangeFormatOptions		format_options;
	const ChangeFormat	   *format;
	PinnedSettings		   *pinned;
	struct MaskKey		   *mask_key; /* from when the first mask needed one */

	/* relation_cache.c */
	struct relation_hash *relations;
	HTAB  *watched; /* OIDs of composite types that shapes use, and ancestors
					* that lend their names or are published */
	uint64 generation;	  /* older relations are invalid */
	int	   stale;		  /* relations marked since the cache was trimmed */
	Size   shapes_size;	  /* of all shapes */
	StreamRelation *last; /* the last one found */

	/* publication.c */
	MemoryContext publication_context;
	List		 *publications; /* of Publication *, those that exist */
	uint64		  publications_generation;
	List		 *missing_publications; /* names that were warned about */

	/* origin.c */
	ReplOriginId record_origin;		/* of the record at hand */
	char		*origin_name;		/* the transaction's */
	uint64		 judged_generation; /* in this transaction or piece of one: */
	ReplOriginId judged_origin;
	bool		 judged_wanted;

	CapturedMessages captured;		 /* captured.c */
	StreamOverlap	 overlap;		 /* overlap.c */
	List			*open_relations; /* of Relation, open_relation.c */

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
	ByteBuffer batch;		 /* records not yet handed to the server */
	int		   record_start; /* where the current record begins */
	XLogRecPtr record_lsn;	 /* of the last record before it */
	int		   unreported;	 /* changes since progress was reported */

	/* send_queue.c */
	bool	   can_queue; /* messages go to a connection */
	int		   queued;	  /* bytes that wait in its buffer, at most */
	ByteBuffer message;
};

static inline StreamSession *
stream_session(LogicalDecodingContext *ctx)
{
	return (StreamSession *) ctx->output_plugin_private;
}

/* ---- relation_cache.c */

extern void relation_cache_open(StreamSession *session);

/* Gives back what marked entries hold; no entry is in use then. */
extern void relation_cache_trim(StreamSession *session);
/* The same for all entries, where they hold too much. */
extern void relation_cache_shed(StreamSession *session);
/* Frees the one before; NULL: none. */
extern void relation_set_shape(StreamSession *session, StreamRelation *rel,
							   RowShape *shape);

/* A hash table by OID. */
extern HTAB *relation_table(const char *name, Size entrysize,
							MemoryContext context);

/* The entry for a relation, which may have to be built before it is used. */
extern StreamRelation *relation_entry(StreamSession *session, Oid relid);
/* What happens to it makes all entries stale. */
extern void relation_watch(StreamSession *session, Oid relid);

/* ---- relation.c */

/* The same, built; good until the next call. */
extern StreamRelation *relation_find(StreamSession *session, Relation rel);

/* Writes the schema record that is due before a change, if any. */
extern void relation_announce(StreamSession *session, StreamRelation *rel);

/* What the consumer has of a transaction in progress holds from here on. */
extern void relation_end_streamed(StreamSession				*session,
								  const StreamedTransaction *streamed);

/* ---- relation_build.c */

extern void relation_build(StreamSession *session, StreamRelation *rel,
						   Relation relation);

/* ---- relation_key.c */

/* Sets which columns are the key, also in the shape, and whether there is one. */
extern void relation_find_key(StreamSession *session, StreamRelation *rel,
							  RowShape *shape, Relation relation, Relation as);

/* ---- tuple.c */

/* Fills row from the change's tuples; false if nothing of it is wanted. */
extern bool tuple_read(StreamSession *session, StreamRelation *rel,
					   Relation relation, ReorderBufferChange *change,
					   RowChange *row);

/* ---- origin.c */

extern bool origin_filter(LogicalDecodingContext *ctx, ReplOriginId origin);
extern bool origin_is_wanted(StreamSession *session, ReplOriginId origin);
extern bool origin_wrote_wanted(StreamSession *session, ReplOriginId origin);
/* In the current memory context; NULL for none, and for one that is gone. */
extern char *origin_name(StreamSession *session, ReplOriginId origin);

/* ---- captured.c */

/* Keeps the record at hand in mind, if it is a message; false if it is none. */
extern bool captured_note(StreamSession *session);
/* Whether the message at this LSN, as it is delivered, is one of those. */
extern bool captured_has(const StreamSession *session, XLogRecPtr lsn);

/* ---- transaction.c */

extern void transaction_describe(ChangeTransaction		*t,
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
/* Called before a transaction's first record. */
extern void transaction_ensure_begun(StreamSession *session);

/* One more change that a subtransaction wrote (streamed.c). */
extern void streamed_count(StreamedTransaction *streamed,
						   TransactionId		subxid);

/* Counts a record with an id. */
static inline void
transaction_count(StreamSession *session, TransactionId subxid)
{
	session->txn.changes++;
	if (unlikely(session->streamed && subxid != session->txn.xid))
		streamed_count(session->streamed, subxid);
}

/* Moves to the change or message at lsn, before any filter. */
extern void position_advance(StreamSession *session, XLogRecPtr lsn,
							 TransactionId subxid);

/* ---- prepared.c */

extern bool prepared_filter(LogicalDecodingContext *ctx, TransactionId xid,
							const char *gid);
extern void prepared_commit(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
							XLogRecPtr commit_lsn);
extern void prepared_rollback(LogicalDecodingContext *ctx,
							  ReorderBufferTXN		 *txn,
							  XLogRecPtr			  prepare_end_lsn,
							  TimestampTz			  prepare_time);

/* ---- streamed.c */

extern void streamed_start(LogicalDecodingContext *ctx, ReorderBufferTXN *txn);
extern void streamed_stop(LogicalDecodingContext *ctx, ReorderBufferTXN *txn);
extern void streamed_abort(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
						   XLogRecPtr abort_lsn);
extern void streamed_prepare(LogicalDecodingContext *ctx,
							 ReorderBufferTXN *txn, XLogRecPtr prepare_lsn);
extern void streamed_commit(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
							XLogRecPtr commit_lsn);

/* ---- change.c, message.c, origin.c, oversize.c */

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

/* Measures: gives values that must stay out COLUMN_OMITTED; true if any. */
extern bool oversize_find(StreamSession *session, StreamRelation *rel,
						  const RowChange *change);

/* ---- record.c */

typedef void (*RecordWriter)(StreamSession *session, ByteBuffer *out,
							 RecordForm form, const void *what);

/*
 * Writes a record in the fullest form that keeps to the limit, for
 * writer_end() to take; returns that form.
 */
extern RecordForm record_write(StreamSession *session, int64 limit,
							   RecordWriter writer, const void *what);

/*
 * Whether it was for other records that one found no room for so many bytes:
 * they have gone out now, and it may be written again.
 */
extern bool record_make_room(StreamSession *session, int64 limit);

/* The bound of a record by the options. */
static inline int64
record_limit(const StreamOptions *options)
{
	return Min(options->max_value_bytes, options->max_record_bytes);
}

/* An ERROR or a WARNING, as option "oversize" says. */
extern void record_report(StreamSession *session, const char *what,
						  const char *left_out);

/* Whether the operator wants to be rid of what stands at this place. */
extern bool record_is_skipped(StreamSession		   *session,
							  const ChangePosition *at);

/* ---- writer.c */

/* Where to append one record; writer_end() takes it. */
extern ByteBuffer *writer_begin(StreamSession *session);
extern void		   writer_end(StreamSession *session);

/* Hands over what is waiting, under the LSN that the callback was called for. */
extern void writer_flush(StreamSession *session);

/* The same before a record that must not share a buffer with others. */
extern void writer_make_room(StreamSession *session);

/* Keeps the connection alive while changes are passed over. */
extern void writer_progress(StreamSession *session);
/* The same in the middle of one that takes long. */
extern void writer_report(StreamSession *session);

/* ---- send_queue.c */

extern bool send_queue_is_possible(const LogicalDecodingContext *ctx);

/* Leaves a message to be sent with others; false: it must be written now. */
extern bool send_queue_put(StreamSession *session, const char *data, int len,
						   XLogRecPtr lsn);

extern void stream_init_callbacks(OutputPluginCallbacks *cb);

#endif /* OUTFLOW_STREAM_H */
