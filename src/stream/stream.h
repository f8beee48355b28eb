/*
 * stream.h
 *		The streaming half: the output plugin's callbacks.
 */
#ifndef OUTFLOW_STREAM_H
#define OUTFLOW_STREAM_H

#include "replication/output_plugin.h"

extern void stream_init_callbacks(OutputPluginCallbacks *cb);

#endif /* OUTFLOW_STREAM_H */
