/*
 * milvus_open.c
 *		What a Milvus target is told: its URL, its login and options.
 */
#ifdef HAVE_LIBCURL

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/disk.h"
#include "client/targets/milvus_target.h"

#define MAX_ANSWER	 (64 * 1024 * 1024) /* the keys of a batch, in most */
#define DEFAULT_PORT "19530"

/* The first line of the file, or what the URL has. */
static char *
read_milvus_token(const Url *url, const char *path)
{
	if (path)
		return disk_read_secret(path);
	return url->user
			   ? client_format("%s%s%s", url->user, url->password ? ":" : "",
							   url->password ? url->password : "")
			   : NULL;
}

static void
set_headers(MilvusTarget *self, const Url *url, const Settings *settings)
{
	char *token = read_milvus_token(url, settings->milvus_token_file);
	char *line;

	if (settings->http_header_file)
		self->headers = curl_read_headers(settings->http_header_file);
	self->headers = curl_slist_append(self->headers, "Expect:");
	self->headers =
		curl_slist_append(self->headers, "Content-Type: application/json");
	if (token)
	{
		line = client_format("Authorization: Bearer %s", token);
		self->headers = curl_slist_append(self->headers, line);
		free(line);
	}
	free(token);
	curl_easy_setopt(self->curl.easy, CURLOPT_HTTPHEADER, self->headers);
}

static void
check_milvus_options(const Url *url, const Settings *settings)
{
	const Pairs *options = &settings->options;
	const char	*format = pairs_find(options, "format");
	const char	*schemas = pairs_find(options, "include_schemas");
	const char	*nested = pairs_find(options, "nested");

	if (url->host == NULL || (url->path && strchr(url->path + 1, '/')))
		client_exit(EXIT_USAGE,
					"\"%s\" must be milvus://HOST[:PORT][/DATABASE]",
					url->display);
	if (format && strcmp(format, "json") != 0)
		client_exit(EXIT_USAGE, "%s takes streams in format json only",
					url->display);
	if ((schemas && strcmp(schemas, "on") != 0) ||
		(nested && strcmp(nested, "text") == 0))
		client_exit(EXIT_USAGE,
					"%s needs schema records (include_schemas=on) and nested "
					"values (nested=json)",
					url->display);
	if (!milvus_template_is_valid(settings->milvus_collection))
		client_exit(EXIT_USAGE,
					"--milvus-collection may have {schema} and {table} in it, "
					"not what \"%s\" has",
					settings->milvus_collection);
}

Target *
milvus_open(const Url *url, const Settings *settings)
{
	MilvusTarget *self = client_alloc(sizeof(MilvusTarget));
	const char	 *bracket = url->host ? strrchr(url->host, ']') : NULL;

	check_milvus_options(url, settings);
	self->address = client_format(
		"%s://%s%s", strcmp(url->scheme, "milvuss") == 0 ? "https" : "http",
		url->host,
		strchr(bracket ? bracket : url->host, ':') ? "" : ":" DEFAULT_PORT);
	self->database = url->path && url->path[1] ? url->path + 1 : "default";
	curl_loop_open(&self->curl, MAX_ANSWER);
	curl_loop_set_http(&self->curl, settings);
	set_headers(self, url, settings);
	return &self->base;
}

#endif /* HAVE_LIBCURL */
