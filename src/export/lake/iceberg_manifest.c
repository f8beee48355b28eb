/*
 * iceberg_manifest.c
 *		Manifests of an Iceberg table, and the lists of them.
 *
 * A manifest says which files a table has, or has lost by a snapshot; a list has
 * a snapshot's manifests.  None is ever changed: a snapshot takes over those of
 * which it loses nothing, and writes the rest of the others anew.
 *
 * Long, as what is written here is read here, by the same two schemas.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "encode/iceberg/avro.h"
#include "export/lake/iceberg_table.h"
#include "failpoint.h"

/* As other writers have it: many small ones are slow to read, large ones slow to
 * write anew. */
#define MANIFEST_BYTES (8 * 1024 * 1024)
#define BLOCK_BYTES	   (64 * 1024)

/* "field-id" says what a value is; only the optional ones are left out that we
 * know nothing of. */
#define MAP_SCHEMA(name, id, key, value, type)                                \
	"{\"name\":\"" name "\",\"type\":[\"null\",{\"type\":\"array\","          \
	"\"items\":{\"type\":\"record\",\"name\":\"k" key "_v" value              \
	"\",\"fields\":[{\"name\":\"key\",\"type\":\"int\",\"field-id\":" key     \
	"},{\"name\":\"value\",\"type\":\"" type "\",\"field-id\":" value         \
	"}]},\"logicalType\":\"map\"}],\"default\":null,\"field-id\":" id "}"
#define FIELD_SCHEMA(name, id, type)                                          \
	"{\"name\":\"" name "\",\"type\":\"" type "\",\"field-id\":" id "}"
#define OPTIONAL_SCHEMA(name, id, type)                                       \
	"{\"name\":\"" name "\",\"type\":[\"null\",\"" type                       \
	"\"],\"default\":null,\"field-id\":" id "}"

/* clang-format off */
#define MANIFEST_SCHEMA(more)                                                 \
	"{\"type\":\"record\",\"name\":\"manifest_entry\",\"fields\":["           \
	FIELD_SCHEMA("status", "0", "int") ","                                    \
	OPTIONAL_SCHEMA("snapshot_id", "1", "long") ","                           \
	OPTIONAL_SCHEMA("sequence_number", "3", "long") ","                       \
	OPTIONAL_SCHEMA("file_sequence_number", "4", "long") ","                  \
	"{\"name\":\"data_file\",\"type\":{\"type\":\"record\","                  \
	"\"name\":\"r2\",\"fields\":["                                            \
	FIELD_SCHEMA("content", "134", "int") ","                                 \
	FIELD_SCHEMA("file_path", "100", "string") ","                            \
	FIELD_SCHEMA("file_format", "101", "string") ","                          \
	"{\"name\":\"partition\",\"type\":{\"type\":\"record\","                  \
	"\"name\":\"r102\",\"fields\":[]},\"field-id\":102},"                     \
	FIELD_SCHEMA("record_count", "103", "long") ","                           \
	FIELD_SCHEMA("file_size_in_bytes", "104", "long") ","                     \
	MAP_SCHEMA("value_counts", "109", "119", "120", "long") ","               \
	MAP_SCHEMA("null_value_counts", "110", "121", "122", "long") ","          \
	MAP_SCHEMA("lower_bounds", "125", "126", "127", "bytes") ","              \
	MAP_SCHEMA("upper_bounds", "128", "129", "130", "bytes")                  \
	more "]},\"field-id\":2}]}"

/* Exports of before have left the second. */
enum
{
	SCHEMA_WRITTEN,
	SCHEMA_WITHOUT_ORDER
};

static const char *const manifest_schemas[] = {
	MANIFEST_SCHEMA("," OPTIONAL_SCHEMA("sort_order_id", "140", "int")),
	MANIFEST_SCHEMA("")};

