/*
 * postgres_publish.c
 *		All rows of an export into their targets, in one transaction.
 *
 * The job's row in the ledger says that it was done, in the same transaction:
 * whoever lost the answer asks there.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "failpoint.h"
#include "sink/postgres/postgres_destination.h"

/* "{1,2,3}" */
static char *
numbers_of(const List *keys)
{
	StringInfoData	text;
	const ListCell *cell;

	initStringInfo(&text);
	appendStringInfoChar(&text, '{');
	foreach (cell, keys)
		appendStringInfo(&text, "%s%s", foreach_current_index(cell) ? "," : "",
						 postgres_part_number(lfirst(cell)));
	appendStringInfoChar(&text, '}');
	return text.data;
}

/* Which targets have rows waiting, and that every part is there. */
static void
find_staged(PostgresDestination *self, const List *keys, char **rows)
{
	Remote			 *remote = self->remote;
	const char *const values[] = {self->job};
	uint64			  parts = 0;

	remote_run(remote,
			   psprintf("SELECT target, sum(rows), count(*) FROM %s "
						"WHERE job = $1 GROUP BY target",
						postgres_ledger(self, "part")),
			   1, values);
	for (int i = 0; i < remote_rows(remote); i++)
	{
		int table = atoi(remote_value(remote, i, 0));

		if (table >= 0 && table < self->ntargets)
			rows[table] = remote_value(remote, i, 1);
		parts += strtou64(remote_value(remote, i, 2), NULL, 10);
	}
	if (parts != list_length(keys))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("parts of the export are missing on server \"%s\"",
						remote->name),
				 errdetail(UINT64_FORMAT " of %d are there.", parts,
						   list_length(keys)),
				 errhint("Resume the job: it loads them again.")));
}

static bool
has_rows(const char *rows)
{
	return rows && strcmp(rows, "0") != 0;
}

/*
 * Nobody alters it any more, when what it is is looked at.  What is emptied later
 * is locked as that needs it: of two that asked for more, both would wait.
 */
static void
lock_target(PostgresDestination *self, PostgresTarget *target)
{
	bool is_binary = true;

	postgres_look(self, target, &is_binary);
	if (!target->exists)
		return;
	remote_command(self->remote,
				   psprintf("LOCK TABLE %s%s IN %s MODE",
							target->has_children ? "" : "ONLY ",
							postgres_target_name(self, target),
							self->options.replace ? "ACCESS EXCLUSIVE"
												  : "ROW EXCLUSIVE"));
	postgres_look(self, target, &is_binary);
}

static int
compare_targets(const ListCell *a, const ListCell *b)
{
	const PostgresTarget *one = lfirst(a);
	const PostgresTarget *other = lfirst(b);
	int					  order = strcmp(one->schema, other->schema);

	return order != 0 ? order : strcmp(one->name, other->name);
}

/* By name, so that of two jobs neither waits for what the other has first. */
static void
lock_targets(PostgresDestination *self)
{
	List	 *targets = NIL;
	ListCell *cell;

	for (int i = 0; i < self->ntargets; i++)
		targets = lappend(targets, &self->targets[i]);
	list_sort(targets, compare_targets);
	foreach (cell, targets)
	{
		CHECK_FOR_INTERRUPTS();
		lock_target(self, lfirst(cell));
	}
}

/* The targets as they are by now; those that are missing are made. */
static void
make_ready(PostgresDestination *self, char **rows)
{
	StringInfoData truncate;

	lock_targets(self);
	initStringInfo(&truncate);
	for (int i = 0; i < self->ntargets; i++)
	{
		PostgresTarget *target = &self->targets[i];

		CHECK_FOR_INTERRUPTS();
		target->is_made = !target->exists;
		if (target->is_made)
		{
			postgres_make_target(self, target);
			lock_target(self, target);
		}
		if (has_rows(rows[i]))
			postgres_check_staged(self, i);
		postgres_record_target(self, i);
		/* what inherits from a table is no part of it */
		appendStringInfo(&truncate, "%s%s%s", i > 0 ? ", " : "TRUNCATE ",
						 target->has_children ? "" : "ONLY ",
						 postgres_target_name(self, target));
	}
	if (self->options.replace)
		remote_command(self->remote, truncate.data);
}

