/*
 * sum.h
 *		Checksums of a file, all that a manifest may have, in one reading.
 */
#ifndef CLIENT_SUM_H
#define CLIENT_SUM_H

#include "client/manifest_read.h"

#define SUM_HEX 65 /* the longest one, and a zero byte */

/*
 * Of those sums that are wanted; bytes is how many were read.  False with errno
 * if the file can't be read.
 */
extern bool sum_file(int fd, const bool wanted[MANIFEST_SUMS],
					 char sums[MANIFEST_SUMS][SUM_HEX], long long *bytes);

#endif
