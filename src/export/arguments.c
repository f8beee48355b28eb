/*
 * arguments.c
 *		What a call asks for: from the arguments of an export to a job.
 *
 * One short function for each argument; whatever can be known to be wrong at the
 * call is refused here.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "compat.h"
#include "compression.h"
#include "encoding.h"
#include "export/arguments.h"
#include "export/export_destination.h"
#include "export/export_options.h"
#include "export/export_settings.h"
#include "export/job/job.h"
#include "export/job/job_access.h"
#include "export/lake/lake_catalog.h"
#include "export/part/part.h"
#include "export/plan/masks.h"
#include "export/plan/plan.h"
#include "export/plan/query.h"
#include "export/plan/source.h"
#include "option.h"

/* A filter is the only one that can be long. */
#define MAX_TEXT_ARGUMENT (1024 * 1024)

/* Arguments of outflow.export(), by position. */
enum
{
	ARG_SOURCE,
	ARG_DESTINATION,
	ARG_FORMAT,
	ARG_COMPRESSION,
	ARG_COLUMNS,
	ARG_FILTER,
	ARG_ENCRYPT_TO,
	ARG_PART_SIZE,
	ARG_WORKERS,
	ARG_BASE,
	ARG_SLOT,
	ARG_OPTIONS,
	EXPORT_ARGS
};

/*
 * Their names, for messages, and which of them could hold a secret key: all
 * that have a variable length, whatever is in them.
 */
static const struct
{
	const char *name;
	bool		is_long;
} export_args[] = {
	[ARG_SOURCE] = {"source", false},
	[ARG_DESTINATION] = {"destination", true},
	[ARG_FORMAT] = {"format", true},
	[ARG_COMPRESSION] = {"compression", true},
	[ARG_COLUMNS] = {"columns", true},
	[ARG_FILTER] = {"filter", true},
	[ARG_ENCRYPT_TO] = {"encrypt_to", false}, /* see check_recipients() */
	[ARG_PART_SIZE] = {"part_size", true},
	[ARG_WORKERS] = {"workers", false},
	[ARG_BASE] = {"base", false},
	[ARG_SLOT] = {"slot", false},
	[ARG_OPTIONS] = {"options", true},
};

StaticAssertDecl(lengthof(export_args) == EXPORT_ARGS,
				 "every argument needs its name");

FunctionCallInfo
arguments_of_many(FunctionCallInfo fcinfo)
{
	FunctionCallInfo arguments = palloc0(SizeForFunctionCallInfo(EXPORT_ARGS));
	int				 from = 0;

	InitFunctionCallInfoData(*arguments, fcinfo->flinfo, EXPORT_ARGS,
							 fcinfo->fncollation, fcinfo->context,
							 fcinfo->resultinfo);
	for (int to = 0; to < EXPORT_ARGS; to++)
	{
		if (to == ARG_COLUMNS || to == ARG_FILTER)
			arguments->args[to].isnull = true;
		else
			arguments->args[to] = fcinfo->args[from++];
	}
	return arguments;
}

FunctionCallInfo
arguments_of_query(FunctionCallInfo fcinfo)
{
	static const int given[] = {
		ARG_SOURCE,		ARG_DESTINATION, ARG_FORMAT, ARG_COMPRESSION,
		ARG_ENCRYPT_TO, ARG_PART_SIZE,	 ARG_OPTIONS};
	FunctionCallInfo arguments = palloc0(SizeForFunctionCallInfo(EXPORT_ARGS));

	InitFunctionCallInfoData(*arguments, fcinfo->flinfo, EXPORT_ARGS,
							 fcinfo->fncollation, fcinfo->context,
							 fcinfo->resultinfo);
	for (int i = 0; i < EXPORT_ARGS; i++)
		arguments->args[i].isnull = true;
	for (int i = 0; i < lengthof(given); i++)
		arguments->args[given[i]] = fcinfo->args[i];
	arguments->args[ARG_WORKERS].value = Int32GetDatum(0);
	arguments->args[ARG_WORKERS].isnull = false;
	return arguments;
}

