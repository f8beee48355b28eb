/*
 * upstream_targets.c
 *		Whether what targets have is the server's history.
 *
 * A target that stores its position may be ahead of every other memory: the client
 * died before it wrote its own, or has none.  What such a target has is passed
 * over.  So where the server went another way before that position, changes that
 * it committed instead would be lost: this is judged before the slot is streamed.
 */
#include "client/upstream.h"

#include <stdlib.h>
#include <string.h>

/* Each line of a history says until where an older timeline went. */
Lsn
upstream_timeline_end(const char *history, uint32_t old)
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
		end = upstream_timeline_end(history, timeline);
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
