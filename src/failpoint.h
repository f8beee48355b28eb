/*
 * failpoint.h
 *		Places where tests let an export die.
 *
 * Compiled in by -DOUTFLOW_FAILPOINTS only.  The superuser's setting
 * outflow.failpoint = 'name:crash', 'name:error' or 'name:sleep', with ':N' for
 * the Nth time instead of the first, says where and how.
 */
#ifndef OUTFLOW_FAILPOINT_H
#define OUTFLOW_FAILPOINT_H

#ifdef OUTFLOW_FAILPOINTS
extern void failpoint_define_setting(void);
extern void failpoint_hit(const char *name);
#define FAILPOINT(name) failpoint_hit(name)
#else
#define FAILPOINT(name) ((void) 0)
#endif

#endif /* OUTFLOW_FAILPOINT_H */
