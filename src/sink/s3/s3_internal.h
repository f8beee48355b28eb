/*
 * s3_internal.h
 *		What the files of the S3 driver share.
 *
 * Every object that is written has a random id among its metadata, which a
 * server-side copy takes along.  Two objects with one id have one content: that
 * is how an answer that got lost is made up for, and how a published file is
 * told from a stranger.  Neither an ETag nor a checksum would do: both depend
 * on how an object was uploaded, and stores differ.
 *
 * What is sent by one request has the sum of its bytes there, too.  A store may
 * carry out a request long after it was given up: so what is at a key is told
 * from what another attempt has sent there, whatever sums the store knows.
 */
#ifndef OUTFLOW_S3_INTERNAL_H
#define OUTFLOW_S3_INTERNAL_H

#include "sink/destination.h"
#include "sink/s3/s3_request.h"

#define S3_ID_HEADER  "x-amz-meta-outflow-id"
#define S3_ID_SIZE	  33 /* hexadecimal, with a NUL */
#define S3_SUM_HEADER "x-amz-meta-outflow-crc32c"

/* What HEAD tells of an object. */
typedef struct S3Object
{
	uint64 size;
	char   id[S3_ID_SIZE]; /* "" if it is not one of ours */
	char  *etag;
	bool   has_crc32c; /* of the whole, if that was asked for and is told */
	uint32 crc32c;
	bool   has_sent_sum; /* of what the request that made it has sent */
	uint32 sent_sum;
} S3Object;

/* ---- s3_object.c: one object at a time */

extern void s3_new_id(char *id);
/*
 * False if there is none; an ERROR for other failures, unless there is an
 * int *error, which then has an errno.
 */
extern bool s3_head(S3Store *store, const char *key, S3Object *object,
					int *error);
/* The same, and asks for the object's checksum. */
extern bool s3_head_sum(S3Store *store, const char *key, S3Object *object,
						int *error);
/*
 * Writes it, with the id.  False if if_new and the key is taken by an object
 * with another id.
 */
extern bool s3_put(S3Store *store, const char *key, const char *data,
				   size_t len, const char *id, bool if_new);
/* The same if it is new; sending is told, or NULL. */
extern bool s3_put_told(S3Store *store, const char *key, const char *data,
						size_t len, const char *id, const Sending *sending);
extern void s3_delete(S3Store *store, const char *key);
/* Adds the headers that every new object gets, and its id. */
extern void s3_object_headers(S3Request *request, const char *id);
/* Up to a thousand by one request; those that are not there are fine. */
extern void s3_delete_all(S3Store *store, List *keys);

/* ---- s3_checksum.c */

/* The checksum of a body that the store verifies, as the server's option says */
extern void s3_checksum_header(S3Request *request);
extern void s3_crc64_header(S3Request *request, uint64 crc);
extern void s3_md5_header(S3Request *request);
/* What such a header says, NULL for none. */
extern const char *s3_checksum_sent(const S3Request *request);
/* "ChecksumCRC32C", ...: the element of XML that has it; NULL for none */
extern const char *s3_checksum_element(const S3Store *store);

/* ---- s3_list.c: what is below a prefix */

/* Gone when the function that takes it returns. */
typedef struct S3Listed
{
	const char *key;
	uint64		size;
	const char *upload; /* the id of what is on its way; NULL for an object */
	const char *time;	/* when that was begun, or this written; or NULL */
} S3Listed;

/* The next pages are asked for as long as it returns true. */
typedef bool (*S3TakeListed)(void *arg, const S3Listed *found);
/*
 * All of them begin with the prefix.  delimiter: "/" for a folder's entries,
 * NULL for all keys.  False and *error, if there is one, for a store that can't
 * be asked; what it answers amiss is an ERROR.
 */
extern bool s3_list(S3Store *store, const char *prefix, const char *delimiter,
					S3TakeListed take, void *arg, int *error);
/* None, of a store that can't tell. */
extern void s3_list_uploads(S3Store *store, const char *prefix,
							S3TakeListed take, void *arg);

/* ---- s3_probe.c */

/*
 * Whether the store refuses a body whose checksum is wrong, and keeps an object
 * from being replaced: what is well.  An ERROR says what it does not do.
 */
