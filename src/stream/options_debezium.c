/*
 * options_debezium.c
 *		The options of format debezium: those of format json, with Debezium's
 *		defaults, and topic_prefix.
 *
 * A change of a row's key comes as a delete and a create, since consumers file
 * events by key.  Begin and end of transactions, truncates and messages are
 * events that not every consumer of rows can read, so they come when asked
 * for.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/value.h"
#include "replication/slot.h"
#include "utils/memutils.h"

#include "compat.h"
#include "encode/debezium/debezium.h"
#include "stream/stream.h"

static const struct
{
	const char *name;
	const char *value;
} defaults[] = {
	{"actions", "insert,update,delete"},
	{"messages", "off"},
	{"include_transactions", "off"},
};

static bool
is_given(List *elements, const char *name)
{
	ListCell *lc;

	foreach (lc, elements)
		if (strcmp(((DefElem *) lfirst(lc))->defname, name) == 0)
			return true;
	return false;
}

/* A walsender starts outside of transactions, where no catalog can be read. */
static const char *
database_name(void)
{
	MemoryContext context = CurrentMemoryContext;
	char		 *name;

	if (IsTransactionState())
		return get_database_name(MyDatabaseId);
	StartTransactionCommand();
	name = MemoryContextStrdup(context, get_database_name(MyDatabaseId));
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return name;
}

/*
 * Of what it was told at PREPARE, another format gets the second phase alone:
 * a slot that is read by both would lose the rest, or tell it twice.
 */
static void
refuse_two_phase_slot(void)
{
	const ReplicationSlotPersistentData *slot = &MyReplicationSlot->data;

	if (slot->two_phase)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("format \"debezium\" cannot read replication slot "
						"\"%s\", which is for two-phase commits",
						NameStr(slot->name)),
				 errhint("pg_copy_logical_replication_slot() makes a slot "
						 "without \"two_phase\" at the same position.")));
}

const ChangeFormat *
debezium_options_parse(List *elements, StreamOptions *options)
{
	Debezium *debezium = palloc0(sizeof(Debezium));
	List	 *given = list_copy(elements);
	int		  i;

	for (i = 0; i < lengthof(defaults); i++)
		if (!is_given(elements, defaults[i].name))
			given = lappend(given, makeDefElem(pstrdup(defaults[i].name),
											   (Node *) makeString(
												   pstrdup(defaults[i].value)),
											   -1));
	debezium_options_read(given, options);

	debezium->server = options->topic_prefix
						   ? options->topic_prefix
						   : pstrdup(NameStr(MyReplicationSlot->data.name));
	debezium->database = text_of_names(database_name());
	debezium->transaction_metadata = options->include_transactions;
	debezium_init(debezium);
	if (options->streaming || options->two_phase)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("format \"debezium\" has no records for transactions "
						"that are not committed"),
				 errhint("Leave out the options \"streaming\" and "
						 "\"two_phase\", or use format \"json\".")));
	refuse_two_phase_slot();
	options->own = debezium;
	options->traits.plain_messages = true;
	options->traits.split_key_changes = true;
	options->traits.connect_values = true;
	return &change_format_debezium;
}
