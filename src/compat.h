/*
 * compat.h
 *		Every difference between PostgreSQL 15 and 19.
 *
 * Old servers get the newest release's names, so that the rest of the code
 * reads like the newest release.  No other file tests PG_VERSION_NUM.
 */
#ifndef OUTFLOW_COMPAT_H
#define OUTFLOW_COMPAT_H

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 18: a module tells its name and version; fmgr.h says whether it can */
#include "fmgr.h"
#ifndef PG_MODULE_MAGIC_EXT
#define PG_MODULE_MAGIC_EXT(...) PG_MODULE_MAGIC
#endif

/* 18: a function that doesn't return says so first */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

/* 18: a NOT NULL constraint may not have been validated yet */
#if PG_VERSION_NUM >= 180000
#define attribute_is_not_null(desc, i)                                        \
	(TupleDescAttr(desc, i)->attnotnull &&                                    \
	 TupleDescCompactAttr(desc, i)->attnullability != ATTNULLABLE_INVALID)
#else
#define attribute_is_not_null(desc, i) (TupleDescAttr(desc, i)->attnotnull)
#endif

/* later minor releases of 15 to 17, and 18: a setting that a library defines in a
 * parallel operation may take its value */
#include "utils/guc.h"
#ifndef GUC_ALLOW_IN_PARALLEL
#define GUC_ALLOW_IN_PARALLEL 0
#endif

/* 19: the text of a pg_lsn has all eight digits of its second half */
#define LSN_HAS_ALL_DIGITS (PG_VERSION_NUM >= 190000)

/* 18: base64 reads bytes; before, it read characters */
#define base64_encode(src, len, dst, dst_len)                                 \
	pg_b64_encode((const void *) (src), len, dst, dst_len)

/* 17: a message outside of transactions may be flushed */
#if PG_VERSION_NUM >= 170000
#define log_logical_message(prefix, content, size, transactional)             \
	LogLogicalMessage(prefix, content, size, transactional, false)
#else
#define log_logical_message LogLogicalMessage
#endif

/* 17: tuples of a change are plain HeapTuples */
#if PG_VERSION_NUM >= 170000
#define change_new_tuple(change) ((change)->data.tp.newtuple)
#define change_old_tuple(change) ((change)->data.tp.oldtuple)
#else
#define change_new_tuple(change)                                              \
	((change)->data.tp.newtuple ? &(change)->data.tp.newtuple->tuple : NULL)
#define change_old_tuple(change)                                              \
	((change)->data.tp.oldtuple ? &(change)->data.tp.oldtuple->tuple : NULL)
#endif

/* 16: of the catalogs, with all that has committed where the reader is */
#if PG_VERSION_NUM >= 160000
#define snapshot_at_end(ctx)                                                  \
	SnapBuildGetOrBuildSnapshot((ctx)->snapshot_builder)
#else
#define snapshot_at_end(ctx)                                                  \
	SnapBuildGetOrBuildSnapshot((ctx)->snapshot_builder, InvalidTransactionId)
#endif

/* 16: accessors of a ReorderBufferTXN's top-level transaction */
#if PG_VERSION_NUM < 160000
#define rbtxn_get_toptxn(txn) ((txn)->toptxn ? (txn)->toptxn : (txn))
#endif

/* 16: the server reports progress on changes that a plugin passes over */
#if PG_VERSION_NUM < 160000
#define PLUGIN_REPORTS_PROGRESS true
#else
#define PLUGIN_REPORTS_PROGRESS false
#endif

/* What the transaction itself has created, or given new storage to (16). */
#define relation_is_created(rel)                                              \
	((rel)->rd_createSubid != InvalidSubTransactionId)
#if PG_VERSION_NUM >= 160000
#define relation_is_rewritten(rel)                                            \
	(!relation_is_created(rel) &&                                             \
	 (rel)->rd_firstRelfilelocatorSubid != InvalidSubTransactionId)
#else
#define relation_is_rewritten(rel)                                            \
	(!relation_is_created(rel) &&                                             \
	 (rel)->rd_firstRelfilenodeSubid != InvalidSubTransactionId)
#endif

/* 16: the name of a relation's storage */
#if PG_VERSION_NUM < 160000
#define RelFileNumber			 Oid
#define rd_locator				 rd_node
#define relation_filenumber(rel) ((rel)->rd_node.relNode)
#else
#define relation_filenumber(rel) ((rel)->rd_locator.relNumber)
#endif

