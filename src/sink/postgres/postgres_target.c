/*
 * postgres_target.c
 *		The tables that rows go to, and whether the rows fit.
 *
 * Columns are matched by name.  A column's type has to be the same, or one
 * that every value of the source's can become.  All of that is looked at
 * before the first row is sent, and again before a table's first part.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "sink/postgres/postgres_destination.h"

/* A column of a target, as the other server describes it. */
typedef struct Described
{
	char *type; /* as CREATE TABLE takes it there */
	Oid	  base; /* domains removed */
	char *type_name;
	char *fields;
	bool  is_generated;
	bool  is_needed; /* NOT NULL, and nothing but us gives it a value */
	int32 typmod;
} Described;

char *
postgres_target_name(PostgresDestination *self, const PostgresTarget *target)
{
	return psprintf("%s.%s", remote_identifier(self->remote, target->schema),
					remote_identifier(self->remote, target->name));
}

char *
postgres_columns(PostgresDestination *self, const PostgresTarget *target)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < target->source->ncolumns; i++)
		appendStringInfo(
			&text, "%s%s", i > 0 ? ", " : "",
			remote_identifier(self->remote, target->source->columns[i].name));
	return text.data;
}

void
postgres_set(Destination *to, List *tables, const TableOptions *options)
{
	PostgresDestination *self = postgres_self(to);
	MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(to));

	if (self->name && list_length(tables) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("destination \"%s\" names one table, the export has "
						"%d",
						to->path, list_length(tables)),
				 errhint("Write it as server: alone, and each table goes to "
						 "the one of its own name.")));
	self->options = *options;
	self->ntargets = list_length(tables);
	self->targets = palloc0(sizeof(PostgresTarget) * Max(self->ntargets, 1));
	for (int i = 0; i < self->ntargets; i++)
	{
		PostgresTarget	  *target = &self->targets[i];
		const TableSource *source = list_nth(tables, i);

		target->source = source;
		target->schema = self->name ? self->schema : source->schema;
		target->name = self->name ? self->name : source->name;
	}
	self->is_binary =
		options->format && strcmp(options->format, "binary") == 0;
	self->remote->encoding = self->is_binary || options->encoding == NULL
								 ? NULL
								 : pstrdup(options->encoding);
	MemoryContextSwitchTo(old);
}

char *
postgres_copy_options(bool is_binary, const char *encoding)
{
	if (is_binary)
		return " (FORMAT binary)";
	if (encoding == NULL)
		return "";
	return psprintf(" (ENCODING %s)", quote_literal_cstr(encoding));
}

/* ---- the target itself */

/* What the export has to be granted on it. */
static const char *
rights_needed(const PostgresDestination *self)
{
	if (self->options.direct)
		return "INSERT, SELECT, DELETE";
	return self->options.replace ? "INSERT, TRUNCATE" : "INSERT";
}

bool
postgres_find_target(PostgresDestination *self, PostgresTarget *target)
{
	Remote			 *remote = self->remote;
	const char		 *rights = rights_needed(self);
	const char *const values[] = {target->schema, target->name, rights};
	char			 *name = postgres_target_name(self, target);
	char			 *kind;

	remote_run(remote,
			   "SELECT c.oid, c.relkind, (SELECT bool_and("
			   "has_table_privilege(c.oid, r)) "
			   "FROM regexp_split_to_table($3, ', ') AS r), "
			   "c.relrowsecurity AND row_security_active(c.oid) "
			   "FROM pg_class AS c JOIN pg_namespace AS n "
			   "ON n.oid = c.relnamespace "
			   "WHERE n.nspname = $1 AND c.relname = $2",
			   3, values);
	if (remote_rows(remote) == 0)
		return false;
	target->oid = remote_value(remote, 0, 0);
	kind = remote_value(remote, 0, 1);
	if (strcmp(kind, "r") != 0 && strcmp(kind, "p") != 0)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("%s on server \"%s\" is not a table", name,
							   remote->name)));
	target->has_children = strcmp(kind, "p") == 0;
	if (!remote_is_true(remote, 0, 2))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for table %s on server \"%s\"",
						name, remote->name),
				 errhint("There, run GRANT %s ON %s TO %s.", rights, name,
						 remote_identifier(remote, remote->user))));
	if (remote_is_true(remote, 0, 3))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("row-level security of table %s on server \"%s\" "
						"applies to role \"%s\"",
						name, remote->name, remote->user),
				 errhint("Use the table's owner, or a role with BYPASSRLS.")));
	return true;
}

static void
report_missing(PostgresDestination *self, const PostgresTarget *target)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("table %s does not exist on server \"%s\"",
					postgres_target_name(self, target), self->remote->name),
			 errhint("Make it there, or let the export make it with "
					 "options => '{\"create\": true}'.")));
}

