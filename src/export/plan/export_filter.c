/*
 * export_filter.c
 *		The "filter" argument: a WHERE expression over one table's columns.
 *
 * It is parsed in the caller's session and kept as text with every name
 * qualified, together with what these stand for, so that it means the same in
 * every worker and every resume: see filter_objects.c.  What it calls must give
 * the same answer whenever it is asked.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_operator.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_clause.h"
#include "parser/parse_collate.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "export/plan/masks.h"
#include "export/plan/source.h"
#include "compat.h"

static void
filter_refuse(const char *detail)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("invalid filter"), errdetail("%s", detail)));
}

/* The expression alone: whatever else a SELECT could have is refused. */
static Node *
parse_expression(const char *text)
{
	List *parsed =
		raw_parser(psprintf("SELECT WHERE %s", text), RAW_PARSE_DEFAULT);
	SelectStmt *select;
	SelectStmt *plain = makeNode(SelectStmt);

	if (list_length(parsed) != 1)
		filter_refuse("It must be one expression.");
	select = (SelectStmt *) linitial_node(RawStmt, parsed)->stmt;
	if (!IsA(select, SelectStmt) || select->whereClause == NULL)
		filter_refuse("It must be one expression.");
	plain->whereClause = select->whereClause;
	plain->limitOption = select->limitOption;
	if (!equal(select, plain))
		filter_refuse("It must be an expression without further clauses.");
	return select->whereClause;
}

/* Only columns: rows as a whole and system columns differ between leaves. */
static void
check_attributes(Node *filter)
{
	Bitmapset *attributes = NULL;
	int		   member = -1;

	pull_varattnos(filter, 1, &attributes);
	while ((member = bms_next_member(attributes, member)) >= 0)
	{
		if (member + FirstLowInvalidHeapAttributeNumber <= 0)
			filter_refuse("It must not use system columns or whole rows.");
	}
}

static Node *
transform(Node *raw, Relation rel)
{
	ParseState		   *pstate = make_parsestate(NULL);
	ParseNamespaceItem *item = addRangeTableEntryForRelation(
		pstate, rel, AccessShareLock, NULL, false, true);
	Node *filter;

	addNSItemToQuery(pstate, item, false, true, true);
	filter = transformWhereClause(pstate, raw, EXPR_KIND_WHERE, "filter");
	assign_expr_collations(pstate, filter);
	if (pstate->p_hasSubLinks)
		filter_refuse("It must not hold subqueries.");
	if (contain_mutable_functions(filter))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid filter"),
				 errdetail("Its functions and operators must be immutable."),
				 errhint("Let the call compute what changes: filter => "
						 "format('at >= %%L', now() - interval '1 day').")));
	check_attributes(filter);
	free_parsestate(pstate);
	return filter;
}

static void
check_filter_rights(Node *filter, Relation rel)
{
	Oid		   relid = RelationGetRelid(rel);
	Bitmapset *attributes = NULL;
	int		   member = -1;

	if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK)
		return;
	pull_varattnos(filter, 1, &attributes);
	while ((member = bms_next_member(attributes, member)) >= 0)
	{
		if (pg_attribute_aclcheck(relid,
								  member + FirstLowInvalidHeapAttributeNumber,
								  GetUserId(), ACL_SELECT) != ACLCHECK_OK)
			aclcheck_error(ACLCHECK_NO_PRIV,
						   get_relkind_objtype(rel->rd_rel->relkind),
						   RelationGetRelationName(rel));
	}
}

PinnedSettings *
filter_pin_settings(void)
{
	/* what else an expression's text depends on, written or read */
	static const struct
	{
		const char *name;
		const char *value;
	} settings[] = {{"search_path", "pg_catalog, pg_temp"},
					{"transform_null_equals", "off"},
					{"array_nulls", "on"},
					{"xmloption", "content"}};
	PinnedSettings *pinned = settings_pin_canonical(CurrentMemoryContext);

	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i].name, settings[i].value,
								 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
								 true, 0, false);
	return pinned;
}

Node *
filter_plan(const JobSource *source, Relation rel)
{
	PinnedSettings *pinned = filter_pin_settings();
	Node		   *raw = parse_expression(source->filter);
	Node		   *filter;

	filter_check_names(source, raw);
	filter = transform(raw, rel);
	settings_unpin(pinned);
	filter_check_objects(source, filter);
	check_filter_rights(filter, rel);
	return (Node *) expression_planner(
		(Expr *) expand_virtual_columns(filter, rel));
}

pg_noreturn static void
refuse_unnamed(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid filter"),
			 errdetail("It uses an operator that the search_path finds and "
					   "that it does not name, as IS DISTINCT FROM, NULLIF "
					   "and CASE do."),
			 errhint("Write it with the operator and its schema, such as "
					 "OPERATOR(public.=).")));
}

static Oid
operator_schema(Oid operator)
{
	ObjectAddress address;

	ObjectAddressSet(address, OperatorRelationId, operator);
	return get_object_namespace(&address);
}

/* The text names one operator and its schema for all values of a row. */
static bool
check_row_operators(Node *node, void *context)
{
	ListCell *cell;

	if (node == NULL)
		return false;
	foreach (cell, IsA(node, RowCompareExpr) ? ((RowCompareExpr *) node)->opnos
											 : NIL)
	{
		Oid first = linitial_oid(((RowCompareExpr *) node)->opnos);

		if (operator_schema(lfirst_oid(cell)) != operator_schema(first))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid filter"),
					 errdetail("It compares rows with operators of several "
							   "schemas."),
					 errhint("Compare the values one by one: "
							 "a < x OR (a = x AND b < y).")));
	}
	return expression_tree_walker(node, check_row_operators, context);
}

void
filter_begin(JobSource *source, const char *text, Relation rel, const Job *job)
{
	Node		   *filter = transform(parse_expression(text), rel);
	char		   *meant = filter_objects(filter);
	PinnedSettings *pinned;

	check_filter_rights(filter, rel);
	masks_check_filter(filter, rel, job);
	(void) check_row_operators(filter, NULL);
	pinned = filter_pin_settings();
	source->filter =
		deparse_expression(filter,
						   deparse_context_for(RelationGetRelationName(rel),
											   RelationGetRelid(rel)),
						   false, false);
	source->objects =
		filter_objects(transform(parse_expression(source->filter), rel));
	settings_unpin(pinned);
	/* not every operator has its name in the text, as that of a CASE */
	if (strcmp(source->objects, meant) != 0)
		refuse_unnamed();
}
