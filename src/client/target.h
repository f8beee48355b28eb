/*
 * target.h
 *		Where records are delivered to: what a target must do, and what it gets
 *		to do it with.
 *
 * A target is one file in targets/ with one static const TargetOps, all members
 * required but one.  Its struct begins with a Target.  A new one touches:
 *
 *		targets/deliver_X.c		the target
 *		targets/targets.h		its TargetOps
 *		target_table.c			its row: schemes of URLs, library
 *		cli.h, cli.c			its options, if it has any
 *		cli_help.c				its URL
 *		Makefile				its objects in CLIENT_OBJS; has_header for a library
 *		test/deps				that library, and its peer
 *		README.md				the URL, what is delivered, each option
 *		test/tap/55x			with the real peer, or one that lies
 *
 * Whenever something has happened, work() is called.  It takes records with
 * target_next(), in order, as many as it likes, and tells with target_taken()
 * which of them are safe at the other side: only that moves the slot.  What it
 * doesn't take stays in the queue, and a queue that is full stops the reading
 * of the slot.  A target never waits: it watches descriptors (loop.h) and sets
 * wake_at.
 *
 * What can mend itself is retried for ever, in order, with growing pauses.  What
 * can't ends the program: client_exit(EXIT_TARGET).
 */
#ifndef CLIENT_TARGET_H
#define CLIENT_TARGET_H

#include "client/backlog.h"
#include "client/cli.h"
#include "client/clock.h"
#include "client/identity.h"
#include "client/key_memory.h"
#include "client/log.h"
#include "client/position.h"
#include "client/slot_state.h"
#include "client/url.h"

typedef struct Target Target;

typedef struct TargetOps
{
	/* A new one.  The URL is well-formed; of its parts the target judges. */
	Target *(*open)(const Url *url, const Settings *settings);

	/*
	 * Before the first record: whose changes will come.  A target that stores
	 * positions says here how far it is (target->position), since which timeline,
	 * and where it stores that; others do nothing.
	 */
	void (*resume)(Target *target, const Identity *identity);

	void (*work)(Target *target);

	/*
	 * That position will be confirmed next.  A target that stores positions
	 * writes it down first, so that after a restart it knows a slot that went
	 * on without it.
	 */
	void (*remember)(Target *target, Lsn confirmed);

	/* Ends it; what isn't acknowledged by now will come again. */
	void (*close)(Target *target);

	/*
	 * For the command check: could such a target be reached?  Nothing is made
	 * or sent, but it may wait.  False with the reason, a new text.  The only
	 * member that may be NULL: nothing is known before records come.
	 */
	bool (*probe)(const Url *url, const Settings *settings, char **why);
} TargetOps;

/*
 * Where a target stands in the stream: before it lies everything that ends
 * before end, and of the transaction that commits at commit_lsn the first
 * records, those of schemas not counted, as those may come again in between.
 */
typedef struct Place
{
	Lsn		 end;
	Lsn		 commit_lsn; /* 0: between transactions */
	uint64_t records;
	uint32_t sum; /* of their ids; 0: not known */
} Place;

/* Why something is tried again. */
typedef enum RetryReason
{
	RETRY_CONNECTION, /* not reached, or cut off */
	RETRY_TIMEOUT,	  /* no answer in time */
	RETRY_THROTTLED,  /* it asks for patience */
	RETRY_ERROR,	  /* it says that it failed */
	RETRY_REASONS,
} RetryReason;

/* Counted for --metrics. */
typedef struct TargetCounts
{
	uint64_t records;  /* delivered */
	uint64_t bytes;	   /* of them */
	uint64_t requests; /* or flushes, or transactions */
	uint64_t retries[RETRY_REASONS];
	uint64_t rejected;
} TargetCounts;

