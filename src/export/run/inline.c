/*
 * inline.c
 *		workers => 0: a whole job in the calling backend, in one transaction.
 *
 * It leaves either a finished export and its record, or nothing; so there is
 * nothing to resume.  What a kill leaves, the next export removes: finish/left.c.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "encoding.h"
#include "export/export_destination.h"
#include "export/finish/finish.h"
#include "export/job/job.h"
#include "export/job/part_table.h"
#include "export/lake/lake.h"
#include "export/part/part.h"
#include "export/plan/plan.h"
#include "export/run/call.h"
#include "export/run/inline.h"
#include "export/run/part_run.h"
#include "export/run/run.h"
#include "export/run/tell.h"
#include "session_lock.h"
#include "sink/patience.h"

/* What stays: a version can't be taken back. */
static void
tell_versions(const InlineFiles *files)
{
	const ListCell *cell;

	foreach (cell, job_makes_tables(files->job) ? files->job->sources : NIL)
	{
		const JobSource *source = lfirst(cell);

		if (lake_is_committed(files->root, files->job, source))
			ereport(WARNING,
					(errmsg("a version of table %s was committed in \"%s\", "
							"without a record of the export",
							source->name, encoding_shown(files->root->path)),
					 errhint("Look at outflow.lake_versions() before you "
							 "export again.")));
	}
}

static void
take_back(void *arg)
{
	InlineFiles *files = arg;

	if (files->publishing != NIL)
		publish_undo(files->job, files->publishing, files->root);
	files->root->driver->discard(files->root);
	files->left = false;
	/* those of them that nobody else uses by now */
	if (files->root->made > 0)
		files->root->driver->remove_place(files->root);
	/* last, since it reads what may be damaged */
	if (files->publishing != NIL)
		tell_versions(files);
}

/*
 * A request whose answer did not come may still be done, and a version may name
 * files then.
 */
static bool
may_be_there(const InlineFiles *files, int code)
{
	return code == ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN ||
		   (job_makes_tables(files->job) &&
			ERRCODE_TO_CATEGORY(code) == ERRCODE_CONNECTION_EXCEPTION);
}

static void
remove_files(InlineFiles *files)
{
	bool in_last_step = patience_was_last_step();

	files->left = true;
	if (proc_exit_inprogress)
	{
		if (!in_last_step)
			patience_clean_up_at_exit(take_back, files);
		return;
	}
	if (!in_last_step || !may_be_there(files, geterrcode()))
	{
		MemoryContextSwitchTo(GetMemoryChunkContext(files->root));
		patience_clean_up(take_back, files, files->root->path);
	}
	ereport(WARNING,
			(errmsg("files of an export that may be unfinished stay in \"%s\"",
					encoding_shown(files->root->path))));
}

/* ---- all or nothing */

static InlineFiles *unfinished; /* what the end of the process takes back */

/*
 * Whoever has ended the transaction before us has freed the files' memory, too:
 * they stay, as after a kill.
 */
static void
remove_at_exit(int code, Datum arg)
{
	InlineFiles *files = unfinished;

	unfinished = NULL;
	if (files && IsTransactionState())
		remove_files(files);
}

/*
 * Not PG_ENSURE_ERROR_CLEANUP: what the body runs of users' and commits may have
 * the server register callbacks of its own, and those have to be the last ones.
 */
void
inline_run(InlineFiles *files, void (*body)(void *arg), void *arg)
{
	static bool is_registered = false;

	if (!is_registered)
		before_shmem_exit(remove_at_exit, (Datum) 0);
	is_registered = true;
	unfinished = files;
	PG_TRY();
	{
		body(arg);
	}
	PG_CATCH();
	{
		unfinished = NULL;
		remove_files(files);
		PG_RE_THROW();
	}
	PG_END_TRY();
	unfinished = NULL;
}

void
inline_publish(InlineFiles *files)
{
	int64 id = files->job->id;
	/* its lock is not to be waited for in the last step */
	Job *planned = job_reload(files->job, true);

	job_derive(planned);
	patience_expect_last_step();
	files->publishing = parts_load(id);
	publish_job(planned, files->root);
	job_set_state(id, JOB_DONE, NULL);
}

void
inline_published(InlineFiles *files)
{
	files->publishing = NIL;
	patience_done();
}

/* All of it is one transaction. */
static void
inline_no_transaction(void *arg)
{
}

static Snapshot
inline_begin_reading(void *arg)
{
	const ExportPlan *plan = arg;

	PushActiveSnapshot(plan->snapshot);
	return plan->snapshot;
}