/* For a table that the export makes: the types, and where it goes. */
static void
check_creatable(PostgresDestination *self, const PostgresTarget *target)
{
	Remote			 *remote = self->remote;
	const char *const schema[] = {target->schema};

	remote_run(remote,
			   "SELECT has_schema_privilege(oid, 'CREATE') "
			   "FROM pg_namespace WHERE nspname = $1",
			   1, schema);
	if (remote_rows(remote) == 0 || !remote_is_true(remote, 0, 0))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("table %s cannot be made on server \"%s\"",
						postgres_target_name(self, target), remote->name),
				 errhint("There, run CREATE SCHEMA IF NOT EXISTS %s and GRANT "
						 "CREATE, USAGE ON SCHEMA %s TO %s.",
						 remote_identifier(remote, target->schema),
						 remote_identifier(remote, target->schema),
						 remote_identifier(remote, remote->user))));
	for (int i = 0; i < target->source->ncolumns; i++)
	{
		const TableColumn *column = &target->source->columns[i];
		const char *const  type[] = {column->type};

		remote_run(remote,
				   "SELECT to_regtype(regexp_replace($1, "
				   "'\\([0-9, -]+\\)', '')) IS NOT NULL",
				   1, type);
		if (!remote_is_true(remote, 0, 0))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("type %s of column \"%s\" does not exist on "
							"server \"%s\"",
							column->type, column->name, remote->name),
					 errhint("Make it there before, with its extension if it "
							 "has one.")));
	}
}

/* ---- its columns */

/* In the order of the source's columns; one that is missing has no type. */
static Described *
target_columns(PostgresDestination *self, PostgresTarget *target)
{
	Remote			  *remote = self->remote;
	const TableSource *source = target->source;
	Described		 *columns = palloc0_array(Described, source->ncolumns + 1);
	const char *const values[] = {target->oid};

	remote_run(
		remote,
		"SELECT a.attname, format_type(a.atttypid, a.atttypmod), b.oid, "
		"b.typname, a.attgenerated <> '', "
		"a.attnotnull AND NOT a.atthasdef AND a.attidentity = '', "
		"CASE WHEN a.atttypmod <> -1 THEN a.atttypmod ELSE b.typmod END, "
		"coalesce((SELECT string_agg(format('%s %s', t.typname, f.atttypmod), "
		"', ' ORDER BY f.attnum) FROM pg_type AS r "
		"JOIN pg_attribute AS f ON f.attrelid = r.typrelid "
		"JOIN pg_type AS t ON t.oid = f.atttypid WHERE r.typtype = 'c' "
		"AND f.attnum > 0 AND NOT f.attisdropped AND r.oid IN (b.oid, "
		"(SELECT typelem FROM pg_type WHERE oid = b.oid AND typlen = -1))), "
		"'')"
		" "
		"FROM pg_attribute AS a, LATERAL (WITH RECURSIVE d AS ("
		"SELECT t.oid, t.typbasetype, t.typtype, t.typname, t.typtypmod, "
		"-1 AS typmod "
		"FROM pg_type AS t WHERE t.oid = a.atttypid UNION ALL "
		"SELECT t.oid, t.typbasetype, t.typtype, t.typname, t.typtypmod, "
		"CASE WHEN d.typtypmod <> -1 THEN d.typtypmod ELSE d.typmod END "
		"FROM d JOIN pg_type AS t ON t.oid = d.typbasetype "
		"WHERE d.typtype = 'd') SELECT oid, typname, typmod FROM d "
		"WHERE typtype <> 'd') AS b "
		"WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped",
		1, values);
	for (int row = 0; row < remote_rows(remote); row++)
	{
		char	 *name = remote_value(remote, row, 0);
		Described described = {
			.type = remote_value(remote, row, 1),
			.base = strtoul(remote_value(remote, row, 2), NULL, 10),
			.type_name = remote_value(remote, row, 3),
			.is_generated = remote_is_true(remote, row, 4),
			.is_needed = remote_is_true(remote, row, 5),
			.typmod = atoi(remote_value(remote, row, 6)),
			.fields = remote_value(remote, row, 7)};
		int at = 0;

		while (at < source->ncolumns &&
			   strcmp(source->columns[at].name, name) != 0)
			at++;
		if (at < source->ncolumns)
			columns[at] = described;
		else if (described.is_needed)
			ereport(ERROR,
					(errcode(ERRCODE_NOT_NULL_VIOLATION),
					 errmsg("column \"%s\" of table %s on server \"%s\" would "
							"be null",
							remote_clean(name),
							postgres_target_name(self, target), remote->name),
					 errdetail("It is NOT NULL, has no default, and is not "
							   "among the exported columns."),
					 errhint("Give it a default there.")));
	}
	return columns;
}

