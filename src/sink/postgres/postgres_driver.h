/*
 * postgres_driver.h
 *		The driver for servers of outflow_postgres.
 */
#ifndef OUTFLOW_POSTGRES_DRIVER_H
#define OUTFLOW_POSTGRES_DRIVER_H

#include "sink/destination.h"

/* An SQL condition: schema n of pg_namespace holds the records of exports. */
#define POSTGRES_IS_LEDGER                                                    \
	"(starts_with(n.nspname::text, 'outflow_') AND 3 = (SELECT count(*) "     \
	"FROM pg_class AS l WHERE l.relnamespace = n.oid AND l.relkind = 'r' "    \
	"AND l.relowner = n.nspowner "                                            \
	"AND l.relname IN ('job', 'part', 'target')))"

extern const DestinationDriver postgres_driver;

#endif /* OUTFLOW_POSTGRES_DRIVER_H */
