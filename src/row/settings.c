/*
 * settings.c
 *		Pins the settings that output functions depend on.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "row/row.h"

static const struct
{
	const char *name;
	const char *value;
} canonical[] = {
	{"DateStyle", "ISO, YMD"},
	{"IntervalStyle", "postgres"},
	{"TimeZone", "UTC"},
	{"bytea_output", "hex"},
	{"extra_float_digits", "1"},
	{"lc_monetary", "C"},
	{"search_path", "pg_catalog"},	  /* what names of types and reg* show */
	{"quote_all_identifiers", "off"}, /* the same */
};

struct PinnedSettings
{
	int	  nestlevel; /* 0: pinned outside of any transaction */
	char *previous[lengthof(canonical)];
};

static void
set_session(const char *name, const char *value, GucAction action)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, action,
							 true, 0, false);
}

PinnedSettings *
settings_pin_canonical(MemoryContext context)
{
	PinnedSettings *pinned =
		MemoryContextAllocZero(context, sizeof(PinnedSettings));

	/*
	 * A walsender starts decoding outside of any transaction, where there is
	 * no nest level to come back to: it remembers what it found.
	 */
	if (IsTransactionState())
		pinned->nestlevel = NewGUCNestLevel();
	for (int i = 0; i < lengthof(canonical); i++)
	{
		if (pinned->nestlevel == 0)
			pinned->previous[i] = MemoryContextStrdup(
				context, GetConfigOption(canonical[i].name, false, false));
		set_session(canonical[i].name, canonical[i].value,
					pinned->nestlevel ? GUC_ACTION_SAVE : GUC_ACTION_SET);
	}
	return pinned;
}

void
settings_unpin(PinnedSettings *pinned)
{
	if (pinned->nestlevel)
		AtEOXact_GUC(false, pinned->nestlevel);
	else
	{
		for (int i = 0; i < lengthof(canonical); i++)
			set_session(canonical[i].name, pinned->previous[i],
						GUC_ACTION_SET);
	}
}
