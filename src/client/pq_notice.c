/*
 * pq_notice.c
 *		Notices of libpq, which would write them to stderr as they come.
 */
#include "client/pq_notice.h"

#include <stdlib.h>
#include <string.h>

#include "client/memory.h"
#include "client/pq_error.h"

LogLevel
pq_notice_level(const PGresult *notice)
{
	const char *severity =
		PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);

	if (severity && strcmp(severity, "WARNING") == 0)
		return LOG_WARNING;
	return severity && strcmp(severity, "DEBUG") == 0 ? LOG_DEBUG : LOG_INFO;
}

/* Without their context: it may be another one each time, such as a row's. */
static void
log_notice(void *argument, const PGresult *notice)
{
	PqNotices *notices = argument;
	char	  *message = pq_result_message(notice, false);
	char *text = client_format("%s%s%s", notices->name ? notices->name : "",
							   notices->name ? ": " : "", message);

	log_text(&notices->texts, pq_notice_level(notice), text);
	free(text);
	free(message);
}

void
pq_log_notices(PGconn *conn, PqNotices *notices)
{
	PQsetNoticeReceiver(conn, log_notice, notices);
}