/* ---- foreign keys between the targets that are checked at once */

/* A list of references in turn: whose, and to which. */
static List *
find_references(PostgresDestination *self)
{
	Remote		  *remote = self->remote;
	List		  *references = NIL;
	StringInfoData oids;

	initStringInfo(&oids);
	for (int i = 0; i < self->ntargets; i++)
		appendStringInfo(&oids, "%s%s", i > 0 ? "," : "{",
						 self->targets[i].exists ? self->targets[i].oid : "0");
	appendStringInfoChar(&oids, '}');
	remote_run(remote,
			   "SELECT a.n - 1, b.n - 1 FROM pg_constraint AS c "
			   "JOIN unnest($1::oid[]) WITH ORDINALITY AS a (oid, n) "
			   "ON a.oid = conrelid "
			   "JOIN unnest($1::oid[]) WITH ORDINALITY AS b (oid, n) "
			   "ON b.oid = confrelid "
			   "WHERE contype = 'f' AND NOT condeferrable "
			   "AND conrelid <> confrelid",
			   1, (const char *const[]){oids.data});
	for (int i = 0; i < remote_rows(remote); i++)
	{
		int table = atoi(remote_value(remote, i, 0));
		int other = atoi(remote_value(remote, i, 1));

		if (table < 0 || table >= self->ntargets || other < 0 ||
			other >= self->ntargets)
			remote_distrusted(remote);
		references = lappend_int(lappend_int(references, table), other);
	}
	return references;
}

/* Whether all that a table refers to has been moved. */
static bool
may_move(const List *references, int table, const bool *moved)
{
	for (int i = 0; i + 1 < list_length(references); i += 2)
		if (list_nth_int(references, i) == table &&
			!moved[list_nth_int(references, i + 1)])
			return false;
	return true;
}

/*
 * Behind the rows that come, never back: what was there before may be further
 * along.  The values are those of the rows where they are ours to read.
 */
static void
move_sequence(PostgresDestination *self, int table, const char *column)
{
	char *name = postgres_target_name(self, &self->targets[table]);
	char *quoted = remote_identifier(self->remote, column);
	char *rows = self->options.direct ? name : postgres_staging(self, table);

	remote_run(
		self->remote,
		psprintf("SELECT setval(s.seqrelid, n.value) "
				 "FROM pg_sequence AS s, "
				 "(SELECT max(%s), min(%s) FROM %s) AS t, "
				 "LATERAL (SELECT CASE WHEN s.seqincrement > 0 "
				 "THEN t.max ELSE t.min END, "
				 "pg_sequence_last_value(s.seqrelid)) AS n (value, last) "
				 "WHERE s.seqrelid = "
				 "pg_get_serial_sequence($1, $2)::regclass "
				 "AND n.value BETWEEN s.seqmin AND s.seqmax "
				 "AND CASE WHEN n.last IS NULL THEN true "
				 "WHEN s.seqincrement > 0 THEN n.value > n.last "
				 "ELSE n.value < n.last END",
				 quoted, quoted, rows),
		2, (const char *const[]){name, column});
}

