/*
 * position.c
 *		The ledger of positions: see position.h for what it promises.
 *
 * Each target has the number up to which it has everything, and a ring of bits
 * for those beyond.  Marks wait in a ring, in the order of both their numbers
 * and their LSNs.
 */
#include "client/position.h"

#include <string.h>

#include "client/log.h"
#include "client/memory.h"

#define WORD_BITS 64

typedef struct Mark
{
	uint64_t  records; /* received before it */
	Lsn		  lsn;
	long long committed_us;
} Mark;

typedef struct Taken
{
	uint64_t  prefix; /* has all up to this number */
	uint64_t  beyond; /* how many of later ones */
	uint64_t *bits;	  /* of those, by number modulo nbits */
	uint64_t  nbits;  /* a power of two */
} Taken;

struct Ledger
{
	uint64_t received;
	Lsn		 received_lsn;
	Lsn		 confirmed;
	Mark	*marks;
	size_t	 marks_size; /* a power of two */
	size_t	 first_mark; /* runs on; modulo marks_size */
	size_t	 nmarks;
	int		 ntargets;
	Taken	 targets[];
};

Ledger *
ledger_new(int ntargets)
{
	Ledger *ledger =
		client_alloc(sizeof(Ledger) + sizeof(Taken) * (size_t) ntargets);
	int i;

	ledger->ntargets = ntargets;
	ledger->marks_size = 64;
	ledger->marks = client_alloc(sizeof(Mark) * ledger->marks_size);
	for (i = 0; i < ntargets; i++)
	{
		ledger->targets[i].nbits = WORD_BITS;
		ledger->targets[i].bits = client_alloc(sizeof(uint64_t));
	}
	return ledger;
}

void
ledger_free(Ledger *ledger)
{
	int i;

	for (i = 0; i < ledger->ntargets; i++)
		free(ledger->targets[i].bits);
	free(ledger->marks);
	free(ledger);
}

static Mark *
mark_at(const Ledger *ledger, size_t place)
{
	return &ledger->marks[place & (ledger->marks_size - 1)];
}

uint64_t
ledger_common_prefix(const Ledger *ledger)
{
	uint64_t least = ledger->received;
	int		 i;

	for (i = 0; i < ledger->ntargets; i++)
		if (ledger->targets[i].prefix < least)
			least = ledger->targets[i].prefix;
	return least;
}

/* Marks that every target has reached are confirmed and forgotten. */
static void
confirm_marks(Ledger *ledger)
{
	uint64_t prefix = ledger_common_prefix(ledger);

	while (ledger->nmarks > 0 &&
		   mark_at(ledger, ledger->first_mark)->records <= prefix)
	{
		ledger->confirmed = mark_at(ledger, ledger->first_mark)->lsn;
		ledger->first_mark++;
		ledger->nmarks--;
	}
}

uint64_t
ledger_received(Ledger *ledger)
{
	return ++ledger->received;
}

static void
grow_marks(Ledger *ledger)
{
	Mark  *larger = client_alloc(sizeof(Mark) * ledger->marks_size * 2);
	size_t i;

	for (i = 0; i < ledger->nmarks; i++)
		larger[i] = *mark_at(ledger, ledger->first_mark + i);
	free(ledger->marks);
	ledger->marks = larger;
	ledger->marks_size *= 2;
	ledger->first_mark = 0;
}

void
ledger_mark(Ledger *ledger, Lsn lsn, long long committed_us)
{
	Mark *last;

	if (lsn <= ledger->received_lsn)
		return;
	ledger->received_lsn = lsn;
	/* no record since the last one: only that moves on */
	if (ledger->nmarks > 0)
	{
		last = mark_at(ledger, ledger->first_mark + ledger->nmarks - 1);
		if (last->records == ledger->received)
		{
			last->lsn = lsn;
			return;
		}
	}
	if (ledger->nmarks == ledger->marks_size)
		grow_marks(ledger);
	*mark_at(ledger, ledger->first_mark + ledger->nmarks) =
		(Mark){ledger->received, lsn, committed_us};
	ledger->nmarks++;
	confirm_marks(ledger);
}

static uint64_t
bit_of(uint64_t number)
{
	return (uint64_t) 1 << (number % WORD_BITS);
}

