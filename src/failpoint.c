/*
 * failpoint.c
 *		Lets a process die, fail or wait at a named place, for tests.
 */
#include "postgres.h"

#include "failpoint.h"

#ifdef OUTFLOW_FAILPOINTS

#include <signal.h>
#include <unistd.h>

#include "miscadmin.h"
#include "utils/guc.h"

#define SLEEP_US (60 * INT64CONST(1000000))

static char *failpoint = "";

void
failpoint_define_setting(void)
{
	DefineCustomStringVariable("outflow.failpoint",
							   "Where and how an export dies, for tests.",
							   "name:crash, name:error or name:sleep, :N for "
							   "the Nth time.",
							   &failpoint, "", PGC_SUSET, 0, NULL, NULL, NULL);
}

static void
act(const char *name, const char *action, size_t len)
{
	if (strncmp(action, "crash", len) == 0)
		kill(MyProcPid, SIGKILL);
	else if (strncmp(action, "sleep", len) == 0)
	{
		for (int64 waited = 0; waited < SLEEP_US; waited += 10000)
		{
			CHECK_FOR_INTERRUPTS();
			pg_usleep(10000);
		}
	}
	else
		ereport(ERROR,
				(errcode(ERRCODE_IO_ERROR), errmsg("failpoint \"%s\"", name)));
}

void
failpoint_hit(const char *name)
{
	static int	hits = 0;
	size_t		len = strlen(name);
	const char *action;
	const char *count;

	if (strncmp(failpoint, name, len) != 0 || failpoint[len] != ':')
		return;
	action = failpoint + len + 1;
	len = strcspn(action, ":");
	count = action[len] == ':' ? action + len + 1 : "1";
	if (++hits == atoi(count))
		act(name, action, len);
}

#endif /* OUTFLOW_FAILPOINTS */