/* Those of a table's own columns, if they count in whole numbers. */
static void
move_sequences(PostgresDestination *self, int table)
{
	const PostgresTarget *target = &self->targets[table];
	const char *const	  values[] = {postgres_target_name(self, target)};
	List				 *counted = NIL;
	ListCell			 *cell;

	remote_run(self->remote,
			   "SELECT attname, has_sequence_privilege("
			   "pg_get_serial_sequence($1, attname::text), 'USAGE, SELECT') "
			   "FROM pg_attribute "
			   "WHERE attrelid = $1::text::regclass AND attnum > 0 "
			   "AND NOT attisdropped AND atttypid IN "
			   "('int2'::regtype, 'int4'::regtype, 'int8'::regtype) "
			   "AND pg_get_serial_sequence($1, attname::text) IS NOT NULL",
			   1, values);
	for (int i = 0; i < remote_rows(self->remote); i++)
	{
		/* where it is by now would look like nowhere */
		if (!remote_is_true(self->remote, i, 1))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied for sequence of column \"%s\" "
							"of table %s on server \"%s\"",
							remote_clean(remote_value(self->remote, i, 0)),
							values[0], self->remote->name),
					 errhint("There, grant USAGE and UPDATE on it.")));
		counted = lappend(counted, remote_value(self->remote, i, 0));
	}
	foreach (cell, counted)
		for (int i = 0; i < target->source->ncolumns; i++)
			if (strcmp(target->source->columns[i].name, lfirst(cell)) == 0)
				move_sequence(self, table, lfirst(cell));
}

static void
move_rows(PostgresDestination *self, int table, const char *rows)
{
	PostgresTarget *target = &self->targets[table];
	char		   *columns = postgres_columns(self, target);
	char		   *name = postgres_target_name(self, target);

	if (!has_rows(rows))
		return;
	remote_command(self->remote,
				   psprintf("INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE "
							"SELECT %s FROM %s",
							name, columns, columns,
							postgres_staging(self, table)));
	postgres_check_taken(self, table, remote_changed(self->remote),
						 strtou64(rows, NULL, 10));
	if (target->is_made || self->options.sequences)
		move_sequences(self, table);
}

/* What others refer to first; those that refer to each other can't be. */
static void
move_all(PostgresDestination *self, char **rows)
{
	List *references = find_references(self);
	bool *moved = palloc0_array(bool, self->ntargets + 1);
	int	  left = self->ntargets;

	remote_command(self->remote, "SET CONSTRAINTS ALL DEFERRED");
	while (left > 0)
	{
		int before = left;

		for (int i = 0; i < self->ntargets; i++)
		{
			CHECK_FOR_INTERRUPTS();
			if (moved[i] || !may_move(references, i, moved))
				continue;
			move_rows(self, i, rows[i]);
			moved[i] = true;
			left--;
		}
		if (left == before)
			ereport(ERROR,
					(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
					 errmsg("tables on server \"%s\" refer to each other",
							self->remote->name),
					 errhint("Make one of the foreign keys DEFERRABLE "
							 "there.")));
	}
}

/* Tables without a row, or that another process has loaded. */
static void
begin_others(PostgresDestination *self)
{
	for (int i = 0; i < self->ntargets; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!self->targets[i].is_ready)
			postgres_begin_direct(self, i, false);
	}
}

/* All rows are where they belong. */
static void
end_direct(PostgresDestination *self)
{
	for (int i = 0; i < self->ntargets; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (self->targets[i].is_made || self->options.sequences)
			move_sequences(self, i);
	}
}

void
postgres_publish_rows(Destination *to, const List *keys)
{
	PostgresDestination *self = postgres_self(to);
	char			   **rows = palloc0_array(char *, self->ntargets + 1);

	if (self->options.direct && !postgres_is_published(to))
		begin_others(self);
	if (!postgres_begin(self, true))
	{
		postgres_check_moved(self);
		postgres_remove_parts(
			self, psprintf("NOT EXISTS (SELECT FROM unnest('%s'::int[]) AS "
						   "kept (number) WHERE kept.number = %%s)",
						   numbers_of(keys)));
		find_staged(self, keys, rows);
		if (self->options.direct)
			end_direct(self);
		else
		{
			make_ready(self, rows);
			move_all(self, rows);
		}
		remote_run(self->remote,
				   psprintf("UPDATE %s SET published = now(), "
							"xact = txid_current(), cluster = $2 "
							"WHERE job = $1",
							postgres_ledger(self, "job")),
				   2,
				   (const char *const[]){self->job, postgres_cluster(self)});
		FAILPOINT("remote-published");
	}
	remote_commit(self->remote);
	FAILPOINT("remote-publish-committed");
}
