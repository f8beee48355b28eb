/*
 * check_destination.c
 *		One step of outflow.check_destination(): tries a place with a small
 *		file of its own.  What fails is an ERROR, which the caller turns into a
 *		row.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "compat.h"
#include "export/export_destination.h"
#include "export/job/job_access.h"
#include "option.h"
#include "sink/patience.h"

PG_FUNCTION_INFO_V1(outflow_preflight_destination);
PGDLLEXPORT Datum outflow_preflight_destination(PG_FUNCTION_ARGS);

/* Nobody takes either for a part of an export. */
#define NAME_PREFIX "_outflow_check_"
#define CONTENT		"outflow: a trial, which may be removed\n"

/* The step of who was told to end; nothing, if another step has cleaned up. */
#define GIVE_UP "give up"

/* The last trial, for the last step to remove with what the first one made. */
static struct
{
	char  name[DESTINATION_NAME_MAX + 1];
	char *location;
	int	  made;
} trial;

/* A step of the trial of that name. */
typedef struct TrialStep
{
	Destination *to;
	const char	*name;
} TrialStep;

pg_noreturn static void
report_failure(const char *message, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_FDW_ERROR), errmsg("%s", message),
					errhint("%s", hint)));
}

static void
remove_what_was_made(Destination *to)
{
	if (to->made > 0)
		to->driver->remove_place(to);
}

static void
remember_trial(const Destination *to, const char *name)
{
	trial.name[0] = '\0';
	if (trial.location)
		pfree(trial.location);
	trial.location = NULL;
	trial.location = MemoryContextStrdup(TopMemoryContext, to->location);
	strlcpy(trial.name, name, sizeof(trial.name));
	trial.made = to->made;
}

/* Whether it is the last one, and of this session. */
static bool
is_trial(const Destination *to, const char *name)
{
	return strcmp(trial.name, name) == 0 &&
		   strcmp(trial.location, to->location) == 0;
}

/* Tried once: a place that doesn't answer is not asked again. */
static void
take_trial_back(void *arg)
{
	TrialStep	*step = arg;
	Destination *to = step->to;
	bool		 is_written = is_trial(to, step->name);

	if (is_written)
	{
		to->made = trial.made;
		trial.name[0] = '\0';
	}
	to->driver->discard(to);
	if (is_written)
		(void) to->driver->remove(to, step->name);
	remove_what_was_made(to);
}

/* Whole at once, as a manifest; through the temporary directory of a job that
 * nobody has. */
static char *
step_write(Destination *to, const char *name)
{
	const DestinationDriver *driver = to->driver;
	char *id = psprintf("check-%s", name + strlen(NAME_PREFIX));

	if (driver->claim(to, id, id, ACCESS_CREATE) != CLAIM_GRANTED)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
						errmsg("another trial has the name \"%s\"", name)));
	/* it may be there before anybody says so */
	remember_trial(to, name);
	driver->put(to, name, CONTENT, strlen(CONTENT), false);
	driver->discard(to);
	return psprintf("a file \"%s\" of %zu bytes", name, strlen(CONTENT));
}

static char *
step_list(Destination *to, const char *name)
{
	ListCell *cell;

	foreach (cell, to->driver->list(to, "", NULL))
	{
		DestinationEntry *entry = lfirst(cell);

		if (strcmp(entry->name, name) == 0 && entry->size == strlen(CONTENT))
			return pstrdup("the file is in the list, with its size");
	}
	report_failure("the file that was written is not in the list",
				   "Readers, verify() and overwriting need lists that show "
				   "what was written before.");
}

static char *
step_read(Destination *to, const char *name)
{
	size_t len;
	char  *text = to->driver->get(to, name, strlen(CONTENT) + 1, &len);

	if (text == NULL || strcmp(text, CONTENT) != 0)
		report_failure("the file that was written reads otherwise",
					   "Do not export there.");
	return psprintf("%zu bytes, as they were written", len);
}

static char *
step_remove(Destination *to, const char *name)
{
	bool again;

	(void) to->driver->remove(to, name);
	to->driver->sync(to, "");
	again = to->driver->remove(to, name);
	if (is_trial(to, name))
	{
		to->made = trial.made;
		remove_what_was_made(to);
		trial.name[0] = '\0';
	}
	return pstrdup(again ? "removed at the second try only"
						 : "removed, and gone");
}

static char *
run_step(Destination *to, const char *step, const char *name)
{
	if (strcmp(step, "write") == 0)
		return step_write(to, name);
	if (strcmp(step, "list") == 0)
		return step_list(to, name);
	if (strcmp(step, "read") == 0)
		return step_read(to, name);
	if (strcmp(step, "checksum") == 0)
		return to->driver->probe(to, name);
	if (strcmp(step, "remove") == 0 || strcmp(step, GIVE_UP) == 0)
		return step_remove(to, name);
	elog(ERROR, "unknown step \"%s\"", option_shown(step));
	return NULL; /* not reached */
}

/* A first step that fails leaves nothing; nor does one that is cancelled, as none
 * comes after it. */
static char *
try_step(Destination *to, const char *step, const char *name)
{
	TrialStep at = {to, name};
	char	 *detail = NULL;

	PG_TRY();
	{
		detail = run_step(to, step, name);
	}
	PG_CATCH();
	{
		/* what has that name already is another's */
		if (geterrcode() == ERRCODE_DUPLICATE_FILE)
			trial.name[0] = '\0';
		if (strcmp(step, "write") != 0 &&
			geterrcode() != ERRCODE_QUERY_CANCELED)
			PG_RE_THROW();
		MemoryContextSwitchTo(GetMemoryChunkContext(to));
		patience_clean_up(take_trial_back, &at, to->path);
	}
	PG_END_TRY();
	return detail;
}

/*
 * outflow_internal.preflight_destination(destination, step, name): what is well, or
 * NULL if there is nothing to try
 */
Datum
outflow_preflight_destination(PG_FUNCTION_ARGS)
{
	Job			 job = {.destination = text_to_cstring(PG_GETARG_TEXT_PP(0))};
	char		*step = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char		*name = text_to_cstring(PG_GETARG_TEXT_PP(2));
	bool		 reach = strcmp(step, "reach") == 0;
	Destination *to;
	char		*detail;

	option_refuse_secret("destination", job.destination,
						 strlen(job.destination));
	/* anybody may call this, and what other names have is not a trial's */
	if (strncmp(name, NAME_PREFIX, strlen(NAME_PREFIX)) != 0 ||
		!destination_name_is_valid(name))
		ereport(ERROR, (errcode(ERRCODE_INVALID_NAME),
						errmsg("invalid name \"%s\" for a trial",
							   option_shown(name))));
	if (strcmp(step, GIVE_UP) == 0 && strcmp(trial.name, name) != 0)
		PG_RETURN_NULL();
	destination_check_rights(job.destination);
	if (!reach)
		job_check_may_write("check_destination");
	to = destination_open(&job, reach ? DESTINATION_PROBE
								: strcmp(step, "write") == 0
									? DESTINATION_CREATE
									: DESTINATION_EXISTING);
	if (to && to->driver->tables)
		detail = reach ? to->driver->probe(to, "") : NULL;
	else if (reach)
	{
		if (to)
			to->driver->check_writable(to);
		detail = psprintf("%s: %s", destination_locate(&job),
						  to ? "there" : "nothing is there yet");
	}
	else
		detail = try_step(to, step, name);
	if (to)
		to->driver->close(to);
	if (detail == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(detail));
}
