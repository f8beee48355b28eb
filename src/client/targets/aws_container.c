/*
 * aws_container.c
 *		Keys of a container: the endpoint, and the token that it wants to see.
 *
 * Who can set the environment could have the token sent anywhere, and keys of
 * anybody's taken.  So the endpoint is reached by TLS, or it is this machine or
 * one of the addresses that Amazon's container services answer at, as in Amazon's
 * own clients.
 */
#ifdef HAVE_LIBCURL

#include "client/targets/aws_container.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "client/log.h"
#include "client/memory.h"

#define RELATIVE_URI "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
#define FULL_URI	 "AWS_CONTAINER_CREDENTIALS_FULL_URI"
#define TOKEN		 "AWS_CONTAINER_AUTHORIZATION_TOKEN"
#define TOKEN_FILE	 "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"

#define ECS_HOST	 "169.254.170.2"
#define EKS_HOST	 "169.254.170.23"
#define EKS_HOST_IP6 "fd00:ec2::23"

const char *
aws_environment(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

/* By its number, however it is written; names other than localhost are none. */
static bool
is_near(const char *host)
{
	char			text[INET6_ADDRSTRLEN];
	struct in_addr	four;
	struct in6_addr six;
	struct in6_addr eks;
	size_t			length = strlen(host);

	if (strcasecmp(host, "localhost") == 0)
		return true;
	if (inet_pton(AF_INET, host, &four) == 1)
		return ntohl(four.s_addr) >> 24 == 127 ||
			   strcmp(host, ECS_HOST) == 0 || strcmp(host, EKS_HOST) == 0;
	if (*host != '[' || length - 2 >= sizeof(text))
		return false;
	memcpy(text, host + 1, length - 2);
	text[length - 2] = '\0';
	return inet_pton(AF_INET6, text, &six) == 1 &&
		   inet_pton(AF_INET6, EKS_HOST_IP6, &eks) == 1 &&
		   (IN6_IS_ADDR_LOOPBACK(&six) ||
			memcmp(&six, &eks, sizeof(six)) == 0);
}

/* As libcurl reads it, which is who will go there. */
static bool
may_be_asked(const char *url)
{
	CURLU *parsed = curl_url();
	char  *scheme = NULL;
	char  *host = NULL;
	bool   ok = parsed && curl_url_set(parsed, CURLUPART_URL, url, 0) == 0 &&
			  curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) == 0 &&
			  curl_url_get(parsed, CURLUPART_HOST, &host, 0) == 0 &&
			  (strcmp(scheme, "https") == 0 ||
			   (strcmp(scheme, "http") == 0 && is_near(host)));

	curl_free(scheme);
	curl_free(host);
	curl_url_cleanup(parsed);
	return ok;
}

char *
aws_container_url(void)
{
	const char *relative = aws_environment(RELATIVE_URI);
	const char *full = aws_environment(FULL_URI);

	if (relative && *relative != '/')
		client_exit(EXIT_USAGE, RELATIVE_URI " must begin with a slash");
	if (relative)
		return client_format("http://" ECS_HOST "%s", relative);
	if (full && !may_be_asked(full))
		client_exit(EXIT_USAGE,
					FULL_URI " must be an https URL, or an http URL of this "
							 "machine, " ECS_HOST ", " EKS_HOST
							 " or [" EKS_HOST_IP6 "]");
	return full ? client_strdup(full) : NULL;
}

void
aws_container_check_token(void)
{
	const char *path = aws_environment(TOKEN_FILE);
	const char *token = aws_environment(TOKEN);

	if (path && access(path, R_OK) != 0)
		client_exit(EXIT_USAGE, "could not open file \"%s\": %s", path,
					strerror(errno));
	if (token && strpbrk(token, "\r\n"))
		client_exit(EXIT_USAGE, TOKEN " must be one line");
}

/* Its file changes; while it is away, the endpoint refuses, and is asked again. */
char *
aws_container_token(void)
{
	const char *path = aws_environment(TOKEN_FILE);
	const char *token = aws_environment(TOKEN);
	FILE	   *file = path ? fopen(path, "r") : NULL;
	char	   *line = NULL;
	size_t		size = 0;

	if (path == NULL)
		return token ? client_strdup(token) : NULL;
	if (file && getline(&line, &size, file) > 0)
		line[strcspn(line, "\r\n")] = '\0';
	else
	{
		free(line);
		line = NULL;
	}
	if (file)
		fclose(file);
	return line;
}

#endif /* HAVE_LIBCURL */
