/*
 * postgres_verify.c
 *		Whether the rows of a published export are still there, and the same.
 *
 * They are known by their xmin: that of the publication, or of the transaction
 * that loaded a part directly.  So others' rows in the same table are passed
 * over, and rows that were changed are missing.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "sink/postgres/postgres_destination.h"
#include "sink/postgres/row_digest.h"

/* A target as the ledger has it. */
typedef struct Published
{
	char  *relation; /* its name; NULL: it is gone */
	char  *name;	 /* as it was called */
	bool   is_binary;
	char  *encoding;
	char  *list; /* what reads its rows in the form in which they were sent */
	int	   target;
	bool   is_recent; /* they can be told from others' still */
	uint64 rows;
	char  *digest;
	bool   is_readable; /* by us */
	bool   has_xmin;
	bool   is_moved; /* the record is of another cluster */
} Published;

static List *
find_published(PostgresDestination *self)
{
	Remote *remote = self->remote;
	char   *cluster = postgres_cluster(self);
	List   *found = NIL;

	remote_run(
		remote,
		psprintf(
			"SELECT CASE WHEN n.oid IS NULL THEN '' ELSE " POSTGRES_RELATION
			" END, t.name, "
			"t.form = 'binary', t.encoding, t.list, t.target, "
			"coalesce((SELECT bool_and(" POSTGRES_IS_RECENT ") "
			"FROM (SELECT j.xact UNION "
			"SELECT xact FROM %2$s WHERE job = j.job "
			"AND target = t.target) AS x), false), "
			"p.rows, p.digest, coalesce("
			"has_table_privilege(c.oid, 'SELECT') "
			"AND NOT row_security_active(c.oid), false), NOT EXISTS (SELECT "
			"FROM pg_class WHERE oid IN (SELECT c.oid UNION ALL SELECT relid "
			"FROM pg_partition_tree(c.oid::regclass)) "
			"AND relkind <> 'p' AND relam <> 2), " POSTGRES_IS_MOVED(
				"$2") " FROM %3$s AS j "
					  "JOIN %1$s AS t ON t.job = j.job "
					  "LEFT JOIN pg_class AS c ON c.oid = t.relation "
					  "LEFT JOIN pg_namespace AS n ON n.oid = relnamespace, "
					  "LATERAL (SELECT coalesce(sum(rows), 0), "
					  "coalesce(sum(digest), 0) "
					  "%% 18446744073709551616 FROM %2$s "
					  "WHERE job = j.job AND target = t.target) AS p (rows, "
					  "digest) "
					  "WHERE j.job = $1 AND j.published IS NOT NULL ORDER BY "
					  "t.target",
			postgres_ledger(self, "target"), postgres_ledger(self, "part"),
			postgres_ledger(self, "job")),
		2, (const char *const[]){self->job, cluster});
	for (int i = 0; i < remote_rows(remote); i++)
	{
		Published *table = palloc0_object(Published);

		table->relation = remote_value(remote, i, 0);
		if (table->relation[0] == '\0')
			table->relation = NULL;
		table->name = remote_value(remote, i, 1);
		table->is_binary = remote_is_true(remote, i, 2);
		table->encoding = remote_value(remote, i, 3);
		table->list = remote_value(remote, i, 4);
		table->target = atoi(remote_value(remote, i, 5));
		table->is_recent = remote_is_true(remote, i, 6);
		table->rows = strtou64(remote_value(remote, i, 7), NULL, 10);
		table->digest = remote_value(remote, i, 8);
		table->is_readable = remote_is_true(remote, i, 9);
		table->has_xmin = remote_is_true(remote, i, 10);
		table->is_moved = remote_is_true(remote, i, 11);
		found = lappend(found, table);
	}
	return found;
}

/* Why the rows can't be told from others, or NULL. */
static char *
what_hides_rows(const Published *table)
{
	if (!table->is_readable)
		return "It says that its rows may not be read: GRANT SELECT there.";
	if (!table->has_xmin)
		return "It, or a partition of it, is no heap.";
	if (!table->is_recent)
		return "They were written too many transactions ago.";
	return NULL;
}

/* "FROM ... WHERE ...": its rows that the export wrote.  COPY, too, takes that. */
static char *
rows_written(PostgresDestination *self, const Published *table)
{
	const char *job = quote_literal_cstr(self->job);

	return psprintf("FROM %s WHERE xmin IN (SELECT " POSTGRES_XID
					" FROM (SELECT xact FROM %s WHERE job = %s UNION "
					"SELECT xact FROM %s WHERE job = %s AND target = %d) "
					"AS written WHERE xact IS NOT NULL)",
					table->relation, postgres_ledger(self, "job"), job,
					postgres_ledger(self, "part"), job, table->target);
}

static uint64
count_rows(PostgresDestination *self, const Published *table)
{
	remote_command(self->remote,
				   psprintf("SELECT count(*) %s", rows_written(self, table)));
	return strtou64(remote_value(self->remote, 0, 0), NULL, 10);
}

/* Reads each row, and sums as it was done when they were sent. */
static TableState
compare_rows(PostgresDestination *self, const Published *table, uint64 *found)
{
	RowDigest *digest = row_digest_new(table->is_binary);

	if (pg_char_to_encoding(table->encoding) < 0)
		remote_distrusted(self->remote);
	remote_copy_out(
		self->remote,
		psprintf("COPY (SELECT %s %s) TO STDOUT%s", table->list,
				 rows_written(self, table),
				 postgres_copy_options(table->is_binary, table->encoding)),
		row_digest_add, digest);
	*found = row_digest_rows(digest);
	if (*found != table->rows)
		return TABLE_OTHER_COUNT;
	return strcmp(table->digest,
				  psprintf(UINT64_FORMAT, row_digest_sum(digest))) == 0
			   ? TABLE_SOUND
			   : TABLE_OTHER_CONTENT;
}

static TableFinding *
verify_table(PostgresDestination *self, const Published *table, bool full)
{
	TableFinding *finding = palloc0_object(TableFinding);

	finding->table =
		psprintf("%s:%s", self->remote->name, remote_clean(table->name));
	finding->written = table->rows;
	if (table->is_moved)
	{
		finding->state = TABLE_UNREADABLE;
		finding->detail = POSTGRES_MOVED;
		return finding;
	}
	if (table->relation == NULL)
	{
		finding->state = TABLE_MISSING;
		return finding;
	}
	finding->detail = what_hides_rows(table);
	if (finding->detail)
		finding->state = full ? TABLE_UNREADABLE : TABLE_SOUND;
	else if (full)
		finding->state = compare_rows(self, table, &finding->found);
	else
	{
		finding->found = count_rows(self, table);
		finding->state =
			finding->found == table->rows ? TABLE_SOUND : TABLE_OTHER_COUNT;
	}
	return finding;
}

List *
postgres_verify(Destination *to, bool full)
{
	PostgresDestination *self = postgres_self(to);
	List				*findings = NIL;
	List				*tables;
	ListCell			*cell;

	if (self->job == NULL)
		return NIL;
	postgres_connect(self);
	tables = find_published(self);
	foreach (cell, tables)
	{
		CHECK_FOR_INTERRUPTS();
		findings = lappend(findings, verify_table(self, lfirst(cell), full));
	}
	return findings;
}