/* Recipients that are none may be secrets of any form. */
static void
check_recipients(ArrayType *array)
{
	Datum *elements;
	bool  *nulls;
	int	   count;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements,
					  &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		char *recipient = nulls[i] ? NULL : TextDatumGetCString(elements[i]);

		CHECK_FOR_INTERRUPTS();
		if (recipient)
			age_recipient_check(recipient, i + 1);
	}
}

void
arguments_refuse_secrets(FunctionCallInfo fcinfo)
{
	if (!PG_ARGISNULL(ARG_ENCRYPT_TO))
		check_recipients(PG_GETARG_ARRAYTYPE_P(ARG_ENCRYPT_TO));
	for (int i = 0; i < EXPORT_ARGS; i++)
	{
		if (export_args[i].is_long)
			option_refuse_secret_argument(fcinfo, i, export_args[i].name);
	}
	option_refuse_secret_name(fcinfo, ARG_SLOT, "slot");
}

void
arguments_refuse_secret_query(FunctionCallInfo fcinfo)
{
	option_refuse_secret_argument(fcinfo, ARG_SOURCE, "query");
}

void
arguments_refuse_secret_publication(FunctionCallInfo fcinfo)
{
	option_refuse_secret_name(fcinfo, ARG_SOURCE, "publication");
}

static char *
named_text(FunctionCallInfo fcinfo, int number, const char *name)
{
	if (PG_ARGISNULL(number))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"%s\" must not be null", name)));
	if (toast_raw_datum_size(PG_GETARG_DATUM(number)) > MAX_TEXT_ARGUMENT)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("argument \"%s\" is longer than %d bytes", name,
							   MAX_TEXT_ARGUMENT)));
	return text_to_cstring(PG_GETARG_TEXT_PP(number));
}

static char *
text_argument(FunctionCallInfo fcinfo, int number)
{
	return named_text(fcinfo, number, export_args[number].name);
}

static List *
texts_argument(FunctionCallInfo fcinfo, int number)
{
	List *texts;

	if (PG_ARGISNULL(number))
		return NIL;
	texts = text_array_to_list(PG_GETARG_DATUM(number));
	if (texts == NIL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("argument \"%s\" must not be empty",
							   export_args[number].name)));
	return texts;
}

/* The first argument, which says what is exported. */
static Datum
source_argument(FunctionCallInfo fcinfo, const char *name)
{
	if (PG_ARGISNULL(ARG_SOURCE))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"%s\" must not be null", name)));
	return PG_GETARG_DATUM(ARG_SOURCE);
}

void
arguments_set_source(Job *job, FunctionCallInfo fcinfo)
{
	Oid		   relid = DatumGetObjectId(source_argument(fcinfo, "source"));
	JobSource *source = source_new(relid, texts_argument(fcinfo, ARG_COLUMNS),
								   job->options.row_security);

	if (!PG_ARGISNULL(ARG_FILTER))
	{
		Relation rel = relation_open(relid, NoLock);

		filter_begin(source, text_argument(fcinfo, ARG_FILTER), rel, job);
		relation_close(rel, NoLock);
	}
	job->sources = list_make1(source);
}

void
arguments_set_tables(Job *job, FunctionCallInfo fcinfo)
{
	job->sources = sources_of_tables(source_argument(fcinfo, "sources"),
									 job->options.row_security);
}

void
arguments_set_schema(Job *job, FunctionCallInfo fcinfo)
{
	Oid schema = DatumGetObjectId(source_argument(fcinfo, "schema"));

	job->sources = sources_of_schema(schema, job->options.row_security);
}

void
arguments_set_publication(Job *job, FunctionCallInfo fcinfo)
{
	Datum name = source_argument(fcinfo, "publication");

	job->publication = pstrdup(NameStr(*DatumGetName(name)));
	job->sources =
		sources_of_publication(job->publication, job->options.row_security);
}

/* As it is written down: a base's is compared with it. */
static char *
compression_argument(FunctionCallInfo fcinfo, const char *format)
{
	bool		pages = row_format_find(format)->compresses_itself;
	Compression compression;

	if (PG_ARGISNULL(ARG_COMPRESSION))
		return pages ? "zstd" : "none";
	compression =
		compression_parse(text_argument(fcinfo, ARG_COMPRESSION), pages);
	return compression_text(&compression);
}

