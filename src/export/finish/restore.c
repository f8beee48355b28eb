/*
 * restore.c
 *		What outflow.restore_script() has to know of a job.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/tuplestore.h"

#include "export/export_destination.h"
#include "export/finish/finish.h"
#include "export/plan/query.h"

PG_FUNCTION_INFO_V1(outflow_restore_manifests);
PGDLLEXPORT Datum outflow_restore_manifests(PG_FUNCTION_ARGS);

/* Bytes that are no UTF-8 have characters of their own: see json_string.c. */
static void
append_character(StringInfo out, pg_wchar code)
{
	unsigned char utf8[MAX_MULTIBYTE_CHAR_LEN + 1];

	if (code >= 0xEF80 && code <= 0xEFFF)
		appendStringInfoChar(out, (char) (code & 0xFF));
	else
	{
		unicode_to_utf8(code, utf8);
		appendBinaryStringInfo(out, (char *) utf8, pg_utf_mblen(utf8));
	}
}

/* Of the escape that JSON text begins with; 0: it begins with none. */
static pg_wchar
escaped_code(const char *json)
{
	char digits[5] = "";

	if (json[0] != '\\' || json[1] != 'u' || strnlen(json, 6) < 6)
		return 0;
	memcpy(digits, json + 2, 4);
	return strtoul(digits, NULL, 16);
}

/*
 * A manifest's text beyond ASCII as the bytes that it was made of, which jsonb's
 * input can't make of escapes in an encoding without characters.
 */
static char *
with_bytes(const char *json)
{
	StringInfoData out;

	initStringInfo(&out);
	while (*json != '\0')
	{
		pg_wchar code = escaped_code(json);
		int		 taken = json[0] == '\\' ? 2 : 1;

		if (code >= 0x80)
		{
			taken = 6;
			if (is_utf16_surrogate_first(code))
			{
				code = surrogate_pair_to_codepoint(code,
												   escaped_code(json + taken));
				taken = 12;
			}
			append_character(&out, code);
		}
		else
			appendBinaryStringInfo(&out, json, taken);
		json += taken;
	}
	return out.data;
}

/*
 * One row for each table of a finished job of the caller's: its manifest, the
 * directory that the names of files in it are relative to, and its structure
 * of then: see table_structure.
 */
Datum
outflow_restore_manifests(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Job			  *job = job_load_own(PG_GETARG_INT64(0), false);
	List		  *parts;
	ListCell	  *cell;

	if (job->state != JOB_DONE)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("export job " INT64_FORMAT " is not done", job->id)));
	if (destination_keeps_tables(job->location))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("export job " INT64_FORMAT " has no files to restore "
						"from",
						job->id),
				 errdetail("Its rows are in tables.")));
	if (job_is_query(job))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("export job " INT64_FORMAT " has no table to restore",
						job->id),
				 errdetail("It exported a query.")));
	job_derive(job);
	parts = parts_load(job->id);
	InitMaterializedSRF(fcinfo, 0);
	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);
		char	  *manifest = manifest_build(
				 job, source, parts_of_source(parts, source->number));
		Datum values[4];
		bool  nulls[4] = {false};

		CHECK_FOR_INTERRUPTS();
		if (GetDatabaseEncoding() == PG_SQL_ASCII)
			manifest = with_bytes(manifest);
		values[0] = ObjectIdGetDatum(source->relid);
		values[1] = CStringGetTextDatum(
			psprintf("%s/%s%s", job->location, source->folder,
					 source->folder[0] ? "/" : ""));
		values[2] = DirectFunctionCall1(jsonb_in, CStringGetDatum(manifest));
		nulls[3] = source->structure == NULL;
		if (source->structure)
			values[3] = DirectFunctionCall1(
				jsonb_in, CStringGetDatum(source->structure));
		tuplestore_putvalues(result->setResult, result->setDesc, values,
							 nulls);
	}
	return (Datum) 0;
}
