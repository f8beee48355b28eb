/*
 * upstream_start.c
 *		What is asked before a slot is streamed, and what the answers mean.
 *
 * Each step is a question and what its answer does; one that isn't needed is
 * passed over.  Here is decided whether this is the same slot as last time: all
 * questions stand in their order in one file.
 */
#include "client/upstream.h"

#include <stdlib.h>
#include <string.h>

#include "client/clock.h"

typedef struct StartStep
{
	/* false: not needed */
	bool (*ask)(Upstream *upstream, Bytes *question);
	void (*answer)(Upstream *upstream, PGresult *result);
} StartStep;

static const char *
field(PGresult *result, int column)
{
	if (PQntuples(result) != 1 || PQnfields(result) <= column ||
		PQgetisnull(result, 0, column))
		return NULL;
	return PQgetvalue(result, 0, column);
}

static void
append_quoted(Upstream *upstream, Bytes *question, const char *text,
			  bool identifier)
{
	char *quoted = identifier
					   ? PQescapeIdentifier(upstream->conn, text, strlen(text))
					   : PQescapeLiteral(upstream->conn, text, strlen(text));

	if (quoted == NULL)
		client_exit(EXIT_USAGE, "\"%s\" can't be quoted: %s", text,
					PQerrorMessage(upstream->conn));
	mem_add(question, quoted);
	PQfreemem(quoted);
}

static bool
ask_system(Upstream *upstream, Bytes *question)
{
	(void) upstream;
	mem_add(question, "IDENTIFY_SYSTEM");
	return true;
}

static void
answer_system(Upstream *upstream, PGresult *result)
{
	Identity   *known = &upstream->identity;
	const char *system_id = field(result, 0);
	const char *timeline = field(result, 1);
	const char *head = field(result, 2);

	if (system_id == NULL || timeline == NULL)
		client_exit(EXIT_SERVER, "unexpected answer to IDENTIFY_SYSTEM");
	if (upstream->is_known && strcmp(known->system_id, system_id) != 0)
		client_exit(EXIT_IDENTITY,
					"this is database system %s, and it was system %s before",
					system_id, known->system_id);
	upstream->timeline = strtoul(timeline, NULL, 10);
	snprintf(known->system_id, IDENTITY_TEXT, "%s", system_id);
	snprintf(known->slot, IDENTITY_TEXT, "%s", upstream->settings->slot);
	if (upstream->is_known)
	{
		upstream_judge_timeline(upstream, known->timeline);
		return;
	}
	known->timeline = upstream->timeline;
	if (head == NULL || !lsn_parse(head, &known->head))
		known->head = 0;
	upstream_judge_states(upstream);
}

/*
 * The latest position that we or those before us confirmed, by the memory that
 * knows least; 0: nothing is known.
 */
static Lsn
delivered(const Upstream *upstream)
{
	Lsn here = ledger_confirmed(upstream->intake->ledger);
	Lsn then = 0;
	int i;

	for (i = 0; i < upstream->nstates; i++)
	{
		const StateFile *file = upstream->states[i];

		if (file->exists && (then == 0 || file->state.confirmed < then))
			then = file->state.confirmed;
	}
	return here > then ? here : then;
}

static bool
ask_history(Upstream *upstream, Bytes *question)
{
	if (upstream->timeline == upstream->identity.timeline)
		return false;
	mem_format(question, "TIMELINE_HISTORY %u", upstream->timeline);
	return true;
}

static void
answer_history(Upstream *upstream, PGresult *result)
{
	upstream_judge_history(upstream, field(result, 1));
}

static bool
ask_timeout(Upstream *upstream, Bytes *question)
{
	(void) upstream;
	mem_add(question,
			"SELECT setting FROM pg_catalog.pg_settings"
			" WHERE name OPERATOR(pg_catalog.=) 'wal_sender_timeout'");
	return true;
}

static void
answer_timeout(Upstream *upstream, PGresult *result)
{
	const char *value = field(result, 0);

	upstream->sender_ms = value ? atoll(value) : 0;
}

/* Columns that only newer servers have are asked for by name, in json. */
static bool
ask_slot(Upstream *upstream, Bytes *question)
{
	mem_add(
		question,
		"SELECT slot_type, plugin, database, wal_status,"
		" confirmed_flush_lsn,"
		" pg_catalog.to_json(s) OPERATOR(pg_catalog.->>)"
		" 'invalidation_reason', pg_catalog.current_database(), active_pid,"
		" two_phase"
		" FROM pg_catalog.pg_replication_slots AS s"
		" WHERE slot_name OPERATOR(pg_catalog.=) ");
	append_quoted(upstream, question, upstream->settings->slot, false);
	return true;
}

