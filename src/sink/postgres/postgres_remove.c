/*
 * postgres_remove.c
 *		What a job has written and takes back: parts that are made again, and
 *		all of it where the job has ended, or is forgotten.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "encoding.h"
#include "sink/postgres/postgres_destination.h"

/* A name that commands have, as it is in others, and in messages; a name of
 * one's own that begins so is quoted. */
static const char *
table_name(const char *relation)
{
	return strncmp(relation, "ONLY ", 5) == 0 ? relation + 5 : relation;
}

/*
 * A table whose rows would go, or change, with those of the relation; NULL if
 * there is none, and none can come before the transaction ends.
 */
static char *
find_dependent(PostgresDestination *self, const char *relation,
			   const char *oid)
{
	Remote *remote = self->remote;

	remote_command(remote,
				   psprintf("LOCK TABLE %s IN ROW EXCLUSIVE MODE", relation));
	remote_run(remote,
			   "SELECT format('%I.%I', nspname, relname) FROM pg_constraint "
			   "JOIN pg_class AS c ON c.oid = conrelid "
			   "JOIN pg_namespace AS n ON n.oid = relnamespace "
			   "WHERE contype = 'f' AND confdeltype IN ('c', 'n', 'd') "
			   "AND confrelid IN (SELECT $1::oid UNION ALL SELECT relid "
			   "FROM pg_partition_tree($1::oid::regclass)) LIMIT 1",
			   1, (const char *const[]){oid});
	return remote_rows(remote) > 0 ? remote_clean(remote_value(remote, 0, 0))
								   : NULL;
}

/*
 * Of a relation by name, what the transactions wrote that have loaded a
 * target's parts; how many rows.  They are found there: a list of them would be
 * longer than any other answer.
 */
static uint64
remove_loaded(PostgresDestination *self, const char *relation, int table,
			  const char *which)
{
	remote_run(self->remote,
			   psprintf("DELETE FROM %s WHERE xmin IN (SELECT " POSTGRES_XID
						" FROM %s WHERE job = $1 AND target = $2::int "
						"AND " POSTGRES_IS_RECENT " AND %s)",
						relation, postgres_ledger(self, "part"), which),
			   2, (const char *const[]){self->job, psprintf("%d", table)});
	return remote_changed(self->remote);
}

/* ---- parts that are made again, or are none any more */

typedef struct RemovedParts
{
	int			table;
	uint64		rows;
	const char *which; /* a condition, "%s" for a part's number */
} RemovedParts;

static char *
condition_on(const RemovedParts *removed, const char *column)
{
	const char *place = strstr(removed->which, "%s");

	return psprintf("%.*s%s%s", (int) (place - removed->which), removed->which,
					column, place + 2);
}

static void
remove_staged(PostgresDestination *self, const RemovedParts *removed)
{
	remote_command(self->remote,
				   psprintf("DELETE FROM %s WHERE %s",
							postgres_staging(self, removed->table),
							condition_on(removed, "\"" POSTGRES_PART "\"")));
}

/* All of them or none: of others' doing there is no telling what it meant. */
static void
remove_direct(PostgresDestination *self, const RemovedParts *removed)
{
	Remote *remote = self->remote;
	char   *relation = NULL;
	char   *dependent = NULL;
	uint64	count = 0;

	remote_run(
		remote,
		psprintf("SELECT " POSTGRES_RELATION ", c.oid FROM %s AS t "
				 "JOIN pg_class AS c ON c.oid = t.relation "
				 "JOIN pg_namespace AS n ON n.oid = relnamespace "
				 "WHERE t.job = $1 AND t.target = $2::int",
				 postgres_ledger(self, "target")),
		2, (const char *const[]){self->job, psprintf("%d", removed->table)});
	if (remote_rows(remote) > 0)
	{
		relation = remote_value(remote, 0, 0);
		dependent = find_dependent(self, relation, remote_value(remote, 0, 1));
		if (dependent)
			ereport(
				ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rows of table %s on server \"%s\" cannot be loaded "
						"again",
						remote_clean(table_name(relation)), remote->name),
				 errdetail("A foreign key of table %s would remove or change "
						   "rows there with them.",
						   dependent),
				 errhint("Drop the foreign key, and resume the job.")));
		count = remove_loaded(self, relation, removed->table,
							  condition_on(removed, "part"));
	}
	if (count != removed->rows)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rows of the export were changed on server \"%s\"",
						remote->name),
				 errdetail("Of " UINT64_FORMAT " rows that have to be loaded "
						   "again, " UINT64_FORMAT " are as they were.",
						   removed->rows, count),
				 errhint("Forget the job and begin a new one.")));
}

void
postgres_remove_parts(PostgresDestination *self, const char *which)
{
	Remote	 *remote = self->remote;
	char	 *ours = condition_on(&(RemovedParts){.which = which}, "part");
	List	 *gone = NIL;
	ListCell *cell;

	remote_run(remote,
			   psprintf("SELECT target, sum(rows) FROM %s WHERE job = $1 "
						"AND %s GROUP BY target",
						postgres_ledger(self, "part"), ours),
			   1, (const char *const[]){self->job});
	for (int i = 0; i < remote_rows(remote); i++)
	{
		RemovedParts *removed = palloc_object(RemovedParts);

		removed->table = atoi(remote_value(remote, i, 0));
		removed->rows = strtou64(remote_value(remote, i, 1), NULL, 10);
		removed->which = which;
		gone = lappend(gone, removed);
	}
	foreach (cell, gone)
		if (self->options.direct)
			remove_direct(self, lfirst(cell));
		else
			remove_staged(self, lfirst(cell));
	if (gone != NIL)
		remote_run(remote,
				   psprintf("DELETE FROM %s WHERE job = $1 AND %s",
							postgres_ledger(self, "part"), ours),
				   1, (const char *const[]){self->job});
}

