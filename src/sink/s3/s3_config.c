/*
 * s3_config.c
 *		Options of foreign data wrapper outflow_s3, and its validator.
 *
 * Whatever goes into a header, a URL or a message is checked here, so that
 * nothing further on meets a line feed or a name that means something else.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "sink/http/endpoint.h"
#include "sink/s3/s3_config.h"

PG_FUNCTION_INFO_V1(outflow_s3_validator);
extern PGDLLEXPORT Datum outflow_s3_validator(PG_FUNCTION_ARGS);

#define MB INT64CONST(1048576)
#define TB (MB * MB)

static const OptionChoice styles[] = {
	{"auto", S3_STYLE_AUTO}, {"on", S3_STYLE_PATH},	   {"true", S3_STYLE_PATH},
	{"off", S3_STYLE_HOST},	 {"false", S3_STYLE_HOST}, {NULL, 0},
};

static const OptionChoice checksums[] = {
	{"crc32c", S3_CRC32C}, {"crc64nvme", S3_CRC64NVME}, {"sha256", S3_SHA256},
	{"md5", S3_MD5},	   {"none", S3_NO_CHECKSUM},	{NULL, 0},
};

static const OptionChoice conditionals[] = {
	{"publish", S3_CONDITIONAL_PUBLISH},
	{"all", S3_CONDITIONAL_ALL},
	{"none", S3_CONDITIONAL_NONE},
	{NULL, 0},
};

static const OptionChoice encryptions[] = {
	{"default", S3_ENCRYPTION_DEFAULT},
	{"s3", S3_ENCRYPTION_S3},
	{"kms", S3_ENCRYPTION_KMS},
	{NULL, 0},
};

#define FIELD(name) offsetof(S3Config, name)

static const OptionSpec server_options[] = {
	{"endpoint", OPTION_STRING, FIELD(endpoint)},
	{"region", OPTION_STRING, FIELD(region), "us-east-1"},
	{"bucket", OPTION_STRING, FIELD(bucket)},
	{"path_style", OPTION_ENUM, FIELD(style), "auto", .choices = styles},
	{"allow_private", OPTION_BOOL, FIELD(allow_private)},
	{"ca_file", OPTION_STRING, FIELD(ca_file)},
	{"storage_class", OPTION_STRING, FIELD(storage_class)},
	{"encryption", OPTION_ENUM, FIELD(encryption), "default",
	 .choices = encryptions},
	{"kms_key_id", OPTION_STRING, FIELD(kms_key_id)},
	{"tags", OPTION_STRING, FIELD(tags)},
	{"content_type", OPTION_STRING, FIELD(content_type),
	 "application/octet-stream"},
	{"checksum", OPTION_ENUM, FIELD(checksum), "crc32c", .choices = checksums},
	{"conditional", OPTION_ENUM, FIELD(conditional), "publish",
	 .choices = conditionals},
	{"chunk_size", OPTION_SIZE, FIELD(chunk_size), "8MB", 5 * MB, 1024 * MB},
	{"equal_chunks", OPTION_BOOL, FIELD(equal_chunks)},
	{"max_object_size", OPTION_SIZE, FIELD(max_object_size), "5TB", 5 * MB,
	 49 * TB},
	{"max_copy_size", OPTION_SIZE, FIELD(max_copy_size), "5GB", 5 * MB,
	 5 * 1024 * MB},
	{"connect_timeout", OPTION_INT, FIELD(connect_timeout), "10", 1, 600},
	{"stall_timeout", OPTION_INT, FIELD(stall_timeout), "60", 1, 3600},
	{"retries", OPTION_INT, FIELD(retries), "5", 0, 100},
	{NULL},
};

static const OptionSpec mapping_options[] = {
	{"access_key_id", OPTION_STRING, offsetof(S3Secrets, key_id)},
	{"secret_access_key", OPTION_STRING, offsetof(S3Secrets, secret)},
	{"session_token", OPTION_STRING, offsetof(S3Secrets, session_token)},
	{NULL},
};

/* They reach what others must not: the server's own networks and files. */
static const char *const superuser_only[] = {"allow_private", "ca_file", NULL};

static bool
consists_of(const char *text, const char *others)
{
	for (; *text; text++)
		if (!((*text >= 'a' && *text <= 'z') ||
			  (*text >= '0' && *text <= '9') || strchr(others, *text)))
			return false;
	return true;
}

