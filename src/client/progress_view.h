/*
 * progress_view.h
 *		The forms in which an export's progress is shown.
 */
#ifndef CLIENT_PROGRESS_VIEW_H
#define CLIENT_PROGRESS_VIEW_H

#include "client/progress.h"

/* form: of --progress */
extern void view_open(const char *form);

/* A new status; is_last: there will be no other. */
extern void view_show(const JobStatus *status, bool is_last);

/* Makes room for a message: the bar comes again after it. */
extern void view_clear(void);

/* Whether stdout has JSON, and so nothing else. */
extern bool view_is_json(void);

#endif
