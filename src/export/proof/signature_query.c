/*
 * signature_query.c
 *		What a query means, as text: itself, with the sources of its functions and
 *		the labels and fields of its types.
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"

#include "export/proof/signature_type.h"
#include "export/proof/stamp.h"

static bool
query_describe_called(Oid function, void *context)
{
	describe_function(context, function);
	return false;
}

static bool
query_describe_node(Node *node, void *context)
{
	Description *description = context;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, query_describe_node, context,
								 0);
	/* labels and fields are read where types are: in values, and in casts */
	if (IsA(node, Var) || IsA(node, Const) || IsA(node, FuncExpr) ||
		IsA(node, CoerceViaIO))
		describe_type(description, exprType(node));
	(void) check_functions_in_node(node, query_describe_called, description);
	return expression_tree_walker(node, query_describe_node, context);
}

char *
signature_query_text(Query *query)
{
	Description description = {0};

	initStringInfo(&description.text);
	description_append(&description.text, nodeToString(query));
	(void) query_describe_node((Node *) query, &description);
	return description.text.data;
}
