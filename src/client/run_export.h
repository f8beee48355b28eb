/*
 * run_export.h
 *		The command export: CALL outflow.export(), watched.
 */
#ifndef CLIENT_RUN_EXPORT_H
#define CLIENT_RUN_EXPORT_H

#include "client/cli.h"
#include "client/log.h"

extern ExitCode export_run(const Settings *settings);

#endif