static const char *const list_schema =
	"{\"type\":\"record\",\"name\":\"manifest_file\",\"fields\":["
	FIELD_SCHEMA("manifest_path", "500", "string") ","
	FIELD_SCHEMA("manifest_length", "501", "long") ","
	FIELD_SCHEMA("partition_spec_id", "502", "int") ","
	FIELD_SCHEMA("content", "517", "int") ","
	FIELD_SCHEMA("sequence_number", "515", "long") ","
	FIELD_SCHEMA("min_sequence_number", "516", "long") ","
	FIELD_SCHEMA("added_snapshot_id", "503", "long") ","
	FIELD_SCHEMA("added_files_count", "504", "int") ","
	FIELD_SCHEMA("existing_files_count", "505", "int") ","
	FIELD_SCHEMA("deleted_files_count", "506", "int") ","
	FIELD_SCHEMA("added_rows_count", "512", "long") ","
	FIELD_SCHEMA("existing_rows_count", "513", "long") ","
	FIELD_SCHEMA("deleted_rows_count", "514", "long") "]}";
/* clang-format on */

/* In the order of the list's schema. */
static const IcebergStatus statuses_of_list[] = {
	ICEBERG_ADDED, ICEBERG_EXISTING, ICEBERG_DELETED};

/* ---- reading */

static char *
get_file(Destination *root, const char *folder, const char *uri, size_t *len)
{
	char *key = iceberg_key(folder, destination_name(uri));
	char *data = root->driver->get(root, key, ICEBERG_FILE_MAX, len);

	if (data == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FILE),
				 errmsg("the Iceberg table has no \"%s\" any more", key),
				 errhint("Export to another directory.")));
	return data;
}

static IcebergManifest *
read_manifest(AvroReader *reader)
{
	IcebergManifest *manifest = palloc0_object(IcebergManifest);

	manifest->path = avro_get_string(reader);
	manifest->length = avro_get_long(reader);
	manifest->spec = avro_get_long(reader);
	manifest->content = avro_get_long(reader);
	manifest->sequence = avro_get_long(reader);
	manifest->min_sequence = avro_get_long(reader);
	manifest->snapshot = avro_get_long(reader);
	for (int i = 0; i < lengthof(statuses_of_list); i++)
		manifest->files[statuses_of_list[i]] = avro_get_long(reader);
	for (int i = 0; i < lengthof(statuses_of_list); i++)
		manifest->rows[statuses_of_list[i]] = avro_get_long(reader);
	return manifest;
}

List *
iceberg_manifests(Destination *root, const char *folder,
				  const IcebergVersion *version, pg_crc32c *sum)
{
	size_t		len;
	const char *uri = version->manifest_list;
	char	   *data = get_file(root, folder, uri, &len);
	List	   *manifests = NIL;
	AvroFile	file;
	AvroReader	values;
	int64		count;

	if (sum)
		*sum = checksum_crc32c(data, len);
	avro_open(&file, destination_name(uri), data, len, &list_schema, 1);
	while ((count = avro_next_block(&file, &values)) > 0)
	{
		for (; count > 0; count--)
			manifests = lappend(manifests, read_manifest(&values));
	}
	return manifests;
}

/* Of an optional value. */
static int64
get_optional(AvroReader *reader, int64 otherwise)
{
	return avro_get_long(reader) == 0 ? otherwise : avro_get_long(reader);
}

static void
skip_map(AvroReader *reader, bool of_bytes)
{
	int64  count;
	size_t len;

	if (avro_get_long(reader) == 0)
		return;
	while ((count = avro_get_long(reader)) != 0)
	{
		for (; count > 0; count--)
		{
			(void) avro_get_long(reader);
			if (of_bytes)
				(void) avro_get_bytes(reader, &len);
			else
				(void) avro_get_long(reader);
		}
	}
}

