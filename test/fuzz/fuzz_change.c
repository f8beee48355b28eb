/*
 * fuzz_change.c
 *		Whole transactions of random changes in every format of the stream.
 *
 * What a format writes must be JSON on one line, record by record, or for
 * wal2json's first version as one whole; and an insert of format json must
 * hold a member for each column that isn't left out.  Under a limit about as
 * large as a record, it is whole, or known not to fit.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "replication/slot.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/rel.h"

#include "encode/json/change_json.h"
#include "fuzz.h"
#include "stream/stream.h"

#define MAX_COLUMNS 64
#define MAX_RECORDS 6

static const char *const choices[][2] = {{"numbers", "string"},
										 {"include_old", "off"},
										 {"include_schemas", "off"},
										 {"include_transactions", "off"}};
static const char *const wal2json_choices[][2] = {
	{"format-version", "2"},
	{"include-xids", "1"},
	{"include-timestamp", "1"},
	{"include-lsn", "1"},
	{"include-type-oids", "1"},
	{"include-not-null", "1"},
	{"include-pk", "1"},
	{"pretty-print", "1"},
	{"include-column-positions", "1"},
	{"numeric-data-types-as-string", "1"},
	{"include-typmod", "0"},
	{"include-types", "0"},
	{"include-schemas", "0"},
	{"include-transaction", "0"}};

static Oid				   table_oid;
static StreamOptions	   options;
static ChangeFormatOptions format_options;
static ByteBuffer		   whole;

static void
init(void)
{
	table_oid = RangeVarGetRelid(makeRangeVar("public", "fuzz_row", -1),
								 AccessShareLock, false);
}

const ChangeFormat *
fuzz_parse_options(List *elements, StreamOptions *target)
{
	static ReplicationSlot slot = {.data.name.data = "slot"};
	const ChangeFormat	  *format;

	/* a format may name its records after the slot */
	MyReplicationSlot = &slot;
	PG_TRY();
	{
		format = stream_options_parse("outflow", elements, target);
	}
	PG_FINALLY();
	{
		MyReplicationSlot = NULL;
	}
	PG_END_TRY();
	return format;
}

static const ChangeFormat *
choose_format(FuzzInput *in)
{
	static const char *const formats[] = {"json", "debezium", "wal2json"};
	int						 which = fuzz_below(in, lengthof(formats));
	int						 bits = fuzz_bits(in, 2);
	List					*elements = list_make1(makeDefElem(
						   "format", (Node *) makeString(pstrdup(formats[which])), -1));
	int count = which == 2 ? lengthof(wal2json_choices) : lengthof(choices);
	const ChangeFormat *format;

	for (int i = 0; i < count && which != 1; i++)
	{
		const char *const *choice =
			which == 2 ? wal2json_choices[i] : choices[i];

		if ((bits >> i) & 1)
			elements = lappend(
				elements,
				makeDefElem(pstrdup(choice[0]),
							(Node *) makeString(pstrdup(choice[1])), -1));
	}
	memset(&options, 0, sizeof(options));
	memset(&format_options, 0, sizeof(format_options));
	format = fuzz_parse_options(elements, &options);
	format_options.style = json_style_default();
	format_options.style.ascii = fuzz_below(in, 2);
	format_options.style.numbers_as_string = options.numbers != 0;
	format_options.style.base64 = options.traits.connect_values;
	format_options.style.quoted_documents = options.traits.connect_values;
	format_options.include_old = options.include_old;
	format_options.include_transactions = options.include_transactions;
	format_options.include_schemas = options.include_schemas;
	format_options.own = options.own;
	return format;
}

/* json_in takes it, and it is one line; but for pretty-print's */
static Datum
check_json(const char *data, int len, const char *what)
{
	char *text = pnstrdup(data, len);

	if (strlen(text) != len || !pg_verify_mbstr(PG_UTF8, text, len, true))
		fuzz_fail("%s: no UTF-8 text: %s", what, text);
	if (strchr(text, '\n') && !options.traits.one_record)
		fuzz_fail("%s: more than a line: %s", what, text);
	(void) DirectFunctionCall1(json_in, CStringGetDatum(text));
	return CStringGetTextDatum(text);
}

/* One call of the format has ended. */
static void
take_record(const char *what)
{
	if (options.traits.one_record)
		buffer_append(&whole, fuzz_out.len > 0 ? fuzz_out.data : "",
					  fuzz_out.len);
	else if (fuzz_out.len > 0)
		(void) check_json(fuzz_out.data, fuzz_out.len, what);
	fuzz_expect(what, fuzz_out.data, fuzz_out.len);
}

