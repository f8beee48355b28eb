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

/*
 * Inside a transaction the server's own nest level brings the session's
 * settings back, whether the scope ends by settings_unpin() or by an error.
 * Outside of any, where a walsender starts decoding, there is none: then the
 * memory context that the scope lives in does, when it is deleted.
 */
struct PinnedSettings
{
	int					  nestlevel; /* 0: pinned outside of any transaction */
	char				 *previous[lengthof(canonical)]; /* NULL: given back */
	MemoryContextCallback callback;
};

static void
set_session(const char *name, const char *value, GucAction action)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, action,
							 true, 0, false);
}

static void
give_back(void *argument)
{
	PinnedSettings *pinned = argument;

	for (int i = 0; i < lengthof(canonical); i++)
	{
		if (pinned->previous[i])
			set_session(canonical[i].name, pinned->previous[i],
						GUC_ACTION_SET);
		pinned->previous[i] = NULL;
	}
}

PinnedSettings *
settings_pin_canonical(MemoryContext context)
{
	PinnedSettings *pinned =
		MemoryContextAllocZero(context, sizeof(PinnedSettings));

	if (IsTransactionState())
		pinned->nestlevel = NewGUCNestLevel();
	else
	{
		pinned->callback.func = give_back;
		pinned->callback.arg = pinned;
		MemoryContextRegisterResetCallback(context, &pinned->callback);
	}
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
		give_back(pinned);
}
