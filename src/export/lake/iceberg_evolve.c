/*
 * iceberg_evolve.c
 *		How an Iceberg table's schema follows that of its source.
 *
 * A column is known by its field id, whatever it is called.  It may come, go, be
 * renamed, and become wider.  All files of a version have that version's types;
 * but readers also look from one version at another's files.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "export/lake/iceberg_table.h"
#include "option.h"

static bool type_fits(Jsonb *old_field, const char *old_name, Jsonb *new_field,
					  const char *new_name);

Jsonb *
iceberg_schema_of_id(const List *schemas, int64 id)
{
	const ListCell *cell;

	foreach (cell, schemas)
	{
		if (lake_json_int(lfirst(cell), "schema-id") == id)
			return lfirst(cell);
	}
	return NULL;
}

/* Whether a branch, and no tag alone, names the snapshot. */
static bool
is_branch(const IcebergTable *table, int64 snapshot)
{
	Jsonb	 *refs = lake_json_object(table->metadata, "refs");
	ListCell *cell;

	foreach (cell, lake_json_names(refs))
	{
		Jsonb *ref = lake_json_object(refs, lfirst(cell));
		char  *type = lake_json_text(ref, "type");

		CHECK_FOR_INTERRUPTS();
		if (type && strcmp(type, "branch") == 0 &&
			lake_json_int(ref, "snapshot-id") == snapshot)
			return true;
	}
	return false;
}

/*
 * What other tables were whose place this one has taken, or that have had its own
 * meanwhile, their versions tell: they have field ids of their own.  What another
 * program has on a branch is read by the table's current schema.
 */
static bool
is_of_source(const IcebergTable *table, const IcebergVersion *version,
			 const char *app)
{
	if (!lake_is_outflows(&version->version))
		return is_branch(table, version->version.version);
	return strcmp(version->version.app, app) == 0 &&
		   lake_is_of_this_server(&version->version);
}

/*
 * The schemas of the source's versions, that of the present one first; the others
 * follow, newest first.  A column that the present one lacks may be in the files of
 * such a version, and come back.  What is only declared, no file has.
 */
static List *
schemas_in_use(const IcebergTable *table, const List *schemas, Jsonb *current,
			   const JobSource *source)
{
	char *app = lake_app_of_source(source);
	List *used = NIL;

	for (int i = list_length(table->table.versions) - 1; i >= 0; i--)
	{
		const IcebergVersion *version = list_nth(table->table.versions, i);
		Jsonb *schema = iceberg_schema_of_id(schemas, version->schema);

		CHECK_FOR_INTERRUPTS();
		if (schema && is_of_source(table, version, app))
			used = list_append_unique_ptr(used, schema);
	}
	/* where others have gone back, it may be that of a later version */
	if (used == NIL || list_member_ptr(used, current))
		used = lcons(current, list_delete_ptr(used, current));
	return used;
}

static Jsonb *
field_of_id(Jsonb *type, int64 id)
{
	ListCell *cell;

	foreach (cell, lake_json_objects(type, "fields"))
	{
		if (lake_json_int(lfirst(cell), "id") == id)
			return lfirst(cell);
	}
	return NULL;
}

/* ---- what a type may become */

static bool
decimal_fits(const char *old, const char *new)
{
	int old_precision, old_scale, new_precision, new_scale;

	return sscanf(old, "decimal( %d , %d )", &old_precision, &old_scale) ==
			   2 &&
		   sscanf(new, "decimal( %d , %d )", &new_precision, &new_scale) ==
			   2 &&
		   old_scale == new_scale && old_precision <= new_precision;
}

static bool
primitive_fits(const char *old, const char *new)
{
	return strcmp(old, new) == 0 ||
		   (strcmp(old, "int") == 0 && strcmp(new, "long") == 0) ||
		   (strcmp(old, "float") == 0 && strcmp(new, "double") == 0) ||
		   decimal_fits(old, new);
}

static bool
group_fits(Jsonb *old, Jsonb *new)
{
	ListCell *cell;

	foreach (cell, lake_json_objects(new, "fields"))
	{
		Jsonb *field = lfirst(cell);
		Jsonb *before = field_of_id(old, lake_json_int(field, "id"));

		CHECK_FOR_INTERRUPTS();
		if (before && !type_fits(before, "type", field, "type"))
			return false;
	}
	return true;
}

