/*
 * options_json.c
 *		The options of format json, which debezium has as well.
 */
#include "postgres.h"

#include "option.h"
#include "row/mask.h"
#include "stream/stream.h"

static const OptionChoice number_choices[] = {
	{"native", 0},
	{"string", 1},
	{NULL},
};

static const OptionChoice nested_choices[] = {
	{"native", 0},
	{"text", 1},
	{NULL},
};

#define FIELD(field) offsetof(StreamOptions, field)

/* A batch can't pass 1 GB; leave room for escapes of one value. */
#define MAX_BATCH (INT64CONST(256) * 1024 * 1024)

/* clang-format off */
static const OptionSpec debezium_table[] = {
	{"topic_prefix", OPTION_STRING, FIELD(topic_prefix)},
	/* the options of format json begin here */
	{"format", OPTION_STRING, FIELD(format), "json"},
	{"format_version", OPTION_INT, FIELD(format_version), "1", 1, 1},
	{"publication_names", OPTION_LIST, FIELD(publication_names)},
	{"tables", OPTION_LIST, FIELD(tables)},
	{"exclude_tables", OPTION_LIST, FIELD(exclude_tables)},
	{"exclude_columns", OPTION_LIST, FIELD(exclude_columns)},
	{"mask_columns", OPTION_STRING, FIELD(mask_columns)},
	{"actions", OPTION_LIST, FIELD(actions), "insert,update,delete,truncate"},
	{"origin", OPTION_LIST, FIELD(origin), "any"},
	{"messages", OPTION_BOOL, FIELD(messages), "on"},
	{"message_prefixes", OPTION_LIST, FIELD(message_prefixes)},
	{"include_transactions", OPTION_BOOL, FIELD(include_transactions), "on"},
	{"include_schemas", OPTION_BOOL, FIELD(include_schemas), "on"},
	{"include_old", OPTION_BOOL, FIELD(include_old), "on"},
	{"batch_bytes", OPTION_SIZE, FIELD(batch_bytes), "0", 0, MAX_BATCH},
	{"numbers", OPTION_ENUM, FIELD(numbers), "native", 0, 0, number_choices},
	{"nested", OPTION_ENUM, FIELD(nested), "native", 0, 0, nested_choices},
	{"streaming", OPTION_BOOL, FIELD(streaming)},
	{"two_phase", OPTION_BOOL, FIELD(two_phase)},
	{"after_snapshot", OPTION_LIST, FIELD(after_snapshot)},
	{"max_value_bytes", OPTION_SIZE, FIELD(max_value_bytes), "64MB",
		1024, MAX_RECORD_BYTES},
	{"max_record_bytes", OPTION_SIZE, FIELD(max_record_bytes), "512MB",
		1024, MAX_RECORD_BYTES},
	{"oversize", OPTION_ENUM, FIELD(oversize), "omit", 0, 0, oversize_choices},
	{"skip_changes", OPTION_LIST, FIELD(skip_changes)},
	{NULL},
};
/* clang-format on */

static const OptionSpec *const json_table = debezium_table + 1;

static void
parse(const OptionSpec *table, List *elements, StreamOptions *options)
{
	options_parse(table, STREAM_OPTION, elements, options);

	options->tables = name_patterns_parse("tables", options->tables, 2);
	options->exclude_tables =
		name_patterns_parse("exclude_tables", options->exclude_tables, 2);
	options->exclude_columns =
		name_patterns_parse("exclude_columns", options->exclude_columns, 3);
	options->masks =
		mask_rules_parse(STREAM_OPTION, "mask_columns", options->mask_columns);
	options->action_mask = action_mask(options->actions);
	options->after_snapshot = snapshots_parse(options->after_snapshot);
	skip_changes_parse(options);
}

const ChangeFormat *
json_options_parse(List *elements, StreamOptions *options)
{
	parse(json_table, elements, options);
	return &change_format_json;
}

void
debezium_options_read(List *elements, StreamOptions *options)
{
	parse(debezium_table, elements, options);
}
