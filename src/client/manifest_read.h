/*
 * manifest_read.h
 *		An export's _manifest.json, taken apart.
 *
 * It may come from anywhere: its texts are texts, its numbers are numbers that
 * fit, and nothing more is promised.
 */
#ifndef CLIENT_MANIFEST_READ_H
#define CLIENT_MANIFEST_READ_H

#include <stdbool.h>
#include <stddef.h>

/* The sums that it may have of a file; they are in this order everywhere. */
#define MANIFEST_SUMS 2
extern const char *const manifest_sum_names[MANIFEST_SUMS];

/* A part and its file, or a table and its folder. */
typedef struct ManifestEntry
{
	char	 *name;
	long long number; /* of the part, or how many parts the table has */
	long long rows;
	long long bytes_stored;
	char	 *sums[MANIFEST_SUMS]; /* in hexadecimal; NULL: it has none */
} ManifestEntry;

typedef struct Manifest
{
	bool		   is_common; /* entries are tables, not parts */
	char		  *uuid;	  /* of the job */
	long long	   rows;
	long long	   bytes_stored;
	int			   count;
	ManifestEntry *entries;
} Manifest;

/* False if it is no manifest, with the reason, a new text. */
extern bool manifest_read(Manifest *manifest, const char *data, size_t length,
						  char **why);
extern void manifest_free(Manifest *manifest);

#endif
