/*
 * targets.h
 *		The targets there are; each is a file of this folder.
 */
#ifndef CLIENT_TARGETS_H
#define CLIENT_TARGETS_H

#include "client/target.h"

extern const TargetOps stdout_target;
extern const TargetOps file_target;
extern const TargetOps http_target;
extern const TargetOps kafka_target;
extern const TargetOps postgres_target;
extern const TargetOps mqtt_target;
extern const TargetOps kinesis_target;
extern const TargetOps ws_target;
extern const TargetOps milvus_target;

/*
 * A stretch of the queue that is written as it is: for targets whose form is a
 * record a line.
 */
typedef struct Stretch
{
	const char *data;
	size_t		length;
	uint64_t	first; /* numbers of the records in it */
	uint64_t	last;
	size_t		complete; /* bytes up to the last end of a transaction in it */
	Lsn			end;	  /* of that; 0: there is none */
} Stretch;

/* stretch.c: the next one, of about that size at most; false: nothing is there */
extern bool target_next_stretch(Target *target, size_t size, Stretch *stretch);

#endif