static char *
slot_argument(FunctionCallInfo fcinfo, int workers)
{
	char *slot;

	if (PG_ARGISNULL(ARG_SLOT))
		return NULL;
	slot = pstrdup(NameStr(*PG_GETARG_NAME(ARG_SLOT)));
	if (workers == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("an export with a slot needs workers"),
						errhint("Set argument \"workers\" to at least 1.")));
	return slot;
}

/* The finished job of the caller's whose parts may be carried; 0 for none. */
static int64
base_argument(FunctionCallInfo fcinfo)
{
	int64 base;

	if (PG_ARGISNULL(ARG_BASE))
		return 0;
	base = PG_GETARG_INT64(ARG_BASE);
	if (job_load_own(base, false)->state != JOB_DONE)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("export job " INT64_FORMAT " is not done", base),
				 errdetail("Only a finished export can be another one's "
						   "base.")));
	/* or it may be pruned before it is known that it is needed */
	job_keep(base);
	return base;
}

static void
check_table_arguments(Job *job)
{
	if (job->base != 0 || job->options.base_is_last)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("format \"%s\" takes no base", job->format),
				 errdetail("A version goes on from the last one that was made "
						   "in the same place.")));
	if (job->encrypt_to != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("format \"%s\" cannot be encrypted", job->format)));
	if (job->options.carry == CARRY_REFERENCE)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("format \"%s\" takes no option \"carry\"",
							   job->format)));
	job->location = destination_locate(job);
	/* a Delta table's paths begin in its own folder */
	if (strcmp(job->format, "iceberg") == 0)
		destination_check_uri(job->location);
}

/* By its place and tables, for whoever can't ask for a number. */
static void
set_last_base(Job *job)
{
	/* a version goes on from the last one that this database made there */
	if (job_makes_tables(job))
	{
		job->base = job_find_base(job, NULL);
		return;
	}
	if (!job->options.base_is_last)
		return;
	if (job->base != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"base\" and option \"base\" exclude each "
						"other")));
	job->location = destination_locate(job);
	/* the format in which rows go to tables is still to be chosen */
	if (destination_keeps_tables(job->location))
		return;
	job->base = job_find_base(job, NULL);
	if (job->base == 0)
		ereport(
			NOTICE,
			(errmsg("no finished export to carry parts over from"),
			 errdetail("None of the role's jobs has one of these tables in "
					   "this format in a directory beside \"%s\".",
					   encoding_shown(job->destination))));
}

void
arguments_choose_base(Job *job)
{
	set_last_base(job);
	carry_check_base(job);
}

/* In the caller's session, which is whom an audit is about. */
static void
check_reads(const Job *job)
{
	ListCell *cell;

	foreach (cell, job->sources)
	{
		JobSource *source = lfirst(cell);
		Relation   rel = relation_open(source->relid, NoLock);
		RowShape *shape = source_shape(rel, source, job, CurrentMemoryContext);

		CHECK_FOR_INTERRUPTS();
		planned_check(source, rel, rel, shape);
		row_shape_free(shape);
		relation_close(rel, NoLock);
	}
}

static bool
is_convertible(int encoding)
{
	int own = GetDatabaseEncoding();

	return encoding == own || encoding == PG_SQL_ASCII ||
		   own == PG_SQL_ASCII ||
		   OidIsValid(FindDefaultConversionProc(own, encoding));
}

static void
refuse_encoding(const Job *job, const char *detail, const char *hint)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		 errmsg("format \"%s\" cannot have text in encoding \"%s\"",
				job->format, pg_encoding_to_char(job->options.row.encoding)),
		 errdetail(detail, GetDatabaseEncodingName()), errhint("%s", hint)));
}

