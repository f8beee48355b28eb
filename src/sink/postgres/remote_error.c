/*
 * remote_error.c
 *		How a connection ends: given up, or with what the other server says, as
 *		an error of ours.
 *
 * Its words are shown to the user and written to the log, so they are cut and
 * lose all control characters.  Its SQLSTATE is kept, but where it would be
 * taken for something that happened to this process.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "storage/fd.h"

#include "sink/postgres/remote.h"

#define MAX_SHOWN 300

char *
remote_clean(const char *text)
{
	char *clean;
	int	  len;

	if (text == NULL || text[0] == '\0')
		return NULL;
	clean = pnstrdup(text, MAX_SHOWN);
	len = strlen(clean);
	/* a cut character is no character */
	if (!pg_verifymbstr(clean, len, true))
		len = pg_encoding_verifymbstr(GetDatabaseEncoding(), clean, len);
	clean[len] = '\0';
	while (len > 0 && (clean[len - 1] == '\n' || clean[len - 1] == ' '))
		clean[--len] = '\0';
	for (char *c = clean; *c; c++)
		if ((unsigned char) *c < ' ' || *c == 127)
			*c = ' ';
	return clean;
}

void
remote_close(void *argument)
{
	Remote *remote = argument;

	if (remote->result)
		PQclear(remote->result);
	remote->result = NULL;
	if (remote->conn)
	{
		PQfinish(remote->conn);
		ReleaseExternalFD();
	}
	remote->conn = NULL;
	remote->ready = false;
}

void
remote_lost(Remote *remote)
{
	char *reason = remote_clean(PQerrorMessage(remote->conn));

	remote_close(remote);
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("connection to server \"%s\" was lost", remote->name),
			 reason ? errdetail("It says: %s", reason) : 0));
}

/* A remote's shutdown is a lost connection here, its cancel is no cancel. */
static int
code_of(const char *state)
{
	int code;

	if (state == NULL || strlen(state) != 5)
		return ERRCODE_FDW_ERROR;
	for (const char *c = state; *c; c++)
		if (!((*c >= '0' && *c <= '9') || (*c >= 'A' && *c <= 'Z')))
			return ERRCODE_FDW_ERROR;
	code = MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4]);
	if (code == ERRCODE_ADMIN_SHUTDOWN || code == ERRCODE_CRASH_SHUTDOWN)
		return ERRCODE_CONNECTION_FAILURE;
	if (code == ERRCODE_QUERY_CANCELED ||
		ERRCODE_TO_CATEGORY(code) == ERRCODE_SUCCESSFUL_COMPLETION)
		return ERRCODE_FDW_ERROR;
	return code;
}

void
remote_failed(Remote *remote, const PGresult *result)
{
	int	  code = code_of(PQresultErrorField(result, PG_DIAG_SQLSTATE));
	char *message =
		remote_clean(PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
	char *detail =
		remote_clean(PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL));
	char *hint =
		remote_clean(PQresultErrorField(result, PG_DIAG_MESSAGE_HINT));
	char *context = remote_clean(PQresultErrorField(result, PG_DIAG_CONTEXT));

	if (message == NULL)
		remote_lost(remote);
	remote_close(remote);
	ereport(ERROR,
			(errcode(code), errmsg("server \"%s\": %s", remote->name, message),
			 detail ? errdetail("%s", detail)
					: (context ? errdetail("%s", context) : 0),
			 hint ? errhint("%s", hint) : 0));
}