/* ---- all of it */

/* A table that the job has made goes with its rows, if others have none. */
static void
drop_made(PostgresDestination *self, const char *relation)
{
	Remote *remote = self->remote;

	remote_command(
		remote, psprintf("LOCK TABLE %s IN ACCESS EXCLUSIVE MODE", relation));
	remote_command(remote,
				   psprintf("SELECT EXISTS (SELECT FROM %s)", relation));
	if (remote_is_true(remote, 0, 0))
		return;
	remote_command(remote, psprintf("DROP TABLE %s", table_name(relation)));
}

typedef struct Loaded
{
	char  *relation; /* its name by now */
	char  *oid;
	int	   table;
	bool   is_made;
	uint64 rows;
} Loaded;

static List *
find_loaded(PostgresDestination *self)
{
	Remote *remote = self->remote;
	List   *found = NIL;

	remote_run(remote,
			   psprintf("SELECT " POSTGRES_RELATION ", t.made, t.target, "
						"coalesce(sum(rows), 0), c.oid FROM %s AS t "
						"JOIN pg_class AS c ON c.oid = t.relation "
						"JOIN pg_namespace AS n ON n.oid = relnamespace "
						"LEFT JOIN %s AS p ON p.job = t.job "
						"AND p.target = t.target WHERE t.job = $1 "
						"GROUP BY c.oid, nspname, relname, relkind, t.made, "
						"t.target",
						postgres_ledger(self, "target"),
						postgres_ledger(self, "part")),
			   1, (const char *const[]){self->job});
	for (int i = 0; i < remote_rows(remote); i++)
	{
		Loaded *loaded = palloc_object(Loaded);

		loaded->relation = remote_value(remote, i, 0);
		loaded->is_made = remote_is_true(remote, i, 1);
		loaded->table = atoi(remote_value(remote, i, 2));
		loaded->rows = strtou64(remote_value(remote, i, 3), NULL, 10);
		loaded->oid = remote_value(remote, i, 4);
		found = lappend(found, loaded);
	}
	return found;
}

/* All of it stays where rows of others would go with it. */
static bool
tell_dependent(PostgresDestination *self, const Loaded *loaded)
{
	char *dependent = find_dependent(self, loaded->relation, loaded->oid);

	if (dependent)
		ereport(
			NOTICE,
			(errmsg("rows stay in table %s on server \"%s\"",
					encoding_shown(remote_clean(table_name(loaded->relation))),
					encoding_shown(self->remote->name)),
			 errdetail("A foreign key of table %s would remove or change "
					   "rows there with them.",
					   encoding_shown(dependent))));
	return dependent != NULL;
}

/* No number of a transaction or a table says anything here. */
static void
tell_moved(PostgresDestination *self)
{
	Remote *remote = self->remote;

	remote_run(remote,
			   psprintf("SELECT name FROM %s WHERE job = $1 ORDER BY target",
						postgres_ledger(self, "target")),
			   1, (const char *const[]){self->job});
	for (int i = 0; i < remote_rows(remote); i++)
		ereport(
			NOTICE,
			(errmsg("rows stay in table %s on server \"%s\"",
					encoding_shown(remote_clean(remote_value(remote, i, 0))),
					encoding_shown(remote->name)),
			 errdetail(POSTGRES_MOVED)));
}

static void
discard_direct(PostgresDestination *self)
{
	List	 *found;
	ListCell *cell;

	if (self->is_moved)
	{
		tell_moved(self);
		return;
	}
	found = find_loaded(self);
	foreach (cell, found)
	{
		Loaded *loaded = lfirst(cell);
		uint64	removed;

		if (tell_dependent(self, loaded))
			continue;
		removed = remove_loaded(self, loaded->relation, loaded->table, "true");
		if (removed != loaded->rows)
			ereport(NOTICE, (errmsg("rows stay in table %s on server \"%s\"",
									encoding_shown(remote_clean(
										table_name(loaded->relation))),
									encoding_shown(self->remote->name)),
							 errdetail("Of " UINT64_FORMAT
									   " rows that were loaded, " UINT64_FORMAT
									   " were changed or removed there "
									   "since.",
									   loaded->rows, loaded->rows - removed)));
		if (loaded->is_made)
			drop_made(self, loaded->relation);
	}
}

/*
 * What is staged goes, and what was loaded directly; but of what was published
 * the record stays, as its proof, and what is staged, if that is wanted.
 */
void
postgres_discard(Destination *to)
{
	PostgresDestination *self = postgres_self(to);
	Remote				*remote = self->remote;
	bool				 published;

	if (self->job == NULL)
		return;
	published = postgres_begin(self, true);
	if (!published || !self->options.keep)
		postgres_drop_staging(self);
	if (!published)
	{
		discard_direct(self);
		remote_run(remote,
				   psprintf("DELETE FROM %s WHERE job = $1",
							postgres_ledger(self, "job")),
				   1, (const char *const[]){self->job});
	}
	remote_commit(remote);
	remote_close(remote);
	self->is_taken = false;
	self->job = NULL;
	for (int i = 0; i < self->ntargets; i++)
		self->targets[i].is_ready = false;
}
