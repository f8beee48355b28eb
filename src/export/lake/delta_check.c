/*
 * delta_check.c
 *		Whether a version of a Delta table is still the one that was committed.
 *
 * It is what its own file of the log says, and those before it.  Each of ours
 * has a sum of itself.  Readers begin at a checkpoint, if there is one.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "encode/encode.h"
#include "export/lake/delta_log.h"

/* What a checkpoint can be at most. */
#define CHECKPOINT_MAX_SIZE ((size_t) 1024 * 1024 * 1024)

/* ---- the log */

typedef struct LogCheck
{
	const LakeCheck *check;
	const DeltaLog	*log;	   /* up to the version */
	int64			 version;  /* whose file is looked at */
	bool			 is_named; /* as the newest checkpoint */
	int64			 size;	   /* of that; 0: not known */
	bool			 is_there;
	Finding			 finding;
} LogCheck;

/* What the call has found, or could not. */
static Finding
judge_by(LogCheck *checked, void (*call)(void *arg))
{
	Finding finding = lake_try(call, checked);

	return finding_is_ok(finding) ? checked->finding : finding;
}

static void
tell(const LogCheck *checked, const char *key, Finding finding)
{
	checked->check->tell(checked->check->arg, key, finding);
}

static bool
delta_has_part(const void *files, const FinishedPart *part)
{
	const DeltaFile *file =
		hash_search((HTAB *) files, lake_name_of_part(part), HASH_FIND, NULL);

	return file && file->size == part->bytes_stored;
}

static void
check_version(void *arg)
{
	LogCheck		*checked = arg;
	const LakeCheck *check = checked->check;

	checked->log = check->version->version == check->table->last
					   ? (const DeltaLog *) check->table
					   : delta_log_read_until(check->root, check->folder,
											  check->version->version);
	/* it may have gone since the table was read */
	checked->finding =
		checked->log->table.last == check->version->version
			? ((const DeltaVersion *) llast(checked->log->table.versions))
				  ->finding
			: (Finding){"missing", NULL};
	if (finding_is_ok(checked->finding))
		checked->finding =
			lake_check_parts(check, delta_has_part, checked->log->files,
							 hash_get_num_entries(checked->log->files));
}

/* Versions before, as far as they are needed and say their sum. */
static void
check_before(LogCheck *checked)
{
	const LakeCheck *check = checked->check;
	ListCell		*cell;

	foreach (cell, checked->log->table.versions)
	{
		const DeltaVersion *version = lfirst(cell);
		int64				number = version->version.version;

		CHECK_FOR_INTERRUPTS();
		if (number < check->version->version && version->has_sum)
			tell(checked, delta_log_key(check->folder, number),
				 version->finding);
	}
}

/* ---- the checkpoint */

static void
read_last_checkpoint(void *arg)
{
	LogCheck   *checked = arg;
	const char *key =
		destination_key(checked->check->folder, DELTA_LAST_CHECKPOINT);
	size_t len;
	char  *text = checked->check->root->driver->get(checked->check->root, key,
													CHECKPOINT_MAX_SIZE, &len);
	Jsonb *last;
	int64  version;

	checked->finding = finding_ok;
	if (text == NULL)
		return;
	last = lake_json_parse(text, len);
	if (!lake_json_get_int(last, "version", &version) || version < 0)
	{
		checked->finding = (Finding){"wrong content", "It names no version."};
		return;
	}
	/* one of several files has other names */
	if (lake_json_int(last, "parts") > 0 ||
		lake_json_object(last, "v2Checkpoint") ||
		version > checked->check->version->version)
		return;
	checked->is_named = true;
	checked->version = version;
	checked->size = lake_json_int(last, "sizeInBytes");
}

static Finding
judge_checkpoint(char *file, size_t len, int64 size)
{
	char   *at = delta_find_checkpoint_sum(file, len);
	Finding finding = delta_judge_sum(at, file, len);
	int64	rows;

	if (!finding_is_ok(finding))
		return finding;
	if (size > 0 && len != size)
		return (Finding){"wrong content", psprintf("It had " INT64_FORMAT
												   " bytes, and has %zu.",
												   size, len)};
	return parquet_tail_rows(file, len, &rows)
			   ? finding_ok
			   : (Finding){"wrong content", "It is no whole Parquet file."};
}

static void
check_checkpoint_file(void *arg)
{
	LogCheck *checked = arg;
	size_t	  len;
	char	 *file = checked->check->root->driver->get(
			checked->check->root,
			delta_checkpoint_key(checked->check->folder, checked->version),
			CHECKPOINT_MAX_SIZE, &len);

	checked->is_there = file || checked->is_named;
	checked->finding = file ? judge_checkpoint(file, len, checked->size)
							: (Finding){"missing", NULL};
	if (file)
		pfree(file);
}

/* That which readers of the version begin at. */
static void
check_checkpoint(LogCheck *checked)
{
	const char *folder = checked->check->folder;
	int64		version = checked->check->version->version;
	Finding		finding;

	checked->version = version - version % DELTA_CHECKPOINT_APART;
	finding = judge_by(checked, read_last_checkpoint);
	if (!finding_is_ok(finding))
		tell(checked, destination_key(folder, DELTA_LAST_CHECKPOINT), finding);
	checked->is_there = true;
	finding = judge_by(checked, check_checkpoint_file);
	if (checked->is_there)
		tell(checked, delta_checkpoint_key(folder, checked->version), finding);
}

void
delta_check(const LakeCheck *check)
{
	LogCheck checked = {.check = check, .version = check->version->version};
	Finding	 finding = judge_by(&checked, check_version);

	tell(&checked, delta_log_key(check->folder, checked.version), finding);
	if (checked.log)
		check_before(&checked);
	check_checkpoint(&checked);
}