static void
get_entry(HTAB *files, IcebergManifest *manifest, AvroReader *reader,
		  bool has_order)
{
	IcebergStatus status = (IcebergStatus) avro_get_long(reader);
	IcebergFile	  entry = {.manifest = manifest};
	const char	 *start;
	IcebergFile	 *file;
	size_t		  len;

	entry.snapshot = get_optional(reader, manifest->snapshot);
	entry.sequence = get_optional(reader, manifest->sequence);
	entry.file_sequence = get_optional(reader, manifest->sequence);
	start = reader->at;
	(void) avro_get_long(reader); /* content */
	entry.path = avro_get_string(reader);
	(void) avro_get_bytes(reader, &len); /* format */
	entry.rows = avro_get_long(reader);
	entry.size = avro_get_long(reader);
	skip_map(reader, false);
	skip_map(reader, false);
	entry.bounds = reader->at - start;
	skip_map(reader, true);
	skip_map(reader, true);
	entry.bounds_len = reader->at - start - entry.bounds;
	if (has_order)
		(void) get_optional(reader, 0);
	if (status == ICEBERG_DELETED)
		return;
	strlcpy(entry.name, destination_name(entry.path), sizeof(entry.name));
	entry.entry_len = reader->at - start;
	/* to be written by the schema of now: without an order, a null */
	entry.entry = memcpy(palloc0(entry.entry_len + 1), start, entry.entry_len);
	entry.entry_len += !has_order;
	file = hash_search(files, entry.name, HASH_ENTER, NULL);
	*file = entry;
}

void
iceberg_add_files(HTAB *files, Destination *root, const char *folder,
				  IcebergManifest *manifest)
{
	size_t	   len;
	char	  *data = get_file(root, folder, manifest->path, &len);
	AvroFile   file;
	AvroReader values;
	int64	   count;

	manifest->sum = checksum_crc32c(data, len);
	avro_open(&file, destination_name(manifest->path), data, len,
			  manifest_schemas, lengthof(manifest_schemas));
	while ((count = avro_next_block(&file, &values)) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		for (; count > 0; count--)
			get_entry(files, manifest, &values,
					  file.schema != SCHEMA_WITHOUT_ORDER);
	}
	pfree(data);
}

