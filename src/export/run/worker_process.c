/*
 * worker_process.c
 *		What a worker's process does otherwise than a session: how it plans
 *		queries, and what it does with memory.
 */
#include "postgres.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "optimizer/planner.h"

#include "compat.h"
#include "export/run/run.h"

/* Blocks up to this size come from memory that was freed before. */
#define KEPT_BLOCK_SIZE (4 * 1024 * 1024)
/* What is kept of it at most. */
#define KEPT_FREE_SIZE (64 * 1024 * 1024)

static planner_hook_type next_planner = NULL;

static PlannedStmt *
plan_serially(Query *query, const char *text, int options,
			  ParamListInfo parameters PLANNER_EXPLAIN_PARAMETER)
{
	planner_hook_type plan = next_planner ? next_planner : standard_planner;

	return plan(query, text, options & ~CURSOR_OPT_PARALLEL_OK,
				parameters PLANNER_EXPLAIN_ARGUMENT);
}

/*
 * A parallel query makes its process the leader of a lock group, which a member
 * of another one can't be: both groups would be broken, and the slots of their
 * processes lost to the server.  Policies and filters call functions, which may
 * set what they like; so the planner itself does without.
 */
static void
forbid_parallel_queries(void)
{
	next_planner = planner_hook;
	planner_hook = plan_serially;
}

/*
 * A part, and a row group of Parquet, is many blocks that are freed together
 * and needed again at once.  Without this the C library would give them back
 * and the kernel clear every page of them anew.
 */
static void
keep_freed_memory(void)
{
#ifdef __GLIBC__
	(void) mallopt(M_MMAP_THRESHOLD, KEPT_BLOCK_SIZE);
	(void) mallopt(M_TRIM_THRESHOLD, KEPT_FREE_SIZE);
#endif
}

void
worker_process_begin(void)
{
	keep_freed_memory();
	forbid_parallel_queries();
}
