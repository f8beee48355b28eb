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
#include "sink/postgres/postgres_driver.h"

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

/* By what is there, exports decide what of them is done. */
static void
refuse_ledger(PostgresDestination *self, const PostgresTarget *target)
{
	ereport(ERROR,
			(errcode(ERRCODE_RESERVED_NAME),
			 errmsg("table %s on server \"%s\" would be among the records of "
					"exports",
					postgres_target_name(self, target), self->remote->name),
			 errdetail("Schema \"%s\" there is outflow's own.",
					   remote_clean(target->schema)),
			 errhint("Choose another schema.")));
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
			   "c.relrowsecurity AND row_security_active(c.oid), "
			   "c.oid IS NOT NULL, " POSTGRES_IS_LEDGER
			   " FROM pg_namespace AS n LEFT JOIN pg_class AS c "
			   "ON n.oid = c.relnamespace AND c.relname = $2 "
			   "WHERE n.nspname = $1",
			   3, values);
	if (strcmp(target->schema, remote->ledger) == 0 ||
		(remote_rows(remote) > 0 && remote_is_true(remote, 0, 5)))
		refuse_ledger(self, target);
	if (remote_rows(remote) == 0 || !remote_is_true(remote, 0, 4))
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

/* For a table that the export makes. */
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
}

/* ---- its columns */

static void
set_read_form(PostgresDestination *self, PostgresTarget *target, int at,
			  Oid there, int32 typmod)
{
	const TableColumn *column = &target->source->columns[at];

	target->forms[at] = postgres_read_back(
		column, remote_identifier(self->remote, column->name), there, typmod,
		self->is_binary);
}

/* Staging tables have one column more. */
static void
refuse_own_name(PostgresDestination *self, const TableSource *source)
{
	for (int i = 0; i < source->ncolumns && !self->options.direct; i++)
		if (strcmp(source->columns[i].name, POSTGRES_PART) == 0)
			ereport(
				ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("column \"%s\" has the name of the staging tables' "
						"own column",
						POSTGRES_PART),
				 errhint("Name the other columns in argument \"columns\", or "
						 "load the rows directly: options => '{\"load\": "
						 "\"direct\"}'.")));
}

/* SQL has no list of none of a table's columns. */
static void
refuse_no_columns(const TableSource *source)
{
	if (source->ncolumns == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s\" has no columns to export", source->name),
				 errhint("Leave it out.")));
}

void
postgres_look(PostgresDestination *self, PostgresTarget *target,
			  bool *is_binary)
{
	const TableSource *source = target->source;
	PostgresColumn	  *there;

	refuse_no_columns(source);
	refuse_own_name(self, source);
	target->types = palloc0_array(char *, source->ncolumns + 1);
	target->forms = palloc0_array(char *, source->ncolumns + 1);
	target->exists = postgres_find_target(self, target);
	if (!target->exists)
	{
		if (!self->options.create)
			report_missing(self, target);
		check_creatable(self, target);
	}
	there = target->exists ? postgres_target_columns(self, target)
						   : postgres_future_columns(self, target);
	for (int i = 0; i < source->ncolumns; i++)
	{
		*is_binary &= postgres_check_column(self, target, &source->columns[i],
											&there[i]) == FIT_BINARY;
		target->types[i] =
			target->exists ? there[i].type : source->columns[i].type;
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
