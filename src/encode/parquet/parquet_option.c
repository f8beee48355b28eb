/*
 * parquet_option.c
 *		What the options say of columns and types: "lossy", "as" and "profile".
 *
 * Everything about them is decided here, before the schema is built, so that
 * what an option can't do for a column is an error and not a surprise.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include <ctype.h>

#include "encode/parquet/parquet.h"
#include "option.h"

/* What readers refuse or misread, tried with their newest releases. */
static const struct
{
	const char *name;
	const char *types; /* those that become STRING */
	const char *longs; /* and signed numbers of 64 bits */
	const char *plain; /* and numbers with no more than a physical type */
	bool ids_within;   /* of what nests, each part has a field id as well */
} profiles[] = {
	/* no UUID, no time of day */
	{"spark", "uuid time timetz"},
	/* a JSON column takes objects only; a time of day becomes a date in 1970 */
	{"clickhouse", "json jsonb hstore time timetz"},
	{"duckdb", ""},
	/* neither those nor dates, times, decimals and JSON; parquet_milvus.c */
	{"milvus",
	 "uuid date time timetz timestamp timestamptz json jsonb hstore numeric",
	 "oid xid cid"},
	/* the types of Delta tables, whoever reads them */
	{"delta", "uuid time timetz json jsonb hstore", "oid xid cid"},
	/* and of Iceberg tables; Spark cannot open one that has a time of day */
	{"iceberg", "time timetz json jsonb hstore", "oid xid cid", "int2", true},
};

/* ---- items: "name=value" */

/* The part after the last "=", which a column's name may contain. */
static const char *
value_of_item(const char *item)
{
	const char *equals = strrchr(item, '=');

	return equals ? equals + 1 : item;
}

static char *
name_of_item(const char *item)
{
	const char *equals = strrchr(item, '=');

	return equals ? pnstrdup(item, equals - item) : NULL;
}

/* A list is split at commas, also at that of "decimal(38,10)". */
static List *
join_items(const List *items)
{
	List	 *joined = NIL;
	ListCell *lc;
	char	 *open = NULL;

	foreach (lc, items)
	{
		char *item = lfirst(lc);

		if (open)
			item = psprintf("%s,%s", open, item);
		open = NULL;
		if (strchr(value_of_item(item), '(') && !strchr(item, ')') &&
			lnext(items, lc))
			open = item;
		else
			joined = lappend(joined, item);
	}
	return joined;
}

static ParquetColumn *
option_find_column(ParquetWriter *writer, const char *name)
{
	for (int i = 0; i < writer->ncolumns; i++)
	{
		if (strcmp(writer->columns[i].shape->name, name) == 0)
			return &writer->columns[i];
	}
	return NULL;
}

/* ---- lossy */

static LossyPolicy
parse_policy(const char *name)
{
	if (pg_strcasecmp(name, "error") == 0)
		return LOSSY_ERROR;
	if (pg_strcasecmp(name, "null") == 0)
		return LOSSY_NULL;
	if (pg_strcasecmp(name, "string") == 0)
		return LOSSY_STRING;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("unrecognized policy \"%s\" in option \"lossy\"",
						   option_shown(name)),
					errhint("Valid policies are \"error\", \"null\" and "
							"\"string\", for all columns or as "
							"\"column=policy\".")));
}

static void
set_policy(ParquetWriter *writer, const char *item)
{
	LossyPolicy	   policy = parse_policy(value_of_item(item));
	char		  *name = name_of_item(item);
	ParquetColumn *column = name ? option_find_column(writer, name) : NULL;

	if (name && column == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("column in option \"lossy\" does not exist: "
							   "\"%s\"",
							   option_shown(item))));
	for (int i = 0; i < writer->ncolumns; i++)
	{
		if (column != NULL && column != &writer->columns[i])
			continue;
		writer->columns[i].lossy = policy;
		writer->columns[i].is_named = column != NULL;
	}
}

/* Whoever names a column wants something of it. */
static void
check_policy(const ParquetColumn *column)
{
	const char *name = column->shape->name;

	if (column->is_named && column->lossy == LOSSY_STRING &&
		!parquet_has_unholdable(column, &column->shape->type))
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"lossy\" has no effect on column \"%s\"", name),
			 errdetail("Parquet can hold every value of type %s.",
					   type_shape_name(&column->shape->type)),
			 errhint("To make it a text, set the option \"as\" to "
					 "\"%s=string\".",
					 name)));
}

/* ---- as */

static void
refuse_form(const char *text)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized form \"%s\" in option \"as\"",
					option_shown(text)),
			 errhint("Valid forms are \"string\", \"decimal(p,s)\" of at most "
					 "%d digits, and \"default\", each as \"column=form\" or "
					 "\"type=form\".",
					 DECIMAL_MAX_PRECISION)));
}

