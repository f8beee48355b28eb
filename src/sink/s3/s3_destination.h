/*
 * s3_destination.h
 *		A destination in an S3 store, as the files of its driver see it.
 */
#ifndef OUTFLOW_S3_DESTINATION_H
#define OUTFLOW_S3_DESTINATION_H

#include "sink/s3/s3_internal.h"
#include "storage/lock.h"

typedef struct S3Destination
{
	Destination base;
	S3Store	   *store;
	char	   *prefix;	 /* "" for the bucket */
	char	   *staging; /* ".outflow-id", whatever is there of it; or NULL */
	bool		is_claimed;
	LOCKTAG		lock;
	bool		is_locked;
} S3Destination;

static inline S3Destination *
s3_self(const Destination *to)
{
	return (S3Destination *) to;
}

static inline S3Store *
s3_store_of(const Destination *to)
{
	return s3_self(to)->store;
}

static inline char *
s3_full_key(const Destination *to, const char *key)
{
	const char *prefix = s3_self(to)->prefix;

	return psprintf("%s%s%s", prefix, prefix[0] ? "/" : "", key);
}

static inline char *
s3_staged_key(const Destination *to, const char *key)
{
	if (!s3_self(to)->is_claimed)
		elog(ERROR, "nothing is claimed in \"%s\"", to->path);
	return s3_full_key(
		to, psprintf("%s/%s", s3_self(to)->staging, destination_name(key)));
}

/* ---- s3_staged.c: members of the driver */

extern DestinationClaim s3_claim(Destination *to, const char *id,
								 const char *token, DestinationAccess access);
extern bool				s3_is_claimed(const Destination *to);
extern void				s3_release(Destination *to);
/* The same for what is to be called when the destination ends. */
extern void	 s3_unlock(void *arg);
extern Sink *s3_new_part(Destination *to, const char *key);
extern bool	 s3_carry(Destination *to, const char *key, Destination *from,
					  const char *from_key);
extern bool	 s3_is_staged(Destination *to, const char *key);
extern bool	 s3_publish(Destination *to, const char *key,
						const DestinationLook *written);
extern void	 s3_discard(Destination *to);

#endif /* OUTFLOW_S3_DESTINATION_H */