static void
slot_is_lost(const Upstream *upstream, const char *why)
{
	client_exit(EXIT_SLOT_LOST,
				"slot \"%s\" is lost (%s): changes since " LSN_FORMAT
				" may be gone. The way back: drop the slot, export the tables "
				"again with outflow.export_publication(), which makes a new "
				"slot, of another name, at the same position, and stream that "
				"one with --after-job",
				upstream->settings->slot, why, LSN_ARGS(delivered(upstream)));
}

static void
check_slot_kind(const Upstream *upstream, PGresult *result)
{
	const char *plugin = field(result, 1);
	const char *database = field(result, 2);
	const char *here = field(result, 6);
	const char *slot = upstream->settings->slot;

	if (plugin == NULL)
		client_exit(EXIT_SERVER, "slot \"%s\" is no logical slot", slot);
	if (strcmp(plugin, upstream->settings->plugin) != 0)
		client_exit(EXIT_SERVER, "slot \"%s\" is of plugin \"%s\", not \"%s\"",
					slot, plugin, upstream->settings->plugin);
	if (database && here && strcmp(database, here) != 0)
		client_exit(EXIT_SERVER,
					"slot \"%s\" is of database \"%s\", and this is \"%s\"",
					slot, database, here);
	if (field(result, 8) && field(result, 8)[0] == 't')
		client_exit(EXIT_SERVER,
					"slot \"%s\" was made with two_phase: what it sends at "
					"PREPARE TRANSACTION may be rolled back, and what was "
					"delivered cannot be taken back. Use a slot without it",
					slot);
}

static void
answer_slot(Upstream *upstream, PGresult *result)
{
	const char *status = field(result, 3);
	const char *lsn = field(result, 4);
	const char *reason = field(result, 5);
	Lsn			known = delivered(upstream);

	upstream->slot_exists = PQntuples(result) == 1;
	if (!upstream->slot_exists)
	{
		if (known != 0)
			slot_is_lost(upstream, "it doesn't exist any more");
		if (!upstream->settings->create_slot)
			client_exit(EXIT_SLOT_LOST,
						"slot \"%s\" does not exist: --create-slot creates it",
						upstream->settings->slot);
		return;
	}
	check_slot_kind(upstream, result);
	/* before any target is told that it is ours */
	upstream->slot_user = field(result, 7) ? atol(field(result, 7)) : 0;
	if (reason || (status && strcmp(status, "lost") == 0))
		slot_is_lost(upstream,
					 reason ? reason : "the server removed WAL it needs");
	if (lsn == NULL || !lsn_parse(lsn, &upstream->slot_lsn))
		client_exit(EXIT_SERVER, "slot \"%s\" has no position",
					upstream->settings->slot);
	if (known != 0 && upstream->slot_lsn > known)
		client_exit(EXIT_IDENTITY,
					"slot \"%s\" is at " LSN_FORMAT
					", and only changes up to " LSN_FORMAT
					" were delivered: it was made again or moved by somebody "
					"else, and what lies between is missing%s%s",
					upstream->settings->slot, LSN_ARGS(upstream->slot_lsn),
					LSN_ARGS(known),
					upstream->nstates > 0 ? "; to accept that, remove " : "",
					upstream->nstates > 0 ? upstream->states[0]->path : "");
}

static bool
ask_creation(Upstream *upstream, Bytes *question)
{
	if (upstream->slot_exists)
		return false;
	mem_add(question, "CREATE_REPLICATION_SLOT ");
	append_quoted(upstream, question, upstream->settings->slot, true);
	mem_add(question, " LOGICAL ");
	append_quoted(upstream, question, upstream->settings->plugin, true);
	mem_add(question, " (SNAPSHOT 'nothing'");
	if (upstream->settings->failover)
		mem_add(question, ", FAILOVER true");
	mem_add(question, ")");
	return true;
}