/* Jobs that were made before this was checked stay readable. */
static void
check_encoding(const Job *job)
{
	int encoding = job->options.row.encoding;

	if (job->row_format != &row_format_binary)
	{
		if (!is_convertible(encoding))
			refuse_encoding(job,
							_("There is no conversion to it from the encoding "
							  "of the database, which is \"%s\"."),
							_("Choose another one by the option "
							  "\"encoding\", or use format \"binary\"."));
	}
	else if (job->options.names_encoding && encoding != GetDatabaseEncoding())
		refuse_encoding(job,
						_("It has text in the encoding of the database, which "
						  "is \"%s\"."),
						_("Leave out the option \"encoding\", or use format "
						  "\"csv\" or \"text\"."));
}

/* All but what it exports. */
static Job *
job_without_sources(FunctionCallInfo fcinfo)
{
	Job *job = palloc0_object(Job);

	job->owner = GetUserId();
	job->state = JOB_QUEUED;
	job->parts_total = -1;
	job->destination = text_argument(fcinfo, ARG_DESTINATION);
	job->format = text_argument(fcinfo, ARG_FORMAT);
	job->compression = compression_argument(fcinfo, job->format);
	job->encrypt_to = texts_argument(fcinfo, ARG_ENCRYPT_TO);
	job->part_size =
		export_size_parse("part_size", text_argument(fcinfo, ARG_PART_SIZE));
	job->workers =
		PG_ARGISNULL(ARG_WORKERS) ? -1 : PG_GETARG_INT32(ARG_WORKERS);
	if (job->workers < 0 || job->workers > MAX_JOB_WORKERS)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("argument \"workers\" must be between 0 and %d",
							   MAX_JOB_WORKERS)));
	job->base = base_argument(fcinfo);
	job->slot = slot_argument(fcinfo, job->workers);
	job->options_json =
		PG_ARGISNULL(ARG_OPTIONS)
			? "{}"
			: JsonbToCString(NULL, &PG_GETARG_JSONB_P(ARG_OPTIONS)->root, 0);
	job->settings = settings_capture();
	job_derive(job);
	check_encoding(job);
	return job;
}

Job *
job_from_arguments(FunctionCallInfo fcinfo, SetSources set_sources)
{
	Job *job = job_without_sources(fcinfo);

	if (job->options.part_key)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("option \"part_key\" is for exports of a query alone"),
				 errdetail("A table's parts are ranges of its blocks."),
				 errhint("Use outflow.export_query() with an ORDER BY.")));
	set_sources(job, fcinfo);
	masks_begin(job);
	check_reads(job);
	sources_check_format(job);
	lake_catalog_check(job);
	plan_check_part_size(job);
	if (job_makes_tables(job))
		check_table_arguments(job);
	return job;
}

static void
refuse_for_query(const char *what, const char *detail, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("%s is not for exports of a query", what),
					errdetail("%s", detail), errhint("%s", hint)));
}

/* What needs a table, whose blocks can be told apart and looked at again. */
static void
check_query_options(const Job *job)
{
	const ExportOptions *options = &job->options;

	if (job_makes_tables(job))
		refuse_for_query(psprintf("format \"%s\"", job->format),
						 "A version of a lake table says which parts of a "
						 "table have changed, and a query's have no blocks.",
						 "Use \"parquet\", or export a materialized view.");
	if (options->base_is_last || options->carry == CARRY_REFERENCE)
		refuse_for_query(options->base_is_last ? "option \"base\""
											   : "option \"carry\"",
						 "Nothing proves that a part of a query's result is "
						 "still the same.",
						 "Leave it out: all rows are exported.");
	if (options->row_security)
		refuse_for_query("option \"row_security\"",
						 "A query has the rows that the same SELECT has: with "
						 "the setting row_security, those that policies "
						 "leave, and without it an error.",
						 "Leave it out.");
	if (options->mask_columns)
		refuse_for_query("option \"mask_columns\"",
						 "It is for columns of tables.",
						 "Mask values in the query itself.");
}

Job *
job_from_query(FunctionCallInfo fcinfo, List **tables)
{
	Job *job = job_without_sources(fcinfo);

	check_query_options(job);
	job->sources =
		list_make1(query_source_new(named_text(fcinfo, ARG_SOURCE, "query")));
	*tables = query_check(job);
	return job;
}
