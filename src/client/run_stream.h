/*
 * run_stream.h
 *		The command that delivers: pg_outflow stream.
 */
#ifndef CLIENT_RUN_STREAM_H
#define CLIENT_RUN_STREAM_H

#include "client/cli.h"
#include "client/log.h"

extern ExitCode stream_run(const Settings *settings);

#endif
