/*
 * curl_loop.c
 *		libcurl's sockets and its timer, in our loop.
 */
#ifdef HAVE_LIBCURL

#include "client/targets/curl_loop.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/disk.h"
#include "client/loop.h"

static void
loop_ready(int fd, short events, void *argument)
{
	CurlLoop *loop = argument;
	int		  mask = 0;
	int		  running;

	if (events & POLLIN)
		mask |= CURL_CSELECT_IN;
	if (events & POLLOUT)
		mask |= CURL_CSELECT_OUT;
	if (events & (POLLERR | POLLHUP | POLLNVAL))
		mask |= CURL_CSELECT_ERR;
	curl_multi_socket_action(loop->multi, fd, mask, &running);
}

static int
loop_socket(CURL *easy, curl_socket_t fd, int what, void *argument,
			void *unused)
{
	(void) easy;
	(void) unused;
	if (what == CURL_POLL_REMOVE)
		loop_forget(fd);
	else
		loop_watch(fd,
				   (what & CURL_POLL_IN ? POLLIN : 0) |
					   (what & CURL_POLL_OUT ? POLLOUT : 0),
				   loop_ready, argument);
	return 0;
}

static int
loop_timer(CURLM *multi, long ms, void *argument)
{
	CurlLoop *loop = argument;

	(void) multi;
	loop->timer_at = ms < 0 ? NEVER : clock_ms() + ms;
	return 0;
}

static size_t
loop_answer(char *data, size_t size, size_t count, void *argument)
{
	CurlLoop *loop = argument;
	size_t	  length = size * count;
	size_t	  room = loop->max_answer - loop->answer.length;

	mem_append(&loop->answer, data, length < room ? length : room);
	return length;
}

void
curl_loop_open(CurlLoop *loop, size_t max_answer)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0 ||
		(loop->multi = curl_multi_init()) == NULL ||
		(loop->easy = curl_easy_init()) == NULL)
		client_exit(EXIT_FAILED, "could not initialize libcurl");
	loop->max_answer = max_answer;
	loop->timer_at = NEVER;
	curl_multi_setopt(loop->multi, CURLMOPT_SOCKETFUNCTION, loop_socket);
	curl_multi_setopt(loop->multi, CURLMOPT_SOCKETDATA, loop);
	curl_multi_setopt(loop->multi, CURLMOPT_TIMERFUNCTION, loop_timer);
	curl_multi_setopt(loop->multi, CURLMOPT_TIMERDATA, loop);
	curl_easy_setopt(loop->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(loop->easy, CURLOPT_USERAGENT,
					 "pg_outflow/" OUTFLOW_VERSION);
	curl_easy_setopt(loop->easy, CURLOPT_WRITEFUNCTION, loop_answer);
	curl_easy_setopt(loop->easy, CURLOPT_WRITEDATA, loop);
	curl_easy_setopt(loop->easy, CURLOPT_ERRORBUFFER, loop->error);
}

void
curl_loop_set_http(CurlLoop *loop, const Settings *settings)
{
	/* without a key of its own a certificate's file has it */
	disk_check_secret(settings->http_key ? settings->http_key
										 : settings->http_cert);
	curl_easy_setopt(loop->easy, CURLOPT_POST, 1L);
	curl_easy_setopt(loop->easy, CURLOPT_TIMEOUT_MS,
					 (long) settings->http_timeout_ms);
	if (settings->http_ca)
		curl_easy_setopt(loop->easy, CURLOPT_CAINFO, settings->http_ca);
	if (settings->http_cert)
		curl_easy_setopt(loop->easy, CURLOPT_SSLCERT, settings->http_cert);
	if (settings->http_key)
		curl_easy_setopt(loop->easy, CURLOPT_SSLKEY, settings->http_key);
}

struct curl_slist *
curl_read_headers(const char *path)
{
	struct curl_slist *headers = NULL;
	FILE			  *file = fopen(path, "r");
	char			  *line = NULL;
	size_t			   size = 0;

	if (file == NULL)
		client_exit(EXIT_USAGE, "could not open file \"%s\": %s", path,
					strerror(errno));
	disk_check_secret(path);
	while (disk_read_line(file, path, &line, &size) > 0)
	{
		line[strcspn(line, "\r\n")] = '\0';
		if (*line == '\0' || *line == '#')
			continue;
		if (strchr(line, ':') == NULL)
			client_exit(EXIT_USAGE, "a line of \"%s\" is no header", path);
		headers = curl_slist_append(headers, line);
	}
	free(line);
	fclose(file);
	return headers;
}

void
curl_loop_send(CurlLoop *loop)
{
	loop->error[0] = '\0';
	mem_reset(&loop->answer);
	mem_add(&loop->answer, "");
	loop->is_sending = true;
	loop->ended = false;
	if (curl_multi_add_handle(loop->multi, loop->easy) != CURLM_OK)
		client_exit(EXIT_FAILED, "libcurl takes no request");
}

bool
curl_loop_ended(CurlLoop *loop)
{
	CURLMsg *message;
	int		 left;
	int		 running;

	if (clock_ms() >= loop->timer_at)
	{
		loop->timer_at = NEVER;
		curl_multi_socket_action(loop->multi, CURL_SOCKET_TIMEOUT, 0,
								 &running);
	}
	while ((message = curl_multi_info_read(loop->multi, &left)) != NULL)
		if (message->msg == CURLMSG_DONE)
		{
			loop->ended = true;
			loop->outcome = message->data.result;
		}
	if (!loop->ended)
		return false;
	loop->is_sending = false;
	curl_multi_remove_handle(loop->multi, loop->easy);
	return true;
}

const char *
curl_loop_error(const CurlLoop *loop)
{
	return loop->error[0] ? loop->error : curl_easy_strerror(loop->outcome);
}

void
curl_loop_close(CurlLoop *loop)
{
	if (loop->is_sending)
		curl_multi_remove_handle(loop->multi, loop->easy);
	curl_easy_cleanup(loop->easy);
	curl_multi_cleanup(loop->multi);
}

RetryReason
curl_loop_retry_reason(CURLcode code)
{
	return code == CURLE_OPERATION_TIMEDOUT ? RETRY_TIMEOUT : RETRY_CONNECTION;
}

bool
curl_loop_is_hopeless(CURLcode code)
{
	return code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL ||
		   code == CURLE_PEER_FAILED_VERIFICATION ||
		   code == CURLE_SSL_CERTPROBLEM || code == CURLE_SSL_CACERT_BADFILE ||
		   code == CURLE_SSL_CIPHER ||
		   /* 8.23 says so of a key that is not the certificate's */
		   code == CURLE_BAD_FUNCTION_ARGUMENT;
}

#endif /* HAVE_LIBCURL */
