/*
 * s3_config.h
 *		What a server of outflow_s3 and a user mapping for it say.
 */
#ifndef OUTFLOW_S3_CONFIG_H
#define OUTFLOW_S3_CONFIG_H

#include "sink/server.h"

typedef enum S3Checksum
{
	S3_CRC32C,
	S3_CRC64NVME,
	S3_SHA256,
	S3_MD5,
	S3_NO_CHECKSUM
} S3Checksum;

/* Which objects are written with If-None-Match. */
typedef enum S3Conditional
{
	S3_CONDITIONAL_PUBLISH, /* those that say that an export is there */
	S3_CONDITIONAL_ALL,		/* for a bucket whose policy insists */
	S3_CONDITIONAL_NONE
} S3Conditional;

typedef enum S3Encryption
{
	S3_ENCRYPTION_DEFAULT, /* as the bucket says */
	S3_ENCRYPTION_S3,
	S3_ENCRYPTION_KMS
} S3Encryption;

typedef enum S3Style
{
	S3_STYLE_AUTO,
	S3_STYLE_PATH,
	S3_STYLE_HOST
} S3Style;

typedef struct S3Config
{
	/* as given; strings are NULL if they were not */
	char *endpoint;
	char *region;
	char *bucket;
	int	  style;
	bool  allow_private;
	char *ca_file;
	char *storage_class;
	int	  encryption;
	char *kms_key_id;
	char *tags;
	char *content_type;
	int	  checksum;
	int	  conditional;
	int64 chunk_size;
	bool  equal_chunks;
	int64 max_object_size;
	int64 max_copy_size;
	int	  connect_timeout; /* seconds */
	int	  stall_timeout;
	int	  retries;

	/* derived */
	bool  https;
	char *host; /* without the bucket */
	int	  port;
	bool  path_style;
} S3Config;

typedef struct S3Secrets
{
	char *key_id;
	char *secret;
	char *session_token; /* NULL for none */
} S3Secrets;

/* Fill in what is derived, too. */
extern void s3_config_read(const ForeignServer *server, S3Config *config);
extern void s3_secrets_read(const ForeignServer *server, S3Secrets *secrets);
/* Overwrites and frees them. */
extern void s3_secrets_forget(S3Secrets *secrets);

#endif /* OUTFLOW_S3_CONFIG_H */
