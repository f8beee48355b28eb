/*
 * sql.h
 *		What the functions that users call have in common.
 */
#ifndef OUTFLOW_SQL_H
#define OUTFLOW_SQL_H

#include "fmgr.h"

/*
 * A procedure that waits must be able to end transactions; within one, users
 * are told to call start instead of name; NULL: nothing else does the same.
 */
extern void sql_require_nonatomic(FunctionCallInfo fcinfo, const char *name,
								  const char *start);

#endif /* OUTFLOW_SQL_H */