static ParquetForm
parse_form(const char *item)
{
	const char *text = value_of_item(item);
	ParquetForm form = {FORM_DEFAULT};
	int			precision, scale = 0, end = 0;

	if (text == item)
		refuse_form(item);
	if (pg_strcasecmp(text, "default") == 0)
		return form;
	if (pg_strcasecmp(text, "string") == 0)
	{
		form.kind = FORM_STRING;
		return form;
	}
	if (pg_strncasecmp(text, "decimal(", 8) != 0)
		refuse_form(text);
	if (sscanf(text + 8, "%3d,%3d )%n", &precision, &scale, &end) < 2 ||
		end == 0)
	{
		scale = 0;
		if (sscanf(text + 8, "%3d )%n", &precision, &end) < 1 || end == 0)
			refuse_form(text);
	}
	if (text[8 + end] != '\0' || precision < 1 ||
		precision > DECIMAL_MAX_PRECISION || scale < 0 || scale > precision)
		refuse_form(text);
	form.kind = FORM_DECIMAL;
	form.precision = precision;
	form.scale = scale;
	return form;
}

static void
add_type_form(ParquetWriter *writer, const char *type, ParquetForm form)
{
	TypeForm *entry = palloc_object(TypeForm);

	entry->type = type;
	entry->form = form;
	/* the last one counts */
	writer->type_forms = lcons(entry, writer->type_forms);
}

static void
refuse_decimal(const char *item, const char *type)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"as\" cannot do \"%s\"", option_shown(item)),
			 errdetail("Only type numeric becomes a decimal, not %s.", type)));
}

static void
set_form(ParquetWriter *writer, const char *item)
{
	ParquetForm	   form = parse_form(item);
	char		  *name = name_of_item(item);
	ParquetColumn *column = option_find_column(writer, name);

	if (column)
	{
		if (form.kind == FORM_DECIMAL &&
			!parquet_has_numbers(&column->shape->type))
			refuse_decimal(item, type_shape_name(&column->shape->type));
		column->form = form;
		column->has_form = true;
		return;
	}
	if (!type_name_exists(name))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column or type in option \"as\" does not exist: "
						"\"%s\"",
						option_shown(item)),
				 errhint("A type is named as pg_type has it, such as "
						 "\"timetz\" or \"numeric\".")));
	if (form.kind == FORM_DECIMAL && strcmp(name, "numeric") != 0)
		refuse_decimal(item, name);
	add_type_form(writer, name, form);
}

/* ---- profile */

static int
find_profile(const char *name)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < lengthof(profiles); i++)
	{
		if (pg_strcasecmp(profiles[i].name, name) == 0)
			return i;
		appendStringInfo(&names, "%s\"%s\"", i > 0 ? ", " : "",
						 profiles[i].name);
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("unrecognized profile \"%s\"", option_shown(name)),
					errhint("Valid profiles are: %s.", names.data)));
}

static void
add_type_forms(ParquetWriter *writer, const char *types, ParquetForm form)
{
	char *names = pstrdup(types ? types : "");

	for (char *type = strtok(names, " "); type; type = strtok(NULL, " "))
		add_type_form(writer, type, form);
}

static void
set_profile(ParquetWriter *writer, const char *name)
{
	int i = find_profile(name);

	writer->for_milvus = strcmp(profiles[i].name, "milvus") == 0;
	add_type_forms(writer, profiles[i].types, (ParquetForm){FORM_STRING});
	add_type_forms(writer, profiles[i].longs, (ParquetForm){FORM_LONG});
	add_type_forms(writer, profiles[i].plain, (ParquetForm){FORM_PLAIN});
	writer->ids_within = profiles[i].ids_within;
}

/* ---- what the others call */

void
parquet_options_check(const RowFormatOptions *options)
{
	ListCell *lc;

	foreach (lc, options->lossy)
		(void) parse_policy(value_of_item(lfirst(lc)));
	foreach (lc, join_items(options->as))
		(void) parse_form(lfirst(lc));
	if (options->profile)
		(void) find_profile(options->profile);
}

void
parquet_options_apply(ParquetWriter *writer, const RowFormatOptions *options)
{
	ListCell *lc;

	if (options->profile)
		set_profile(writer, options->profile);
	foreach (lc, join_items(options->as))
		set_form(writer, lfirst(lc));
	for (int i = 0; i < writer->ncolumns; i++)
		writer->columns[i].type_forms = writer->type_forms;
	foreach (lc, options->lossy)
		set_policy(writer, lfirst(lc));
	for (int i = 0; i < writer->ncolumns; i++)
		check_policy(&writer->columns[i]);
}
