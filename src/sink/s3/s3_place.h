/*
 * s3_place.h
 *		Where in which store: "server:prefix", or s3://host/bucket/prefix.
 */
#ifndef OUTFLOW_S3_PLACE_H
#define OUTFLOW_S3_PLACE_H

#include "sink/server.h"

#define S3_LOCATION "s3://"

typedef struct S3Place
{
	ForeignServer *server;
	char		  *prefix; /* without slashes around it; "" for the bucket */
	char		  *location;
} S3Place;

/* "server:prefix" with one slash between its names; an error if it can't be. */
extern char *s3_place_parse(const char *destination);
/* What that text names; errors unless the current user may use the server. */
extern void s3_place_find(const char *place, S3Place *found);
/* What a server's options say, of a prefix. */
extern char *s3_place_location(const ForeignServer *server,
							   const char		   *prefix);
/*
 * By the server that a destination names, if that leads to the location, or any
 * that does; false if there is none.
 */
extern bool s3_place_known(const char *location, const char *destination,
						   S3Place *found);

#endif /* OUTFLOW_S3_PLACE_H */
