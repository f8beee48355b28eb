/*
 * postgres_apply.c
 *		Applies a record: which row, which columns, which values.
 *
 *	 insert		all columns of "new", and none may be "unchanged"
 *	 update		sets the columns of "new" in the row of "key"; those that are
 *				"unchanged" are not in it, and stay as they are
 *	 delete		the row of "key"
 *	 truncate	all tables of one command at once, as foreign keys demand it
 *
 * Where there is no key, the whole "old" row names it.  Columns that the target
 * generates are left to it, and name a row only by an index that they are in.
 * The kinds are together, as all read the same members.
 */
#include "client/targets/postgres_apply.h"

#include <stdlib.h>
#include <string.h>

#define CHANGE_ID 33 /* of a record's id: commit and change, not the index */

static void
take_change_member(ChangeMembers *members, const JsonValue *name,
				   const JsonValue *value)
{
	static const struct
	{
		const char *name;
		size_t		offset;
	} known[] = {
#define MEMBER(member) {"\"" #member "\"", offsetof(ChangeMembers, member)}
		MEMBER(op),		   MEMBER(id),
		MEMBER(schema),	   MEMBER(table),
		MEMBER(key),	   MEMBER(new),
		MEMBER(old),	   MEMBER(omitted),
		MEMBER(unchanged), MEMBER(restart_identity),
		MEMBER(columns),
#undef MEMBER
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (json_is(name, known[i].name))
		{
			*(JsonValue *) ((char *) members + known[i].offset) = *value;
			return;
		}
}

ChangeKind
postgres_read(PostgresApply *apply, const Record *record)
{
	ChangeMembers *members = &apply->members;
	JsonCursor	   cursor = json_members(record->data, record->length);
	JsonValue	   name;
	JsonValue	   value;

	if (record->kind != FRAME_CHANGE && record->kind != FRAME_SCHEMA)
		return CHANGE_NONE;
	memset(members, 0, sizeof(*members));
	while (json_next_member(&cursor, &name, &value))
		take_change_member(members, &name, &value);
	if (record->kind == FRAME_SCHEMA)
		return CHANGE_SCHEMA;
	if (json_is(&members->op, "\"truncate\""))
		return CHANGE_TRUNCATE;
	if (json_is(&members->op, "\"insert\"") ||
		json_is(&members->op, "\"update\"") ||
		json_is(&members->op, "\"delete\""))
		return CHANGE_ROW;
	return CHANGE_NONE;
}

static void
image_add(RowImage *image, int column, const JsonValue *value)
{
	if (image->n == image->allocated)
	{
		image->allocated = image->allocated ? image->allocated * 2 : 32;
		image->columns =
			client_realloc(image->columns, image->allocated * sizeof(int));
		image->values = client_realloc(image->values,
									   image->allocated * sizeof(JsonValue));
	}
	image->columns[image->n] = column;
	image->values[image->n++] = *value;
}

static void
refuse_columns(PostgresApply *apply, PostgresTable *table,
			   const JsonValue *object)
{
	JsonCursor cursor = json_members(object->data, object->length);
	JsonValue  name;
	JsonValue  value;
	Bytes	   missing = {0};

	while (json_next_member(&cursor, &name, &value))
		if (postgres_column(table, &name, 0) < 0)
			mem_format(&missing, "%s%.*s", missing.length ? ", " : "",
					   (int) name.length, name.data);
	client_exit(EXIT_TARGET,
				"%s: table %s lacks columns that the source has: %s. Add them "
				"there, or leave them out with -o exclude_columns",
				apply->session->name, table->display, missing.data);
}

static void
read_image(PostgresApply *apply, PostgresTable *table, const JsonValue *object,
		   RowImage *image)
{
	JsonCursor cursor = json_members(object->data, object->length);
	JsonValue  name;
	JsonValue  value;
	int		   guess = 0;

	image->n = 0;
	while (json_next_member(&cursor, &name, &value))
	{
		int column = postgres_column(table, &name, guess);

		if (column < 0)
			refuse_columns(apply, table, object);
		guess = column + 1;
		image_add(image, column, &value);
	}
}

static void
drop_generated(const PostgresTable *table, RowImage *image)
{
	int kept = 0;

	for (int i = 0; i < image->n; i++)
	{
		if (table->columns[image->columns[i]].generated)
			continue;
		image->columns[kept] = image->columns[i];
		image->values[kept++] = image->values[i];
	}
	image->n = kept;
}

/* Parameters point into a buffer that grows: placed once all are there. */
static void
add_parameters(PostgresApply *apply, const RowImage *image, int first)
{
	int needed = first + image->n;

	if (needed > apply->nallocated)
	{
		apply->nallocated = needed * 2;
		apply->offsets =
			client_realloc(apply->offsets, apply->nallocated * sizeof(size_t));
		apply->parameters = client_realloc(
			apply->parameters, apply->nallocated * sizeof(const char *));
	}
	for (int i = 0; i < image->n; i++)
	{
		const JsonValue *value = &image->values[i];

		apply->offsets[first + i] = apply->values.length;
		if (json_is(value, "null"))
			apply->offsets[first + i] = SIZE_MAX;
		else if (!json_append_unquoted(&apply->values, value))
			mem_append(&apply->values, value->data, value->length);
		mem_append(&apply->values, "", 1);
	}
}

static void
send_statement(PostgresApply *apply, const PostgresStatement *statement,
			   const Record *record)
{
	const RowImage *set = &apply->new;
	const RowImage *find = &apply->find;
	int				n = set->n + find->n;

	mem_reset(&apply->values);
	add_parameters(apply, set, 0);
	add_parameters(apply, find, set->n);
	for (int i = 0; i < n; i++)
		apply->parameters[i] = apply->offsets[i] == SIZE_MAX
								   ? NULL
								   : apply->values.data + apply->offsets[i];
	postgres_expect(
		apply->session,
		PQsendQueryPrepared(apply->session->conn, statement->name, n,
							apply->parameters, NULL, NULL, 0),
		(PostgresAnswer){.kind = ANSWER_CHANGE, .number = record->number});
}

/*
 * What the update sets is what it finds the row by: not set, so that it may be
 * a column that can't be.
 */
static void
drop_unchanged_key(RowImage *new, const RowImage *find)
{
	int kept = 0;

	for (int i = 0; i < new->n; i++)
	{
		bool same = false;

		for (int k = 0; k < find->n && !same; k++)
			same = find->columns[k] == new->columns[i] &&
				   find->values[k].length ==
					   new->values[i].length &&memcmp(find->values[k].data,
													  new->values[i].data,
													  new->values[i].length) ==
					   0;
		if (same)
			continue;
		new->columns[kept] = new->columns[i];
		new->values[kept++] = new->values[i];
	}
	new->n = kept;
}

static bool
sets_identity(const PostgresTable *table, const RowImage *new)
{
	for (int i = 0; i < new->n; i++)
		if (table->columns[new->columns[i]].identity_always)
			return true;
	return false;
}

/* Only what the index needs of a key. */
static void
keep_index_columns(RowImage *find, const PostgresIndex *index)
{
	int kept = 0;

	for (int i = 0; i < find->n; i++)
		for (int k = 0; k < index->ncolumns; k++)
			if (index->columns[k] == find->columns[i])
			{
				find->columns[kept] = find->columns[i];
				find->values[kept++] = find->values[i];
				break;
			}
	find->n = kept;
}

static void
warn_of_scans(PostgresApply *apply, PostgresTable *table)
{
	if (!table->warned)
		log_message(LOG_WARNING,
					"%s: table %s has no unique index on what names a row at "
					"the source: each update and delete reads all of it",
					apply->session->name, table->display);
	table->warned = true;
}

/* Which row: fills in find; false if the record doesn't tell. */
static bool
read_find(PostgresApply *apply, PostgresTable *table,
		  const PostgresIndex **index, const char **reason)
{
	const ChangeMembers *members = &apply->members;

	*index = NULL;
	if (members->key.data)
		read_image(apply, table, &members->key, &apply->find);
	else if (members->old.data)
		read_image(apply, table, &members->old, &apply->find);
	else
	{
		*reason =
			"nothing tells which row it was: the table has no replica "
			"identity, which ALTER TABLE ... REPLICA IDENTITY FULL at the "
			"source mends for later changes, or the stream leaves out or "
			"masks columns of it";
		return false;
	}
	if (members->key.data)
		*index =
			postgres_table_index(table, apply->find.columns, apply->find.n);
	if (*index)
		return true;
	drop_generated(table, &apply->find);
	if (apply->find.n == 0)
	{
		/* a condition on no column would be true of every row */
		*reason = "all columns that name its row are generated by the target, "
				  "which has no unique index on them";
		return false;
	}
	warn_of_scans(apply, table);
	return true;
}

static ApplyOutcome
apply_row(PostgresApply *apply, PostgresTable *table, const Record *record,
		  const char **reason)
{
	const ChangeMembers *members = &apply->members;
	const PostgresIndex *index = NULL;
	StatementKind		 kind = STATEMENT_INSERT;
	bool				 whole_row = members->key.data == NULL;

	apply->new.n = apply->find.n = 0;
	if (members->omitted.data)
	{
		*reason = "values are omitted in it, as they are larger than the "
				  "option max_value_bytes or max_record_bytes allows";
		return APPLY_REJECTED;
	}
	if (members->unchanged.data && json_is(&members->op, "\"insert\"") &&
		!postgres_table_makes(table, &members->unchanged))
	{
		*reason = "an update became an insert by a row filter, and the WAL "
				  "has not all of its row; ALTER TABLE ... REPLICA IDENTITY "
				  "FULL at the source mends that for later changes";
		return APPLY_REJECTED;
	}
	if (members->new.data)
		read_image(apply, table, &members->new, &apply->new);
	drop_generated(table, &apply->new);
	if (!json_is(&members->op, "\"insert\""))
	{
		if (!read_find(apply, table, &index, reason))
			return APPLY_REJECTED;
		if (json_is(&members->op, "\"delete\""))
			kind = whole_row ? STATEMENT_DELETE_ROW : STATEMENT_DELETE;
		else
		{
			if (!whole_row)
				drop_unchanged_key(&apply->new, &apply->find);
			if (sets_identity(table, &apply->new))
				kind = whole_row ? STATEMENT_REPLACE_ROW : STATEMENT_REPLACE;
			else if (apply->new.n == 0)
				kind = STATEMENT_LOOK;
			else
				kind = whole_row ? STATEMENT_UPDATE_ROW : STATEMENT_UPDATE;
		}
		if (index)
			keep_index_columns(&apply->find, index);
	}
	send_statement(apply,
				   postgres_statement(&apply->tables, table, apply->session,
									  kind, apply->new.columns, apply->new.n,
									  apply->find.columns, apply->find.n,
									  index),
				   record);
	return APPLY_SENT;
}

void
postgres_apply_rest(PostgresApply *apply)
{
	if (apply->truncate.length == 0)
		return;
	if (apply->truncate_restart)
		mem_add(&apply->truncate, " RESTART IDENTITY");
	postgres_send(apply->session, apply->truncate.data,
				  (PostgresAnswer){.kind = ANSWER_COMMAND,
								   .number = apply->truncate_number});
	mem_reset(&apply->truncate);
}

static void
add_truncate(PostgresApply *apply, const PostgresTable *table,
			 const Record *record)
{
	const ChangeMembers *members = &apply->members;
	char				*only = postgres_table_only(table);

	/* the quote and the digits of commit and change */
	if (members->id.length <= CHANGE_ID ||
		memcmp(apply->truncate_id, members->id.data, CHANGE_ID + 1) != 0)
		postgres_apply_rest(apply);
	if (members->id.length > CHANGE_ID)
		memcpy(apply->truncate_id, members->id.data, CHANGE_ID + 1);
	mem_format(&apply->truncate, "%s%s",
			   apply->truncate.length ? ", " : "TRUNCATE ", only);
	apply->truncate_restart = json_is(&members->restart_identity, "true");
	apply->truncate_number = record->number;
	free(only);
}

ApplyOutcome
postgres_apply(PostgresApply *apply, const Record *record, const char **reason)
{
	const ChangeMembers *members = &apply->members;
	PostgresTable		*table = postgres_table(&apply->tables, apply->session,
												&members->schema, &members->table);

	if (!table->is_described)
	{
		if (!table->is_asked)
			postgres_table_ask(table, apply->session);
		return APPLY_WAIT;
	}
	if (table->kind != 'r' && table->kind != 'p')
		client_exit(EXIT_TARGET,
					"%s: there is no table %s: create it there, or leave it "
					"out with -o exclude_tables",
					apply->session->name, table->display);
	if (json_is(&members->op, "\"truncate\""))
	{
		add_truncate(apply, table, record);
		return APPLY_SENT;
	}
	postgres_apply_rest(apply);
	return apply_row(apply, table, record, reason);
}

void
postgres_apply_schema(PostgresApply *apply)
{
	const ChangeMembers *members = &apply->members;

	postgres_table_told(postgres_table(&apply->tables, apply->session,
									   &members->schema, &members->table),
						apply->session, &members->columns, &members->key);
}

void
postgres_apply_reset(PostgresApply *apply)
{
	mem_reset(&apply->truncate);
	postgres_tables_forget(&apply->tables);
}
