/*
 * replay.h
 *		The command that sends a dead-letter file again: pg_outflow replay.
 */
#ifndef CLIENT_REPLAY_H
#define CLIENT_REPLAY_H

#include "client/cli.h"
#include "client/log.h"

extern ExitCode replay_run(const Settings *settings);

#endif
