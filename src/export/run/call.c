/*
 * call.c
 *		Transactions of a CALL, and the settings that they hand on.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "tcop/pquery.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"

#include "compat.h"
#include "export/run/call.h"

typedef struct LocalSetting
{
	const char *name;
	const char *value;
	GucContext	context; /* with whose rights it is set again */
} LocalSetting;

/* Of the CALL that is at work; in its own memory. */
static List *local_settings;

static const char *
setting_now(const char *name)
{
	const char *value = GetConfigOption(name, false, false);

	return value ? value : "";
}

/* They say what a transaction is, and each has its own. */
static bool
is_of_transaction(const char *name)
{
	return strcmp(name, "transaction_isolation") == 0 ||
		   strcmp(name, "transaction_read_only") == 0 ||
		   strcmp(name, "transaction_deferrable") == 0;
}

/* Who may set the others says who the session is. */
static int
turn_of(const char *name)
{
	if (strcmp(name, "session_authorization") == 0)
		return 1;
	return strcmp(name, "role") == 0 ? 2 : 0;
}

/* All that the transaction has changed, for its time or for the session. */
static List *
settings_changed(void)
{
	int						count;
	struct config_generic **settings = list_settings(&count);
	List				   *changed = NIL;

	for (int turn = 0; turn <= 2; turn++)
	{
		for (int i = 0; i < count; i++)
		{
			const char	 *name = settings[i]->name;
			LocalSetting *setting;

			if (settings[i]->stack == NULL || turn_of(name) != turn ||
				is_of_transaction(name))
				continue;
			setting = palloc_object(LocalSetting);
			setting->name = name;
			setting->value = pstrdup(setting_now(name));
			/* It was set by a role that might; what no library had defined yet,
			 * by anybody. */
			setting->context = settings[i]->flags & GUC_CUSTOM_PLACEHOLDER
								   ? PGC_USERSET
								   : PGC_SUSET;
			changed = lappend(changed, setting);
		}
	}
	return changed;
}

void
call_connect(void)
{
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	local_settings = settings_changed();
}

static void
restore_local_settings(void)
{
	const ListCell *cell;

	foreach (cell, local_settings)
	{
		const LocalSetting *setting = lfirst(cell);

		if (strcmp(setting_now(setting->name), setting->value) != 0)
			(void) set_config_option(setting->name, setting->value,
									 setting->context, PGC_S_SESSION,
									 GUC_ACTION_LOCAL, true, 0, false);
	}
}

void
call_commit(void)
{
	SPI_commit();
	XactReadOnly = false;
	restore_local_settings();
}

void
call_begin_anew(void)
{
	call_commit();
	EnsurePortalSnapshotExists();
}

static void
begin_to_record(void)
{
	XactReadOnly = false;
	XactIsoLevel = XACT_READ_COMMITTED;
}

void
call_commit_to_record(void)
{
	SPI_commit();
	begin_to_record();
}

void
call_rollback_to_record(void)
{
	SPI_rollback();
	begin_to_record();
}
