/*
 * manifest.c
 *		_manifest.json: what an export is, and what its files must be.
 *
 * Nothing in it is ever trusted again: resuming and incremental exports look
 * at the job tables only.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/rel.h"

#include "export/export_settings.h"
#include "export/job/job.h"
#include "export/job/part_table.h"
#include "export/finish/finish.h"
#include "compat.h"

#define MANIFEST_VERSION 1

static const char *
text_encoding(const Job *job)
{
	if (job->row_format == &row_format_binary)
		return GetDatabaseEncodingName();
	if (job->row_format->canonical_settings)
		return "UTF8";
	return pg_encoding_to_char(job->options.row.encoding);
}

/* Under which the values' texts were written. */
static List *
text_settings(const Job *job)
{
	PinnedSettings *pinned = settings_pin_job(job);
	List		   *settings = settings_capture();

	settings_unpin(pinned);
	return settings;
}

/* A string as JSON, in UTF-8 whatever the database's encoding is. */
static void
manifest_append_text(ByteBuffer *out, const char *text)
{
	JsonStyle style = json_style_default();

	text = text_of_names(text);
	json_string(out, &style, text, strlen(text));
}

static void
append_member(ByteBuffer *out, const char *name, const char *text)
{
	buffer_printf(out, ",\n  \"%s\": ", name);
	if (text)
		manifest_append_text(out, text);
	else
		buffer_append_string(out, "null");
}

static void
append_texts(ByteBuffer *out, const List *texts)
{
	ListCell *cell;

	buffer_append_char(out, '[');
	foreach (cell, texts)
	{
		if (foreach_current_index(cell) > 0)
			buffer_append_string(out, ", ");
		manifest_append_text(out, lfirst(cell));
	}
	buffer_append_char(out, ']');
}

static void
append_part(ByteBuffer *out, const FinishedPart *part)
{
	buffer_printf(out, "{\"part\": %d, \"file\": ", part->plan.number);
	/* as it is found from here */
	manifest_append_text(out, part->location ? part_file_path(part)
											 : destination_name(part->file));
	buffer_append_string(out, ", \"relation\": ");
	manifest_append_text(out, part->name);
	buffer_printf(
		out,
		", \"first_block\": %u, \"end_block\": %u, \"rows\": " INT64_FORMAT
		", \"bytes\": " INT64_FORMAT ", \"bytes_stored\": " INT64_FORMAT,
		part->plan.first_block, part->plan.end_block, part->rows, part->bytes,
		part->bytes_stored);
	if (part->crc32c >= 0)
		buffer_printf(out, ", \"crc32c\": \"%08x\"", (uint32) part->crc32c);
	if (part->made_null > 0)
		buffer_printf(out, ", \"made_null\": " INT64_FORMAT, part->made_null);
	buffer_printf(out, ", \"%s\": \"%s\"}", part->checksum.method->name,
				  checksum_hex(&part->checksum));
}

static void
append_settings(ByteBuffer *out, List *settings)
{
	buffer_append_string(out, ",\n  \"settings\": {");
	for (int i = 0; i + 1 < list_length(settings); i += 2)
	{
		if (i > 0)
			buffer_append_string(out, ", ");
		manifest_append_text(out, list_nth(settings, i));
		buffer_append_string(out, ": ");
		manifest_append_text(out, list_nth(settings, i + 1));
	}
	buffer_append_char(out, '}');
}

/* Sums, as members of an object: each after a comma and what separates. */
static void
append_totals(ByteBuffer *out, const char *separator, const List *parts)
{
	int64			rows = 0;
	int64			bytes = 0;
	int64			bytes_stored = 0;
	int64			made_null = 0;
	const ListCell *cell;

	foreach (cell, parts)
	{
		FinishedPart *part = lfirst(cell);

		rows += part->rows;
		bytes += part->bytes;
		bytes_stored += part->bytes_stored;
		made_null += part->made_null;
	}
	buffer_printf(out,
				  ",%s\"rows\": " INT64_FORMAT ",%s\"bytes\": " INT64_FORMAT
				  ",%s\"bytes_stored\": " INT64_FORMAT,
				  separator, rows, separator, bytes, separator, bytes_stored);
	if (made_null > 0)
		buffer_printf(out, ",%s\"made_null\": " INT64_FORMAT, separator,
					  made_null);
}

