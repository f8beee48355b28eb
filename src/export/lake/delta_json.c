/*
 * delta_json.c
 *		Members of an action in a Delta table's log.
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "export/lake/delta_log.h"

Jsonb *
delta_json_parse(const char *line, size_t len)
{
	char *utf8 = pnstrdup(line, len);
	char *text = pg_any_to_server(utf8, len, PG_UTF8);

	return DatumGetJsonbP(
		DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
}

static JsonbValue *
member_of_json(Jsonb *in, const char *name)
{
	if (in == NULL || !JB_ROOT_IS_OBJECT(in))
		return NULL;
	return getKeyJsonValueFromContainer(&in->root, name, strlen(name), NULL);
}

Jsonb *
delta_json_object(Jsonb *in, const char *name)
{
	JsonbValue *value = member_of_json(in, name);

	if (value == NULL || value->type != jbvBinary ||
		!JsonContainerIsObject(value->val.binary.data))
		return NULL;
	return JsonbValueToJsonb(value);
}

char *
delta_json_text(Jsonb *in, const char *name)
{
	JsonbValue *value = member_of_json(in, name);

	if (value == NULL || value->type != jbvString)
		return NULL;
	return pnstrdup(value->val.string.val, value->val.string.len);
}

int64
delta_json_int(Jsonb *in, const char *name)
{
	JsonbValue *value = member_of_json(in, name);

	if (value == NULL || value->type != jbvNumeric)
		return 0;
	return DatumGetInt64(DirectFunctionCall1(
		numeric_int8, NumericGetDatum(value->val.numeric)));
}
