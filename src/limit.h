/*
 * limit.h
 *		Settings by which administrators hold everybody within limits.
 */
#ifndef OUTFLOW_LIMIT_H
#define OUTFLOW_LIMIT_H

/* Around the definition of the library's settings. */
extern void limits_before_definition(void);
extern void limits_after_definition(void);

/* The name of one that can't be read for certain, or NULL. */
extern const char *limit_unreadable(void);

/* Errors when there is one that holds exports, or streams. */
extern void limits_check_export(void);
extern void limits_check_stream(void);

#endif /* OUTFLOW_LIMIT_H */
