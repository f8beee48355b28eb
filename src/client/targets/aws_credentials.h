/*
 * aws_credentials.h
 *		Whoever signs requests to Amazon's services: keys, from where Amazon's own
 *		clients look for them.
 *
 * In this order: the environment (AWS_ACCESS_KEY_ID), the profile file
 * (AWS_PROFILE, AWS_SHARED_CREDENTIALS_FILE), the container
 * (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI) and the instance's
 * metadata, version 2 only.  The last two are asked over HTTP, and again before
 * the keys expire.
 */
#ifndef CLIENT_AWS_CREDENTIALS_H
#define CLIENT_AWS_CREDENTIALS_H

#include "client/targets/curl_loop.h"

typedef enum AwsSource
{
	AWS_ENVIRONMENT,
	AWS_PROFILE_FILE,
	AWS_CONTAINER,
	AWS_METADATA_TOKEN, /* of the instance, in three requests */
	AWS_METADATA_ROLE,
	AWS_METADATA_KEYS,
} AwsSource;

typedef struct AwsCredentials
{
	char	 *key_id; /* NULL: not there yet */
	char	 *secret;
	char	 *session_token; /* NULL: there is none */
	long long expires;		 /* of the day, in seconds; NEVER */

	AwsSource		   source; /* what is asked next */
	CurlLoop		   curl;
	struct curl_slist *headers;
	char			  *url;
	char			  *metadata_token;
	char			  *role;
	unsigned		   attempt;
	long long		   retry_at;
	Bytes			   failure; /* what went wrong last; empty: nothing */
} AwsCredentials;

/* Ends the program if there are keys that can't be used. */
extern void aws_credentials_open(AwsCredentials *self);

/* A step towards keys that are valid now; true once they are there. */
extern bool aws_credentials_ready(AwsCredentials *self);

/* The service says that they have expired. */
extern void aws_credentials_expired(AwsCredentials *self);

extern long long aws_credentials_wake_at(const AwsCredentials *self);
extern void		 aws_credentials_close(AwsCredentials *self);

#endif
