/*
 * sink_test.h
 *		What the files of the test module share.
 */
#ifndef SINK_TEST_H
#define SINK_TEST_H

#include "sink/destination.h"

/*
 * Bytes that depend only on kind, seed and length: "zero", "random" or
 * "text", lines like those of a CSV file.
 */
extern void generate_bytes(const char *kind, uint32 seed, char *out,
						   size_t len);

/* memory_destination.c */
extern const DestinationDriver memory_driver;

#endif /* SINK_TEST_H */
