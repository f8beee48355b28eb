/*
 * run_verify.c
 *		Verifies files here, or lets the server verify a job's; tells what is
 *		wrong in one form.
 */
#include "client/run_verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client/clock.h"
#include "client/loop.h"
#include "client/memory.h"
#include "client/server_call.h"
#include "client/verify_report.h"

/* Names come from anywhere: a line stays a line, and a terminal a terminal. */
static void
print_escaped(const char *text)
{
	for (; *text; text++)
		if ((unsigned char) *text < 0x20 || *text == 0x7f || *text == '\\')
			printf("\\x%02x", (unsigned char) *text);
		else
			putchar(*text);
}

void
report_problem(VerifyReport *report, const char *folder, const char *file,
			   const char *status, const char *format, ...)
{
	report->problems++;
	print_escaped(folder);
	if (*folder)
		putchar('/');
	print_escaped(file);
	printf(": %s", status);
	if (format)
	{
		char	details[1024];
		va_list arguments;

		va_start(arguments, format);
		vsnprintf(details, sizeof(details), format, arguments);
		va_end(arguments);
		fputs(": ", stdout);
		print_escaped(details);
	}
	putchar('\n');
}

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
