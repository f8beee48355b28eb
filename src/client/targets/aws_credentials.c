/*
 * aws_credentials.c
 *		Keys from environment, file, container and instance.
 */
#ifdef HAVE_LIBCURL

#include "client/targets/aws_credentials.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "client/json_scan.h"
#include "client/targets/aws_container.h"

#define MAX_ANSWER	  (64 * 1024)
#define TIMEOUT_MS	  5000L
#define TOKEN_TTL	  "21600" /* seconds */
#define RENEW_S		  300	  /* before they expire */
#define METADATA_HOST "http://169.254.169.254"
#define METADATA_KEYS "/latest/meta-data/iam/security-credentials/"

static long long
seconds_of_day(void)
{
	return clock_us_of_day() / 1000000;
}

static void
set_keys(AwsCredentials *self, const char *key_id, const char *secret,
		 const char *session_token, long long expires)
{
	free(self->key_id);
	free(self->secret);
	free(self->session_token);
	self->key_id = client_strdup(key_id);
	self->secret = client_strdup(secret);
	self->session_token = session_token ? client_strdup(session_token) : NULL;
	self->expires = expires;
}

static bool
read_environment(AwsCredentials *self)
{
	const char *key_id = aws_environment("AWS_ACCESS_KEY_ID");
	const char *secret = aws_environment("AWS_SECRET_ACCESS_KEY");

	if (key_id == NULL)
		return false;
	if (secret == NULL)
		client_exit(EXIT_USAGE, "AWS_ACCESS_KEY_ID is set, but "
								"AWS_SECRET_ACCESS_KEY is not");
	set_keys(self, key_id, secret, aws_environment("AWS_SESSION_TOKEN"),
			 NEVER);
	return true;
}

static FILE *
open_profiles(void)
{
	const char *path = aws_environment("AWS_SHARED_CREDENTIALS_FILE");
	const char *home = aws_environment("HOME");
	char	   *own;
	FILE	   *file;

	if (path)
		return fopen(path, "r");
	if (home == NULL)
		return NULL;
	own = client_format("%s/.aws/credentials", home);
	file = fopen(own, "r");
	free(own);
	return file;
}

/* name = value; the value, without blanks around it, if that is the name. */
static char *
value_of(const char *line, const char *name)
{
	size_t		length = strlen(name);
	const char *p = line + strspn(line, " \t");
	const char *end;

	if (strncmp(p, name, length) != 0)
		return NULL;
	p += length;
	p += strspn(p, " \t");
	if (*p != '=')
		return NULL;
	p++;
	p += strspn(p, " \t");
	end = p + strcspn(p, "\r\n");
	while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	return client_strndup(p, end - p);
}

static bool
is_section(const char *line, const char *profile)
{
	size_t length = strlen(profile);

	return strncmp(line + 1, profile, length) == 0 && line[length + 1] == ']';
}

static bool
read_profile(AwsCredentials *self)
{
	static const char *const names[] = {
		"aws_access_key_id",
		"aws_secret_access_key",
		"aws_session_token",
	};
	const char *profile = aws_environment("AWS_PROFILE");
	char	   *values[3] = {NULL, NULL, NULL};
	FILE	   *file = open_profiles();
	char	   *line = NULL;
	size_t		size = 0;
	bool		inside = false;
	int			i;

	while (file && getline(&line, &size, file) > 0)
	{
		if (*line == '[')
			inside = is_section(line, profile ? profile : "default");
		for (i = 0; inside && i < 3; i++)
			if (values[i] == NULL)
				values[i] = value_of(line, names[i]);
	}
	free(line);
	if (file)
		fclose(file);
	if (values[0] && values[1])
		set_keys(self, values[0], values[1], values[2], NEVER);
	else if (profile)
		client_exit(EXIT_USAGE, "there are no keys of the profile \"%s\"",
					profile);
	for (i = 0; i < 3; i++)
		free(values[i]);
	return self->key_id != NULL;
}

static void
add_request_header(AwsCredentials *self, const char *name, const char *value)
{
	char *line = client_format("%s: %s", name, value);

	self->headers = curl_slist_append(self->headers, line);
	free(line);
}

static char *
metadata_url(const char *path, const char *more)
{
	const char *host = aws_environment("AWS_EC2_METADATA_SERVICE_ENDPOINT");

	return client_format("%s%s%s", host ? host : METADATA_HOST, path, more);
}

static void
ask_for_keys(AwsCredentials *self)
{
	free(self->url);
	curl_slist_free_all(self->headers);
	self->headers = NULL;
	if (self->source == AWS_CONTAINER)
	{
		char *token = aws_container_token();

		self->url = aws_container_url();
		if (token)
			add_request_header(self, "Authorization", token);
		free(token);
	}
	else if (self->source == AWS_METADATA_TOKEN)
	{
		self->url = metadata_url("/latest/api/token", "");
		add_request_header(self, "X-aws-ec2-metadata-token-ttl-seconds",
						   TOKEN_TTL);
	}
	else
	{
		self->url =
			metadata_url(METADATA_KEYS,
						 self->source == AWS_METADATA_KEYS ? self->role : "");
		add_request_header(self, "X-aws-ec2-metadata-token",
						   self->metadata_token);
	}
	curl_easy_setopt(self->curl.easy, CURLOPT_CUSTOMREQUEST,
					 self->source == AWS_METADATA_TOKEN ? "PUT" : "GET");
	curl_easy_setopt(self->curl.easy, CURLOPT_URL, self->url);
	curl_easy_setopt(self->curl.easy, CURLOPT_HTTPHEADER, self->headers);
	curl_loop_send(&self->curl);
}

