/*
 * postgres_kept.c
 *		Parts that a finished export has left in its staging tables, for a later
 *		one to carry over.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "sink/postgres/postgres_destination.h"

/* The target whose staging table another job has kept a part in, or -1. */
static int
find_kept(PostgresDestination *self, const char *id, const char *number)
{
	remote_run(self->remote,
			   psprintf("SELECT target FROM %s "
						"WHERE job = $1 AND part = $2::int AND xact IS NULL",
						postgres_ledger(self, "part")),
			   2, (const char *const[]){id, number});
	return remote_rows(self->remote) == 0
			   ? -1
			   : atoi(remote_value(self->remote, 0, 0));
}

/* Whether as many rows have come as the ledger says. */
static bool
copy_rows(PostgresDestination *self, const char *kept, const char *number,
		  const char *id, const char *from_number)
{
	Remote *remote = self->remote;
	char   *columns = postgres_columns(self, &self->targets[self->table]);
	uint64	count;

	remote_run(remote,
			   psprintf("INSERT INTO %s (%s, \"" POSTGRES_PART "\") "
						"SELECT %s, $1::int FROM %s "
						"WHERE \"" POSTGRES_PART "\" = $2::int",
						postgres_staging(self, self->table), columns, columns,
						postgres_ledger(self, kept)),
			   2, (const char *const[]){number, from_number});
	count = remote_changed(remote);
	remote_run(
		remote,
		psprintf("UPDATE %1$s AS p SET rows = k.rows, bytes = k.bytes, "
				 "checksum = k.checksum, digest = k.digest FROM %1$s AS k "
				 "WHERE p.job = $1 AND p.part = $2::int AND k.job = $3 "
				 "AND k.part = $4::int AND k.rows = $5::bigint",
				 postgres_ledger(self, "part")),
		5,
		(const char *const[]){self->job, number, id, from_number,
							  psprintf(UINT64_FORMAT, count)});
	return remote_changed(remote) == 1;
}

bool
postgres_carry_rows(Destination *to, const char *key, const char *id,
					const char *from_key)
{
	PostgresDestination *self = postgres_self(to);
	char				*number = postgres_part_number(key);
	char				*from_number = postgres_part_number(from_key);
	char				*kept;
	int					 table;
	bool				 carried;

	postgres_prepare_table(self);
	postgres_begin_part(self, number);
	table = find_kept(self, id, from_number);
	kept = psprintf("%s_%d", id, table);
	carried = table >= 0 &&
			  postgres_has_same_columns(
				  self, kept, psprintf("%s_%d", self->job, self->table)) &&
			  copy_rows(self, kept, number, id, from_number);
	if (carried)
		remote_commit(self->remote);
	else
		remote_command(self->remote, "ROLLBACK");
	return carried;
}
