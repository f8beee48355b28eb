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

#include "export/job.h"
#include "export/verify.h"

PG_FUNCTION_INFO_V1(outflow_verify);
PGDLLEXPORT Datum outflow_verify(PG_FUNCTION_ARGS);

/* One file's verdict. */
typedef struct Finding
{
	const char *status;
	const char *detail;
} Finding;

static const Finding fine = {"ok", NULL};

/* False if there is no such file. */
static bool
read_part(FileRoot *root, FilePlace place, const FinishedPart *part,
		  Sink *chain)
{
	FileRoot *folder =
		place == FILE_TEMP ? root : destination_folder_of(root, part->file);
	bool found = folder && file_read(folder, place,
									 destination_file_name(part->file), chain);

	destination_folder_close(folder, root);
	return found;
}

/* The stored bytes: size and checksum. */
static Finding
check_stored(FileRoot *root, FilePlace place, const FinishedPart *part)
{
	Meter meter = {0};
	Sink *chain =
		meter_new(sink_null_new(), &meter, false, part->checksum.method);

	if (!read_part(root, place, part, chain))
		return (Finding){"missing", NULL};
	if ((int64) meter.bytes != part->bytes_stored)
		return (Finding){"wrong size",
						 psprintf(INT64_FORMAT
								  " bytes were written, " UINT64_FORMAT
								  " are there",
								  part->bytes_stored, meter.bytes)};
	if (!checksum_equal(&meter.checksum, &part->checksum))
		return (Finding){"wrong checksum",
						 psprintf("%s was %s, is %s",
								  part->checksum.method->name,
								  checksum_hex(&part->checksum),
								  checksum_hex(&meter.checksum))};
	return fine;
}

/* What the stored bytes unpack to. */
static Finding
check_plain(const Job *job, FileRoot *root, FilePlace place,
			const FinishedPart *part)
{
	Meter meter = {0};
	int64 rows;
	Sink *chain = row_counter_new(job, &rows);

	chain = meter_new(chain, &meter, true, NULL);
	chain = job->compress->decompressor(chain);
	(void) read_part(root, place, part, chain);
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
check_part_in(const Job *job, FileRoot *root, const FinishedPart *part,
			  bool unpack)
{
	FilePlace place = FILE_FINAL;
	Finding	  finding = check_stored(root, place, part);

	/* before publication it is in the temporary directory */
	if (part->location == NULL && strcmp(finding.status, "missing") == 0 &&
		job->state != JOB_DONE)
	{
		place = FILE_TEMP;
		finding = check_stored(root, place, part);
	}
	/* a damaged file need not be unpacked, an encrypted one can't be */
	if (unpack && strcmp(finding.status, "ok") == 0 && job->encrypt_to == NIL)
		finding = check_plain(job, root, place, part);
	return finding;
}

static Finding
check_part(const Job *job, FileRoot *root, const FinishedPart *part,
		   bool unpack)
{
	FileRoot *other;
	Finding	  finding = {"missing", NULL};

	if (part->location == NULL)
		return check_part_in(job, root, part, unpack);
	other = carry_open(part);
	if (other)
	{
		finding = check_part_in(job, other, part, unpack);
		file_root_close(other);
	}
	return finding;
}

bool
part_is_stored(FileRoot *root, FilePlace place, const FinishedPart *part)
{
	return strcmp(check_stored(root, place, part).status, "ok") == 0;
}

bool
part_is_intact(const Job *job, FileRoot *root, const FinishedPart *part)
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

static void
verify_parts(Report *out, const Job *job, FileRoot *root, const List *parts)
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
			   check_part(job, root, part, true));
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
	}
	MemoryContextDelete(context);
}

/* A file of a folder, as parts name theirs. */
static void
report_file(Report *out, const char *folder, const char *name, Finding finding)
{
	report(out, -1, psprintf("%s%s%s", folder, folder[0] ? "/" : "", name),
		   finding);
}

static void
verify_mark(Report *out, const Job *job, FileRoot *directory,
			const char *folder, const char *name)
{
	uint64 size;

	if (job->state == JOB_DONE &&
		(directory == NULL || !file_stat(directory, FILE_FINAL, name, &size)))
		report_file(out, folder, name, (Finding){"missing", NULL});
}

/* What is there and should not be. */
static void
verify_left_over(Report *out, const Job *job, FileRoot *directory,
				 const char *folder, const List *parts)
{
	ListCell *cell;

	foreach (cell, file_list(directory, FILE_FINAL))
	{
		FileEntry *entry = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (!publish_is_ours(job, folder, parts, entry))
			report_file(
				out, folder, entry->name,
				(Finding){"left over", "It is not part of this export."});
	}
}

/* Files that a finished export must have, and those it must not have. */
static void
verify_directory(Report *out, const Job *job, FileRoot *root,
				 const List *parts)
{
	ListCell *cell;

	verify_mark(out, job, root, "", PUBLISH_MANIFEST);
	verify_mark(out, job, root, "", PUBLISH_SUCCESS);
	verify_left_over(out, job, root, "", parts);
	if (!destination_has_folders(job))
		return;
	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);
		FileRoot  *folder =
			destination_folder(root, source->folder, FILE_ROOT_MISSING_OK);

		CHECK_FOR_INTERRUPTS();
		verify_mark(out, job, folder, source->folder, PUBLISH_MANIFEST);
		if (folder)
			verify_left_over(out, job, folder, source->folder,
							 parts_of_source(parts, source->number));
		destination_folder_close(folder, root);
	}
}

Datum
outflow_verify(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Job			  *job = job_load_own(PG_GETARG_INT64(0), false);
	List		  *parts = parts_load(job->id);
	FileRoot	  *root;
	Report		   out;

	InitMaterializedSRF(fcinfo, 0);
	out.store = result->setResult;
	out.desc = result->setDesc;

	job_derive(job);
	root = destination_open(job, false);
	if (root == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FILE),
						errmsg("destination \"%s\" of export job " INT64_FORMAT
							   " does not exist",
							   job->destination, job->id)));
	(void) file_temp_open(root, job->uuid, false);
	verify_parts(&out, job, root, parts);
	verify_directory(&out, job, root, parts);
	file_root_close(root);
	return (Datum) 0;
}
