/*
 * export_settings.c
 *		The export half's own settings, and other people's settings that an
 *		export's output or its workers depend on.
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "utils/guc.h"

#include "export/export_settings.h"
#include "export/job/job.h"
#include "compat.h"
#include "export/export.h"
#include "limit.h"

int			 max_jobs = 4;
int			 max_retries = 9;
static char *export_root = NULL;
int			 part_memory_kb = 64 * 1024;
int			 rate_limit_kb = 0;

/*
 * All that the text of a value depends on besides the value, and what filters and
 * queries read besides, though their functions are called immutable: AT TIME ZONE
 * an abbreviation, XMLELEMENT of a bytea, and quote_ident().  Sorted by bytes, as
 * they are read back.
 */
static const struct
{
	const char *name;
	bool		any_format; /* also of those whose values have one text */
} captured[] = {{"DateStyle", false},
				{"IntervalStyle", false},
				{"TimeZone", false},
				{"bytea_output", false},
				{"extra_float_digits", false},
				{"lc_monetary", false},
				{"quote_all_identifiers", true},
				{"timezone_abbreviations", true},
				{"xmlbinary", true}};

/*
 * A role's or database's own defaults reach background workers too.  None of
 * them may stop a worker, change what it reads or weaken its checkpoints.
 */
static const struct
{
	const char *name;
	const char *value;
} pinned[] = {
	{"role", "none"},
	{"search_path", "pg_catalog, pg_temp"},
	{"quote_all_identifiers", "off"},
	{"statement_timeout", "0"},
	{"lock_timeout", "0"},
	{"idle_in_transaction_session_timeout", "0"},
	{"transaction_timeout", "0"}, /* from 17 on */
	{"default_transaction_isolation", "read committed"},
	{"default_transaction_read_only", "off"},
	{"default_transaction_deferrable", "off"},
	{"synchronous_commit", "on"},
	{"row_security", "off"},
	{"client_min_messages", "error"},
	{"exit_on_error", "off"},
};

void
export_define_settings(void)
{
	DefineCustomStringVariable(
		"outflow.export_root",
		"Exports to files must lie beneath this directory.",
		"Empty: any directory that the server may write to.", &export_root, "",
		PGC_SUSET, GUC_SUPERUSER_ONLY | GUC_ALLOW_IN_PARALLEL, NULL, NULL,
		NULL);
	DefineCustomIntVariable(
		"outflow.max_jobs", "Export jobs that may run at a time.",
		"Further ones wait in state \"queued\".", &max_jobs, 4, 1, 1000,
		PGC_SIGHUP, GUC_ALLOW_IN_PARALLEL, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"outflow.retries",
		"How often a part of an export is tried again when the disk is full, "
		"or another resource is missing that may come back.",
		"The waits between the tries are 1, 2, 4 seconds and so on, up to a "
		"minute.",
		&max_retries, 9, 0, 1000, PGC_SIGHUP, GUC_ALLOW_IN_PARALLEL, NULL,
		NULL, NULL);
	DefineCustomIntVariable(
		"outflow.part_memory",
		"Memory that each export worker may use for the "
		"rows it holds back.",
		NULL, &part_memory_kb, 64 * 1024, 1024, MAX_KILOBYTES, PGC_USERSET,
		GUC_UNIT_KB | GUC_ALLOW_IN_PARALLEL, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"outflow.rate_limit", "How much each export job may write per second.",
		"0: as fast as it can.", &rate_limit_kb, 0, 0, MAX_KILOBYTES,
		PGC_SIGHUP, GUC_UNIT_KB | GUC_ALLOW_IN_PARALLEL, NULL, NULL, NULL);
}

const char *
settings_export_root(void)
{
	limits_check_export();
	return export_root;
}

List *
settings_capture(void)
{
	List *settings = NIL;

	for (int i = 0; i < lengthof(captured); i++)
	{
		const char *value = GetConfigOption(captured[i].name, false, false);

		settings = lappend(settings, pstrdup(captured[i].name));
		settings = lappend(settings, pstrdup(value));
	}
	return settings;
}

static bool
is_in_force(const Job *job, const char *name)
{
	if (!job->row_format->canonical_settings)
		return true;
	for (int i = 0; i < lengthof(captured); i++)
	{
		if (strcmp(captured[i].name, name) == 0)
			return captured[i].any_format;
	}
	return false;
}

List *
settings_in_force(const Job *job)
{
	List *settings = NIL;

	for (int i = 0; i + 1 < list_length(job->settings); i += 2)
	{
		char *name = list_nth(job->settings, i);

		if (is_in_force(job, name))
			settings = lappend(lappend(settings, name),
							   list_nth(job->settings, i + 1));
	}
	return settings;
}

PinnedSettings *
settings_pin_job(const Job *job)
{
	PinnedSettings *pinned = settings_pin_canonical(CurrentMemoryContext);
	List		   *settings = settings_in_force(job);

	for (int i = 0; i + 1 < list_length(settings); i += 2)
		(void) set_config_option(
			list_nth(settings, i), list_nth(settings, i + 1), PGC_USERSET,
			PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return pinned;
}

void
settings_pin_worker(Oid owner)
{
	for (int i = 0; i < lengthof(pinned); i++)
	{
		if (GetConfigOption(pinned[i].name, true, false))
			SetConfigOption(pinned[i].name, pinned[i].value, PGC_SUSET,
							PGC_S_OVERRIDE);
	}

	/* "role" of a role's or database's settings was in force until now */
	if (GetUserId() != owner || GetSessionUserId() != owner)
		ereport(FATAL,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("a worker of an export runs as another role than the "
						"job's owner")));
}

void
settings_reload(void)
{
	if (!ConfigReloadPending)
		return;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
}