static void
read_values(FuzzInput *in, RowShape *shape, Datum *values, bool *nulls)
{
	memset(nulls, true, MAX_COLUMNS);
	for (int i = 0; i < shape->ncolumns; i++)
	{
		ColumnShape *column = &shape->columns[i];
		int			 attribute = column->attnum - 1;

		nulls[attribute] = fuzz_below(in, 4) == 0 ||
						   !fuzz_value(in, &column->type, &values[attribute]);
	}
}

static void
read_flags(FuzzInput *in, bool *flags, int count)
{
	uint64 bits = fuzz_bits(in, 8);

	for (int i = 0; i < count; i++)
		flags[i] = (bits >> (i % 64)) & 1;
}

/* What is written once more under a limit. */
typedef struct Record
{
	const ChangeFormat		*format;
	const ChangeTransaction *txn;
	const ChangePosition	*position;
	const RowChange			*row; /* or */
	const MessageChange		*message;
} Record;

static void
write_limited(const Record *record, ByteBuffer *buffer, Size limit, Size keep)
{
	buffer_limit_begin(buffer, limit, keep);
	if (record->row)
		record->format->row(&buffer->data, &format_options, record->txn,
							record->position, record->row);
	else
		record->format->message(&buffer->data, &format_options, record->txn,
								record->position, record->message);
}

/*
 * Under a limit about as large as the record is, in fuzz_out: it is there, or
 * is known not to fit.  However little is kept of it, its size is known.
 */
static void
check_limits(FuzzInput *in, const Record *record)
{
	Size	   whole = fuzz_out.len;
	Size	   limit = fuzz_below(in, 2) ? whole + fuzz_below(in, 3) - 1
										 : fuzz_bits(in, 2) % (whole + 1);
	ByteBuffer buffer;
	Size	   size;
	bool	   fits;

	if (whole == 0)
		return;
	buffer_init(&buffer);
	buffer_append_string(&buffer, "before");
	write_limited(record, &buffer, limit, limit);
	fits = buffer_limit_end(&buffer, &size);
	if (fits != (whole <= limit))
		fuzz_fail("%zu bytes %s a limit of %zu", whole,
				  fits ? "pass" : "don't pass", limit);
	/* format debezium tells the time */
	if (fits && (size != whole ||
				 (!options.traits.connect_values &&
				  memcmp(buffer.data + 6, fuzz_out.data, whole) != 0)))
		fuzz_fail("under a limit it is another record");
	if (memcmp(buffer.data, "before", 6) != 0)
		fuzz_fail("what stood before is gone");
	buffer_clear(&buffer);
	write_limited(record, &buffer, whole, fuzz_below(in, 256));
	if (!buffer_limit_end(&buffer, &size) || size != whole)
		fuzz_fail("%zu bytes are measured as %zu", whole, size);
}

/* A change as stream/ could have made it. */
static void
write_row(FuzzInput *in, const ChangeFormat *format,
		  const ChangeTransaction *txn, const ChangePosition *position,
		  RowShape *shape)
{
	static Datum values[MAX_COLUMNS], old_values[MAX_COLUMNS];
	static bool	 nulls[MAX_COLUMNS], old_nulls[MAX_COLUMNS];
	static uint8 states[MAX_COLUMNS];
	RowChange	 change = {
		   .op = fuzz_below(in, 3), .shape = shape, .states = states};
	int extras = fuzz_bits(in, 1);

	read_values(in, shape, values, nulls);
	read_values(in, shape, old_values, old_nulls);
	for (int i = 0; i < shape->ncolumns; i++)
		states[i] = fuzz_bits(in, 1);
	if (change.op != CHANGE_DELETE)
	{
		change.new_values = values;
		change.new_nulls = nulls;
		change.used |= extras & 1 ? COLUMN_UNCHANGED : 0;
	}
	change.used |= extras & 2 ? COLUMN_OMITTED : 0;
	change.bare = fuzz_below(in, 16) == 0;
	if (change.op != CHANGE_INSERT && (extras & 4))
	{
		change.old_values = old_values;
		change.old_nulls = old_nulls;
		change.old_is_key = (extras & 8) != 0;
	}
	if (change.op != CHANGE_INSERT && (extras & 16))
	{
		change.key_values = change.old_values ? old_values : change.new_values;
		change.key_nulls = change.old_values ? old_nulls : change.new_nulls;
		change.used |= change.key_values ? COLUMN_NOT_KEY : 0;
	}
	if (extras & 32)
	{
		change.leaf_schema = "lea\"f";
		change.leaf_name = "\303\244\\\n";
	}
	fuzz_must_succeed(true);
	format->row(&fuzz_out, &format_options, txn, position, &change);
	check_limits(in, &(Record){format, txn, position, &change, NULL});
	take_record("row");
	fuzz_must_succeed(false);
}

