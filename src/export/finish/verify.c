/*
 * verify.c
 *		Re-reads what was written and compares it with the parts' rows.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "export/job/job.h"
#include "export/finish/verify.h"

PG_FUNCTION_INFO_V1(outflow_verify);
PGDLLEXPORT Datum outflow_verify(PG_FUNCTION_ARGS);

/* One file's verdict. */
typedef struct Finding
{
	const char *status;
	const char *detail;
} Finding;

static const Finding fine = {"ok", NULL};

/* Why it can't be read: an errno, or 0. */
static Finding
unreadable(int error)
{
	if (error == 0 || error == ENOENT || error == ENOTDIR)
		return (Finding){"missing", NULL};
	return (Finding){"unreadable", pstrdup(strerror(error))};
}

static Finding
compare_sums(const Checksum *was, const Checksum *is)
{
	if (checksum_equal(was, is))
		return fine;
	return (Finding){"wrong checksum",
					 psprintf("%s was %s, is %s", was->method->name,
							  checksum_hex(was), checksum_hex(is))};
}

/* The stored bytes: size and checksum. */
static Finding
check_stored(Destination *root, DestinationPlace place,
			 const FinishedPart *part)
{
	Meter meter = {0};
	Sink *chain =
		meter_new(sink_null_new(), &meter, false, part->checksum.method);
	int error;

	if (!root->driver->read(root, place, part->file, chain, &error))
		return unreadable(error);
	if ((int64) meter.bytes != part->bytes_stored)
		return (Finding){"wrong size",
						 psprintf(INT64_FORMAT
								  " bytes were written, " UINT64_FORMAT
								  " are there",
								  part->bytes_stored, meter.bytes)};
	return compare_sums(&part->checksum, &meter.checksum);
}

/* What the stored bytes unpack to. */
static Finding
check_plain(const Job *job, Destination *root, DestinationPlace place,
			const FinishedPart *part)
{
	Meter meter = {0};
	int64 rows;
	int	  error;
	Sink *chain = row_counter_new(job, &rows);

	chain = meter_new(chain, &meter, true, NULL);
	chain = job->compress->decompressor(chain);
	if (!root->driver->read(root, place, part->file, chain, &error))
		return unreadable(error);
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
	return fine;
}

/* unpack: also look at what the stored bytes hold. */
static Finding
check_part_in(const Job *job, Destination *root, const FinishedPart *part,
			  bool unpack)
{
	DestinationPlace place = DESTINATION_FINAL;
	Finding			 finding = check_stored(root, place, part);

	/* before publication it is in the temporary directory */
	if (part->location == NULL && strcmp(finding.status, "missing") == 0 &&
		job->state != JOB_DONE && root->driver->is_claimed(root))
	{
		place = DESTINATION_STAGED;
		finding = check_stored(root, place, part);
	}
	/* a damaged file need not be unpacked, an encrypted one can't be */
	if (unpack && strcmp(finding.status, "ok") == 0 && job->encrypt_to == NIL)
		finding = check_plain(job, root, place, part);
	return finding;
}

static Finding
check_part(const Job *job, Destination *root, const FinishedPart *part,
		   bool unpack)
{
	Destination *other;
	Finding		 finding;

	if (part->location == NULL)
		return check_part_in(job, root, part, unpack);
	other = carry_open(part);
	if (other == NULL)
		return unreadable(errno);
	finding = check_part_in(job, other, part, unpack);
	other->driver->close(other);
	return finding;
}

bool
part_is_stored(Destination *root, DestinationPlace place,
			   const FinishedPart *part)
{
	return strcmp(check_stored(root, place, part).status, "ok") == 0;
}

bool
part_is_intact(const Job *job, Destination *root, const FinishedPart *part)
{
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "outflow verify part", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Finding		  finding = check_part(job, root, part, false);
	bool		  intact = strcmp(finding.status, "ok") == 0;

	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return intact;
}

typedef struct Report
{
	Tuplestorestate *store;
	TupleDesc		 desc;
} Report;

static void
report(Report *report, int part, const char *file, Finding finding)
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
			 const List *parts)
{
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
		report(out, part->plan.number, part_file_path(part),
			   root || part->location ? check_part(job, root, part, true)
									  : lost);
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
	}
	MemoryContextDelete(context);
}

static void
report_file(Report *out, const char *key, Finding finding)
{
	report(out, -1, key, finding);
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
		return unreadable(error);
	if (sum)
		return compare_sums(&was, &meter.checksum);
	return older_is_job(root, folder, job)
			   ? fine
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
		return unreadable(error);
	if (meter.bytes > 0)
		return (Finding){"wrong size",
						 psprintf("0 bytes were written, " UINT64_FORMAT
								  " are there",
								  meter.bytes)};
	return fine;
}

/* What is there and should not be. */
static void
verify_left_over(Report *out, const Job *job, Destination *root,
				 const char *folder, const List *parts)
{
	const char *manifest = destination_name(older_manifest(root, folder));
	int			error;
	ListCell   *cell;

	foreach (cell, root->driver->list(root, folder, &error))
	{
		DestinationEntry *entry = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (!publish_is_ours(job, folder, parts, manifest, entry))
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

/*
 * Files that a finished export must have, and those it must not have.  root is
 * NULL if the directory can't be read, for the reason that lost has.
 */
static void
verify_directory(Report *out, const Job *job, Destination *root, Finding lost,
				 const List *parts)
{
	bool	  many = destination_has_folders(job);
	ListCell *cell;

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

Datum
outflow_verify(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Job			  *job = job_load_own(PG_GETARG_INT64(0), false);
	List		  *parts = parts_load(job->id);
	Destination	  *root;
	Report		   out;
	Finding		   lost;

	InitMaterializedSRF(fcinfo, 0);
	out.store = result->setResult;
	out.desc = result->setDesc;

	job_derive(job);
	root = destination_open_known(job->location, false);
	lost = unreadable(errno);
	/* a finished one has none of its own any more */
	if (root && job->state != JOB_DONE)
		(void) root->driver->claim(root, job->uuid, NULL, ACCESS_LOOK);
	verify_parts(&out, job, root, lost, parts);
	verify_directory(&out, job, root, lost, parts);
	if (root)
		root->driver->close(root);
	return (Datum) 0;
}