extern char *s3_probe_checksum(S3Store *store, const char *key);

/* ---- s3_download.c */

/* An object's bytes through a chain, up to its finish; as s3_head otherwise. */
extern bool s3_download(S3Store *store, const char *key, Sink *chain,
						int *error);

/* A small object with a NUL after it; NULL if there is none, an error if it is
 * longer than max. */
extern char *s3_download_text(S3Store *store, const char *key, size_t max,
							  size_t *len);

/* ---- s3_upload.c */

/* A chain's end: an object of that key, once it is finished. */
extern Sink *s3_upload_new(S3Store *store, const char *key);

/* ---- s3_multipart.c: uploads of several parts */

#define S3_MAX_PARTS 10000

typedef struct S3Multipart
{
	S3Store	   *store;
	const char *key;
	const char *id;
	/* of the object; "": an earlier attempt has begun the upload */
	char object_id[S3_ID_SIZE];
	/* and whatever it has sent is what has been sent now */
	bool   is_same;
	uint64 size;
	uint64 crc64; /* of all parts, where that is the checksum; 0: unknown */
	bool is_recorded; /* and it has to be known whether it was begun again, */
	bool begun_again; /* after a try whose answer did not come */
} S3Multipart;

/* Fills in its id.  sums: of parts and of the whole, as the server's option says */
extern void s3_upload_begin(S3Multipart *upload, const char *object_id,
							bool sums);
/* What the end of an upload says of a part; sum may be NULL. */
extern char *s3_part_xml(const S3Request *request, int number,
						 const char *etag, const char *sum);
/*
 * Ends an upload; parts is the XML of its parts.  False if another object has
 * the key and a condition kept it; an upload that is gone, or in conflict with
 * what somebody else does, is an ERROR that may pass.
 */
extern bool s3_upload_complete(const S3Multipart *upload, const char *parts,
							   bool if_new);
/* That ERROR: the store does not know the upload any more. */
pg_noreturn extern void s3_upload_gone(const S3Multipart *upload);
/* One try, and no ERROR. */
extern void s3_upload_abort(S3Store *store, const char *key,
							const char *upload);
/* Ends one, or all of keys below the prefix; those that are gone are fine. */
extern void s3_upload_remove(S3Store *store, const char *key,
							 const char *upload);
extern void s3_upload_sweep(S3Store *store, const char *prefix);

/* ---- s3_left.c: uploads that earlier attempts left */

typedef struct S3Arrived
{
	uint64 size;
	char  *etag; /* NULL: it has not arrived */
	char  *sum;
} S3Arrived;

typedef struct S3Left
{
	char	  *upload;
	int		   count;
	S3Arrived *parts; /* by number, from 1 */
} S3Left;

/*
 * False if there is none for just that key that is of any use.  All others of
 * it are gone then, so that none comes to its end later.
 */
extern bool s3_left_find(S3Store *store, const char *key, S3Left *left);
/* Whether an upload is known to have no part. */
extern bool s3_left_is_empty(S3Store *store, const char *key,
							 const char *upload);

/* ---- s3_record.c */

/* Keys of two objects that remember an upload. */
typedef struct S3Record
{
	const char *begun;
	const char *id;
} S3Record;

/* Before the upload is begun, when it is, and after its end. */
extern void s3_record_begin(S3Store *store, const S3Record *record,
							const char *key);
extern void s3_record_id(S3Store *store, const S3Record *record,
						 const S3Multipart *upload);
extern void s3_record_end(S3Store *store, const S3Record *record);
/* Ends the upload that a record tells of, and removes that. */
extern void s3_record_forget(S3Store *store, const S3Record *record);

/* ---- s3_copy.c */

/*
 * Copies within the store; the copy has the original's id.  Whatever has the
 * key is replaced, but with if_new another object's copy is refused: false.
 * An ERROR if from is not there.
 *
 * record: for the upload that a copy may take; NULL if the key says whose it is.
 */
extern bool s3_copy(S3Store *store, const char *key, const char *from_bucket,
					const char *from, const S3Object *object, bool if_new,
					const S3Record *record);

#endif /* OUTFLOW_S3_INTERNAL_H */
