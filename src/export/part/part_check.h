/*
 * part_check.h
 *		Whether a part's file is still the one that was written.
 */
#ifndef OUTFLOW_PART_CHECK_H
#define OUTFLOW_PART_CHECK_H

#include "export/job/finding.h"
#include "export/job/part_table.h"
#include "sink/destination.h"

/* What is asked of a file whose stored bytes are those that were written. */
typedef Finding (*PartContentCheck)(const Job *job, Destination *root,
									DestinationPlace	place,
									const FinishedPart *part);

/* content may be NULL.  The file may be in another export's directory. */
extern Finding part_check(const Job *job, Destination *root,
						  const FinishedPart *part, PartContentCheck content);
/* The same of a published file, without reading it: by its size, and by its sum
 * where the place tells that. */
extern Finding part_look(Destination *root, const FinishedPart *part);
/* Whether the file is the one that was written, byte for byte. */
extern bool part_is_stored(Destination *root, DestinationPlace place,
						   const FinishedPart *part);
/* The same, wherever an unfinished job has it by now. */
extern bool part_is_intact(const Job *job, Destination *root,
						   const FinishedPart *part);
/* The directory of an export that a part refers to; NULL if it is gone. */
extern Destination *part_open_location(const FinishedPart *part);

#endif /* OUTFLOW_PART_CHECK_H */
