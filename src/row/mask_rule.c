/*
 * mask_rule.c
 *		Reads which columns are masked, and how.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/guc.h"

#include "name_pattern.h"
#include "option.h"
#include "row/mask.h"

static const char *const methods[] = {[MASK_NULL] = "null",
									  [MASK_REDACT] = "redact",
									  [MASK_HASH] = "hash",
									  [MASK_TRUNCATE] = "truncate"};

static bool
read_method(const char *text, MaskRule *rule)
{
	const char *colon = strchr(text, ':');
	size_t		len = colon ? colon - text : strlen(text);
	int			i = 0;

	while (strlen(methods[i]) != len || strncmp(methods[i], text, len) != 0)
	{
		if (++i == lengthof(methods))
			return false;
	}
	rule->method = i;
	if (rule->method != MASK_TRUNCATE)
		return colon == NULL;
	return colon && parse_int(colon + 1, &rule->length, 0, NULL) &&
		   rule->length >= 0;
}

/* NULL if it is none. */
static MaskRule *
read_rule(const char *text)
{
	MaskRule   *rule = palloc0(sizeof(MaskRule));
	const char *equals = strrchr(text, '=');

	if (equals == NULL || !read_method(equals + 1, rule))
		return NULL;
	rule->column = name_pattern_read(pnstrdup(text, equals - text), 3);
	return rule->column ? rule : NULL;
}

const char *
mask_rules_read(const char *text, List **rules)
{
	List	   *items;
	ListCell   *cell;
	const char *problem;

	*rules = NIL;
	if (text == NULL || text[0] == '\0')
		return NULL;
	problem = option_split_list(text, &items);
	if (problem)
		return problem;
	foreach (cell, items)
	{
		MaskRule *rule = read_rule(lfirst(cell));

		if (rule == NULL)
			return "A mask looks like schema.table.column=method, where the "
				   "method is null, redact, hash or truncate:N, and * and ? "
				   "stand for any characters and one.";
		*rules = lappend(*rules, rule);
	}
	return NULL;
}

List *
mask_rules_parse(const char *what, const char *name, const char *text)
{
	List	   *rules;
	const char *problem = mask_rules_read(text, &rules);

	if (problem)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid value for %s \"%s\": \"%s\"", what,
							   name, option_shown(text)),
						errhint("%s", problem)));
	return rules;
}

char *
mask_method_text(MaskMethod method, int length)
{
	if (method == MASK_TRUNCATE)
		return psprintf("%s:%d", methods[method], length);
	return pstrdup(methods[method]);
}

char *
mask_keep(AttrNumber attnum, const MaskRule *rule)
{
	return psprintf("%d=%s", attnum,
					mask_method_text(rule->method, rule->length));
}

List *
mask_kept_read(const List *texts)
{
	const ListCell *cell;
	List		   *kept = NIL;

	foreach (cell, texts)
	{
		MaskRule   *rule = palloc0(sizeof(MaskRule));
		const char *text = lfirst(cell);
		const char *equals = strchr(text, '=');

		if (equals == NULL || !read_method(equals + 1, rule))
			elog(ERROR, "invalid mask \"%s\"", text);
		rule->attnum = atoi(text);
		kept = lappend(kept, rule);
	}
	return kept;
}