static uint64_t *
word_of(const Taken *taken, uint64_t number)
{
	return &taken->bits[(number & (taken->nbits - 1)) / WORD_BITS];
}

/* Room for bits from prefix + 1 to that number. */
static void
reserve_bits(Taken *taken, uint64_t number)
{
	Taken	 larger = *taken;
	uint64_t n;

	if (number - taken->prefix <= taken->nbits)
		return;
	while (number - taken->prefix > larger.nbits)
		larger.nbits *= 2;
	larger.bits = client_alloc(larger.nbits / 8);
	for (n = taken->prefix + 1; n <= taken->prefix + taken->nbits; n++)
		if (*word_of(taken, n) & bit_of(n))
			*word_of(&larger, n) |= bit_of(n);
	free(taken->bits);
	*taken = larger;
}

/* The prefix moves over bits that are set, a word at a time where it can. */
static void
advance_prefix(Taken *taken)
{
	while (taken->beyond > 0)
	{
		uint64_t  next = taken->prefix + 1;
		uint64_t *word = word_of(taken, next);

		if (next % WORD_BITS == 0 && *word == UINT64_MAX)
		{
			*word = 0;
			taken->prefix += WORD_BITS;
			taken->beyond -= WORD_BITS;
		}
		else if (*word & bit_of(next))
		{
			*word &= ~bit_of(next);
			taken->prefix++;
			taken->beyond--;
		}
		else
			break;
	}
}

/* Forgets the bits of numbers that the prefix passes at once. */
static void
pass_over(Taken *taken, uint64_t last)
{
	uint64_t n;

	for (n = taken->prefix + 1; taken->beyond > 0 && n <= last; n++)
		if (n - taken->prefix > taken->nbits)
			break;
		else if (*word_of(taken, n) & bit_of(n))
		{
			*word_of(taken, n) &= ~bit_of(n);
			taken->beyond--;
		}
	taken->prefix = last;
}

void
ledger_taken(Ledger *ledger, int target, uint64_t first, uint64_t count)
{
	Taken	*taken = &ledger->targets[target];
	uint64_t last = first + count - 1;
	uint64_t n;

	if (first == 0 || count == 0 || last > ledger->received)
		client_exit(EXIT_FAILED, "record %llu was acknowledged, of %llu",
					(unsigned long long) last,
					(unsigned long long) ledger->received);
	if (last <= taken->prefix)
		return;
	if (first <= taken->prefix + 1)
		pass_over(taken, last);
	else
	{
		reserve_bits(taken, last);
		for (n = first; n <= last; n++)
			if (!(*word_of(taken, n) & bit_of(n)))
			{
				*word_of(taken, n) |= bit_of(n);
				taken->beyond++;
			}
	}
	advance_prefix(taken);
	confirm_marks(ledger);
}

void
ledger_forget_beyond(Ledger *ledger, int target)
{
	Taken *taken = &ledger->targets[target];

	memset(taken->bits, 0, taken->nbits / 8);
	taken->beyond = 0;
}

Lsn
ledger_confirmed(const Ledger *ledger)
{
	return ledger->confirmed;
}

Lsn
ledger_received_lsn(const Ledger *ledger)
{
	return ledger->received_lsn;
}

uint64_t
ledger_last(const Ledger *ledger)
{
	return ledger->received;
}

uint64_t
ledger_prefix(const Ledger *ledger, int target)
{
	return ledger->targets[target].prefix;
}

/* How many of the open marks a target has reached: they are sorted. */
static size_t
marks_reached(const Ledger *ledger, int target)
{
	uint64_t prefix = ledger->targets[target].prefix;
	size_t	 low = 0;
	size_t	 high = ledger->nmarks;

	while (low < high)
	{
		size_t middle = low + (high - low) / 2;

		if (mark_at(ledger, ledger->first_mark + middle)->records <= prefix)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

Lsn
ledger_delivered_lsn(const Ledger *ledger, int target)
{
	size_t reached = marks_reached(ledger, target);

	return reached == 0
			   ? ledger->confirmed
			   : mark_at(ledger, ledger->first_mark + reached - 1)->lsn;
}

long long
ledger_lacks_since(const Ledger *ledger, int target)
{
	size_t reached = marks_reached(ledger, target);

	return reached == ledger->nmarks
			   ? 0
			   : mark_at(ledger, ledger->first_mark + reached)->committed_us;
}
