/*
 * postgres_driver.h
 *		The driver for servers of outflow_postgres.
 */
#ifndef OUTFLOW_POSTGRES_DRIVER_H
#define OUTFLOW_POSTGRES_DRIVER_H

#include "sink/destination.h"

extern const DestinationDriver postgres_driver;

#endif /* OUTFLOW_POSTGRES_DRIVER_H */
