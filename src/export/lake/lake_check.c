/*
 * lake_check.c
 *		Reads what may be damaged, and tells how that went.
 *
 * Anything may lie in a table's folder.  So it is read in calls whose error is an
 * answer, unless it is of something else.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "encoding.h"
#include "export/lake/lake_table.h"
#include "subtransaction.h"

void
lake_check_features(const LakeFormat *format, const LakeTable *table,
					const char *path, const char *hint)
{
	const char *file = table->foreign_file;

	if (table->last < 0 || !table->is_foreign)
		return;
	if (table->is_passing)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("another program may be writing to the %s table in "
					"\"%s\"",
					format->name, path),
			 errdetail("File \"%s\" is of a commit that is under way or "
					   "was killed, or another catalog's.",
					   encoding_shown(file)),
			 errhint("If no catalog has the table, and nothing else "
					 "writes to it, remove that file.  Otherwise leave the "
					 "table to that.")));
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("the %s table in \"%s\" has features that exports do not "
					"write",
					format->name, path),
			 file ? errdetail("File \"%s\" is compressed, or may be another "
							  "catalog's.",
							  encoding_shown(file))
				  : 0,
			 errhint("%s", hint)));
}

void
lake_throw_lost(const FinishedPart *part)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		 errmsg("the table does not have file \"%s\" any more", part->file),
		 errdetail("The export was to keep it."),
		 errhint("Its rows are exported anew by the next attempt.")));
}

void
lake_throw_no_file(const Destination *root, const char *key)
{
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("\"%s\" is not a regular file",
					destination_key(root->path, key)),
			 errhint("Put a regular file in its place, or export to another "
					 "directory.")));
}

bool
lake_is_damage(const ErrorData *error)
{
	int category = ERRCODE_TO_CATEGORY(error->sqlerrcode);

	return category == ERRCODE_DATA_EXCEPTION ||
		   category == ERRCODE_PROGRAM_LIMIT_EXCEEDED ||
		   error->sqlerrcode == ERRCODE_DATA_CORRUPTED ||
		   error->sqlerrcode == ERRCODE_WRONG_OBJECT_TYPE ||
		   error->sqlerrcode == ERRCODE_UNDEFINED_FILE;
}

static Finding
finding_of_error(ErrorData *error)
{
	switch (error->sqlerrcode)
	{
		case ERRCODE_UNDEFINED_FILE:
		case ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE: /* a log with a gap */
			return (Finding){"missing", error->message};
		case ERRCODE_IO_ERROR:
		case ERRCODE_INSUFFICIENT_PRIVILEGE:
		case ERRCODE_WRONG_OBJECT_TYPE:
			return (Finding){"unreadable", error->message};
		default:
			break;
	}
	if (!lake_is_damage(error))
		ReThrowError(error);
	return (Finding){"wrong content", error->message};
}

Finding
lake_try(void (*call)(void *arg), void *arg)
{
	ErrorData *error = subtransaction_try(call, arg);

	return error ? finding_of_error(error) : finding_ok;
}

Finding
lake_check_parts(const LakeCheck *check, LakeHasPart has, const void *files,
				 long count)
{
	const ListCell *cell;

	foreach (cell, check->parts)
	{
		const FinishedPart *part = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (!has(files, part))
			return (Finding){
				"wrong content",
				psprintf("The version does not have \"%s\" as it was written.",
						 part->file)};
	}
	if (count != list_length(check->parts))
		return (Finding){
			"wrong content",
			psprintf("%d files were written, the version has %ld.",
					 list_length(check->parts), count)};
	return finding_ok;
}
