/*
 * postgres_direct.c
 *		Rows that go into their tables at once, without a staging table.
 *
 * What is ours in a table is known by its rows' xmin: a part's row in the
 * ledger names the transaction that has loaded it.  Rows keep that number until
 * somebody changes them, and then they are not ours any more.  A number comes
 * again after 2^32 transactions, so it proves nothing after half of them.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "sink/postgres/postgres_destination.h"

/* ---- what may be loaded so */

static void
refuse_direct(PostgresDestination *self, const char *table, const char *detail,
			  const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("rows cannot be loaded directly into table %s on server "
					"\"%s\"",
					table, self->remote->name),
			 errdetail("%s", detail), errhint("%s", hint)));
}

#define HINT_STAGED                                                           \
	"Leave out the option \"load\", and all rows go there in one "            \
	"transaction at the end."

/*
 * A part that is made again would fire triggers once more, and take rows along
 * that refer to it.  Parts of all tables come in no order, either.
 */
static void
check_loadable(PostgresDestination *self, const PostgresTarget *target)
{
	Remote			 *remote = self->remote;
	const char *const values[] = {target->oid};
	char			 *name = postgres_target_name(self, target);

	remote_run(remote,
			   "SELECT coalesce(bool_and(relkind = 'p' OR relam = 2), true), "
			   "coalesce(bool_or(EXISTS (SELECT FROM pg_rewrite "
			   "WHERE ev_class = c.oid) OR EXISTS (SELECT FROM pg_trigger "
			   "WHERE tgrelid = c.oid AND NOT tgisinternal AND tgenabled <> "
			   "'D')), false), coalesce(bool_or(EXISTS (SELECT FROM "
			   "pg_constraint WHERE contype = 'f' AND confrelid = c.oid)), "
			   "false) FROM pg_class AS c WHERE c.oid = ANY (SELECT "
			   "$1::oid UNION ALL SELECT relid "
			   "FROM pg_partition_tree($1::oid::regclass))",
			   1, values);
	if (!remote_is_true(remote, 0, 0))
		refuse_direct(self, name, "It, or a partition of it, is no heap.",
					  HINT_STAGED);
	if (remote_is_true(remote, 0, 1))
		refuse_direct(self, name,
					  "It, or a partition of it, has triggers or rules.",
					  HINT_STAGED);
	if (remote_is_true(remote, 0, 2))
		refuse_direct(self, name, "A foreign key refers to it.", HINT_STAGED);
}

static void
check_empty(PostgresDestination *self, const PostgresTarget *target)
{
	char *name = postgres_target_name(self, target);

	remote_command(self->remote,
				   psprintf("SELECT NOT EXISTS (SELECT FROM %s%s)",
							target->has_children ? "" : "ONLY ", name));
	if (!remote_is_true(self->remote, 0, 0))
		refuse_direct(self, name, "It has rows already.",
					  "Empty it, or leave out the option \"load\".");
}

void
postgres_check_direct(PostgresDestination *self)
{
	for (int i = 0; i < self->ntargets; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!self->targets[i].exists)
			continue;
		check_loadable(self, &self->targets[i]);
		check_empty(self, &self->targets[i]);
	}
}

/* ---- a target */

/* Whether the job has begun with the target, which has to be the same still. */
static bool
was_begun(PostgresDestination *self, int table)
{
	PostgresTarget	 *target = &self->targets[table];
	const char *const values[] = {self->job, psprintf("%d", table)};

	remote_run(self->remote,
			   psprintf("SELECT relation, made FROM %s "
						"WHERE job = $1 AND target = $2::int",
						postgres_ledger(self, "target")),
			   2, values);
	if (remote_rows(self->remote) == 0)
		return false;
	target->is_made = remote_is_true(self->remote, 0, 1);
	if (!target->exists ||
		strcmp(remote_value(self->remote, 0, 0), target->oid) != 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table %s on server \"%s\" is not the one that was "
					"loaded into before",
					postgres_target_name(self, target), self->remote->name),
			 errhint("Forget the job and begin a new one.")));
	return true;
}

/*
 * Looks at the target, or makes it, once for all processes; from then on its
 * rows are the job's, or somebody else's who has come after it.
 */
void
postgres_begin_direct(PostgresDestination *self, int table, bool to_load)
{
	PostgresTarget *target = &self->targets[table];
	bool			is_binary = true;

	postgres_begin_loading(self);
	postgres_lock_making(self);
	postgres_look(self, target, &is_binary);
	if (!was_begun(self, table))
	{
		if (!target->exists)
		{
			postgres_make_target(self, target);
			postgres_look(self, target, &is_binary);
			target->is_made = true;
		}
		check_loadable(self, target);
		remote_command(self->remote,
					   psprintf("LOCK TABLE %s%s IN SHARE ROW EXCLUSIVE MODE",
								target->has_children ? "" : "ONLY ",
								postgres_target_name(self, target)));
		check_empty(self, target);
		postgres_record_target(self, table);
	}
	else if (to_load)
		/* its columns may be others than before, and all parts are made again */
		postgres_record_target(self, table);
	remote_commit(self->remote);
	target->is_ready = true;
}