/* False if there was none. */
static bool
write_message(FuzzInput *in, const ChangeFormat *format,
			  const ChangeTransaction *txn, const ChangePosition *position)
{
	MessageChange message = {.transactional = true,
							 .prefix = "pre\"fix\n\303\244",
							 .form = fuzz_below(in, 8) == 0 ? fuzz_below(in, 4)
															: RECORD_WHOLE};
	int			  len;

	message.content = fuzz_bytes(in, 200, &len);
	message.size = len;
	/* wal2json writes a message's bytes up to the first zero, whatever they are */
	if (options.traits.needs_identity &&
		(memchr(message.content, '\0', len) ||
		 !pg_verify_mbstr(PG_UTF8, message.content, len, true)))
		return false;
	fuzz_must_succeed(true);
	format->message(&fuzz_out, &format_options, txn, position, &message);
	check_limits(in, &(Record){format, txn, position, NULL, &message});
	take_record("message");
	fuzz_must_succeed(false);
	return true;
}

static bool
wanted(Form_pg_attribute attr, void *bits)
{
	return (*(uint64 *) bits >> (attr->attnum % 64)) & 1;
}

/* Ids sort as the tuples of one record of WAL do. */
static void
check_id_order(FuzzInput *in, const ChangeTransaction *txn,
			   ChangePosition position)
{
	uint32	   index = (uint32) fuzz_bits(in, 4) >> fuzz_below(in, 32);
	ByteBuffer ids[2];

	position.index = Min(index, PG_UINT32_MAX - 1);
	for (int i = 0; i < 2; i++)
	{
		buffer_init(&ids[i]);
		json_append_id(&ids[i], txn, &position);
		buffer_append_char(&ids[i], '\0');
		position.index++;
	}
	if (strcmp(ids[0].data, ids[1].data) >= 0)
		fuzz_fail("%s doesn't sort before %s", ids[0].data, ids[1].data);
}

static void
run(FuzzInput *in)
{
	const ChangeFormat *format = choose_format(in);
	uint64				columns = fuzz_bits(in, 8);
	int					count = fuzz_below(in, MAX_RECORDS);
	RecordForm			form = fuzz_below(in, 4);
	Relation			rel = table_open(table_oid, AccessShareLock);
	RowShape		   *shape =
		row_shape_build(rel, wanted, &columns, CurrentMemoryContext);
	ChangeTransaction txn = {.xid = fuzz_bits(in, 4) | 1,
							 .commit_lsn = fuzz_bits(in, 8),
							 .end_lsn = fuzz_bits(in, 8),
							 .time = fuzz_bits(in, 6),
							 .gid = fuzz_below(in, 2) ? "g\"id\\" : NULL};
	ChangePosition	  position = {.lsn = fuzz_bits(in, 8)};

	buffer_init(&whole);
	if (!options.traits.session_settings)
		(void) settings_pin_canonical(CurrentMemoryContext);
	fuzz_must_succeed(true);
	format->prepare_shape(shape, &format_options);
	format->transaction(&fuzz_out, &format_options, EVENT_BEGIN, &txn,
						&position, form);
	take_record("begin");
	format->schema(&fuzz_out, &format_options, &txn, shape, form);
	take_record("schema");
	fuzz_must_succeed(false);
	check_id_order(in, &txn, position);
	for (int i = 0; i < count; i++)
	{
		int choice = fuzz_below(in, 8);

		position.index = i;
		if (choice == 0)
		{
			if (!write_message(in, format, &txn, &position))
				continue;
		}
		else if (choice == 1)
		{
			if (!(options.action_mask & ACTION_TRUNCATE))
				continue;
			fuzz_must_succeed(true);
			format->truncate(&fuzz_out, &format_options, &txn, &position,
							 shape, fuzz_below(in, 2), fuzz_below(in, 2));
			take_record("truncate");
			fuzz_must_succeed(false);
		}
		else
			write_row(in, format, &txn, &position, shape);
		txn.changes++;
	}
	fuzz_must_succeed(true);
	format->transaction(&fuzz_out, &format_options, EVENT_COMMIT, &txn,
						&position, form);
	take_record("commit");
	if (options.traits.one_record && whole.len > 0)
		(void) check_json(whole.data, whole.len, "transaction");
	fuzz_must_succeed(false);
	table_close(rel, AccessShareLock);
}

const FuzzTarget fuzz_change = {"change", init, run};
