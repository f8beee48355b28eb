/*
 * upstream.h
 *		The connection to PostgreSQL: it is made, lost and made again, and brings
 *		messages of the slot.
 *
 * Nothing here waits: phases follow each other as answers come.  Errors that
 * time can't mend end the program with a code of their own (log.h), after all
 * others there is another attempt.
 */
#ifndef CLIENT_UPSTREAM_H
#define CLIENT_UPSTREAM_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "client/cli.h"
#include "client/identity.h"
#include "client/intake.h"
#include "client/log.h"
#include "client/memory.h"
#include "client/pq_notice.h"
#include "client/pq_place.h"
#include "client/slot_state.h"

typedef enum UpstreamPhase
{
	UPSTREAM_DOWN,		 /* until retry_at */
	UPSTREAM_CONNECTING, /* libpq is at it */
	UPSTREAM_PREPARING,	 /* a question of upstream_start.c is under way */
	UPSTREAM_STREAMING,
	UPSTREAM_ENDING, /* the last position is told, the server says goodbye */
	UPSTREAM_ENDED,
} UpstreamPhase;

/* What a target says of itself: it has changes up to there. */
typedef struct Reached
{
	const char *target;
	const char *stored_in; /* where it says so */
	Lsn			lsn;
	uint32_t	timeline; /* 0: unknown */
} Reached;

typedef struct Upstream Upstream;
struct Upstream
{
	const Settings *settings;
	Intake		   *intake;
	const char	   *plugin_options; /* of START_REPLICATION, in parentheses */
	int				nstates;		/* what is remembered, by us and targets */
	StateFile	   *states[MAX_TARGETS + 1];
	/* the slot is known: how far are the targets?  Called once, may wait. */
	void (*ask_targets)(Upstream *upstream);
	/* and their positions are: where should it start? */
	Lsn (*choose_start)(Upstream *upstream);
	void *choose_argument;

	UpstreamPhase phase;
	PGconn		 *conn;
	int			  fd;	 /* watched, or -1 */
	bool		  ready; /* there was an event */
	bool		  can_read;
	long long	  retry_at;
	unsigned	  attempt;
	LogLimit	  limit;
	PqNotices	  notices;
	PqPlaces	  places;

	/* the stream of now, and the error that ended those before */
	long long began;	  /* of clock_ms() */
	Lsn		  began_at;	  /* what had been received, and the last record */
	uint64_t  began_with; /* of it */
	char	  failure[6]; /* a SQLSTATE */
	Lsn		  failed_at;
	unsigned  failures; /* in a row, the same at the same place */

	/* what was found out, in this order */
	size_t		step;
	Identity	identity;	/* of the first connection */
	bool		is_known;	/* there was one */
	uint32_t	remembered; /* the newest timeline in states; 0: none */
	uint32_t	timeline;	/* of this connection */
	uint32_t	left;		/* for that one, at fork; 0: it is the same */
	Lsn			fork;
	const char *outdated; /* why the connection must be another one; NULL */
	bool		has_asked_targets;
	int			nreached; /* what they said, at the first connection */
	Reached		reached[MAX_TARGETS];
	long long	sender_ms; /* wal_sender_timeout */
	bool		slot_exists;
	long		slot_user;	  /* process that streams it now, or 0 */
	bool		slot_created; /* by us */
	Lsn			slot_lsn;	  /* confirmed_flush_lsn */
	char	   *snapshot;	  /* of --after-job */
	Lsn			start;

	long long last_received;
	long long last_sent;
	bool	  reply_wanted;
	Lsn		  sent_confirmed;
	uint64_t  reconnects;

	/* how old what we have is: see upstream_lag_us() */
	bool	  caught_up;
	bool	  has_asked;
	Lsn		  heard_lsn; /* of the last keepalive */
	long long current_us;
};

/* Does what can be done now, and says until when it may rest. */
extern void		 upstream_work(Upstream *upstream);
extern long long upstream_wake_at(const Upstream *upstream);

/* Whether messages may be read: there is room. */
extern void upstream_allow(Upstream *upstream, bool can_read);

/* Tells the server how far we are; false if the connection is gone. */
extern bool upstream_feedback(Upstream *upstream, Lsn received, Lsn confirmed,
							  bool want_reply);

/* The connection is of no use: another one, later. */
extern void upstream_lost(Upstream *upstream, const char *why);

/*
 * For how long there may be commits that have not been received: 0 while the
 * server says that it has nothing left to send.
 */
extern long long upstream_lag_us(const Upstream *upstream);

/* Says goodbye; the phase becomes UPSTREAM_ENDED. */
extern void upstream_end(Upstream *upstream);

/*
 * upstream_history.c: these end the program if what was delivered is not the
 * server's history.  First by the newest timeline that was seen; by what state files
 * remember; by the history of the server's timeline, if that is another one.
 */
extern void upstream_judge_timeline(const Upstream *upstream, uint32_t seen);
extern void upstream_judge_states(Upstream *upstream);
extern void upstream_judge_history(Upstream *upstream, const char *history);

/* Whether a target's changes are of another timeline than the server's. */
extern bool upstream_has_forks(const Upstream *upstream);
/* The same for what targets have; the head is the end of the server's WAL. */
extern void upstream_judge_forks(const Upstream *upstream,
								 const char		*history);
extern void upstream_judge_head(const Upstream *upstream, Lsn head);

/* upstream_failures.c: the server refuses: ends the program if time can't mend it. */
extern void upstream_refused(Upstream *upstream, const char *sqlstate,
							 const char *message);
/* What came is more than the streams before this brought. */
extern void upstream_note_progress(Upstream *upstream);
/* The server ended the stream by an error. */
extern void upstream_judge_failure(Upstream *upstream, const PGresult *result);

/* upstream_start.c: the next question, or false if it is all known. */
extern bool upstream_ask(Upstream *upstream, Bytes *question);
/* Its answer may wait for others, for ever. */
extern bool upstream_may_take_long(const Upstream *upstream);
extern void upstream_answer(Upstream *upstream, PGresult *result);

#endif
