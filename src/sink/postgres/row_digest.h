/*
 * row_digest.h
 *		A sum of rows that does not depend on their order.
 *
 * It is taken from COPY's data, whatever slices that comes in: of each row, as
 * it stands there, the XXH3, and of these the sum.
 */
#ifndef OUTFLOW_ROW_DIGEST_H
#define OUTFLOW_ROW_DIGEST_H

typedef struct RowDigest RowDigest;

/* In the current memory context. */
extern RowDigest *row_digest_new(bool is_binary);
/* Never throws. */
extern void	  row_digest_add(void *digest, const char *data, size_t len);
extern uint64 row_digest_rows(const RowDigest *digest);
extern uint64 row_digest_sum(const RowDigest *digest);

#endif /* OUTFLOW_ROW_DIGEST_H */