/* 2026-11-28T18:00:00Z; NEVER if there is none. */
static long long
read_expiration(const Bytes *answer)
{
	char *text = json_find_text(answer->data, answer->length, "Expiration");
	struct tm tm = {0};
	long long expires = NEVER;

	if (text && strptime(text, "%Y-%m-%dT%H:%M:%S", &tm))
		expires = timegm(&tm);
	free(text);
	return expires;
}

static bool
keys_read_answer(AwsCredentials *self)
{
	const Bytes *answer = &self->curl.answer;
	char *key_id = json_find_text(answer->data, answer->length, "AccessKeyId");
	char *secret =
		json_find_text(answer->data, answer->length, "SecretAccessKey");
	char *token = json_find_text(answer->data, answer->length, "Token");
	bool  ok = key_id && secret;

	if (ok)
		set_keys(self, key_id, secret, token, read_expiration(answer));
	free(key_id);
	free(secret);
	free(token);
	return ok;
}

/* The first line of the answer. */
static char *
answer_line(const AwsCredentials *self)
{
	const Bytes *answer = &self->curl.answer;

	return client_strndup(answer->data, strcspn(answer->data, "\r\n"));
}

/* False if it is no answer of that kind. */
static bool
keys_take_answer(AwsCredentials *self)
{
	long status = 0;

	curl_easy_getinfo(self->curl.easy, CURLINFO_RESPONSE_CODE, &status);
	mem_reset(&self->failure);
	if (self->curl.outcome != CURLE_OK)
		mem_add(&self->failure, curl_loop_error(&self->curl));
	else if (status != 200)
		mem_format(&self->failure, "status %ld", status);
	else if (self->source == AWS_METADATA_TOKEN)
	{
		free(self->metadata_token);
		self->metadata_token = answer_line(self);
		self->source = AWS_METADATA_ROLE;
	}
	else if (self->source == AWS_METADATA_ROLE)
	{
		free(self->role);
		self->role = answer_line(self);
		self->source = AWS_METADATA_KEYS;
	}
	else if (!keys_read_answer(self))
		mem_add(&self->failure, "the answer has no keys");
	return self->failure.length == 0;
}

void
aws_credentials_open(AwsCredentials *self)
{
	char *container = aws_container_url();

	aws_container_check_token();
	if (read_environment(self))
		self->source = AWS_ENVIRONMENT;
	else if (read_profile(self))
		self->source = AWS_PROFILE_FILE;
	else
	{
		const char *disabled = aws_environment("AWS_EC2_METADATA_DISABLED");

		self->source = container ? AWS_CONTAINER : AWS_METADATA_TOKEN;
		if (!container && disabled && strcasecmp(disabled, "true") == 0)
			client_exit(EXIT_USAGE,
						"there are no keys for Amazon's services: neither in "
						"the environment nor in a profile");
		curl_loop_open(&self->curl, MAX_ANSWER);
		curl_easy_setopt(self->curl.easy, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
		curl_easy_setopt(self->curl.easy, CURLOPT_NOPROXY, "*");
	}
	free(container);
}

bool
aws_credentials_ready(AwsCredentials *self)
{
	bool is_valid =
		self->key_id &&
		(self->expires == NEVER || seconds_of_day() + RENEW_S < self->expires);

	if (self->source < AWS_CONTAINER || is_valid)
		return true;
	for (;;)
	{
		AwsSource asked = self->source;

		if (!self->curl.is_sending)
		{
			if (self->attempt > 0 && clock_ms() < self->retry_at)
				break;
			ask_for_keys(self);
		}
		if (!curl_loop_ended(&self->curl))
			break;
		if (!keys_take_answer(self))
		{
			/* a token that is refused is asked for again */
			if (self->source != AWS_CONTAINER)
				self->source = AWS_METADATA_TOKEN;
			self->retry_at = clock_ms() + target_backoff(++self->attempt);
			break;
		}
		self->attempt = 0;
		if (asked == AWS_METADATA_KEYS)
			self->source = AWS_METADATA_TOKEN;
		if (asked == AWS_CONTAINER || asked == AWS_METADATA_KEYS)
			return true;
	}
	/* those that are there may do for some minutes yet */
	return self->key_id && seconds_of_day() < self->expires;
}

void
aws_credentials_expired(AwsCredentials *self)
{
	self->expires = 0;
}

long long
aws_credentials_wake_at(const AwsCredentials *self)
{
	if (self->source < AWS_CONTAINER)
		return NEVER;
	return self->curl.is_sending ? self->curl.timer_at
		   : self->attempt > 0	 ? self->retry_at
								 : NEVER;
}

void
aws_credentials_close(AwsCredentials *self)
{
	if (self->curl.multi)
		curl_loop_close(&self->curl);
	curl_slist_free_all(self->headers);
}

#endif /* HAVE_LIBCURL */