static bool
type_fits(Jsonb *old_field, const char *old_name, Jsonb *new_field,
		  const char *new_name)
{
	Jsonb *old = lake_json_object(old_field, old_name);
	Jsonb *new = lake_json_object(new_field, new_name);
	char *kind;

	check_stack_depth();
	if (old == NULL || new == NULL)
	{
		char *old_type = lake_json_text(old_field, old_name);
		char *new_type = lake_json_text(new_field, new_name);

		return old_type && new_type && primitive_fits(old_type, new_type);
	}
	kind = lake_json_text(old, "type");
	if (kind == NULL || strcmp(kind, lake_json_text(new, "type")) != 0)
		return false;
	if (strcmp(kind, "list") == 0)
		return lake_json_int(old, "element-id") ==
				   lake_json_int(new, "element-id") &&
			   type_fits(old, "element", new, "element");
	return group_fits(old, new);
}

/* ---- the source's schema, for a table that is there */

static void
check_field(Jsonb *before, Jsonb *field)
{
	char *type = lake_json_any(before, "type");

	if (type_fits(before, "type", field, "type"))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" of the Iceberg table cannot become what it "
					"is now",
					lake_json_text(field, "name")),
			 errdetail("It is %s there, and would be %s.",
					   option_shown(type ? type : "nothing"),
					   lake_json_any(field, "type")),
			 errhint("Export to another directory, add a column for it, or "
					 "replace what the table holds with options => "
					 "'{\"overwrite\": true}'.")));
}

/* What was null, or not there, in some version stays so for readers. */
static void
put_schema_field(StringInfo out, Jsonb *before, Jsonb *field)
{
	bool required = lake_json_is_true(field, "required") &&
					(before == NULL || lake_json_is_true(before, "required"));
	char *doc = lake_json_any(field, "doc");

	appendStringInfo(
		out,
		"{\"id\":" INT64_FORMAT ",\"name\":%s,\"required\":%s,\"type\":%s",
		lake_json_int(field, "id"), lake_json_any(field, "name"),
		required ? "true" : "false", lake_json_any(field, "type"));
	if (doc)
		appendStringInfo(out, ",\"doc\":%s", doc);
	appendStringInfoChar(out, '}');
}

/* As it was when the table had it last; NULL: never. */
static Jsonb *
last_field_of_id(const List *schemas, int64 id)
{
	const ListCell *cell;

	foreach (cell, schemas)
	{
		Jsonb *field = field_of_id(lfirst(cell), id);

		CHECK_FOR_INTERRUPTS();
		if (field)
			return field;
	}
	return NULL;
}

/* used: what readers need, the present one first; NIL: nothing. */
static char *
schema_after(const List *used, Jsonb *now)
{
	Jsonb *before = used ? linitial(used) : NULL;
	/* a column that comes later is not in the files of before */
	Jsonb		  *absent = lake_json_parse("{}", 2);
	StringInfoData out;
	ListCell	  *cell;
	const char	  *comma = "";

	initStringInfo(&out);
	appendStringInfoString(&out, "{\"type\":\"struct\",\"fields\":[");
	foreach (cell, lake_json_objects(now, "fields"))
	{
		Jsonb *field = lfirst(cell);
		int64  id = lake_json_int(field, "id");
		Jsonb *known = field_of_id(before, id);
		Jsonb *last = known ? known : last_field_of_id(used, id);

		CHECK_FOR_INTERRUPTS();
		if (last)
			check_field(last, field);
		appendStringInfoString(&out, comma);
		put_schema_field(&out, before && known == NULL ? absent : known,
						 field);
		comma = ",";
	}
	appendStringInfoString(&out, "]}");
	return out.data;
}

/* ---- ids */

static int64
last_id_in(Jsonb *type)
{
	int64	  last = lake_json_int(type, "element-id");
	Jsonb	 *element = lake_json_object(type, "element");
	ListCell *cell;

	check_stack_depth();
	if (element)
		last = Max(last, last_id_in(element));
	foreach (cell, lake_json_objects(type, "fields"))
	{
		Jsonb *field = lfirst(cell);
		Jsonb *nested = lake_json_object(field, "type");

		last = Max(last, lake_json_int(field, "id"));
		if (nested)
			last = Max(last, last_id_in(nested));
	}
	return last;
}