struct Target
{
	const TargetOps	  *ops;
	const Url		  *url;
	const char		  *name; /* its URL, without secrets */
	const Settings	  *settings;
	int				   number; /* in the ledger */
	Ledger			  *ledger;
	Backlog			  *backlog;
	const FrameFormat *format;
	Identity		   identity; /* whose changes the records are */
	KeyMemory		  *keys;	 /* of the records that it went past */
	StateFile		  *state;	 /* of its own; NULL: it stores no position */
	Cursor			   cursor;
	Lsn				   position; /* transactions up to here it has already */
	Place		 has_part;	   /* and of one more, by its commit_lsn, a part */
	char		*part_last;	   /* id of the part's last; NULL: not known */
	bool		 stores_parts; /* its places have sums */
	uint32_t	 reached_in;   /* timeline in which it got there; 0: unknown */
	const char	*stored_in;	   /* where it says so; NULL: it stores none */
	bool		 passing_over; /* in the middle of one that it has */
	Place		 place;		   /* after the last record it took */
	bool		 draining;	   /* deliver now, wait for nothing more */
	long long	 wake_at;	   /* of clock_ms(); NEVER */
	TargetCounts counts;
	LogLimit	 limit; /* of its warnings */
};

/* For a probe, what target_open() else sets, and an empty queue. */
extern void target_begin_probe(Target *target, const Url *url,
							   const Settings *settings);

/* The next record to deliver, or only to note (wanted is false). */
extern bool target_next(Target *target, Record *record);

/*
 * The same without taking it: target_next() returns it again.
 */
extern bool target_peek(Target *target, Record *record);

/*
 * Goes back to the first record that isn't acknowledged.  There the place was
 * the one given; what the target has is told by position and has_part.
 */
extern void target_rewind(Target *target, const Place *place);

/*
 * A stream that has gone that far, or a slot that is there when it begins: the
 * program ends if that is past a transaction of which the target has a part, and
 * whose rest has not come.
 */
extern void target_check_passed(const Target *target, Lsn lsn);
extern void target_check_slot(const Target *target, Lsn lsn);

/* Is there more? */
extern bool target_has_more(Target *target);

/*
 * What a record is called in every delivery: its id, or for one without, what
 * it is and where.  A new text.
 */
extern char *target_record_id(const Target *target, const Record *record);

/* What dead letters call the kinds of records: "record" is any other. */
extern const char *target_kind_name(FrameKind kind);
extern FrameKind   target_kind_of(const char *name);

/* Records first to last are safe. */
extern void target_taken(Target *target, uint64_t first, uint64_t last);

/*
 * The target refuses that record and would refuse it again.  With --on-reject
 * dead-letter it is written there and thereby taken; otherwise this ends the
 * program.  A target that stores a position at the other side calls
 * dead_letter_sync() before: for the others that is done before feedback.
 */
extern void target_rejected(Target *target, const Record *record,
							const char *reason);

/* The same, but it is taken only together with others, by target_taken(). */
extern void target_set_aside(Target *target, const Record *record,
							 const char *reason);

/* For how long the oldest record waits that it has not acknowledged. */
extern double target_waits_seconds(const Target *target);

/* The pause before that attempt, from 1: growing, random, at most 30 s. */
extern long long target_backoff(unsigned attempt);

/*
 * For a resume() that waits for the other side: until wake_at, or something comes.
 * The service manager is told that the program lives; a stop ends it.
 */
extern void target_await(const Target *target);

/* For targets that don't store positions. */
extern void target_resume_nothing(Target *target, const Identity *identity);
extern void target_remember_nothing(Target *target, Lsn confirmed);

/* --linger-ms and --batch-bytes, or what suits the target. */
extern long long target_linger(const Target *target, long long own);
extern size_t	 target_batch_bytes(const Target *target, size_t own);

/* target_table.c: the target of a URL, a new one. */
extern Target *target_open(const char *url, const Settings *settings);

/* Whether the target of a URL can be tried, and then how that goes. */
extern bool target_can_probe(const char *url);
extern bool target_probe(const char *url, const Settings *settings,
						 char **why);

#endif
