/*
 * take_over.c
 *		An export to lake tables that an unfinished one stands in the way of.
 *
 * Whoever exports to a lake table each night calls the same every time, whatever
 * became of the last call.  So a job that was killed or failed is brought to an
 * end first, as its owner would with resume() or forget(), by their rights:
 *
 *	- All its versions are there: it is done, and says so.
 *	- Some are, or one may still be on its way: it is finished as resume() does,
 *	  as only its own version can decide that.  Who cannot wait forgets it, which
 *	  leaves what is there, and is refused as long as that is not known.
 *	- None is: if the same is asked for, it goes on, or a table that takes longer
 *	  than a server lives would never be exported.  It gets a new moment, even if
 *	  all its parts were there: who exports now wants the table as it is now.
 *	- A server that has the same job, as a copy has, made one: it is forgotten
 *	  here, and what is there stays.
 *	- Otherwise it is forgotten.  What it shares with the new one is little, and
 *	  the new one carries what the last version has.
 *
 * A slot has a moment of its own, and can't be made twice: a job that has made
 * the slot which is asked for goes on, whatever its versions.  One whose slot is
 * lost has nothing to come to.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/acl.h"

#include "export/export_destination.h"
#include "export/finish/finish.h"
#include "export/lake/lake.h"
#include "export/plan/plan.h"
#include "export/run/run.h"
#include "export/take_over.h"
#include "export/unfinished.h"

/* ---- what is in the way */

static char *
table_path(const Job *job, const JobSource *source)
{
	return source->folder[0] ? destination_key(job->location, source->folder)
							 : job->location;
}

static bool
has_table(const Job *job, const char *path)
{
	ListCell *cell;

	foreach (cell, job->sources)
	{
		if (strcmp(table_path(job, lfirst(cell)), path) == 0)
			return true;
	}
	return false;
}

/* Not one that only lies beside it, or within. */
static bool
shares_table(const Job *job, const Job *other)
{
	ListCell *cell;

	if (strcmp(job->location, other->location) == 0)
		return true;
	foreach (cell, other->sources)
	{
		if (has_table(job, table_path(other, lfirst(cell))))
			return true;
	}
	return false;
}

/* Whether it can be moved out of the way, as far as its record says. */
static bool
is_in_the_way(const Job *job, Job *other)
{
	if (other == NULL || other->state == JOB_RUNNING ||
		other->state == JOB_DONE ||
		!has_privs_of_role(GetUserId(), other->owner))
		return false;
	job_derive(other);
	return job_makes_tables(other) && shares_table(job, other) &&
		   /* it waits for its turn: it is no hindrance to what it does itself */
		   (other->state != JOB_QUEUED || job_is_same(job, other));
}

/* Nobody else runs or changes it until the end of the transaction; or NULL. */
static Job *
find_unfinished(const Job *job)
{
	int64 id = job_at_location(job->location, 0, false);
	Job	 *other = id == 0 ? NULL : job_load_now(id);

	if (!is_in_the_way(job, other) || !job_lock_exclude(id))
		return NULL;
	/* what it was before the lock may have changed */
	other = job_load(id, true);
	if (other && other->state == JOB_RUNNING)
		other->state = JOB_INTERRUPTED;
	if (other && other->state == JOB_QUEUED)
		queue_start_unless_committed(id, other->owner);
	return is_in_the_way(job, other) ? other : NULL;
}

/* What would be refused afterwards, is refused before anything is lost. */
static void
check_call(const Job *job, const Job *other)
{
	Destination *root = destination_open(job, DESTINATION_PROBE);
	ListCell	*cell;

	if (job->slot &&
		(other->slot == NULL || strcmp(job->slot, other->slot) != 0 ||
		 !handover_may_forget(other)))
		handover_check(job);
	if (root == NULL)
		return;
	foreach (cell, job->sources)
	{
		CHECK_FOR_INTERRUPTS();
		lake_check_writer(root, job, lfirst(cell));
	}
	root->driver->close(root);
}

/* ---- how it stands */

/*
 * can_finish: what tables lack that have no version yet is there.  It goes when all
 * have one, or by a forget() that did not come to its end.
 */
static LakeStanding
standing_of(const Job *other, bool *can_finish)
{
	Destination *root;
	LakeStanding standing;

	*can_finish = true;
	root = destination_open_known(other, true);
	if (root == NULL)
		return LAKE_NONE;
	standing = lake_standing(root, other);
	if (standing == LAKE_SOME)
		*can_finish = ownership_open(other, root, false);
	root->driver->close(root);
	return standing;
}

/* Only what tells and tidies is left to do, and each step may be done again. */
static void
finish_here(Job *other)
{
	Destination *root = destination_open_known(other, true);

	(void) ownership_open(other, root, true);
	publish_job(other, root);
	root->driver->close(root);
	job_set_state(other->id, JOB_DONE, NULL);
	ereport(NOTICE,
			(errmsg("export job " INT64_FORMAT " is finished", other->id),
			 errdetail("All of it was there when it ended.")));
}

/* ---- what becomes of it */

static TakeOver
begin_again(const Job *other, LakeStanding standing, bool is_same)
{
	if (standing == LAKE_NONE)
		job_renew(other->id);
	(void) unfinished_requeue(other->id);
	ereport(NOTICE,
			(errmsg("export job " INT64_FORMAT " goes on", other->id),
			 is_same ? errdetail("It was to do the same, and did not come to "
								 "its end.")
					 : errdetail("It may have changed a table, and is "
								 "finished first.")));
	return is_same ? TAKE_ON : TAKE_FIRST;
}

static TakeOver
forget_other(Job *other)
{
	unfinished_forget(other, false);
	ereport(NOTICE,
			(errmsg("export job " INT64_FORMAT " is forgotten", other->id),
			 errdetail("It did not come to its end, and had its "
					   "place where this export goes.")));
	return TAKE_AWAY;
}

TakeOver
take_over(const Job *job, bool can_wait, int64 *id)
{
	Job			*other;
	LakeStanding standing;
	bool		 can_finish;
	bool		 holds;
	bool		 is_same;

	if (!job_makes_tables(job))
		return TAKE_NOTHING;
	destination_check_rights(job->destination);
	other = find_unfinished(job);
	if (other == NULL)
		return TAKE_NOTHING;
	*id = other->id;
	check_call(job, other);
	standing = standing_of(other, &can_finish);
	if (standing == LAKE_ANOTHERS || !can_finish)
		return forget_other(other);
	holds = handover_holds(other);
	/* which is what is asked for, and not only to be out of the way */
	is_same = (standing == LAKE_NONE || (other->slot && holds)) &&
			  job_is_same(job, other);
	/* the owner's session may; for others a coordinator does it */
	if (standing == LAKE_ALL && other->owner == GetUserId())
	{
		finish_here(other);
		return is_same ? TAKE_ON : TAKE_AWAY;
	}
	if (is_same || (can_wait && standing != LAKE_NONE && holds))
		return begin_again(other, standing, is_same);
	return forget_other(other);
}
