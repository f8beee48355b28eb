/*
 * verify.c
 *		Re-reads what was written and compares it with the parts' rows.
 *
 * All that may lie at a destination is judged here, a row each: parts,
 * manifests, marks, and what is nobody's.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "export/job/job.h"
#include "export/job/part_table.h"
#include "export/part/part_check.h"
#include "export/export_destination.h"
#include "export/finish/finish.h"
#include "export/lake/lake.h"
#include "option.h"

PG_FUNCTION_INFO_V1(outflow_verify);
PGDLLEXPORT Datum outflow_verify(PG_FUNCTION_ARGS);

/* The end of a chain that hands plain bytes to a format's counter of rows. */
typedef struct CountingSink
{
	Sink		base;
	RowCounter *counter;
	int64	   *rows;
} CountingSink;

static void
counting_write(Sink *sink, const char *data, size_t len)
{
	RowCounter *counter = ((CountingSink *) sink)->counter;

	counter->count(counter, data, len);
}

static void
counting_finish(Sink *sink)
{
	CountingSink *counting = (CountingSink *) sink;

	*counting->rows = counting->counter->rows(counting->counter);
}

static void
counting_cleanup(Sink *sink)
{
}

static const SinkOps counting_ops = {.write = counting_write,
									 .finish = counting_finish,
									 .cleanup = counting_cleanup};

static Sink *
counting_new(const Job *job, int64 *rows)
{
	CountingSink *counting = palloc0_object(CountingSink);

	*rows = ROWS_UNKNOWN;
	counting->base.ops = &counting_ops;
	counting->counter = job->row_format->counter(&job->options.row);
	counting->rows = rows;
	return &counting->base;
}

/* What the stored bytes unpack to. */
static Finding
check_plain(const Job *job, Destination *root, DestinationPlace place,
			const FinishedPart *part)
{
	Meter meter = {0};
	int64 rows;
	int	  error;
	Sink *chain;

	/* an encrypted one can't be unpacked */
	if (job->encrypt_to != NIL)
		return finding_ok;
	chain = counting_new(job, &rows);
	chain = meter_new(chain, &meter, true, NULL);
	chain = job->compress->decompressor(chain);
	if (!root->driver->read(root, place, part->file, chain, &error))
		return finding_unreadable(error);
	if ((int64) meter.bytes != part->bytes)
		return (Finding){"wrong content",
						 psprintf(INT64_FORMAT
								  " plain bytes were written, " UINT64_FORMAT
								  " are there",
								  part->bytes, meter.bytes)};
	if ((int64) meter.crc != part->crc32c)
		return (Finding){"wrong content",
						 psprintf("crc32c was %08x, is %08x",
								  (uint32) part->crc32c, meter.crc)};
	if (rows == ROWS_UNREADABLE)
		return (Finding){"wrong content", "The file has no sound end."};
	if (rows >= 0 && rows != part->rows)
		return (Finding){"wrong rows",
						 psprintf(INT64_FORMAT
								  " rows were written, " INT64_FORMAT
								  " are there",
								  part->rows, rows)};
	return finding_ok;
}

typedef struct Report
{
	Tuplestorestate *store;
	TupleDesc		 desc;
} Report;

static void
verify_report(Report *report, int part, const char *file, Finding finding)
{
	Datum values[4] = {0};
	bool  nulls[4] = {false};

	values[0] = Int32GetDatum(part);
	nulls[0] = part < 0;
	values[1] = CStringGetTextDatum(file);
	values[2] = CStringGetTextDatum(finding.status);
	if (finding.detail)
		values[3] = CStringGetTextDatum(finding.detail);
	else
		nulls[3] = true;
	tuplestore_putvalues(report->store, report->desc, values, nulls);
}