/* Whether the string that begins there, in a text of jsonb, is such a type. */
static bool
is_decimal(const char *text, const char *string)
{
	static const char *const keys[] = {"\"type\": ", "\"element\": "};

	if (strncmp(string, "\"decimal(", 9) != 0)
		return false;
	for (int i = 0; i < lengthof(keys); i++)
	{
		size_t len = strlen(keys[i]);

		if (string - text >= len && strncmp(string - len, keys[i], len) == 0)
			return true;
	}
	return false;
}

/* Other writers have "decimal(9, 2)".  Names and comments are what they are. */
static char *
fields_to_compare(Jsonb *schema)
{
	char *kept = lake_json_any(schema, "fields");
	char *fields = kept ? pstrdup(kept) : pstrdup("");
	char *to = fields;
	bool  in_string = false;
	bool  in_decimal = false;

	for (const char *from = kept; from && *from; from++)
	{
		if (*from == '"')
		{
			in_string = !in_string;
			in_decimal = in_string && is_decimal(kept, from);
		}
		else if (in_string && *from == '\\')
			*to++ = *from++;
		if (!(in_decimal && *from == ' '))
			*to++ = *from;
	}
	*to = '\0';
	return fields;
}

static bool
has_same_fields(Jsonb *one, Jsonb *other)
{
	return one &&
		   strcmp(fields_to_compare(one), fields_to_compare(other)) == 0;
}

/* The id of a schema that says the same, the current one above all, or one that is
 * free. */
static int64
id_of_schema(const IcebergTable *table, Jsonb *current, Jsonb *schema,
			 bool *found)
{
	List	 *schemas = lake_json_objects(table->metadata, "schemas");
	int64	  next = 0;
	ListCell *cell;

	*found = true;
	if (has_same_fields(current, schema))
		return lake_json_int(current, "schema-id");
	foreach (cell, schemas)
	{
		Jsonb *other = lfirst(cell);
		int64  id = lake_json_int(other, "schema-id");

		if (has_same_fields(other, schema) &&
			iceberg_same_identifiers(other, schema))
			return id;
		next = Max(next, id + 1);
	}
	*found = false;
	return next;
}

Jsonb *
iceberg_parse_json(const char *text)
{
	char *utf8 = pg_server_to_any(text, strlen(text), PG_UTF8);

	return lake_json_parse(utf8, strlen(utf8));
}

void
iceberg_evolve(const IcebergTable *table, IcebergChange *change)
{
	List  *used = NIL;
	Jsonb *now = iceberg_parse_json(change->source->table_schema);
	List  *schemas = lake_json_objects(table->metadata, "schemas");
	Jsonb *current = iceberg_schema_of_id(
		schemas, lake_json_int(table->metadata, "current-schema-id"));
	bool   found;
	Jsonb *after;

	/* no version of before is asked for together with what comes */
	if (!change->job->options.overwrite && table->table.versions != NIL)
	{
		used = schemas_in_use(table, schemas, current, change->source);
		current = iceberg_schema_to_follow(table, used, current);
	}
	change->schema = schema_after(used, now);
	after = iceberg_parse_json(change->schema);
	if (used != NIL)
	{
		change->schema =
			iceberg_take_identifiers(current, change->schema, after);
		after = iceberg_parse_json(change->schema);
	}
	change->schema_id = id_of_schema(table, current, after, &found);
	if (found)
		change->schema = NULL;
	iceberg_choose_specs(table, change, after);
	change->last_column = Max(
		last_id_in(after), lake_json_int(table->metadata, "last-column-id"));
}

void
iceberg_check_schema(const LakeTable *table, const Job *job,
					 const JobSource *source)
{
	IcebergChange change = {.job = job, .source = source};

	iceberg_evolve((const IcebergTable *) table, &change);
}

char *
iceberg_schema_with_id(const char *schema, int64 id)
{
	return psprintf("{\"schema-id\":" INT64_FORMAT ",%s", id, schema + 1);
}
