/*
 * export.h
 *		The movement half: jobs, parts, workers.
 */
#ifndef OUTFLOW_EXPORT_H
#define OUTFLOW_EXPORT_H

extern void export_define_settings(void);
/* For a library that is loaded with the server. */
extern void export_register_launcher(void);

#endif /* OUTFLOW_EXPORT_H */
