/*
 * ledger_property.c
 *		Random histories of the ledger, against a model that is too simple to be
 *		wrong: it remembers everything and looks at all of it each time.
 *
 *		ledger_property SEED HISTORIES [MUTANT]
 *
 * A history has one to four targets, transactions of one record and of
 * thousands, keepalives new and old, and acknowledgements in any order, of one
 * record or many, some twice; and targets that are sent what is beyond their prefix
 * again, and tell so again.  After each step the ledger must say exactly what
 * the model says: less would hold WAL for nothing, more would lose changes.
 *
 * MUTANT spoils the model, to show that a wrong ledger would be noticed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/position.h"

#define MAX_RECORDS 20000
#define MAX_MARKS	20000
#define MAX_TARGETS 4

static struct
{
	Ledger *ledger;
	int		ntargets;
	int		nrecords;
	char	taken[MAX_TARGETS][MAX_RECORDS + 2];
	int		nmarks;
	int		mark_records[MAX_MARKS];
	Lsn		mark_lsn[MAX_MARKS];
	Lsn		wal; /* where the server is */
	int		in_transaction;
} history;

static const char *mutant = "";

/* a number below n, mostly small ones if skewed */
static int
below(int n, int skewed)
{
	int value = random() % n;

	return skewed && random() % 4 ? value % (1 + n / 50) : value;
}

static int
all_taken(int record)
{
	int t;

	for (t = 0; t < history.ntargets; t++)
		if (!history.taken[t][record])
			return 0;
	return 1;
}

static Lsn
model_confirmed(void)
{
	Lsn confirmed = 0;
	int record = 0;
	int m;

	for (m = 0; m < history.nmarks; m++)
	{
		while (record < history.mark_records[m] && all_taken(record + 1))
			record++;
		if (record < history.mark_records[m])
			break;
		confirmed = history.mark_lsn[m];
	}
	if (strcmp(mutant, "ahead") == 0 && m < history.nmarks)
		confirmed = history.mark_lsn[m];
	if (strcmp(mutant, "behind") == 0 && m > 1 && m == history.nmarks)
		confirmed = history.mark_lsn[m - 2];
	return confirmed;
}

static void
mark(Lsn lsn)
{
	Lsn last = history.nmarks ? history.mark_lsn[history.nmarks - 1] : 0;

	ledger_mark(history.ledger, lsn, lsn);
	if (lsn <= last)
		return;
	history.mark_records[history.nmarks] = history.nrecords;
	history.mark_lsn[history.nmarks++] = lsn;
}

static void
receive(void)
{
	int n = 1 + below(500, 1);

	while (n-- > 0 && history.nrecords < MAX_RECORDS)
		if (ledger_received(history.ledger) != (uint64_t) ++history.nrecords)
			abort();
	history.in_transaction = 1;
	if (random() % 3)
	{
		history.wal += 1 + below(1000, 0);
		mark(history.wal);
		history.in_transaction = 0;
	}
}

static void
keepalive(void)
{
	Lsn lsn = history.wal + below(100, 0);

	if (history.in_transaction)
		return;
	if (random() % 3 == 0)
		lsn -= below(2000, 0) % (lsn + 1);
	mark(lsn);
	if (lsn > history.wal)
		history.wal = lsn;
}

/* Some of what isn't taken, mostly the first of it, and some again. */
static void
acknowledge(void)
{
	int t = below(history.ntargets, 0);
	int first = 1;
	int count;
	int i;

	if (history.nrecords == 0)
		return;
	if (random() % 8)
		while (first < history.nrecords && history.taken[t][first])
			first++;
	if (random() % 2)
		first += below(history.nrecords - first + 1, 1);
	count = 1 + below(history.nrecords - first + 1, 1);
	ledger_taken(history.ledger, t, first, count);
	for (i = first; i < first + count; i++)
		history.taken[t][i] = 1;
}

/* All beyond its prefix is sent to a target again. */
static void
forget(void)
{
	int t = below(history.ntargets, 0);
	int record = 0;

	ledger_forget_beyond(history.ledger, t);
	if (strcmp(mutant, "kept") == 0)
		return;
	while (record < history.nrecords && history.taken[t][record + 1])
		record++;
	for (; record < history.nrecords; record++)
		history.taken[t][record + 1] = 0;
}

/* What is told of each target alone; marks have their LSN for a time. */
static int
check_target(int step, int t)
{
	Lsn delivered = 0;
	Lsn lacks = 0;
	int record = 0;
	int m;

	while (record < history.nrecords && history.taken[t][record + 1])
		record++;
	for (m = 0; m < history.nmarks && history.mark_records[m] <= record; m++)
		delivered = history.mark_lsn[m];
	if (m < history.nmarks)
		lacks = history.mark_lsn[m];
	if (strcmp(mutant, "lag") == 0 && m + 1 < history.nmarks)
		lacks = history.mark_lsn[m + 1];
	if (delivered == ledger_delivered_lsn(history.ledger, t) &&
		lacks == (Lsn) ledger_lacks_since(history.ledger, t))
		return 1;
	printf("step %d: target %d has %llu and lacks %llu, and should %llu, "
		   "%llu\n",
		   step, t,
		   (unsigned long long) ledger_delivered_lsn(history.ledger, t),
		   (unsigned long long) ledger_lacks_since(history.ledger, t),
		   (unsigned long long) delivered, (unsigned long long) lacks);
	return 0;
}

static int
check(int step)
{
	Lsn expected = model_confirmed();
	Lsn got = ledger_confirmed(history.ledger);
	int t;

	for (t = 0; t < history.ntargets; t++)
		if (!check_target(step, t))
			return 0;

	if (expected == got)
		return 1;
	printf("step %d: confirmed is %llu, and should be %llu\n", step,
		   (unsigned long long) got, (unsigned long long) expected);
	return 0;
}

/* In the end everything is taken, and the last mark must be confirmed. */
static int
finish(void)
{
	int t;
	int i;

	for (t = 0; t < history.ntargets; t++)
		for (i = history.nrecords; i > 0; i--)
			if (!history.taken[t][i])
			{
				ledger_taken(history.ledger, t, i, 1);
				history.taken[t][i] = 1;
			}
	return check(-1) && ledger_confirmed(history.ledger) ==
							ledger_received_lsn(history.ledger);
}

static int
run(unsigned seed)
{
	int steps;
	int ok = 1;
	int i;

	srandom(seed);
	memset(&history, 0, sizeof(history));
	history.ntargets = 1 + below(MAX_TARGETS, 0);
	history.wal = 1000;
	history.ledger = ledger_new(history.ntargets);
	steps = 10 + below(600, 0);
	for (i = 0; ok && i < steps; i++)
	{
		int what = random() % 10;

		if (random() % 20 == 0)
			forget();
		else if (what < 3)
			receive();
		else if (what < 4)
			keepalive();
		else
			acknowledge();
		ok = check(i);
	}
	ok = ok && finish();
	ledger_free(history.ledger);
	return ok;
}

int
main(int argc, char **argv)
{
	unsigned seed = argc > 1 ? atoi(argv[1]) : 1;
	unsigned histories = argc > 2 ? atoi(argv[2]) : 100;
	unsigned i;

	if (argc > 3)
		mutant = argv[3];
	for (i = 0; i < histories; i++)
		if (!run(seed + i))
		{
			printf("failed with seed %u\n", seed + i);
			return 1;
		}
	printf("%u histories\n", histories);
	return 0;
}