static void
answer_creation(Upstream *upstream, PGresult *result)
{
	const char *lsn = field(result, 1);

	if (lsn == NULL || !lsn_parse(lsn, &upstream->slot_lsn))
		client_exit(EXIT_SERVER, "unexpected answer to "
								 "CREATE_REPLICATION_SLOT");
	upstream->slot_exists = upstream->slot_created = true;
	log_message(LOG_INFO, "created slot \"%s\" at " LSN_FORMAT,
				upstream->settings->slot, LSN_ARGS(upstream->slot_lsn));
}

static bool
ask_snapshot(Upstream *upstream, Bytes *question)
{
	if (upstream->settings->after_job == 0 || upstream->snapshot)
		return false;
	mem_format(question,
			   "SELECT snapshot FROM outflow.jobs"
			   " WHERE job OPERATOR(pg_catalog.=) %lld"
			   " AND state OPERATOR(pg_catalog.=) 'done'",
			   upstream->settings->after_job);
	return true;
}

static void
answer_snapshot(Upstream *upstream, PGresult *result)
{
	const char *snapshot = field(result, 0);

	if (snapshot == NULL)
		client_exit(EXIT_SERVER, "there is no finished job %lld of yours",
					upstream->settings->after_job);
	upstream->snapshot = client_strdup(snapshot);
}

static bool
ask_forks(Upstream *upstream, Bytes *question)
{
	if (upstream->is_known)
		return false;
	if (!upstream->has_asked_targets)
		upstream->ask_targets(upstream);
	upstream->has_asked_targets = true;
	if (!upstream_has_forks(upstream))
		return false;
	mem_format(question, "TIMELINE_HISTORY %u", upstream->timeline);
	return true;
}

static void
answer_forks(Upstream *upstream, PGresult *result)
{
	upstream_judge_forks(upstream, field(result, 1));
}

/* Targets may have been waited for: who was before us may have gone on. */
static bool
ask_head(Upstream *upstream, Bytes *question)
{
	if (upstream->is_known || upstream->nreached == 0)
		return false;
	return ask_system(upstream, question);
}

static void
answer_head(Upstream *upstream, PGresult *result)
{
	const char *timeline = field(result, 1);
	const char *text = field(result, 2);
	Lsn			head = 0;

	if (timeline == NULL || text == NULL || !lsn_parse(text, &head))
		client_exit(EXIT_SERVER, "unexpected answer to IDENTIFY_SYSTEM");
	if (strtoul(timeline, NULL, 10) != upstream->timeline)
		upstream->outdated = "the server was promoted meanwhile";
	else
		upstream_judge_head(upstream, head);
}

static bool
ask_start(Upstream *upstream, Bytes *question)
{
	if (upstream->left)
		log_message(LOG_WARNING,
					"the server went from timeline %u to %u at " LSN_FORMAT
					", after all that was delivered: going on",
					upstream->left, upstream->timeline,
					LSN_ARGS(upstream->fork));
	upstream->left = 0;
	upstream->start = upstream->choose_start(upstream);
	upstream->is_known = true;
	mem_add(question, "START_REPLICATION SLOT ");
	append_quoted(upstream, question, upstream->settings->slot, true);
	mem_format(question, " LOGICAL " LSN_FORMAT " (%s",
			   LSN_ARGS(upstream->start), upstream->plugin_options);
	if (upstream->snapshot)
	{
		mem_add(question, ", \"after_snapshot\" ");
		append_quoted(upstream, question, upstream->snapshot, false);
	}
	mem_add(question, ")");
	return true;
}

static void
answer_start(Upstream *upstream, PGresult *result)
{
	(void) upstream;
	(void) result; /* the stream itself comes elsewhere */
}

static const StartStep steps[] = {
	{ask_system, answer_system},	 {ask_history, answer_history},
	{ask_timeout, answer_timeout},	 {ask_slot, answer_slot},
	{ask_creation, answer_creation}, {ask_snapshot, answer_snapshot},
	{ask_forks, answer_forks},		 {ask_head, answer_head},
	{ask_start, answer_start},
};

bool
upstream_ask(Upstream *upstream, Bytes *question)
{
	for (; upstream->step < sizeof(steps) / sizeof(steps[0]); upstream->step++)
	{
		mem_reset(question);
		if (steps[upstream->step].ask(upstream, question))
			return true;
	}
	return false;
}

bool
upstream_may_take_long(const Upstream *upstream)
{
	return steps[upstream->step].ask == ask_creation;
}

void
upstream_answer(Upstream *upstream, PGresult *result)
{
	steps[upstream->step].answer(upstream, result);
}