/* 17: snapshots see all they saw to their end */
#if PG_VERSION_NUM >= 170000
#define OldSnapshotThresholdActive() false
#endif

/* 16: the rights that a query needs are kept beside its tables */
#if PG_VERSION_NUM >= 160000
#define query_rights(query, table)                                            \
	list_nth_node(RTEPermissionInfo, (query)->rteperminfos,                   \
				  (table)->perminfoindex - 1)
#else
#define query_rights(query, table) (table)
#endif

#if PG_VERSION_NUM >= 160000
#define plan_set_rights(plan, query)                                          \
	((plan)->permInfos = (query)->rteperminfos)
#else
#define plan_set_rights(plan, query) ((void) 0)
#endif

/* the columns that a table of a plan is read for; of an heir nobody asks */
#if PG_VERSION_NUM >= 160000
#define table_read_columns(table, rights)                                     \
	((table)->perminfoindex > 0 ? list_nth_node(RTEPermissionInfo, rights,    \
												(table)->perminfoindex - 1)   \
									  ->selectedCols                          \
								: NULL)
#else
#define table_read_columns(table, rights) ((table)->selectedCols)
#endif

#if PG_VERSION_NUM >= 160000
#define CHECK_PERMS_PARAMETERS List *tables, List *rights, bool report
#define CHECK_PERMS_ARGUMENTS  tables, rights, report
#else
#define CHECK_PERMS_PARAMETERS List *tables, bool report
#define CHECK_PERMS_ARGUMENTS  tables, report
#endif

/* 16: rights on most kinds of objects are looked up in one place */
#if PG_VERSION_NUM >= 160000
#define database_allows_connect(database, role)                               \
	(object_aclcheck(DatabaseRelationId, database, role, ACL_CONNECT) ==      \
	 ACLCHECK_OK)
#define schema_allows_usage(schema, role)                                     \
	(object_aclcheck(NamespaceRelationId, schema, role, ACL_USAGE) ==         \
	 ACLCHECK_OK)
#else
#define schema_allows_usage(schema, role)                                     \
	(pg_namespace_aclcheck(schema, role, ACL_USAGE) == ACLCHECK_OK)
#define database_allows_connect(database, role)                               \
	(pg_database_aclcheck(database, role, ACL_CONNECT) == ACLCHECK_OK)
#endif

#if PG_VERSION_NUM >= 160000
#define server_allows_usage(server, role)                                     \
	(object_aclcheck(ForeignServerRelationId, server, role, ACL_USAGE) ==     \
	 ACLCHECK_OK)
#else
#define server_allows_usage(server, role)                                     \
	(pg_foreign_server_aclcheck(server, role, ACL_USAGE) == ACLCHECK_OK)
#endif

/* 15.4: a DROP DATABASE that was interrupted leaves one nobody can use */
#define database_is_invalid(form) ((form)->datconnlimit == -2)

/* 16: all settings are asked for with their number */
#if PG_VERSION_NUM >= 160000
#define list_settings(count) get_guc_variables(count)
#else
#define list_settings(count)                                                  \
	(*(count) = GetNumConfigOptions(), get_guc_variables())
#endif

/* 18: a query runs once */
#if PG_VERSION_NUM >= 180000
#define executor_run(desc) ExecutorRun(desc, ForwardScanDirection, 0)
#else
#define executor_run(desc) ExecutorRun(desc, ForwardScanDirection, 0, true)
#endif

/* 18: whoever takes a slot says whether it may be lost */
#if PG_VERSION_NUM >= 180000
#define replication_slot_acquire(name, lost_ok)                               \
	ReplicationSlotAcquire(name, true, !(lost_ok))
#else
#define replication_slot_acquire(name, lost_ok)                               \
	ReplicationSlotAcquire(name, true)
#endif

/* 18: a deferrable primary key must be asked for */
#if PG_VERSION_NUM >= 180000
#define relation_primary_key_index(rel) RelationGetPrimaryKeyIndex(rel, false)
#define relation_any_primary_key_index(rel)                                   \
	RelationGetPrimaryKeyIndex(rel, true)
