/*
 * validity.h
 *		Whether a stamped part still has the rows that it had.
 */
#ifndef OUTFLOW_VALIDITY_H
#define OUTFLOW_VALIDITY_H

#include "export/proof/stamp.h"

/* The first two are valid, all others mean that the part is exported again. */
typedef enum Verdict
{
	VERDICT_UNTOUCHED, /* no page was changed since */
	VERDICT_SAME_ROWS, /* pages were, the rows were not */
	VERDICT_CHANGED,   /* rows were changed, or it can't be excluded */
	VERDICT_REWRITTEN, /* the table has another file */
	VERDICT_REDEFINED, /* the output would be written differently */
	VERDICT_ALTERED,   /* no longer a permanent heap of its own */
	VERDICT_FOREIGN,   /* stamped in another cluster or database */
	VERDICT_FUTURE	   /* stamped in a future that this cluster lost */
} Verdict;

#define verdict_is_valid(verdict) ((verdict) <= VERDICT_SAME_ROWS)

/* What decided, for messages and tests. */
typedef struct ValidityDetail
{
	BlockNumber blocks_read;
	BlockNumber block; /* that broke a rule, or InvalidBlockNumber */
	const char *rule;  /* that was broken, or NULL */
} ValidityDetail;

/*
 * Judges the stamp under a later snapshot, which the caller took after locking
 * rel and holds.  signature is today's.  detail may be NULL.
 */
extern Verdict validity_check(const Stamp *stamp, Relation rel,
							  Snapshot snapshot, const Signature *signature,
							  ValidityDetail *detail);

/* A clause for messages: "the table was rewritten". */
extern const char *verdict_reason(Verdict verdict);

/* Reads the pages only: true when none breaks a rule. */
extern bool validity_check_pages(const Stamp *stamp, Relation rel,
								 ValidityDetail *detail);

/* The second say: true when the digest proves the rows to be the same. */
extern bool validity_check_rows(const Stamp *stamp, Relation rel,
								Snapshot snapshot);

/*
 * The tests of the rules compile them with switches, to see that each is
 * needed: a rule that is off must lead to wrong verdicts.
 */
#ifdef OUTFLOW_VALIDITY_MUTANTS
typedef enum ValidityRule
{
	RULE_ZERO_PAGE = 1,
	RULE_LSN = 2,
	RULE_XMIN = 4,
	RULE_XMAX = 8,
	RULE_MULTIXACT = 16,
	RULE_RANGE = 32,
	RULE_ALL_VISIBLE = 64, /* off: trusts PD_ALL_VISIBLE */
	RULE_DIGEST_XMIN = 128,
	RULE_DIGEST_ROWS = 256,
	RULE_DIGEST_HASH = 512
} ValidityRule;

extern int validity_mutant;
#define RULE(rule) ((validity_mutant & (rule)) == 0)
#else
#define RULE(rule) true
#endif

#endif /* OUTFLOW_VALIDITY_H */
