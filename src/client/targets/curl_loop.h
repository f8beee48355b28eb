/*
 * curl_loop.h
 *		HTTP requests of a target, one at a time, by libcurl in our loop.
 */
#ifndef CLIENT_CURL_LOOP_H
#define CLIENT_CURL_LOOP_H

#include <curl/curl.h>

#include "client/memory.h"
#include "client/target.h"

typedef struct CurlLoop
{
	CURLM	 *multi;
	CURL	 *easy; /* whoever sends sets its options */
	bool	  is_sending;
	bool	  ended;
	CURLcode  outcome;
	long long timer_at; /* of libcurl */
	Bytes	  answer;
	size_t	  max_answer; /* bytes of it that are kept */
	char	  error[CURL_ERROR_SIZE];
} CurlLoop;

extern void curl_loop_open(CurlLoop *loop, size_t max_answer);

/* POST requests, with the time-out and the TLS of the options http-... */
extern void curl_loop_set_http(CurlLoop *loop, const Settings *settings);

/* The header lines in a file; those that begin with # are comments. */
extern struct curl_slist *curl_read_headers(const char *path);

/* What is sent must stay until the request has ended. */
extern void curl_loop_send(CurlLoop *loop);

/* Lets libcurl work; true once the request under way has ended. */
extern bool curl_loop_ended(CurlLoop *loop);

/* Why the request failed, in libcurl's words. */
extern const char *curl_loop_error(const CurlLoop *loop);

extern void curl_loop_close(CurlLoop *loop);

/* What the others are, when the request is sent again. */
extern RetryReason curl_loop_retry_reason(CURLcode code);

/* Errors of libcurl that no waiting mends. */
extern bool curl_loop_is_hopeless(CURLcode code);

#endif
