/*
 * sink_test.h
 *		What the files of the test module share.
 */
#ifndef SINK_TEST_H
#define SINK_TEST_H

/*
 * Bytes that depend only on kind, seed and length: "zero", "random" or
 * "text", lines like those of a CSV file.
 */
extern void generate_bytes(const char *kind, uint32 seed, char *out,
						   size_t len);

#endif /* SINK_TEST_H */
