/*
 * verify_report.h
 *		What verify found: a line for each problem.
 */
#ifndef CLIENT_VERIFY_REPORT_H
#define CLIENT_VERIFY_REPORT_H

typedef struct VerifyReport
{
	long long files; /* read, or asked the server about */
	long long problems;
} VerifyReport;

/* folder is empty for what lies on top; format is NULL without details. */
extern void report_problem(VerifyReport *report, const char *folder,
						   const char *file, const char *status,
						   const char *format, ...)
	__attribute__((format(printf, 5, 6)));

#endif
