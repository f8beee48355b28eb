/*
 * run_export.c
 *		Calls the procedure that the arguments mean, shows how far its job is,
 *		and says how to go on with one that did not come to its end.
 */
#include "client/run_export.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/clock.h"
#include "client/loop.h"
#include "client/memory.h"
#include "client/progress.h"
#include "client/progress_view.h"
#include "client/server_call.h"

#define MAX_PARAMETERS 16

/* CALL with its parameters, each as text. */
typedef struct Statement
{
	Bytes sql;
	int	  count;
	char *values[MAX_PARAMETERS];
} Statement;

static void
add_parameter(Statement *statement, const char *name, char *value)
{
	statement->values[statement->count++] = value;
	mem_format(&statement->sql, "%s%s => $%d",
			   statement->count > 1 ? ", " : "", name, statement->count);
}

/* An argument that wasn't given has the procedure's default. */
static void
add_text(Statement *statement, const char *name, const char *value)
{
	if (value)
		add_parameter(statement, name, client_strdup(value));
}

/* As an array's text. */
static void
add_texts(Statement *statement, const char *name, char *const *items,
		  int count)
{
	Bytes array = {0};
	int	  i;

	if (count == 0)
		return;
	mem_add(&array, "{");
	for (i = 0; i < count; i++)
	{
		const char *p;

		mem_add(&array, i > 0 ? ",\"" : "\"");
		for (p = items[i]; *p; p++)
		{
			if (*p == '"' || *p == '\\')
				mem_add(&array, "\\");
			mem_append(&array, p, 1);
		}
		mem_add(&array, "\"");
	}
	mem_add(&array, "}");
	add_parameter(statement, name, array.data);
}

static const char *
procedure_name(const Settings *settings)
{
	return settings->resume				   ? "resume"
		   : settings->schema			   ? "export_schema"
		   : settings->publication		   ? "export_publication"
		   : settings->arguments.count > 2 ? "export_tables"
										   : "export";
}

static const char *
destination_of(const Settings *settings)
{
	return settings->arguments.items[settings->arguments.count - 1];
}

static void
make_call(Statement *statement, const Settings *settings)
{
	char *const *arguments = settings->arguments.items;
	int			 sources = settings->arguments.count - 1;

	mem_format(&statement->sql, "CALL outflow.%s(", procedure_name(settings));
	if (settings->resume)
		add_text(statement, "job", settings->resume);
	else
	{
		if (sources == 1)
			add_text(statement, "source", arguments[0]);
		else
			add_texts(statement, "sources", arguments, sources);
		add_text(statement, "schema", settings->schema);
		add_text(statement, "publication", settings->publication);
		add_text(statement, "destination", destination_of(settings));
		add_text(statement, "format", settings->format);
		add_text(statement, "compression", settings->compression);
		add_texts(statement, "columns", settings->columns.items,
				  settings->columns.count);
		add_text(statement, "filter", settings->filter);
		add_texts(statement, "encrypt_to", settings->encrypt_to.items,
				  settings->encrypt_to.count);
		add_text(statement, "part_size", settings->part_size);
		add_text(statement, "workers", settings->workers);
		add_text(statement, "base", settings->base);
		add_text(statement, "slot", settings->slot);
		add_text(statement, "options", settings->job_options);
	}
	mem_add(&statement->sql, ")");
}

static void
free_call(Statement *statement)
{
	while (statement->count > 0)
		free(statement->values[--statement->count]);
	mem_free(&statement->sql);
}

/* What may be gone on with, or was cut off, is no failure of the export. */
static ExitCode
export_failed(const ServerCall *call, long long job)
{
	bool is_cut = strcmp(call->sqlstate, "57014") == 0 ||
				  strncmp(call->sqlstate, "57P", 3) == 0 ||
				  strncmp(call->sqlstate, "08", 2) == 0;

	log_message(LOG_ERROR, "%s", call->error);
	if (job != 0 && (is_cut || call->is_resumable))
		log_message(LOG_INFO,
					"job %lld stays: \"pg_outflow export -d ... --resume "
					"%lld\" goes on with it",
					job, job);
	return is_cut ? EXIT_UNFINISHED : EXIT_SERVER;
}

static void
watch_export(ServerCall *call, Progress *progress)
{
	for (;;)
	{
		bool is_watched = progress->conn != NULL;

		call_work(call);
		if (call->ended)
			return;
		if (progress_work(progress))
			view_show(&progress->status, false);
		if (is_watched && progress->conn == NULL)
		{
			view_clear();
			log_message(LOG_WARNING, "progress is not shown any more: its "
									 "connection was lost");
		}
		loop_wait(progress_wake_at(progress));
	}
}

static ExitCode
end_export(ServerCall *call, Progress *progress)
{
	/* what a procedure with INOUT arguments returns */
	if (call->rows && PQntuples(call->rows) == 1 && PQnfields(call->rows) == 1)
		progress->status.job = atoll(PQgetvalue(call->rows, 0, 0));
	if (progress_final(progress, call->conn))
		view_show(&progress->status, true);
	view_clear();
	if (call->error)
		return export_failed(call, progress->status.job);
	if (!view_is_json())
		printf("%lld\n", progress->status.job);
	return EXIT_OK;
}

ExitCode
export_run(const Settings *settings)
{
	ServerCall call = {.conn = server_connect(settings->conninfo),
					   .before_message = view_clear};
	Statement  statement = {0};
	Progress   progress;
	ExitCode   code;

	view_open(settings->progress);
	progress_open(&progress, settings->conninfo, PQbackendPID(call.conn),
				  settings->resume ? NULL : destination_of(settings),
				  settings->resume ? atoll(settings->resume) : 0);
	loop_catch_signals();
	make_call(&statement, settings);
	call_start(&call, statement.sql.data, statement.count,
			   (const char *const *) statement.values);
	free_call(&statement);
	watch_export(&call, &progress);
	code = end_export(&call, &progress);
	progress_close(&progress);
	call_close(&call);
	if (fflush(stdout) != 0)
		client_exit(EXIT_FAILED, "could not write the job's number: %m");
	return code;
}