static void
check_bucket(const char *bucket)
{
	size_t len = bucket ? strlen(bucket) : 0;

	if (bucket == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
						errmsg("server option \"bucket\" is missing"),
						errhint("Name the bucket that exports go to: OPTIONS "
								"(bucket '...').")));
	if (len < 3 || len > 63 || !consists_of(bucket, "-.") ||
		strchr("-.", bucket[0]) || strchr("-.", bucket[len - 1]) ||
		strstr(bucket, ".."))
		server_refuse_value(
			"bucket", bucket,
			"A bucket's name has 3 to 63 lower-case letters, digits, "
			"hyphens and dots.");
}

static bool
s3_config_ends_with(const char *text, const char *end)
{
	size_t len = strlen(text);

	return len >= strlen(end) && strcmp(text + len - strlen(end), end) == 0;
}

static void
derive_endpoint(S3Config *config)
{
	HttpEndpoint endpoint;

	http_endpoint_parse("endpoint", config->endpoint, false,
						config->allow_private, &endpoint);
	config->https = endpoint.https;
	config->host = endpoint.host;
	config->port = endpoint.port;
}

static void
s3_config_check_server(void *values)
{
	S3Config *config = values;

	check_bucket(config->bucket);
	if (config->region[0] == '\0' || strlen(config->region) > 63 ||
		!consists_of(config->region, "-"))
		server_refuse_value(
			"region", config->region,
			"A region is a name like \"eu-central-1\"; stores that have "
			"none take \"us-east-1\" or \"auto\".");
	if (config->endpoint == NULL)
		config->endpoint =
			psprintf("https://s3.%s.amazonaws.com%s", config->region,
					 strncmp(config->region, "cn-", 3) == 0 ? ".cn" : "");
	derive_endpoint(config);
	config->path_style =
		config->style == S3_STYLE_PATH ||
		(config->style == S3_STYLE_AUTO &&
		 /* a dot in the bucket's name is none that a certificate covers */
		 (!(s3_config_ends_with(config->host, ".amazonaws.com") ||
			s3_config_ends_with(config->host, ".amazonaws.com.cn")) ||
		  (config->https && strchr(config->bucket, '.'))));
	if (!config->path_style &&
		(config->host[0] == '[' ||
		 strspn(config->host, "0123456789.") == strlen(config->host)))
		server_refuse_value("path_style", "off",
							"An address can't have the bucket's name "
							"before it: use path_style 'on'.");
	server_check_printable("storage_class", config->storage_class);
	server_check_printable("kms_key_id", config->kms_key_id);
	server_check_printable("tags", config->tags);
	server_check_printable("content_type", config->content_type);
	if (config->kms_key_id && config->encryption != S3_ENCRYPTION_KMS)
		server_refuse_value("kms_key_id", config->kms_key_id,
							"It goes with encryption 'kms'.");
	if (config->ca_file && config->ca_file[0] != '/')
		server_refuse_value(
			"ca_file", config->ca_file,
			"Use the absolute path of a file of CA certificates.");
}

static void
require_secret(const char *name, const char *value)
{
	if (value == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("user mapping option \"%s\" is missing", name),
				 errhint("Give access_key_id and secret_access_key, and for "
						 "temporary credentials session_token.")));
	server_check_secret(name, value);
}

static void
s3_config_check_mapping(void *values)
{
	S3Secrets *secrets = values;

	require_secret("access_key_id", secrets->key_id);
	require_secret("secret_access_key", secrets->secret);
	server_check_secret("session_token", secrets->session_token);
	if (strlen(secrets->key_id) > 128 || strlen(secrets->secret) > 256)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("access key is too long")));
}

static const ServerOptions options = {.server = server_options,
									  .mapping = mapping_options,
									  .server_size = sizeof(S3Config),
									  .mapping_size = sizeof(S3Secrets),
									  .superuser_only = superuser_only,
									  .check_server = s3_config_check_server,
									  .check_mapping =
										  s3_config_check_mapping};

void
s3_config_read(const ForeignServer *server, S3Config *config)
{
	server_read_options(&options, server, config);
}

void
s3_secrets_read(const ForeignServer *server, S3Secrets *secrets)
{
	server_read_secrets(&options, server, secrets);
}

void
s3_secrets_forget(S3Secrets *secrets)
{
	server_forget_secret(&secrets->key_id);
	server_forget_secret(&secrets->secret);
	server_forget_secret(&secrets->session_token);
}

Datum
outflow_s3_validator(PG_FUNCTION_ARGS)
{
	return server_validate(&options, fcinfo);
}
