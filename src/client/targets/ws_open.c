/*
 * ws_open.c
 *		What a WebSocket server is told: its address, its spool, its token.
 */
#ifdef HAVE_WSLAY

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "client/disk.h"
#include "client/log.h"
#include "client/targets/ws_server.h"

#define OTHER_FILES 128

static char *
read_token(const char *path)
{
	char *token = disk_read_secret(path);

	if (strlen(token) < 16)
		client_exit(EXIT_USAGE, "the token in \"%s\" is shorter than 16 bytes",
					path);
	return token;
}

int
ws_most_clients(void)
{
	struct rlimit files;
	rlim_t		  wanted = WS_MAX_CLIENTS + OTHER_FILES;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		client_exit(EXIT_FAILED, "could not read the limit on files: %s",
					strerror(errno));
	if (files.rlim_cur < wanted)
	{
		files.rlim_cur = files.rlim_max < wanted ? files.rlim_max : wanted;
		(void) setrlimit(RLIMIT_NOFILE, &files);
	}
	if (files.rlim_cur >= wanted)
		return WS_MAX_CLIENTS;
	return files.rlim_cur > OTHER_FILES + 1 ? files.rlim_cur - OTHER_FILES : 1;
}

static bool
is_loopback(const char *host)
{
	return strncmp(host, "127.", 4) == 0 || strncmp(host, "[::1]", 5) == 0 ||
		   strncmp(host, "localhost:", 10) == 0;
}

static void
check_address(const Url *url, const WsServer *server)
{
	if (url->host == NULL || strrchr(url->host, ':') == NULL ||
		(url->path && strcmp(url->path, "/") != 0) || url->user)
		client_exit(EXIT_USAGE, "\"%s\" must be ws://HOST:PORT", url->display);
	if (!is_loopback(url->host) && server->token == NULL)
		client_exit(EXIT_USAGE,
					"%s can be reached from other machines: it needs "
					"--ws-token-file",
					url->display);
}

void
ws_check_arguments(const Url *url, const Settings *settings, WsServer *server)
{
	const char *format = pairs_find(&settings->options, "format");
	struct stat status;

	if (settings->slot == NULL || (format && strcmp(format, "json") != 0))
		client_exit(EXIT_USAGE, "%s delivers streams in format json only",
					url->display);
	if (settings->ws_spool == NULL)
		client_exit(EXIT_USAGE, "%s needs --ws-spool DIRECTORY", url->display);
	if (stat(settings->ws_spool, &status) != 0 || !S_ISDIR(status.st_mode))
		client_exit(EXIT_TARGET, "there is no directory \"%s\"",
					settings->ws_spool);
	if (settings->ws_spool_bytes < WS_MAX_RECORD)
		client_exit(EXIT_USAGE, "--ws-spool-bytes must be at least 1MB");
	if (settings->ws_token_file)
		server->token = read_token(settings->ws_token_file);
	check_address(url, server);
}

#endif /* HAVE_WSLAY */
