/*
 * throttle.c
 *		outflow.rate_limit: all workers of a job share one budget of bytes.
 *
 * The budget is a point in time until which it is spent.  Who writes moves it
 * on by what the bytes cost, and sleeps until it is near.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "export/export_settings.h"
#include "export/part/part.h"

/* What was not used earlier may be used now, so far. */
#define BURST_USEC (USECS_PER_SEC / 4)
/* The setting may change meanwhile. */
#define MAX_SLEEP_MS 1000

void
throttle_init(Throttle *throttle)
{
	pg_atomic_init_u64(&throttle->spent_until, 0);
}

/* Spends the bytes and returns until when the budget is spent. */
static int64
spend(Throttle *throttle, uint64 bytes)
{
	int64  cost = (int64) (bytes * 1000000.0 / (rate_limit_kb * 1024.0));
	uint64 before = pg_atomic_read_u64(&throttle->spent_until);
	int64  after;

	do
	{
		int64 earliest = GetCurrentTimestamp() - BURST_USEC;

		after = Max((int64) before, earliest) + cost;
	} while (!pg_atomic_compare_exchange_u64(&throttle->spent_until, &before,
											 (uint64) after));
	return after;
}

void
throttle_spend(Throttle *throttle, uint64 bytes, volatile bool *stop)
{
	int	  rate = rate_limit_kb;
	int64 until;

	if (rate == 0 || bytes == 0)
		return;
	until = spend(throttle, bytes);
	while (!*stop)
	{
		int64 rest = (until - GetCurrentTimestamp()) / 1000;

		if (rest <= 0)
			break;
		CHECK_FOR_INTERRUPTS();
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(rest, MAX_SLEEP_MS), PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		settings_reload();
		if (rate_limit_kb != rate)
		{
			/* another rate begins without debts of the old one */
			pg_atomic_write_u64(&throttle->spent_until,
								(uint64) GetCurrentTimestamp());
			break;
		}
	}
}
