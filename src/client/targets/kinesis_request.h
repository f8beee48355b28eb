/*
 * kinesis_request.h
 *		Requests to Amazon Kinesis Data Streams and their answers: Kinesis API
 *		Reference, version 2013-12-02.
 */
#ifndef CLIENT_KINESIS_REQUEST_H
#define CLIENT_KINESIS_REQUEST_H

#include "client/json_scan.h"
#include "client/targets/aws_credentials.h"
#include "client/targets/facts.h"

#define KINESIS_KEY_SIZE 33 /* of a partition key, with a NUL */

/* The same for all changes of a row: hexadecimal digits of a hash. */
extern void kinesis_partition_key(const Facts *facts, const Record *record,
								  char *key);

/* The members of a PutRecords request, one record after the other. */
extern void kinesis_begin(Bytes *body, const char *stream);
extern void kinesis_append(Bytes *body, const Record *record,
						   const char *partition_key);
extern void kinesis_end(Bytes *body);

/*
 * The headers of a signed request of that body; operation is PutRecords or
 * another one.  Frees the list it is given.
 */
extern struct curl_slist *
kinesis_headers(struct curl_slist *headers, const AwsCredentials *credentials,
				const char *endpoint, const char *region,
				const char *operation, const Bytes *body);

/* What becomes of a record, or of a request. */
typedef enum KinesisVerdict
{
	KINESIS_TAKEN,
	KINESIS_AGAIN,	  /* later */
	KINESIS_EXPIRED,  /* with other keys */
	KINESIS_REJECTED, /* and again if it came again */
	KINESIS_REFUSED,  /* for good */
} KinesisVerdict;

/* Of an error code, or of a request by its status and answer. */
extern KinesisVerdict kinesis_verdict(const char *code);
extern KinesisVerdict kinesis_request_verdict(long		   status,
											  const Bytes *answer);

/*
 * The next object of a list in an answer.  *place begins with NULL.  False:
 * there is none, or the answer isn't understood.
 */
extern bool kinesis_next_member(const Bytes *answer, const char *name,
								const char **place, JsonValue *member);

/*
 * The next member of the answer's list Records: its error code, "" if it was
 * taken, and by which shard, if that is told; new texts.  NULL: as above.
 */
extern char *kinesis_next_result(const Bytes *answer, const char **place,
								 char **shard);

#endif