static PostgresFit
check_column(PostgresDestination *self, const PostgresTarget *target,
			 const TableColumn *column, const Described *there)
{
	char	   *name = postgres_target_name(self, target);
	PostgresFit fit;

	if (there->type == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of table %s does not exist on server "
						"\"%s\"",
						column->name, name, self->remote->name),
				 errhint("Add it there, or name the other columns in argument "
						 "\"columns\".")));
	if (there->is_generated)
		ereport(ERROR,
				(errcode(ERRCODE_GENERATED_ALWAYS),
				 errmsg("column \"%s\" of table %s on server \"%s\" is a "
						"generated column",
						column->name, name, self->remote->name),
				 errhint("Name the other columns in argument \"columns\".")));
	fit = postgres_fit(column, there->base, there->type_name, there->fields,
					   there->typmod);
	if (fit == FIT_NOT)
		ereport(
			ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" of table %s on server \"%s\" has type "
					"%s",
					column->name, name, self->remote->name,
					remote_clean(there->type)),
			 errdetail("Not every %s can become one.", column->type),
			 errhint("Change the column's type there to %s.", column->type)));
	return fit;
}

static void
set_read_form(PostgresDestination *self, PostgresTarget *target, int at,
			  Oid there, int32 typmod)
{
	const TableColumn *column = &target->source->columns[at];

	target->forms[at] = postgres_read_back(
		column, remote_identifier(self->remote, column->name), there, typmod,
		self->is_binary);
}

void
postgres_look(PostgresDestination *self, PostgresTarget *target,
			  bool *is_binary)
{
	const TableSource *source = target->source;
	Described		  *there;

	target->types = palloc0_array(char *, source->ncolumns + 1);
	target->forms = palloc0_array(char *, source->ncolumns + 1);
	target->exists = postgres_find_target(self, target);
	if (!target->exists)
	{
		if (!self->options.create)
			report_missing(self, target);
		check_creatable(self, target);
		for (int i = 0; i < source->ncolumns; i++)
		{
			*is_binary &= postgres_has_one_form(&source->columns[i]);
			target->types[i] = source->columns[i].type;
			set_read_form(self, target, i, source->columns[i].base,
						  source->columns[i].typmod);
		}
		return;
	}
	there = target_columns(self, target);
	for (int i = 0; i < source->ncolumns; i++)
	{
		*is_binary &= check_column(self, target, &source->columns[i],
								   &there[i]) == FIT_BINARY;
		target->types[i] = there[i].type;
		set_read_form(self, target, i, there[i].base, there[i].typmod);
	}
}

/* ---- what is made there */

/* Columns and their types, NOT NULL, defaults, identity and the primary key. */
void
postgres_make_target(PostgresDestination *self, const PostgresTarget *target)
{
	StringInfoData command;
	StringInfoData key;

	initStringInfo(&command);
	initStringInfo(&key);
	appendStringInfo(&command, "CREATE TABLE %s (",
					 postgres_target_name(self, target));
	for (int i = 0; i < target->source->ncolumns; i++)
	{
		const TableColumn *column = &target->source->columns[i];
		char *name = remote_identifier(self->remote, column->name);

		appendStringInfo(&command, "%s%s %s%s%s%s%s", i > 0 ? ", " : "", name,
						 column->type,
						 column->default_value ? " DEFAULT " : "",
						 column->default_value ? column->default_value : "",
						 column->not_null ? " NOT NULL" : "",
						 column->identity == 'a'
							 ? " GENERATED ALWAYS AS IDENTITY"
							 : (column->identity == 'd'
									? " GENERATED BY DEFAULT AS IDENTITY"
									: ""));
		if (column->is_primary)
			appendStringInfo(&key, "%s%s", key.len > 0 ? ", " : "", name);
	}
	if (key.len > 0)
		appendStringInfo(&command, ", PRIMARY KEY (%s)", key.data);
	appendStringInfoChar(&command, ')');
	remote_command(self->remote, command.data);
}

void
postgres_record_target(PostgresDestination *self, int table)
{
	const PostgresTarget *target = &self->targets[table];
	Remote				 *remote = self->remote;
	const char			 *encoding =
		  remote->encoding ? remote->encoding : GetDatabaseEncodingName();
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < target->source->ncolumns; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", target->forms[i]);
	remote_run(remote,
			   psprintf("INSERT INTO %s SELECT $1, $2::int, c.oid, "
						"format('%%I.%%I', nspname, relname), $3::bool, $4, "
						"$5, $6 FROM pg_class AS c JOIN pg_namespace AS n "
						"ON n.oid = relnamespace "
						"WHERE nspname = $7 AND relname = $8 "
						"ON CONFLICT (job, target) DO UPDATE SET "
						"form = excluded.form, encoding = excluded.encoding, "
						"list = excluded.list",
						postgres_ledger(self, "target")),
			   8,
			   (const char *const[]){self->job, psprintf("%d", table),
									 target->is_made ? "true" : "false",
									 self->is_binary ? "binary" : "text",
									 encoding, list.data, target->schema,
									 target->name});
}

void
postgres_check_taken(PostgresDestination *self, int table, uint64 taken,
					 uint64 sent)
{
	if (taken != sent)
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
				 errmsg("table %s on server \"%s\" took " UINT64_FORMAT
						" of " UINT64_FORMAT " rows",
						postgres_target_name(self, &self->targets[table]),
						self->remote->name, taken, sent),
				 errhint("A trigger or rule there may have left out the "
						 "others.")));
}
