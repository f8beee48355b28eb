/*
 * outflow.c
 *		What the server looks for in the library: its magic, _PG_init and the
 *		entry point of the output plugin.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "export/export.h"
#include "export/plan/query_guard.h"
#include "failpoint.h"
#include "limit.h"
#include "row/mask.h"
#include "stream/ddl.h"
#include "stream/stream.h"

PG_MODULE_MAGIC_EXT(.name = "outflow", .version = OUTFLOW_VERSION);

extern PGDLLEXPORT void _PG_init(void);
extern PGDLLEXPORT void _PG_output_plugin_init(OutputPluginCallbacks *cb);

static void
define_settings(void)
{
	limits_before_definition();
	mask_define_settings();
	export_define_settings();
#ifdef OUTFLOW_FAILPOINTS
	failpoint_define_setting();
#endif
	limits_after_definition();
}

/*
 * Whether a role may have given a setting the value that it has already is looked
 * up in the catalogs.  A walsender's commands, and a parallel worker on some
 * servers, load the library outside of any transaction.  Without a database there
 * are values of the configuration file alone, which nobody need be asked for.
 */
static void
define_in_transaction(void)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	StartTransactionCommand();
	define_settings();
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
}

/*
 * CREATE_REPLICATION_SLOT with SNAPSHOT 'use' loads the library in a transaction
 * that must not have a snapshot yet.
 */
static void
define_in_callers(void)
{
	define_settings();
	InvalidateCatalogSnapshot();
}

void
_PG_init(void)
{
	if (OidIsValid(MyDatabaseId) && !IsTransactionState())
		define_in_transaction();
	else
		define_in_callers();
	export_register_launcher();
	ddl_capture_init();
	query_guard_init();
	MarkGUCPrefixReserved("outflow");
}

void
_PG_output_plugin_init(OutputPluginCallbacks *cb)
{
	stream_init_callbacks(cb);
}
