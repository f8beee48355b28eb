/*
 * run_verify.c
 *		Verifies files here, or lets the server verify a job's; tells what is
 *		wrong in one form.
 */
#include "client/run_verify.h"

#include <stdio.h>
#include <string.h>

#include "client/clock.h"
#include "client/loop.h"
#include "client/memory.h"
#include "client/server_call.h"
#include "client/verify_files.h"

/* By outflow.verify(), which can be cancelled. */
static void
verify_job(VerifyReport *report, const Settings *settings)
{
	static const char sql[] = "SELECT file, status, detail"
							  " FROM outflow.verify($1::bigint)";
	const char		 *values[] = {settings->job};
	ServerCall		  call = {.conn = server_connect(settings->conninfo)};
	int				  i;

	loop_catch_signals();
	call_start(&call, sql, 1, values);
	for (;;)
	{
		call_work(&call);
		if (call.ended)
			break;
		loop_wait(NEVER);
	}
	if (call.error)
		client_exit(strcmp(call.sqlstate, "57014") == 0 ? EXIT_UNFINISHED
														: EXIT_SERVER,
					"%s", call.error);
	for (i = 0; i < PQntuples(call.rows); i++)
	{
		const char *status = PQgetvalue(call.rows, i, 1);

		report->files++;
		if (strcmp(status, "ok") != 0)
			report_problem(report, "", PQgetvalue(call.rows, i, 0), status,
						   PQgetisnull(call.rows, i, 2) ? NULL : "%s",
						   PQgetvalue(call.rows, i, 2));
	}
	call_close(&call);
}

ExitCode
verify_run(const Settings *settings)
{
	VerifyReport report = {0};

	if (settings->job)
		verify_job(&report, settings);
	else
		verify_path(&report, settings->arguments.items[0],
					settings->references);
	if (fflush(stdout) != 0)
		client_exit(EXIT_FAILED, "could not write what was found: %m");
	if (report.problems > 0)
		log_message(LOG_ERROR, "%lld files, %lld problems", report.files,
					report.problems);
	else
		log_message(LOG_INFO, "%lld files, all of them right", report.files);
	return report.problems > 0 ? EXIT_WRONG : EXIT_OK;
}
