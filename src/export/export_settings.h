/*
 * export_settings.h
 *		What the administrator sets, and what a job captures.
 */
#ifndef OUTFLOW_EXPORT_SETTINGS_H
#define OUTFLOW_EXPORT_SETTINGS_H

#include "nodes/pg_list.h"

extern int max_jobs;
extern int max_retries;
extern int part_memory_kb;
extern int rate_limit_kb;

/* What text output and filters depend on: names and values, in turn (char *). */
extern List *settings_capture(void);
/*
 * Settings that a worker must not take from its role or database; afterwards
 * it runs as the owner, whatever these say.
 */
extern void settings_pin_worker(Oid owner);
/* Takes over what the configuration files say, if they were read again. */
extern void settings_reload(void);
/* outflow.export_root; "" for none. */
extern const char *settings_export_root(void);

#endif /* OUTFLOW_EXPORT_SETTINGS_H */
