/*
 * limit.c
 *		Finds out whether a setting that limits has the administrator's value.
 *
 * Before the library is loaded anybody's connection can give such a setting a
 * value, which takes the place of the server's own and is thrown away when the
 * setting is defined: what is left is the default, "no limit".
 */
#include "postgres.h"

#include "utils/guc.h"
#include "utils/guc_tables.h"

#include "compat.h"
#include "limit.h"

/* "lost" tells that this has happened. */
static struct
{
	const char *name;
	bool		of_streams; /* too; all of them are of exports */
	GucSource	before;
	bool		lost;
} limits[] = {{"outflow.export_root", false},
			  {"outflow.rate_limit", false},
			  {"outflow.mask_columns", true},
			  {"outflow.mask_key_file", true}};

/* From where the value comes that a setting has outside of transactions. */
static GucSource
reset_source(const char *name)
{
	int						count;
	struct config_generic **settings = list_settings(&count);

	for (int i = 0; i < count; i++)
	{
		if (pg_strcasecmp(settings[i]->name, name) == 0)
			return settings[i]->reset_source;
	}
	return PGC_S_DEFAULT;
}

void
limits_before_definition(void)
{
	for (int i = 0; i < lengthof(limits); i++)
		limits[i].before = reset_source(limits[i].name);
}

void
limits_after_definition(void)
{
	for (int i = 0; i < lengthof(limits); i++)
		limits[i].lost = reset_source(limits[i].name) != limits[i].before;
}

static const char *
find_lost(bool of_streams)
{
	for (int i = 0; i < lengthof(limits); i++)
	{
		if (limits[i].lost && (limits[i].of_streams || !of_streams))
			return limits[i].name;
	}
	return NULL;
}

const char *
limit_unreadable(void)
{
	return find_lost(false);
}

static void
report_lost(const char *name, const char *consequence)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("setting \"%s\" has a value that cannot be used", name),
			 errdetail("It hides the server's own value, so that no "
					   "%s.  It comes from the connection's "
					   "options, from the settings of the role or "
					   "database, or from the configuration file.",
					   consequence),
			 errhint("Remove it from there, and connect again.")));
}

void
limits_check_export(void)
{
	const char *name = find_lost(false);

	if (name)
		report_lost(name, "export may run");
}

void
limits_check_stream(void)
{
	const char *name = find_lost(true);

	if (name)
		report_lost(name, "stream may start");
}