/* root is NULL if the directory can't be read, for the reason that lost has. */
static void
verify_parts(Report *out, const Job *job, Destination *root, Finding lost,
			 const List *parts, bool full)
{
	/* what is staged is never looked at only, nor are rows here */
	bool quick =
		!full && job->state == JOB_DONE && !(root && root->driver->tables);
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "outflow verify part", ALLOCSET_DEFAULT_SIZES);
	ListCell *cell;

	foreach (cell, parts)
	{
		FinishedPart *part = lfirst(cell);
		MemoryContext old;

		CHECK_FOR_INTERRUPTS();
		if (!part->done)
			continue;
		old = MemoryContextSwitchTo(context);
		verify_report(out, part->plan.number, part_file_path(part),
					  root == NULL && part->location == NULL ? lost
					  : quick ? part_look(root, part)
							  : part_check(job, root, part, check_plain));
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
	}
	MemoryContextDelete(context);
}

static void
report_file(Report *out, const char *key, Finding finding)
{
	verify_report(out, -1, key, finding);
}

/* sum: what it was, or NULL for a job of before that knew none */
static Finding
check_manifest(const Job *job, Destination *root, const char *folder,
			   const char *sum)
{
	Checksum was = {.method = job->options.checksum};
	Meter	 meter = {0};
	Sink	*chain;
	int		 error;

	if (sum)
		checksum_from_text(sum, &was);
	chain = meter_new(sink_null_new(), &meter, false, was.method);
	if (!root->driver->read(root, DESTINATION_FINAL,
							older_manifest(root, folder), chain, &error))
		return finding_unreadable(error);
	if (sum)
		return finding_of_sums(&was, &meter.checksum);
	return older_is_job(root, folder, job)
			   ? finding_ok
			   : (Finding){"wrong content", "It is not this export's."};
}

static Finding
check_success(Destination *root)
{
	Meter meter = {0};
	int	  error;

	if (!root->driver->read(root, DESTINATION_FINAL, PUBLISH_SUCCESS,
							meter_new(sink_null_new(), &meter, false, NULL),
							&error))
		return finding_unreadable(error);
	if (meter.bytes > 0)
		return (Finding){"wrong size",
						 psprintf("0 bytes were written, " UINT64_FORMAT
								  " are there",
								  meter.bytes)};
	return finding_ok;
}

/* What is there and should not be. */
static void
verify_left_over(Report *out, const Job *job, Destination *root,
				 const char *folder, const List *parts)
{
	const char *manifest = destination_name(older_manifest(root, folder));
	List	   *names = publish_names(parts);
	int			error = 0;
	List	   *entries = root->driver->list(root, folder, &error);
	ListCell   *cell;

	/* nobody knows what is there; what should be has its own rows */
	if (error != 0 && error != ENOENT && error != ENOTDIR)
		report_file(out, folder[0] ? psprintf("%s/", folder) : root->path,
					finding_unreadable(error));
	foreach (cell, entries)
	{
		DestinationEntry *entry = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (!publish_is_ours(job, folder, names, manifest, entry))
			report_file(
				out, destination_key(folder, entry->name),
				(Finding){"left over", "It is not part of this export."});
	}
}

static void
verify_folder(Report *out, const Job *job, Destination *root,
			  const JobSource *source, const List *parts)
{
	if (job->state == JOB_DONE)
		report_file(
			out, older_manifest(root, source->folder),
			check_manifest(job, root, source->folder, source->manifest));
	verify_left_over(out, job, root, source->folder,
					 parts_of_source(parts, source->number));
}

static void
report_lake_file(void *arg, const char *key, Finding finding)
{
	report_file(arg, key, finding);
}

