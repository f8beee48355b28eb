/*
 * verify_report.c
 *		The lines of verify.
 */
#include "client/verify_report.h"

#include <stdarg.h>
#include <stdio.h>

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
