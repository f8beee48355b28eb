/*
 * upstream_history.c
 *		Whether what was delivered is the server's history.
 *
 * A target that stores its position may be ahead of every other memory: the client
 * died before it wrote its own, or has none.  What such a target has is passed
 * over.  So where the server went another way before that position, changes that
 * it committed instead would be lost: this is judged before the slot is streamed.
 */
#include "client/upstream.h"

#include <stdlib.h>
#include <string.h>

/* Each line of a history says until where an older timeline went; 0: none does. */
static Lsn
timeline_end(const char *history, uint32_t old)
{
	const char *line = history;
	Lsn			end = 0;

	while (line && *line)
	{
		char *rest;

		if (strtoul(line, &rest, 10) == old && rest != line &&
			lsn_read(rest + strspn(rest, " \t"), &end, NULL))
			return end;
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	return 0;
}

/* ---- what we received, and files remember */

/*
 * A server that has not seen the timeline which we have seen is an old primary,
 * or a copy of one: its changes since then are of another history.
 */
void
upstream_judge_timeline(const Upstream *upstream, uint32_t seen)
{
	if (seen > upstream->timeline)
		client_exit(EXIT_IDENTITY,
					"the server is on timeline %u, and timeline %u was "
					"streamed before: what was delivered is not the server's "
					"history",
					upstream->timeline, seen);
}

/* What files remember must be of this system and slot, and no newer timeline. */
void
upstream_judge_states(Upstream *upstream)
{
	Identity *known = &upstream->identity;
	int		  i;

	for (i = 0; i < upstream->nstates; i++)
	{
		const StateFile *file = upstream->states[i];

		if (!file->exists)
			continue;
		state_check(file, known);
		if (file->state.identity.timeline > upstream->remembered)
			upstream->remembered = file->state.identity.timeline;
		upstream_judge_timeline(upstream, file->state.identity.timeline);
		if (file->state.identity.timeline < known->timeline)
			known->timeline = file->state.identity.timeline;
	}
}

/*
 * What was delivered before the new timeline left the old one is what both hold:
 * a standby was promoted, and nothing is missing.  Returns where that was.
 */
static Lsn
check_history(const Upstream *upstream, const char *history, uint32_t old,
			  Lsn known)
{
	Lsn end = timeline_end(history, old);

	if (end == 0 || known > end)
		client_exit(EXIT_IDENTITY,
					"the server is on timeline %u, which left timeline %u "
					"at " LSN_FORMAT ", and changes up to " LSN_FORMAT
					" were received from that: what was delivered is not the "
					"server's history",
					upstream->timeline, old, LSN_ARGS(end), LSN_ARGS(known));
	return end;
}

/*
 * Part of a transaction counts as all of it: its records are queued, and would be
 * stored as of the new timeline.
 */
static Lsn
received(const Intake *intake)
{
	Lsn whole = ledger_received_lsn(intake->ledger);

	return intake->nrecords > 0 && intake->commit_lsn >= whole
			   ? intake->commit_lsn + 1
			   : whole;
}

/* Each memory may be of a timeline of its own, and a target be ahead of it. */
void
upstream_judge_history(Upstream *upstream, const char *history)
{
	uint32_t old = upstream->identity.timeline;
	Lsn		 known = received(upstream->intake);
	Lsn		 end;
	int		 i;

	for (i = 0; upstream->is_known && i < upstream->nreached; i++)
		if (upstream->reached[i].lsn > known)
			known = upstream->reached[i].lsn;
	end = check_history(upstream, history, old, known);
	for (i = 0; i < upstream->nstates; i++)
	{
		const SlotState *state = &upstream->states[i]->state;

		if (upstream->states[i]->exists &&
			state->identity.timeline != upstream->timeline)
			check_history(upstream, history, state->identity.timeline,
						  state->confirmed > state->position
							  ? state->confirmed
							  : state->position);
	}
	upstream->left = old;
	upstream->fork = end;
	upstream->identity.timeline = upstream->timeline;
}

/* ---- what targets have */

/*
 * What was written without a timeline is of no newer one than a file remembers, as
 * that is written before the first change of a timeline is delivered.
 */
static uint32_t
timeline_of(const Upstream *upstream, const Reached *reached)
{
	return reached->timeline ? reached->timeline : upstream->remembered;
}

/* It has changes that the server hasn't, from there on; both share the rest. */
static void
refuse_target(const Upstream *upstream, const Reached *reached, Lsn from,
			  const char *why, Lsn shared)
{
	client_exit(EXIT_IDENTITY,
				"%s has changes up to " LSN_FORMAT ", and %s " LSN_FORMAT
				": what lies between is not the server's history, and what "
				"the server commits instead would be passed over. The way "
				"back: export the tables again with "
				"outflow.export_publication(), which makes a new slot, of "
				"another name than \"%s\", and stream that one with "
				"--after-job; to accept the difference, set the position in "
				"%s to " LSN_FORMAT,
				reached->target, LSN_ARGS(reached->lsn), why, LSN_ARGS(from),
				upstream->settings->slot, reached->stored_in,
				LSN_ARGS(shared));
}

bool
upstream_has_forks(const Upstream *upstream)
{
	bool has = false;
	int	 i;

	for (i = 0; i < upstream->nreached; i++)
	{
		const Reached *reached = &upstream->reached[i];
		uint32_t	   timeline = timeline_of(upstream, reached);

		if (timeline > upstream->timeline)
			client_exit(EXIT_IDENTITY,
						"%s has changes of timeline %u, and the server is on "
						"timeline %u: it is an old primary, or a copy of one",
						reached->target, timeline, upstream->timeline);
		has |= timeline != 0 && timeline != upstream->timeline;
	}
	return has;
}

void
upstream_judge_forks(const Upstream *upstream, const char *history)
{
	int i;

	for (i = 0; i < upstream->nreached; i++)
	{
		const Reached *reached = &upstream->reached[i];
		uint32_t	   timeline = timeline_of(upstream, reached);
		Lsn			   end;
		char		  *why;

		if (timeline == 0 || timeline == upstream->timeline)
			continue;
		end = timeline_end(history, timeline);
		why = client_format("the server is on timeline %u, which left "
							"timeline %u at",
							upstream->timeline, timeline);
		if (reached->lsn > end)
			refuse_target(upstream, reached, end, why, end);
		free(why);
	}
}

/*
 * Which part of its history a server lost, one that was restored to an earlier
 * state say, can't be known: it is later than the slot.
 */
void
upstream_judge_head(const Upstream *upstream, Lsn head)
{
	int i;

	for (i = 0; i < upstream->nreached; i++)
		if (upstream->reached[i].lsn > head)
			refuse_target(upstream, &upstream->reached[i], head,
						  "the server's WAL ends at", upstream->slot_lsn);
}
