/*
 * s3.h
 *		Destinations in S3 stores.
 */
#ifndef OUTFLOW_S3_H
#define OUTFLOW_S3_H

#include "sink/destination.h"

extern const DestinationDriver s3_driver;

#endif /* OUTFLOW_S3_H */