/* What makes the files a version of their table. */
static void
verify_versions(Report *out, const Job *job, Destination *root, Finding lost,
				const List *parts)
{
	/* a whole log each */
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "outflow verify version",
							  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	ListCell	 *cell;

	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (root)
			lake_verify(root, job, source,
						parts_of_source(parts, source->number),
						report_lake_file, out);
		else
			report_file(out, source->folder, lost);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

static Finding
finding_of_table(const TableFinding *table)
{
	switch (table->state)
	{
		case TABLE_MISSING:
			return (Finding){"missing", NULL};
		case TABLE_UNREADABLE:
			return (Finding){"unreadable", table->detail};
		case TABLE_OTHER_CONTENT:
			return (Finding){"wrong content",
							 "There are as many rows as were written, but not "
							 "the same."};
		case TABLE_OTHER_COUNT:
			return (Finding){"wrong rows",
							 psprintf(UINT64_FORMAT
									  " rows were written, " UINT64_FORMAT
									  " are there as they were",
									  table->written, table->found)};
		case TABLE_SOUND:
			break;
	}
	return (Finding){"ok", table->detail};
}

/* Whether what every part says of itself became the targets' rows. */
static void
verify_tables(Report *out, const Job *job, Destination *root, bool full)
{
	const ListCell *cell;

	if (job->state != JOB_DONE)
		return;
	report_file(out, root->path,
				root->driver->tables->is_published(root)
					? finding_ok
					: (Finding){"missing",
								"The record of its publication is not "
								"there."});
	foreach (cell, root->driver->tables->verify(root, full))
	{
		const TableFinding *table = lfirst(cell);

		report_file(out, table->table, finding_of_table(table));
	}
}

/*
 * Files that a finished export must have, and those it must not have.  root is
 * NULL if the directory can't be read, for the reason that lost has.
 */
static void
verify_directory(Report *out, const Job *job, Destination *root, Finding lost,
				 const List *parts, bool full)
{
	bool	  many = destination_has_folders(job);
	ListCell *cell;

	/* other versions have files there, too */
	if (job_makes_tables(job))
	{
		if (job->state == JOB_DONE)
			verify_versions(out, job, root, lost, parts);
		return;
	}
	if (root && root->driver->tables)
	{
		verify_tables(out, job, root, full);
		return;
	}
	if (job->state == JOB_DONE)
	{
		JobSource *first = linitial(job->sources);

		report_file(
			out, root ? older_manifest(root, "") : PUBLISH_MANIFEST,
			root ? check_manifest(job, root, "",
								  many ? job->manifest : first->manifest)
				 : lost);
		report_file(out, PUBLISH_SUCCESS, root ? check_success(root) : lost);
	}
	if (root == NULL)
		return;
	verify_left_over(out, job, root, "", parts);
	if (!many)
		return;
	foreach (cell, job->sources)
	{
		CHECK_FOR_INTERRUPTS();
		verify_folder(out, job, root, lfirst(cell), parts);
	}
}

/* What is elsewhere is read again on request only. */
static bool
reads_all(const char *how, const Destination *root)
{
	if (how == NULL)
		return root == NULL || root->driver->wrapper == NULL;
	if (strcmp(how, "full") != 0 && strcmp(how, "quick") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid value for argument \"verify\": "
							   "\"%.100s\"",
							   how),
						errhint("Valid values are quick and full.")));
	return strcmp(how, "full") == 0;
}

Datum
outflow_verify(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	char *how = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	Job	 *job;
	List *parts;
	Destination *root;
	Report		 out;
	Finding		 lost;
	bool		 full;

	option_refuse_secret_argument(fcinfo, 1, "verify");
	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	job = job_load_own(PG_GETARG_INT64(0), false);
	parts = parts_load(job->id);
	out.store = result->setResult;
	out.desc = result->setDesc;

	job_derive(job);
	root = destination_open_known(job, false);
	lost = finding_unreadable(errno);
	/* names of others' files are told, too */
	if (root)
		root->driver->check_rights();
	full = reads_all(how, root);
	/* a finished one has no files of its own any more */
	if (root && (job->state != JOB_DONE || root->driver->tables))
		(void) root->driver->claim(root, job->uuid, NULL, ACCESS_LOOK);
	verify_parts(&out, job, root, lost, parts, full);
	verify_directory(&out, job, root, lost, parts, full);
	if (root)
		root->driver->close(root);
	return (Datum) 0;
}
