/*
 * lake_json.c
 *		What lake tables say in JSON: its members, and texts.
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "encode/lake/lake_text.h"
#include "export/lake/lake_table.h"
#include "sink/server.h"

Jsonb *
lake_json_parse(const char *text_utf8, size_t len)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext work;
	char		 *text;
	Jsonb		 *json;

	/* the text would end there, and its length would not be that */
	if (memchr(text_utf8, '\0', len))
		ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
						errmsg("invalid input syntax for type %s", "json"),
						errdetail("The text has a null character.")));
	/* all that it takes is several times what it becomes */
	work = AllocSetContextCreate(caller, "JSON", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(work);
	text = lake_text_to_server(text_utf8, len);
	json =
		DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	MemoryContextSwitchTo(caller);
	json = (Jsonb *) memcpy(palloc(VARSIZE(json)), json, VARSIZE(json));
	/* there may be a token in it */
	server_forget_secret(&text);
	MemoryContextDelete(work);
	return json;
}

/* In the room; NULL where there is none. */
static JsonbValue *
member_of_json(Jsonb *in, const char *name, JsonbValue *room)
{
	if (in == NULL || !JB_ROOT_IS_OBJECT(in))
		return NULL;
	return getKeyJsonValueFromContainer(&in->root, name, strlen(name), room);
}

Jsonb *
lake_json_object(Jsonb *in, const char *name)
{
	JsonbValue	room;
	JsonbValue *value = member_of_json(in, name, &room);

	if (value == NULL || value->type != jbvBinary ||
		!JsonContainerIsObject(value->val.binary.data))
		return NULL;
	return JsonbValueToJsonb(value);
}

char *
lake_json_text(Jsonb *in, const char *name)
{
	JsonbValue	room;
	JsonbValue *value = member_of_json(in, name, &room);

	if (value == NULL || value->type != jbvString)
		return NULL;
	return pnstrdup(value->val.string.val, value->val.string.len);
}

char *
lake_json_need_text(Jsonb *in, const char *name)
{
	char *text = lake_json_text(in, name);

	if (text == NULL || text[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("what is known of the table has no text \"%s\"", name),
				 errhint("Mend the table with what has written to it, "
						 "or export to another directory.")));
	return text;
}

bool
lake_json_get_int(Jsonb *in, const char *name, int64 *found)
{
	JsonbValue	room;
	JsonbValue *value = member_of_json(in, name, &room);

	if (value == NULL || value->type != jbvNumeric)
		return false;
	*found = DatumGetInt64(DirectFunctionCall1(
		numeric_int8, NumericGetDatum(value->val.numeric)));
	return true;
}

int64
lake_json_int(Jsonb *in, const char *name)
{
	int64 found;

	return lake_json_get_int(in, name, &found) ? found : 0;
}

bool
lake_json_is_true(Jsonb *in, const char *name)
{
	JsonbValue	room;
	JsonbValue *value = member_of_json(in, name, &room);

	return value && value->type == jbvBool && value->val.boolean;
}

List *
lake_json_objects(Jsonb *in, const char *name)
{
	JsonbValue	room;
	JsonbValue *value = member_of_json(in, name, &room);
	List	   *objects = NIL;
	uint32		count;

	if (value == NULL || value->type != jbvBinary ||
		!JsonContainerIsArray(value->val.binary.data))
		return NIL;
	count = JsonContainerSize(value->val.binary.data);
	for (uint32 i = 0; i < count; i++)
	{
		JsonbValue *item =
			getIthJsonbValueFromContainer(value->val.binary.data, i);

		CHECK_FOR_INTERRUPTS();
		if (item->type == jbvBinary &&
			JsonContainerIsObject(item->val.binary.data))
			objects = lappend(objects, JsonbValueToJsonb(item));
	}
	return objects;
}

List *
lake_json_names(Jsonb *object)
{
	List			  *names = NIL;
	JsonbIterator	  *it;
	JsonbValue		   key;
	JsonbIteratorToken token;

	if (object == NULL)
		return NIL;
	it = JsonbIteratorInit(&object->root);
	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
		if (token == WJB_KEY)
			names = lappend(names,
							pnstrdup(key.val.string.val, key.val.string.len));
	return names;
}

char *
lake_json_any(Jsonb *in, const char *name)
{
	JsonbValue	room;
	JsonbValue *value = member_of_json(in, name, &room);
	Jsonb	   *json;

	if (value == NULL)
		return NULL;
	json = JsonbValueToJsonb(value);
	return JsonbToCString(NULL, &json->root, VARSIZE(json));
}

void
lake_json_put_text(StringInfo out, const char *text)
{
	char *utf8 = pg_server_to_any(text, strlen(text), PG_UTF8);

	lake_text(out, utf8, strlen(utf8));
}
