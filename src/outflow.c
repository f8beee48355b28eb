/*
 * outflow.c
 *		What the server looks for in the library: its magic, _PG_init and the
 *		entry point of the output plugin.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/guc.h"

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

void
_PG_init(void)
{
	limits_before_definition();
	mask_define_settings();
	export_define_settings();
	limits_after_definition();
	export_register_launcher();
	ddl_capture_init();
	query_guard_init();
#ifdef OUTFLOW_FAILPOINTS
	failpoint_define_setting();
#endif
	MarkGUCPrefixReserved("outflow");
}

void
_PG_output_plugin_init(OutputPluginCallbacks *cb)
{
	stream_init_callbacks(cb);
}
