/*
 * relation.c
 *		The relation of a change as it is streamed, and its schema record.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/rel.h"

#include "compat.h"
#include "stream/stream.h"

StreamRelation *
relation_find(StreamSession *session, Relation relation)
{
	Oid				relid = RelationGetRelid(relation);
	StreamRelation *rel = session->last;

	if (rel == NULL || rel->relid != relid)
		session->last = rel = relation_entry(session, relid);
	if (unlikely(!rel->valid || rel->generation != session->generation))
	{
		relation_cache_shed(session);
		relation_build(session, rel, relation);
	}
	return rel;
}

/* Where the hash of the definition is kept that the consumer saw last. */
static uint64 *
last_definition(StreamSession *session, Oid relid, StreamRelation *as)
{
	StreamedDefinition *seen;
	bool				found;

	if (session->streamed == NULL)
		return &as->schema_hash;
	seen = hash_search(session->streamed->schemas, &relid, HASH_ENTER, &found);
	if (!found)
		seen->hash = 0;
	return &seen->hash;
}

typedef struct Definition
{
	const RowShape	 *shape;
	ChangeTransaction txn;
} Definition;

static void
write_definition(StreamSession *session, ByteBuffer *out, RecordForm form,
				 const void *what)
{
	const Definition *definition = what;

	session->format->schema(out, &session->format_options, &definition->txn,
							definition->shape, form);
}

static void
report_definition(StreamSession *session, const StreamRelation *rel,
				  RecordForm form)
{
	record_report(session,
				  psprintf("definition of table \"%s.%s\"", rel->shape->schema,
						   rel->shape->name),
				  form == RECORD_BARE ? "All of it"
									  : "What it tells of defaults and of "
										"the parts of types");
}

/*
 * Hashes compare what records say of the table alone, so the one that is
 * hashed doesn't name a transaction in progress.
 */
static void
announce(StreamSession *session, StreamRelation *rel)
{
	ByteBuffer *out = &session->batch;
	int64		limit = record_limit(&session->options);
	uint64	   *last = last_definition(session, rel->as->relid, rel->as);
	Definition	definition = {rel->shape, session->txn};
	RecordForm	form;
	uint64		hash;

	definition.txn.in_progress = false;
	form = record_write(session, limit, write_definition, &definition);
	hash = hash_bytes_extended((unsigned char *) out->data + out->start,
							   out->len - out->start, 0);
	if (hash == *last)
		out->len = out->start; /* nothing new */
	else
	{
		if (session->streamed)
			form = record_write(session, limit, write_definition,
								&(Definition){rel->shape, session->txn});
		if (form != RECORD_WHOLE)
			report_definition(session, rel, form);
	}
	writer_end(session);
	*last = rel->definition = hash;
}

/*
 * A definition is written again when its record would read differently, which
 * is found out once per rebuild, and once per transaction in progress.  Leaves
 * of one root may have different ones, by their masks.
 */
void
relation_announce(StreamSession *session, StreamRelation *rel)
{
	TransactionId streamed =
		session->streamed ? session->txn.xid : InvalidTransactionId;

	if (likely(!rel->schema_due && rel->as->shown == rel->definition &&
			   rel->as->shown_in == streamed))
		return;
	if (session->options.include_schemas)
		announce(session, rel);
	rel->schema_due = false;
	rel->as->shown = rel->definition;
	rel->as->shown_in = streamed;
}

/*
 * A consumer may go on with the definitions of a transaction that was in
 * progress, or drop them.  Where they are not what it has from elsewhere, the
 * next change brings the one that holds.
 */
void
relation_end_streamed(StreamSession				*session,
					  const StreamedTransaction *streamed)
{
	HASH_SEQ_STATUS		scan;
	StreamedDefinition *seen;

	hash_seq_init(&scan, streamed->schemas);
	while ((seen = hash_seq_search(&scan)))
	{
		StreamRelation *rel = relation_entry(session, seen->relid);

		if (rel->schema_hash == 0 || rel->schema_hash == seen->hash)
			continue;
		rel->schema_hash = 0;
		session->generation++; /* those that appear under its name, too */
	}
}
