/*
 * s3_place.c
 *		Where in which store.
 *
 * A location says host, bucket and prefix, so that two servers that lead to one
 * place have the same; and any of them, whatever it is called by then, leads to
 * what a job has written before.
 */
#include "postgres.h"

#include "option.h"
#include "sink/destination.h"
#include "sink/s3/s3_config.h"
#include "sink/s3/s3_place.h"

/* A key has at most 1024 bytes: this, a folder, and a file's name. */
#define PREFIX_MAX 500

static void
refuse_prefix(const char *destination)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid prefix in destination \"%s\"",
					option_shown(destination)),
			 errdetail("It is names between slashes, %d bytes at most in all, "
					   "none of which begins with a dot.",
					   PREFIX_MAX),
			 errhint("Write the destination as server:folder/folder.")));
}

static bool
is_name(const char *name)
{
	for (const char *c = name; *c; c++)
		if ((unsigned char) *c < ' ' || *c == 127)
			return false;
	return destination_name_is_valid(name);
}

char *
s3_place_parse(const char *destination)
{
	char *prefix = pstrdup(server_path(destination));
	char *place = psprintf("%s:", server_name(destination));
	char *name;
	char *rest = prefix;
	bool  first = true;

	if (strlen(prefix) > PREFIX_MAX)
		refuse_prefix(destination);
	while ((name = strsep(&rest, "/")) != NULL)
	{
		/* slashes around it don't matter, as in a shell */
		if (name[0] == '\0' && (first || rest == NULL))
			continue;
		if (!is_name(name))
			refuse_prefix(destination);
		place = psprintf("%s%s%s", place, first ? "" : "/", name);
		first = false;
	}
	return place;
}

char *
s3_place_location(const ForeignServer *server, const char *prefix)
{
	S3Config config;
	bool	 usual_port;

	s3_config_read(server, &config);
	usual_port = config.port == (config.https ? 443 : 80);
	return psprintf(S3_LOCATION "%s%s/%s%s%s", config.host,
					usual_port ? "" : psprintf(":%d", config.port),
					config.bucket, prefix[0] ? "/" : "", prefix);
}

void
s3_place_find(const char *place, S3Place *found)
{
	found->server = server_get(server_name(place));
	found->prefix = pstrdup(server_path(place));
	found->location = s3_place_location(found->server, found->prefix);
}

static char *
bucket_location(const ForeignServer *server)
{
	return s3_place_location(server, "");
}

bool
s3_place_known(const char *location, const char *destination, S3Place *found)
{
	List  *servers = server_leading_to("outflow_s3", location, destination,
									   bucket_location);
	size_t len;

	if (servers == NIL)
		return false;
	found->server = linitial(servers);
	len = strlen(bucket_location(found->server));
	found->prefix = pstrdup(location + len + (location[len] == '/'));
	found->location = pstrdup(location);
	return true;
}
