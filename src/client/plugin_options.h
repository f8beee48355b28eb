/*
 * plugin_options.h
 *		What the plugin is asked for: the user's options, and what the client
 *		needs on top.
 */
#ifndef CLIENT_PLUGIN_OPTIONS_H
#define CLIENT_PLUGIN_OPTIONS_H

#include "client/cli.h"
#include "client/frame.h"

typedef struct PluginOptions
{
	const FrameFormat *format;
	bool  deliver_framing; /* the user wants begin and commit records, too */
	char *text;			   /* "name" 'value', ... */
} PluginOptions;

/* Ends the program for options that the client can't deliver. */
extern PluginOptions plugin_options(const Settings *settings);

#endif
