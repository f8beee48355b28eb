/*
 * finding.h
 *		What verify() tells of a file.
 */
#ifndef OUTFLOW_FINDING_H
#define OUTFLOW_FINDING_H

#include "sink/sink.h"

/* One file's verdict, as verify() tells it. */
typedef struct Finding
{
	const char *status;
	const char *detail;
} Finding;

extern const Finding finding_ok;
extern bool			 finding_is_ok(Finding finding);
/* Why it can't be read: an errno, or 0. */
extern Finding finding_unreadable(int error);
extern Finding finding_of_sums(const Checksum *was, const Checksum *is);

#endif /* OUTFLOW_FINDING_H */
