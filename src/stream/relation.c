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
		relation_build(session, rel, relation);
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

static void
write_definition(StreamSession *session, StringInfo out, RecordForm form,
				 const void *shape)
{
	session->format->schema(out, &session->format_options, &session->txn,
							shape, form);
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
 * A definition is written again when its record would read differently, which
 * is found out once per rebuild, and once per transaction in progress.
 */
void
relation_announce(StreamSession *session, StreamRelation *rel)
{
	TransactionId streamed =
		session->streamed ? session->txn.xid : InvalidTransactionId;
	StringInfo out = &session->batch.data;
	RecordForm form;
	int		   start;
	uint64	   hash;
	uint64	  *last;

	if (likely(!rel->schema_due && rel->schema_in == streamed))
		return;
	if (session->options.include_schemas)
	{
		last = last_definition(session, rel->as->relid, rel->as);
		form = record_write(session, record_limit(&session->options),
							write_definition, rel->shape);
		start = session->batch.start;
		hash = hash_bytes_extended((unsigned char *) out->data + start,
								   out->len - start, 0);
		if (hash == *last)
			out->len = start; /* nothing new */
		else if (form != RECORD_WHOLE)
			report_definition(session, rel, form);
		writer_end(session);
		*last = hash;
	}
	rel->schema_due = false;
	rel->schema_in = streamed;
}
