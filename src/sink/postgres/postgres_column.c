/*
 * postgres_column.c
 *		The columns of the tables that rows go to, as the other server describes
 *		them, and whether the rows fit.
 *
 * A table that is to be made will have the types that have the source's names
 * there, whatever they are.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "sink/postgres/postgres_destination.h"

/* ---- names */

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

/* ---- what is there */

/* Of a type's parts, from the version on that has it. */
#define MULTIRANGE                                                            \
	"UNION ALL SELECT '{}', '{1}', rngtypid, -1 FROM pg_range "               \
	"WHERE rngmultitypid = t.oid "

/*
 * The parts of type b, as TableColumn has them: first all of them, each with its
 * place among the others, then their text.
 */
static char *
parts_query(const Remote *remote)
{
	return psprintf(
		"(WITH RECURSIVE part (path, place, type, typmod) AS ("
		"SELECT '' COLLATE \"C\", '{}'::int[], b.oid, -1 UNION ALL "
		"SELECT (p.path || s.path) COLLATE \"C\", p.place || s.place, s.type, "
		"s.typmod FROM part AS p JOIN pg_type AS t ON t.oid = p.type, "
		"LATERAL (SELECT ''::text AS path, '{}'::int[] AS place, "
		"t.typbasetype AS type, t.typtypmod AS typmod WHERE t.typtype = 'd' "
		"UNION ALL SELECT '[]', '{1}', e.oid, p.typmod FROM pg_type AS e "
		"WHERE e.oid = t.typelem AND e.typarray = t.oid "
		"UNION ALL SELECT '.' || quote_literal(f.attname), "
		"ARRAY[f.attnum::int], f.atttypid, f.atttypmod "
		"FROM pg_attribute AS f WHERE t.typtype = 'c' "
		"AND f.attrelid = t.typrelid AND f.attnum > 0 AND NOT f.attisdropped "
		"UNION ALL SELECT '..', '{1}', rngsubtype, -1 FROM pg_range "
		"WHERE rngtypid = t.oid %s) AS s) "
		"SELECT left(string_agg(p.path || CASE WHEN EXISTS (SELECT FROM "
		"pg_type AS e WHERE e.oid = t.typelem AND e.typarray = t.oid) THEN '' "
		"ELSE ' ' || quote_literal(t.typname) END || "
		"CASE WHEN p.typmod < 0 THEN '' ELSE format('(%%s)', p.typmod) END, "
		"E'\\n' ORDER BY p.place), %d) "
		"FROM (SELECT * FROM part LIMIT %d) AS p "
		"JOIN pg_type AS t ON t.oid = p.type WHERE t.typtype <> 'd')",
		remote->version >= 140000 ? MULTIRANGE : "", TYPE_MAX_TEXT + 1,
		2 * TYPE_MAX_PARTS);
}

/*
 * Describes columns a (attname, atttypid, atttypmod, is_generated, is_needed).
 * A domain has its own limits, and columns of it have none.
 */
static void
ask_columns(Remote *remote, const char *columns, int count,
			const char *const *values)
{
	remote_run(
		remote,
		psprintf(
			"SELECT a.attname, format_type(a.atttypid, a.atttypmod), b.oid, "
			"a.is_generated, a.is_needed, "
			"CASE WHEN b.oid = a.atttypid THEN a.atttypmod ELSE b.typmod END, "
			"%s FROM (%s) AS a, LATERAL (WITH RECURSIVE d AS ("
			"SELECT t.oid, t.typbasetype, t.typtype, t.typtypmod, -1 AS "
			"typmod "
			"FROM pg_type AS t WHERE t.oid = a.atttypid UNION ALL "
			"SELECT t.oid, t.typbasetype, t.typtype, t.typtypmod, "
			"CASE WHEN d.typtypmod <> -1 THEN d.typtypmod ELSE d.typmod END "
			"FROM d JOIN pg_type AS t ON t.oid = d.typbasetype "
			"WHERE d.typtype = 'd') SELECT oid, typmod FROM d "
			"WHERE typtype <> 'd') AS b",
			parts_query(remote), columns),
		count, values);
}

/* The name of a described column, and the rest. */
static char *
take_column(Remote *remote, int row, PostgresColumn *column)
{
	column->type = remote_value(remote, row, 1);
	column->base = strtoul(remote_value(remote, row, 2), NULL, 10);
	column->is_generated = remote_is_true(remote, row, 3);
	column->is_needed = remote_is_true(remote, row, 4);
	column->typmod = atoi(remote_value(remote, row, 5));
	column->parts = remote_value(remote, row, 6);
	return remote_value(remote, row, 0);
}

