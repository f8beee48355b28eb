/*
 * http_form.c
 *		json, ndjson, cloudevents, nifi.
 *
 * CloudEvents 1.0, JSON format: https://github.com/cloudevents/spec.
 * FlowFile version 3: NiFi's FlowFilePackagerV3; ListenHTTP unpacks it into one
 * FlowFile a record, each with attributes of its own.
 */
#include "client/targets/http_form.h"

#include <stdlib.h>
#include <string.h>

#include "client/json_scan.h"

static void
append_plain(Bytes *body, const Target *target, const Identity *identity,
			 const Record *record)
{
	(void) target;
	(void) identity;
	mem_append(body, record->data, record->length - 1);
}

/* The member, or what stands for it; a new text. */
static char *
member_or(const Record *record, const char *name, const char *other)
{
	char *text = json_find_text(record->data, record->length - 1, name);

	return text ? text : client_strdup(other);
}

/* schema.table, whose names stand in the record or, by Debezium, in source. */
static char *
record_table(const Record *record)
{
	const char *data = record->data;
	size_t		length = record->length - 1;
	JsonValue	source;
	char	   *schema;
	char	   *table;
	char	   *name = NULL;

	if (json_find(data, length, "source", &source) && source.length > 0 &&
		source.data[0] == '{')
	{
		data = source.data;
		length = source.length;
	}
	schema = json_find_text(data, length, "schema");
	table = json_find_text(data, length, "table");
	if (schema && table && *table)
		name = client_format("%s.%s", schema, table);
	free(schema);
	free(table);
	return name;
}

static void
append_cloudevent(Bytes *body, const Target *target, const Identity *identity,
				  const Record *record)
{
	char *id = target_record_id(target, record);
	char *op = member_or(record, "op", "transaction");
	char *type = client_format("outflow.%s", op);
	char *table = record_table(record);
	char *source = client_format("urn:postgresql:%s:%s", identity->system_id,
								 identity->slot);

	mem_add(body, "{\"specversion\":\"1.0\",\"id\":");
	json_append_text(body, id);
	mem_add(body, ",\"source\":");
	json_append_text(body, source);
	mem_add(body, ",\"type\":");
	json_append_text(body, type);
	if (table)
	{
		mem_add(body, ",\"subject\":");
		json_append_text(body, table);
	}
	mem_add(body, ",\"datacontenttype\":\"application/json\",\"data\":");
	mem_append(body, record->data, record->length - 1);
	mem_add(body, "}");
	free(id);
	free(op);
	free(type);
	free(table);
	free(source);
}

static void
append_big_endian(Bytes *body, uint64_t value, int size)
{
	char byte;

	while (size-- > 0)
	{
		byte = (char) (value >> (8 * size));
		mem_append(body, &byte, 1);
	}
}

/* Two bytes of length, or two of ones and four. */
static void
append_counted(Bytes *body, const char *text)
{
	size_t length = strlen(text);

	if (length < 0xFFFF)
		append_big_endian(body, length, 2);
	else
	{
		append_big_endian(body, 0xFFFF, 2);
		append_big_endian(body, length, 4);
	}
	mem_add(body, text);
}

static void
append_flowfile(Bytes *body, const Target *target, const Identity *identity,
				const Record *record)
{
	char *id = target_record_id(target, record);
	char *op = member_or(record, "op", "transaction");
	char *table = record_table(record);
	char *filename = client_strdup(id);
	char *p;

	for (p = filename; *p; p++)
		if (*p == '/')
			*p = '-';
	mem_append(body, "NiFiFF3", 7);
	append_big_endian(body, 7, 2);
	append_counted(body, "filename");
	append_counted(body, filename);
	append_counted(body, "mime.type");
	append_counted(body, "application/json");
	append_counted(body, "outflow.id");
	append_counted(body, id);
	append_counted(body, "outflow.op");
	append_counted(body, op);
	append_counted(body, "outflow.table");
	append_counted(body, table ? table : "");
	append_counted(body, "outflow.slot");
	append_counted(body, identity->slot);
	append_counted(body, "outflow.system_id");
	append_counted(body, identity->system_id);
	append_big_endian(body, record->length - 1, 8);
	mem_append(body, record->data, record->length - 1);
	free(id);
	free(op);
	free(table);
	free(filename);
}

static const HttpForm forms[] = {
	{"json", "application/json", "application/json", "{\"data\":[", ",", "]}",
	 append_plain},
	{"ndjson", "application/x-ndjson", "application/x-ndjson", "", "\n", "\n",
	 append_plain},
	{"cloudevents", "application/cloudevents+json",
	 "application/cloudevents-batch+json", "[", ",", "]", append_cloudevent},
	{"nifi", "application/flowfile-v3", "application/flowfile-v3", "", "", "",
	 append_flowfile},
};

const HttpForm *
http_form(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		if (strcmp(forms[i].name, name) == 0)
			return &forms[i];
	client_exit(EXIT_USAGE, "there is no HTTP profile \"%s\"", name);
}
