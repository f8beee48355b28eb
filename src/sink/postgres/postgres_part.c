/*
 * postgres_part.c
 *		A part: rows that are copied into the staging table of their target, or
 *		the target, in one transaction with the part's row in the ledger.
 *
 * When it is made again, what an earlier attempt has committed goes first, in
 * the same transaction.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "failpoint.h"
#include "sink/postgres/postgres_destination.h"
#include "sink/postgres/row_digest.h"
#include "sink/stage.h"

typedef struct PartSink
{
	Sink				 base;
	PostgresDestination *to;
	char				*number; /* of the part */
	int					 table;
	const Meter			*meter; /* of what was written */
	RowDigest			*digest;
	bool				 is_open;
} PartSink;

void
postgres_begin_table(Destination *to, int table)
{
	postgres_self(to)->table = table;
}

static void
part_write(Sink *sink, const char *data, size_t len)
{
	PartSink *self = (PartSink *) sink;

	row_digest_add(self->digest, data, len);
	remote_copy_data(self->to->remote, data, len);
}

static void
part_finish(Sink *sink)
{
	PartSink			*self = (PartSink *) sink;
	PostgresDestination *to = self->to;
	uint64				 rows = remote_copy_end(to->remote);
	const char *const	 values[] = {
		   to->job,
		   self->number,
		   psprintf(UINT64_FORMAT, rows),
		   psprintf(UINT64_FORMAT, self->meter->bytes),
		   checksum_to_text(&self->meter->checksum),
		   psprintf(UINT64_FORMAT, row_digest_sum(self->digest))};

	postgres_check_taken(to, self->table, rows, row_digest_rows(self->digest));
	remote_run(to->remote,
			   psprintf("UPDATE %s SET rows = $3, bytes = $4, checksum = $5, "
						"digest = $6 WHERE job = $1 AND part = $2",
						postgres_ledger(to, "part")),
			   lengthof(values), values);
	FAILPOINT("remote-loaded");
	remote_commit(to->remote);
	self->is_open = false;
	FAILPOINT("remote-committed");
}

/* An attempt that was given up: the connection is in the middle of it. */
static void
part_give_up(void *argument)
{
	PartSink *self = argument;

	if (self->is_open)
		remote_close(self->to->remote);
	self->is_open = false;
}

static void
part_cleanup(Sink *sink)
{
	part_give_up(sink);
}

static const SinkOps part_ops = {
	.write = part_write,
	.finish = part_finish,
	.cleanup = part_cleanup,
};

/*
 * The part's row, which is completed when the rows are there: it keeps others
 * away.  False if an earlier attempt that lost its client has committed its own
 * meanwhile; its end was waited for.
 */
static bool
reserve_part(PostgresDestination *self, const char *number)
{
	const char *const values[] = {self->job, number,
								  psprintf("%d", self->table)};

	remote_run(self->remote,
			   psprintf("INSERT INTO %s (job, part, target, rows, bytes, "
						"checksum, digest, xact) "
						"VALUES ($1, $2, $3, 0, 0, '', 0, %s) "
						"ON CONFLICT DO NOTHING",
						postgres_ledger(self, "part"),
						self->options.direct ? "txid_current()" : "NULL"),
			   lengthof(values), values);
	return remote_changed(self->remote) == 1;
}

void
postgres_prepare_table(PostgresDestination *self)
{
	PostgresTarget *target = &self->targets[self->table];
	bool			is_binary = true;

	if (target->is_ready)
		return;
	postgres_connect(self);
	postgres_look(self, target, &is_binary);
	if (self->is_binary && !is_binary)
		ereport(
			ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("table %s on server \"%s\" was altered since the job "
					"began",
					postgres_target_name(self, target), self->remote->name),
			 errdetail("Its rows were to be sent in binary form."),
			 errhint("Change it back, or forget the job and begin a new "
					 "one.")));
	if (self->options.direct)
		postgres_begin_direct(self, self->table, true);
	else
		postgres_make_staging(self, self->table);
}

void
postgres_begin_part(PostgresDestination *self, const char *number)
{
	postgres_begin_loading(self);
	/* what an earlier attempt has committed, maybe into another staging table */
	do
	{
		CHECK_FOR_INTERRUPTS();
		postgres_remove_parts(self, psprintf("%%s = %s", number));
	} while (!reserve_part(self, number));
}

Sink *
postgres_new_part(Destination *to, const char *key)
{
	PostgresDestination *self = postgres_self(to);
	PartSink			*part;
	Meter				*meter = palloc0_object(Meter);
	char				*number = postgres_part_number(key);

	postgres_prepare_table(self);
	postgres_begin_part(self, number);
	part = sink_stage_new(sizeof(PartSink), &part_ops, NULL);
	part->to = self;
	part->number = number;
	part->table = self->table;
	part->meter = meter;
	part->digest = row_digest_new(self->is_binary);
	part->is_open = true;
	sink_guard(part_give_up, part);
	remote_run(self->remote,
			   "SELECT set_config('outflow_staging.part', $1, true)", 1,
			   (const char *const[]){number});
	remote_copy_begin(
		self->remote,
		psprintf(
			"COPY %s (%s) FROM STDIN%s",
			self->options.direct
				? postgres_target_name(self, &self->targets[self->table])
				: postgres_staging(self, self->table),
			postgres_columns(self, &self->targets[self->table]),
			postgres_copy_options(self->is_binary, self->remote->encoding)));
	return meter_new(&part->base, meter, false, self->options.checksum);
}