static void
inline_end_reading(void *arg)
{
	PopActiveSnapshot();
}

/* Before the job's record says what its columns are, and a table's schema. */
static Signature *
inline_sign(const Job *job, ExportPlan *plan)
{
	Signature *definitions = palloc_array(Signature, plan->nsources);

	(void) inline_begin_reading(plan);
	session_locks_protect();
	part_sign_sources(job, definitions);
	inline_end_reading(plan);
	return definitions;
}

static void
export_all(Job *job, ExportPlan *plan, const Signature *definitions,
		   Destination *root)
{
	static const PartTransactions transactions = {
		inline_no_transaction, inline_no_transaction, inline_begin_reading,
		inline_end_reading};
	Throttle	throttle;
	bool		never = false;
	PartContext context = {.job = job,
						   .root = root,
						   .snapshot_text = plan->snapshot_text,
						   .throttle = &throttle,
						   .stop = &never,
						   .definitions = definitions};

	throttle_init(&throttle);
	session_locks_protect();
	for (int i = 0; i < plan->nparts; i++)
	{
		MemoryContext part_context =
			AllocSetContextCreate(CurrentMemoryContext, "outflow export part",
								  ALLOCSET_DEFAULT_SIZES);

		CHECK_FOR_INTERRUPTS();
		part_run(&context, &plan->parts[i], part_context, &transactions, plan);
		MemoryContextDelete(part_context);
	}
}

typedef struct InlineJob
{
	Job				*job;
	ExportPlan		*plan;
	const Signature *definitions;
	InlineFiles		 files;
} InlineJob;

static void
write_and_publish(void *arg)
{
	InlineJob *run = arg;
	Job		  *job = run->job;

	destination_check_empty(run->files.root, job, false);
	(void) ownership_open(job, run->files.root, true);
	destination_check_unclaimed(run->files.root, "", job);
	export_all(job, run->plan, run->definitions, run->files.root);
	UnregisterSnapshot(run->plan->snapshot);
	inline_publish(&run->files);
	/* as long as nobody can drop the tables that tell */
	tell_result(job->id);
	call_commit_to_record();
	inline_published(&run->files);
}

/*
 * The locks come before the snapshot of the plan: under another isolation that
 * would be the transaction's first one, by which the base was looked up.
 */
static void
begin_planning(void)
{
	call_commit();
	XactIsoLevel = XACT_READ_COMMITTED;
}

static List *
find_candidates(const Job *job)
{
	List		*candidates = carry_candidates(job);
	Destination *root;

	if (candidates == NIL || !job_makes_tables(job))
		return candidates;
	root = destination_open(job, DESTINATION_PROBE);
	if (root == NULL)
		return NIL;
	candidates = lake_live_parts(root, job, candidates);
	root->driver->close(root);
	return candidates;
}

/* False if it is gone: an error if the caller has named it. */
static bool
keep_base(const Job *job)
{
	if (job->base == 0)
		return true;
	if (!job->options.base_is_last && !job_makes_tables(job))
	{
		job_keep(job->base);
		return true;
	}
	if (job_try_keep(job->base))
		return true;
	ereport(NOTICE, (errmsg("no finished export to carry parts over from"),
					 errdetail("Export job " INT64_FORMAT
							   ", the last one, was removed meanwhile.",
							   job->base)));
	return false;
}

/*
 * The base is kept after the plan has its snapshot: by its transaction's id, which
 * keeping makes, stamps would take what committed while tables were waited for
 * for something newer.
 */
static ExportPlan *
plan_inline(Job *job)
{
	ExportPlan *plan;

	begin_planning();
	plan = plan_make(job, find_candidates(job), begin_planning,
					 CurrentMemoryContext);
	if (keep_base(job))
		return plan;
	job->base = 0;
	UnregisterSnapshot(plan->snapshot);
	return plan_make(job, NIL, begin_planning, CurrentMemoryContext);
}

void
run_inline(Job *job)
{
	InlineJob  *run = palloc0_object(InlineJob);
	ExportPlan *plan = plan_inline(job);

	/* no other session sees yet that it needs its base */
	job_insert(job);
	(void) job_lock_exclude(job->id);
	job_set_state(job->id, JOB_RUNNING, NULL);
	run->definitions = inline_sign(job, plan);
	plan_record(job, plan->parts, plan->nparts, plan->snapshot_text,
				plan->lsn);

	run->job = job;
	run->files.job = job;
	run->plan = plan;
	run->files.root = destination_open(job, DESTINATION_CREATE);
	inline_run(&run->files, write_and_publish, run);
	run->files.root->driver->close(run->files.root);
}