HTAB *
iceberg_file_set(void)
{
	HASHCTL control = {.keysize = sizeof(((IcebergFile *) NULL)->name),
					   .entrysize = sizeof(IcebergFile),
					   .hcxt = CurrentMemoryContext};

	return hash_create("outflow files of an Iceberg table", 256, &control,
					   HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

HTAB *
iceberg_files(Destination *root, const char *folder,
			  const IcebergVersion *version, List **manifests)
{
	HTAB	 *files = iceberg_file_set();
	ListCell *cell;

	*manifests =
		version ? iceberg_manifests(root, folder, version, NULL) : NIL;
	foreach (cell, *manifests)
		iceberg_add_files(files, root, folder, lfirst(cell));
	return files;
}

char *
iceberg_sum(const List *manifests, pg_crc32c list)
{
	StringInfoData	sums;
	const ListCell *cell;

	initStringInfo(&sums);
	foreach (cell, manifests)
		appendStringInfo(&sums, "%08x,",
						 ((const IcebergManifest *) lfirst(cell))->sum);
	appendStringInfo(&sums, "%08x", list);
	return psprintf("%08x", checksum_crc32c(sums.data, sums.len));
}

/* ---- writing */

struct IcebergWriter
{
	Destination		   *root;
	const IcebergTable *table;
	const char		   *uuid;
	char			   *schema; /* in UTF-8 */
	int64				schema_id;
	int64				snapshot;
	int64				sequence;
	char				sync[AVRO_SYNC_SIZE];

	/* the manifest that is being filled */
	IcebergManifest manifest;
	ByteBuffer		file;
	ByteBuffer		block;
	int64			block_count;
	int				written;

	/* the list */
	ByteBuffer list;
	int64	   list_count;
	List	  *listed; /* of IcebergManifest * */
};

IcebergWriter *
iceberg_writer_new(Destination *root, const IcebergTable *table,
				   const char *uuid, const char *schema, int64 schema_id,
				   int64 snapshot)
{
	IcebergWriter *writer = palloc0_object(IcebergWriter);
	int			   digits = 0;

	*writer = (IcebergWriter){
		.root = root,
		.table = table,
		.uuid = uuid,
		.schema = pg_server_to_any(schema, strlen(schema), PG_UTF8),
		.schema_id = schema_id,
		.snapshot = snapshot,
		.sequence = table->sequence + 1};
	/* it must only be unlikely in what else a file holds */
	for (const char *c = uuid; *c && digits < AVRO_SYNC_SIZE; c++)
	{
		if (*c == '-')
			continue;
		writer->sync[digits] = (char) (*c * 31 + digits);
		digits++;
	}
	buffer_init(&writer->file);
	buffer_init(&writer->block);
	buffer_init(&writer->list);
	return writer;
}

static List *
manifest_metadata(const IcebergWriter *writer)
{
	List *metadata =
		list_make4(pstrdup("schema"), writer->schema, pstrdup("schema-id"),
				   psprintf(INT64_FORMAT, writer->schema_id));

	metadata = list_concat(
		metadata, list_make4(pstrdup("partition-spec"), pstrdup("[]"),
							 pstrdup("partition-spec-id"),
							 psprintf(INT64_FORMAT, writer->table->spec)));
	return list_concat(metadata,
					   list_make4(pstrdup("format-version"), pstrdup("2"),
								  pstrdup("content"), pstrdup("data")));
}

static void
end_block(IcebergWriter *writer)
{
	avro_put_block(&writer->file, writer->block_count, &writer->block,
				   writer->sync);
	buffer_clear(&writer->block);
	writer->block_count = 0;
}

/* The URI of a file in the table's metadata. */
static char *
put_file(IcebergWriter *writer, const char *name, const ByteBuffer *file)
{
	char *key = iceberg_key(writer->table->table.folder, name);

	writer->root->driver->put(writer->root, key, file->data, file->len, true);
	return writer->root->driver->uri(writer->root, key);
}

static void
list_manifest(IcebergWriter *writer, const IcebergManifest *manifest)
{
	ByteBuffer *out = &writer->list;

	avro_put_string(out, manifest->path);
	avro_put_long(out, manifest->length);
	avro_put_long(out, manifest->spec);
	avro_put_long(out, manifest->content);
	avro_put_long(out, manifest->sequence);
	avro_put_long(out, manifest->min_sequence);
	avro_put_long(out, manifest->snapshot);
	for (int i = 0; i < lengthof(statuses_of_list); i++)
		avro_put_long(out, manifest->files[statuses_of_list[i]]);
	for (int i = 0; i < lengthof(statuses_of_list); i++)
		avro_put_long(out, manifest->rows[statuses_of_list[i]]);
	writer->list_count++;
	writer->listed =
		lappend(writer->listed, memcpy(palloc_object(IcebergManifest),
									   manifest, sizeof(IcebergManifest)));
}

static void
end_manifest(IcebergWriter *writer)
{
	IcebergManifest *manifest = &writer->manifest;

	if (writer->file.len == 0)
		return;
	end_block(writer);
	manifest->length = (int64) writer->file.len;
	manifest->sum = checksum_crc32c(writer->file.data, writer->file.len);
	manifest->spec = writer->table->spec;
	manifest->sequence = writer->sequence;
	manifest->snapshot = writer->snapshot;
	manifest->path = put_file(
		writer, psprintf("%s-m%d.avro", writer->uuid, writer->written++),
		&writer->file);
	list_manifest(writer, manifest);
	buffer_clear(&writer->file);
	*manifest = (IcebergManifest){0};
	FAILPOINT("lake-manifest");
}

static void
put_optional(ByteBuffer *out, bool is_there, int64 value)
{
	avro_put_long(out, is_there);
	if (is_there)
		avro_put_long(out, value);
}

/*
 * Of a file that goes no bounds are told: they may be values of a column that has
 * a mask since.
 */
static void
put_without_bounds(ByteBuffer *out, const IcebergFile *file)
{
	size_t after = file->bounds + file->bounds_len;

	buffer_append(out, file->entry, file->bounds);
	put_optional(out, false, 0); /* lower */
	put_optional(out, false, 0); /* upper */
	buffer_append(out, file->entry + after, file->entry_len - after);
}

void
iceberg_put_file(IcebergWriter *writer, const IcebergFile *file,
				 IcebergStatus status)
{
	ByteBuffer		*out = &writer->block;
	IcebergManifest *manifest = &writer->manifest;
	bool			 is_new = status == ICEBERG_ADDED;
	int64			 sequence = is_new ? writer->sequence : file->sequence;

	CHECK_FOR_INTERRUPTS();
	if (writer->file.len == 0)
	{
		avro_put_head(&writer->file, manifest_schemas[SCHEMA_WRITTEN],
					  manifest_metadata(writer), writer->sync);
		manifest->min_sequence = sequence;
	}
	avro_put_long(out, status);
	/* the snapshot that has done to it what the status says */
	put_optional(out, true,
				 status == ICEBERG_EXISTING ? file->snapshot
											: writer->snapshot);
	/* a new one has the numbers of its manifest */
	put_optional(out, !is_new, file->sequence);
	put_optional(out, !is_new, file->file_sequence);
	if (status == ICEBERG_DELETED)
		put_without_bounds(out, file);
	else
		buffer_append(out, file->entry, file->entry_len);
	manifest->min_sequence = Min(manifest->min_sequence, sequence);
	manifest->files[status]++;
	manifest->rows[status] += file->rows;
	writer->block_count++;
	if (out->len > BLOCK_BYTES)
		end_block(writer);
	if (writer->file.len > MANIFEST_BYTES)
		end_manifest(writer);
}

void
iceberg_keep_manifest(IcebergWriter *writer, const IcebergManifest *manifest)
{
	list_manifest(writer, manifest);
}

char *
iceberg_writer_finish(IcebergWriter *writer, char **sum)
{
	ByteBuffer file;
	List	  *metadata;

	end_manifest(writer);
	metadata = list_make4(
		pstrdup("snapshot-id"), psprintf(INT64_FORMAT, writer->snapshot),
		pstrdup("sequence-number"), psprintf(INT64_FORMAT, writer->sequence));
	metadata = list_concat(
		metadata,
		list_make4(pstrdup("parent-snapshot-id"),
				   writer->table->current == ICEBERG_NONE
					   ? pstrdup("null")
					   : psprintf(INT64_FORMAT, writer->table->current),
				   pstrdup("format-version"), pstrdup("2")));
	buffer_init(&file);
	avro_put_head(&file, list_schema, metadata, writer->sync);
	avro_put_block(&file, writer->list_count, &writer->list, writer->sync);
	*sum = iceberg_sum(writer->listed, checksum_crc32c(file.data, file.len));
	return put_file(writer,
					psprintf("snap-" INT64_FORMAT "-%s.avro", writer->snapshot,
							 writer->uuid),
					&file);
}

static int
digit_of(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

char *
iceberg_entry_of_part(const char *path, const FinishedPart *part, int64 order,
					  size_t *len)
{
	const char *hex = part->statistics ? part->statistics : "00000000";
	ByteBuffer	out;

	buffer_init(&out);
	avro_put_long(&out, 0); /* data, no deletes */
	avro_put_string(&out, path);
	avro_put_string(&out, "PARQUET");
	avro_put_long(&out, part->rows);
	avro_put_long(&out, part->bytes_stored);
	for (; isxdigit((uint8) hex[0]) && hex[1]; hex += 2)
		buffer_append_char(&out,
						   (char) (digit_of(hex[0]) * 16 + digit_of(hex[1])));
	/* no order that is known is none, too */
	put_optional(&out, order > 0, order);
	*len = out.len;
	return out.data;
}
