/*
 * postgres_staging.c
 *		The tables that rows wait in: a job's own, one for each target, with the
 *		columns that go there and the types that these have there.
 *
 * Source and target may be altered while a job is interrupted, and the target
 * while it runs.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "sink/postgres/postgres_destination.h"

bool
postgres_has_same_columns(PostgresDestination *self, const char *one,
						  const char *other)
{
	remote_run(self->remote,
			   "SELECT count(DISTINCT columns) = 1 AND count(*) = 2 "
			   "FROM (SELECT array_agg(format('%s %s', attname, "
			   "format_type(atttypid, atttypmod)) ORDER BY attname) "
			   "FROM pg_class AS c JOIN pg_namespace AS n "
			   "ON n.oid = relnamespace JOIN pg_attribute "
			   "ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped "
			   "WHERE nspname = $1 AND relname IN ($2, $3) "
			   "GROUP BY c.oid) AS t (columns)",
			   3, (const char *const[]){self->remote->ledger, one, other});
	return remote_is_true(self->remote, 0, 0);
}

/* What its staging table is made for. */
static char *
staging_columns(PostgresDestination *self, const PostgresTarget *target)
{
	StringInfoData columns;

	initStringInfo(&columns);
	for (int i = 0; i < target->source->ncolumns; i++)
		appendStringInfo(
			&columns, "%s %s, ",
			remote_identifier(self->remote, target->source->columns[i].name),
			target->types[i]);
	return columns.data;
}

static void
create_staging(PostgresDestination *self, const char *name,
			   const char *columns)
{
	char *table = postgres_ledger(self, name);

	remote_command(
		self->remote,
		psprintf("CREATE TABLE %s (%s\"" POSTGRES_PART "\" int NOT NULL "
				 "DEFAULT pg_catalog.current_setting('outflow_staging.part')"
				 "::pg_catalog.int4) WITH (autovacuum_enabled = off)",
				 table, columns));
	remote_command(self->remote, psprintf("COMMENT ON TABLE %s IS %s", table,
										  quote_literal_cstr(columns)));
}

/* Whether it is there; and whether it is known to be made for such columns. */
static bool
staging_exists(PostgresDestination *self, int table, const char *columns,
			   bool *fits)
{
	const char *const values[] = {postgres_staging(self, table), columns};

	remote_run(self->remote,
			   "SELECT c IS NOT NULL, coalesce("
			   "obj_description(c, 'pg_class') = $2, false) "
			   "FROM to_regclass($1) AS c",
			   2, values);
	*fits = remote_is_true(self->remote, 0, 1);
	return remote_is_true(self->remote, 0, 0);
}

/*
 * A staging table of an earlier run may be made for what the source or the
 * target was then: what comes now would be rounded, or refused.  It goes, with
 * the parts in it.  Types are compared by their names there, so the table that
 * is wanted is made beside it.
 */
static void
renew_staging(PostgresDestination *self, int table, const char *name,
			  const char *columns)
{
	Remote *remote = self->remote;
	char   *wanted = psprintf("%s_new", name);
	char   *old = postgres_staging(self, table);

	create_staging(self, wanted, columns);
	if (postgres_has_same_columns(self, name, wanted))
	{
		remote_command(
			remote, psprintf("DROP TABLE %s", postgres_ledger(self, wanted)));
		return;
	}
	/* after the last one that loads a part into it */
	remote_command(remote,
				   psprintf("LOCK TABLE %s IN ACCESS EXCLUSIVE MODE", old));
	remote_run(remote,
			   psprintf("DELETE FROM %s WHERE job = $1 AND target = $2::int",
						postgres_ledger(self, "part")),
			   2, (const char *const[]){self->job, psprintf("%d", table)});
	remote_command(remote, psprintf("DROP TABLE %s", old));
	remote_command(remote, psprintf("ALTER TABLE %s RENAME TO %s",
									postgres_ledger(self, wanted),
									remote_identifier(remote, name)));
}

void
postgres_make_staging(PostgresDestination *self, int table)
{
	char *name = psprintf("%s_%d", self->job, table);
	char *columns = staging_columns(self, &self->targets[table]);
	bool  fits;

	(void) postgres_begin(self, false);
	postgres_lock_making(self);
	if (!staging_exists(self, table, columns, &fits))
		create_staging(self, name, columns);
	else if (!fits)
		renew_staging(self, table, name, columns);
	remote_command(
		self->remote,
		psprintf("CREATE INDEX IF NOT EXISTS %s ON %s USING brin "
				 "(\"" POSTGRES_PART "\") WITH (pages_per_range = 32)",
				 remote_identifier(self->remote, psprintf("%s_part", name)),
				 postgres_ledger(self, name)));
	remote_commit(self->remote);
	self->targets[table].is_ready = true;
}

/* ---- what is staged already */

bool
postgres_is_current(Destination *to)
{
	PostgresDestination *self = postgres_self(to);
	bool				 is_binary = true;

	if (self->options.direct || postgres_is_published(to))
		return true;
	for (int i = 0; i < self->ntargets; i++)
	{
		PostgresTarget *target = &self->targets[i];
		bool			fits;

		CHECK_FOR_INTERRUPTS();
		postgres_look(self, target, &is_binary);
		if (staging_exists(self, i, staging_columns(self, target), &fits) &&
			!fits)
			return false;
	}
	return true;
}

static int
find_column(const TableSource *source, const char *name)
{
	for (int i = 0; i < source->ncolumns; i++)
		if (strcmp(source->columns[i].name, name) == 0)
			return i;
	return -1;
}

pg_noreturn static void
report_columns(PostgresDestination *self, const PostgresTarget *target,
			   const char *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("other columns of table %s were staged on server \"%s\"",
					postgres_target_name(self, target), self->remote->name),
			 errdetail("Column \"%s\" is exported now and was not then, or "
					   "the reverse.",
					   remote_clean(column)),
			 errhint("Resume the job: they are staged again.")));
}

/* What was staged has the types of before: it would be cast, or cut. */
void
postgres_check_staged(PostgresDestination *self, int table)
{
	PostgresTarget	  *target = &self->targets[table];
	const TableSource *source = target->source;
	Remote			  *remote = self->remote;
	bool			  *staged = palloc0_array(bool, source->ncolumns + 1);

	remote_run(remote,
			   "SELECT attname, format_type(atttypid, atttypmod) "
			   "FROM pg_attribute WHERE attrelid = to_regclass($1) "
			   "AND attnum > 0 AND NOT attisdropped "
			   "AND attname <> '" POSTGRES_PART "'",
			   1, (const char *const[]){postgres_staging(self, table)});
	for (int i = 0; i < remote_rows(remote); i++)
	{
		char *name = remote_value(remote, i, 0);
		char *type = remote_value(remote, i, 1);
		int	  at = find_column(source, name);

		if (at < 0)
			report_columns(self, target, name);
		if (strcmp(type, target->types[at]) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("table %s on server \"%s\" was altered since "
							"its rows were staged",
							postgres_target_name(self, target), remote->name),
					 errdetail("Column \"%s\" had type %s, and has %s now.",
							   name, remote_clean(type),
							   remote_clean(target->types[at])),
					 errhint("Forget the job and begin a new one.")));
		staged[at] = true;
	}
	for (int i = 0; i < source->ncolumns; i++)
		if (!staged[i])
			report_columns(self, target, source->columns[i].name);
}