#else
#define relation_primary_key_index(rel)		RelationGetPrimaryKeyIndex(rel)
#define relation_any_primary_key_index(rel) RelationGetPrimaryKeyIndex(rel)
#endif

/* 17: a provider of the server's own, which compares bytes */
#ifndef COLLPROVIDER_BUILTIN
#define COLLPROVIDER_BUILTIN 'b'
#endif

/* 18: attributes that exist only when read */
#ifndef ATTRIBUTE_GENERATED_VIRTUAL
#define ATTRIBUTE_GENERATED_VIRTUAL 'v'
#endif
#define attribute_is_stored(attr)                                             \
	((attr)->attgenerated != ATTRIBUTE_GENERATED_VIRTUAL)

/* 19: an LSN's lower half is shown with its leading zeros */
#if PG_VERSION_NUM >= 190000
#define LSN_LOW_DIGITS 8
#else
#define LSN_LOW_DIGITS 1
#endif

/* 18: what filters say of virtual columns is in their expressions */
#if PG_VERSION_NUM >= 180000
#include "rewrite/rewriteHandler.h"
#define expand_virtual_columns(expression, rel)                               \
	expand_generated_columns_in_expr(expression, rel, 1)
#else
#define expand_virtual_columns(expression, rel) (expression)
#endif

/* 19: replication origins have a longer prefix */
#if PG_VERSION_NUM < 190000
#define ReplOriginId		RepOriginId
#define InvalidReplOriginId InvalidRepOriginId
#define session_origin		replorigin_session_origin
#else
#define session_origin replorigin_xact_state.origin
#endif

/* 19: the times of a transaction's end lie in the struct itself */
#if PG_VERSION_NUM >= 190000
#define rbtxn_commit_time(txn)	((txn)->commit_time)
#define rbtxn_prepare_time(txn) ((txn)->prepare_time)
#else
#define rbtxn_commit_time(txn)	((txn)->xact_time.commit_time)
#define rbtxn_prepare_time(txn) ((txn)->xact_time.prepare_time)
#endif

/* 19: errors of input go where the caller wants them */
#if PG_VERSION_NUM >= 190000
#include "nodes/miscnodes.h"
#endif
#include "utils/pg_lsn.h"
static inline bool
parse_lsn(const char *text, XLogRecPtr *lsn)
{
#if PG_VERSION_NUM >= 190000
	ErrorSaveContext escontext = {T_ErrorSaveContext};

	*lsn = pg_lsn_in_safe(text, (Node *) &escontext);
	return !escontext.error_occurred;
#else
	bool bad = false;

	*lsn = pg_lsn_in_internal(text, &bad);
	return !bad;
#endif
}

/* 19: planning may be explained */
#if PG_VERSION_NUM >= 190000
#define plan_query(query, sql, options)                                       \
	pg_plan_query(query, sql, options, NULL, NULL)
#define PLANNER_EXPLAIN_PARAMETER , struct ExplainState *explain
#define PLANNER_EXPLAIN_ARGUMENT  , explain
#else
#define plan_query(query, sql, options)                                       \
	pg_plan_query(query, sql, options, NULL)
#define PLANNER_EXPLAIN_PARAMETER
#define PLANNER_EXPLAIN_ARGUMENT
#endif

/* 19: the server has slots of its own, for REPACK */
#if PG_VERSION_NUM >= 190000
#define check_logical_decoding_requirements()                                 \
	CheckLogicalDecodingRequirements(false)
#define slot_name_check(name)                                                 \
	((void) ReplicationSlotValidateName(name, false, ERROR))
#else
#define check_logical_decoding_requirements()                                 \
	CheckLogicalDecodingRequirements()
#define slot_name_check(name) ((void) ReplicationSlotValidateName(name, ERROR))
#endif

/* 19: a server encoding is gone */
#if PG_VERSION_NUM >= 190000
#define PG_MULE_INTERNAL PG_SQL_ASCII
#endif

/* 19: the name of a database is looked up like all others */
#if PG_VERSION_NUM < 190000
#include "commands/dbcommands.h"
#endif
#include "utils/lsyscache.h"

/*
 * Servers with GSSAPI: a Port's fields for it need that library's headers.
 * Nothing here looks into them.
 */
#undef ENABLE_GSS
#include "libpq/libpq.h"

#endif /* OUTFLOW_COMPAT_H */
