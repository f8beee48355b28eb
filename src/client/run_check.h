/*
 * run_check.h
 *		The command check: what is missing before a stream can run?
 */
#ifndef CLIENT_RUN_CHECK_H
#define CLIENT_RUN_CHECK_H

#include "client/cli.h"
#include "client/log.h"

extern ExitCode check_run(const Settings *settings);

#endif