static void
append_parts(ByteBuffer *out, const List *parts)
{
	const ListCell *cell;

	buffer_append_string(out, ",\n  \"parts\": [");
	foreach (cell, parts)
	{
		CHECK_FOR_INTERRUPTS();
		buffer_append_string(out, foreach_current_index(cell) > 0 ? ",\n    "
																  : "\n    ");
		append_part(out, lfirst(cell));
	}
	buffer_append_string(out, "\n  ]");
}

static void
append_tables(ByteBuffer *out, const Job *job, const List *parts)
{
	const ListCell *cell;

	buffer_append_string(out, ",\n  \"tables\": [");
	foreach (cell, job->sources)
	{
		const JobSource *source = lfirst(cell);
		List			*own = parts_of_source(parts, source->number);

		CHECK_FOR_INTERRUPTS();
		buffer_append_string(out, foreach_current_index(cell) > 0 ? ",\n    "
																  : "\n    ");
		buffer_append_string(out, "{\"source\": ");
		manifest_append_text(out, source->name);
		buffer_append_string(out, ", \"folder\": ");
		manifest_append_text(out, source->folder);
		buffer_printf(out, ", \"parts\": %d", list_length(own));
		append_totals(out, " ", own);
		buffer_append_char(out, '}');
		list_free(own);
	}
	buffer_append_string(out, "\n  ]");
}

/* Which export this is. */
static void
manifest_append_identity(ByteBuffer *out, const Job *job)
{
	buffer_printf(out, "{\n  \"version\": %d,\n  \"job\": " INT64_FORMAT,
				  MANIFEST_VERSION, job->id);
	append_member(out, "uuid", job->uuid);
	append_member(out, "system_identifier",
				  psprintf(UINT64_FORMAT, GetSystemIdentifier()));
	append_member(out, "server", job_server());
	append_member(out, "database", get_database_name(MyDatabaseId));
	append_member(out, "database_oid", psprintf("%u", MyDatabaseId));
	if (job->publication)
		append_member(out, "publication", job->publication);
}

/* How and when its files were written. */
static void
append_output(ByteBuffer *out, const Job *job)
{
	JsonStyle style = json_style_default();

	append_member(out, "format", job->format);
	append_member(out, "compression", job->compression);
	if (job->encrypt_to)
	{
		buffer_append_string(out, ",\n  \"encrypt_to\": ");
		append_texts(out, job->encrypt_to);
	}
	append_member(out, "encoding", text_encoding(job));
	append_settings(out, text_settings(job));
	buffer_append_string(out, ",\n  \"options\": ");
	json_text(out, &style, job->options_json, strlen(job->options_json));
	append_member(out, "snapshot", job->snapshot);
	append_member(out, "lsn", job->lsn);
	if (job->slot)
		append_member(out, "slot", job->slot);
	append_member(out, "started", job->started);
}

char *
manifest_build(const Job *job, const JobSource *source, const List *parts)
{
	ByteBuffer out;

	buffer_init(&out);
	manifest_append_identity(&out, job);
	append_member(&out, "source", source->name);
	buffer_printf(&out, ",\n  \"columns\": %s",
				  source->definition ? source->definition : "[]");
	if (source->filter)
		append_member(&out, "filter", source->filter);
	if (source->query)
		append_member(&out, "query", source->query);
	append_output(&out, job);
	append_totals(&out, "\n  ", parts);
	append_parts(&out, parts);
	buffer_append_string(&out, "\n}\n");
	return buffer_text(&out);
}

char *
manifest_build_common(const Job *job, const List *parts)
{
	ByteBuffer out;

	buffer_init(&out);
	manifest_append_identity(&out, job);
	append_output(&out, job);
	append_totals(&out, "\n  ", parts);
	append_tables(&out, job, parts);
	buffer_append_string(&out, "\n}\n");
	return buffer_text(&out);
}
