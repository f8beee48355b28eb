/*
 * cli.h
 *		What the user asked for: arguments, then the file of --config.
 */
#ifndef CLIENT_CLI_H
#define CLIENT_CLI_H

#include <stdbool.h>

#include "client/lsn.h"

#define MAX_TARGETS 16
#define MAX_PAIRS	64

typedef struct Texts
{
	int	   count;
	char **items;
} Texts;

/* NAME=VALUE arguments; values are new texts. */
typedef struct Pairs
{
	int	  count;
	char *names[MAX_PAIRS];
	char *values[MAX_PAIRS];
} Pairs;

typedef struct Settings
{
	/* source */
	char	 *conninfo;
	char	 *slot;
	char	 *plugin;
	Pairs	  options; /* of the plugin */
	bool	  create_slot;
	bool	  failover;
	long long after_job; /* 0: none */
	char	 *state;
	char	 *endpos_text;
	Lsn		  endpos;
	Texts	  arguments; /* those that are no options */
	/* export, as outflow.export() has them; NULL: its default */
	char *format;
	char *compression;
	Texts columns;
	char *filter;
	Texts encrypt_to;
	char *part_size;
	char *workers;
	char *base;
	char *job_options;
	char *schema;
	char *publication;
	char *resume; /* a job's number */
	char *progress;
	/* verify */
	char *job;
	char *references;
	/* delivery */
	int		  ntargets;
	char	 *targets[MAX_TARGETS];
	long long batch_bytes; /* -1: the target's own */
	long long linger_ms;
	long long queue_bytes;
	long long status_ms;
	long long stop_ms;
	char	 *on_reject;
	char	 *dead_letter;
	/* targets */
	long long file_rotate_bytes;
	long long file_rotate_ms;
	char	 *file_compression;
	char	 *http_profile;
	char	 *http_secret_file;
	char	 *http_header_file;
	char	 *http_ca;
	char	 *http_cert;
	char	 *http_key;
	long long http_timeout_ms;
	char	 *kafka_topic;
	bool	  kafka_tombstones;
	bool	  kafka_exactly_once;
	long long kafka_partitions;
	bool	  kafka_compact;
	Pairs	  kafka_options;
	char	 *mqtt_topic;
	long long mqtt_qos;
	long long mqtt_inflight;
	char	 *mqtt_client_id;
	long long mqtt_session_ms;
	bool	  mqtt_rows;
	char	 *mqtt_unmatched;
	char	 *mqtt_ca;
	char	 *mqtt_cert;
	char	 *mqtt_key;
	char	 *kinesis_endpoint;
	long long kinesis_records;
	long long kinesis_bytes;
	long long kinesis_record_bytes;
	char	 *milvus_collection;
	char	 *milvus_token_file;
	char	 *ws_spool;
	long long ws_spool_bytes;
	char	 *ws_token_file;
	char	 *ws_origin;
	/* watching */
	char *metrics;
	char *log_format;
	char *log_level;
} Settings;

/*
 * Reads the arguments after the command and checks them.  Ends the program for
 * --help and for what it can't accept.
 */
extern void cli_read(Settings *settings, const char *command, int argc,
					 char **argv);

/* What all commands have in common. */
extern void cli_help(void);

extern void texts_add(Texts *texts, const char *text);

/* The value of that name, or NULL. */
extern const char *pairs_find(const Pairs *pairs, const char *name);
extern void pairs_set(Pairs *pairs, const char *name, const char *value);

#endif
