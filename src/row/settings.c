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
	{"standard_conforming_strings", "on"}, /* how expressions are quoted */
};

typedef struct PreviousSetting
{
	bool  is_default; /* what RESET gives */
	char *value;
} PreviousSetting;

struct PinnedSettings
{
	int					  nestlevel; /* 0: pinned outside of any transaction */
	bool				  restored;
	PreviousSetting		  previous[lengthof(canonical)];
	MemoryContextCallback scope;
};

static void
set_session(const char *name, const char *value, GucAction action, int elevel)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, action,
							 true, elevel, false);
}

static PreviousSetting
remember(const char *name, MemoryContext context)
{
	PreviousSetting previous;

	previous.value =
		MemoryContextStrdup(context, GetConfigOption(name, false, false));
	previous.is_default =
		strcmp(previous.value, GetConfigOptionResetString(name)) == 0;
	return previous;
}

/*
 * A value that nobody had set in the session is reset and not set, so that it
 * goes on following the configuration files.  Runs after errors, too, where
 * it must not raise one.
 */
static void
restore(void *arg)
{
	PinnedSettings *pinned = arg;

	if (pinned->restored)
		return;
	pinned->restored = true;
	for (int i = 0; i < lengthof(canonical); i++)
	{
		const PreviousSetting *previous = &pinned->previous[i];

		set_session(canonical[i].name,
					previous->is_default ? NULL : previous->value,
					GUC_ACTION_SET, WARNING);
	}
}

PinnedSettings *
settings_pin_canonical(MemoryContext context)
{
	PinnedSettings *pinned =
		MemoryContextAllocZero(context, sizeof(PinnedSettings));

	/*
	 * A walsender starts decoding outside of any transaction, where there is
	 * no nest level that an error ends: the context's end does it.
	 */
	if (IsTransactionState())
		pinned->nestlevel = NewGUCNestLevel();
	else
	{
		for (int i = 0; i < lengthof(canonical); i++)
			pinned->previous[i] = remember(canonical[i].name, context);
		pinned->scope.func = restore;
		pinned->scope.arg = pinned;
		MemoryContextRegisterResetCallback(context, &pinned->scope);
	}
	for (int i = 0; i < lengthof(canonical); i++)
		set_session(canonical[i].name, canonical[i].value,
					pinned->nestlevel ? GUC_ACTION_SAVE : GUC_ACTION_SET, 0);
	return pinned;
}

void
settings_unpin(PinnedSettings *pinned)
{
	if (pinned->nestlevel)
		AtEOXact_GUC(false, pinned->nestlevel);
	else
		restore(pinned);
}

bool
settings_are_canonical(void)
{
	for (int i = 0; i < lengthof(canonical); i++)
	{
		if (strcmp(GetConfigOption(canonical[i].name, false, false),
				   canonical[i].value) != 0)
			return false;
	}
	return true;
}
