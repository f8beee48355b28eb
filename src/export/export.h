/*
 * export.h
 *		The movement half: jobs, parts, workers.
 */
#ifndef OUTFLOW_EXPORT_H
#define OUTFLOW_EXPORT_H

extern void export_define_settings(void);

#endif /* OUTFLOW_EXPORT_H */
