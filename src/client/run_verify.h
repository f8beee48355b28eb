/*
 * run_verify.h
 *		The command verify: is an export what it was when it was written?
 */
#ifndef CLIENT_RUN_VERIFY_H
#define CLIENT_RUN_VERIFY_H

#include "client/cli.h"
#include "client/log.h"

extern ExitCode verify_run(const Settings *settings);

#endif