static void
report_needed(PostgresDestination *self, const PostgresTarget *target,
			  const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_NOT_NULL_VIOLATION),
			 errmsg("column \"%s\" of table %s on server \"%s\" would "
					"be null",
					remote_clean(name), postgres_target_name(self, target),
					self->remote->name),
			 errdetail("It is NOT NULL, has no default, and is not "
					   "among the exported columns."),
			 errhint("Give it a default there.")));
}

PostgresColumn *
postgres_target_columns(PostgresDestination	 *self,
						const PostgresTarget *target)
{
	Remote			  *remote = self->remote;
	const TableSource *source = target->source;
	PostgresColumn	  *columns =
		palloc0_array(PostgresColumn, source->ncolumns + 1);

	ask_columns(remote,
				"SELECT attname, atttypid, atttypmod, attgenerated <> '' "
				"AS is_generated, attnotnull AND NOT atthasdef "
				"AND attidentity = '' AS is_needed FROM pg_attribute "
				"WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped",
				1, (const char *const[]){target->oid});
	for (int row = 0; row < remote_rows(remote); row++)
	{
		PostgresColumn described;
		char		  *name = take_column(remote, row, &described);
		int			   at = 0;

		while (at < source->ncolumns &&
			   strcmp(source->columns[at].name, name) != 0)
			at++;
		if (at < source->ncolumns)
			columns[at] = described;
		else if (described.is_needed)
			report_needed(self, target, name);
	}
	return columns;
}

PostgresColumn *
postgres_future_columns(PostgresDestination	 *self,
						const PostgresTarget *target)
{
	Remote			  *remote = self->remote;
	const TableSource *source = target->source;
	PostgresColumn	  *columns =
		palloc0_array(PostgresColumn, source->ncolumns + 1);

	for (int i = 0; i < source->ncolumns; i++)
	{
		const TableColumn *column = &source->columns[i];

		/* its name has the modifier in it */
		ask_columns(remote,
					"SELECT '' AS attname, type AS atttypid, $2::int AS "
					"atttypmod, false AS is_generated, false AS is_needed "
					"FROM to_regtype(regexp_replace($1, "
					"'\\([0-9, -]+\\)', '')) AS type WHERE type IS NOT NULL",
					2,
					(const char *const[]){column->type,
										  psprintf("%d", column->typmod)});
		if (remote_rows(remote) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("type %s of column \"%s\" does not exist on "
							"server \"%s\"",
							column->type, column->name, remote->name),
					 errhint("Make it there before, with its extension if it "
							 "has one.")));
		(void) take_column(remote, 0, &columns[i]);
	}
	return columns;
}

/* ---- whether the rows fit */

/* The first line of one that isn't the other's. */
static const char *
other_part(const char *parts, const char *others)
{
	size_t length;

	while ((length = strcspn(parts, "\n")) == strcspn(others, "\n") &&
		   strncmp(parts, others, length) == 0)
	{
		if (parts[length] == '\0')
			return "nothing";
		if (others[length] == '\0')
			return pnstrdup(parts + length + 1,
							strcspn(parts + length + 1, "\n"));
		parts += length + 1;
		others += length + 1;
	}
	return pnstrdup(parts, length);
}

/* A type that has the same name there. */
static void
report_other_type(PostgresDestination *self, const TableColumn *column,
				  const PostgresColumn *there)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("type %s of column \"%s\" is another one on server "
					"\"%s\"",
					column->type, column->name, self->remote->name),
			 strcmp(column->parts, there->parts) == 0
				 ? errdetail("Its values are limited there.")
				 : errdetail(
					   "The first of its parts that differ is %s here, "
					   "and %s there.",
					   other_part(column->parts, there->parts),
					   remote_clean(other_part(there->parts, column->parts))),
			 errhint("Make it there as it is here.")));
}

PostgresFit
postgres_check_column(PostgresDestination *self, const PostgresTarget *target,
					  const TableColumn *column, const PostgresColumn *there)
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
	fit = postgres_fit(column, there);
	if (fit != FIT_NOT)
		return fit;
	if (strcmp(column->type, there->type) == 0)
		report_other_type(self, column, there);
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" of table %s on server \"%s\" has type "
					"%s",
					column->name, name, self->remote->name,
					remote_clean(there->type)),
			 errdetail("Not every %s can become one.", column->type),
			 errhint("Change the column's type there to %s.", column->type)));
}
