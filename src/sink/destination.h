/*
 * destination.h
 *		Where the files of an export go: one interface, one driver for each
 *		kind of place.
 *
 * A key is "folder/name", or a name alone, as in an object store; what a
 * folder is there is the driver's business.  A file has two lives.  While its
 * job runs it is staged: only the job knows it, by the key's name, which is
 * unique in the job.  Publication gives it its key, from then on it is final.
 * Nothing here needs a rename or a link: a store without them writes staged
 * files under a prefix of the job, or holds back the end of their uploads, and
 * publishes and carries by a copy that the store makes itself.
 *
 * Every member of a driver is required, and may be called again after an error
 * or a crash: what has been done already is no error then.  What fails is an
 * ERROR that names the file and the reason; where an int *error may be given,
 * and is, the reason is an errno there instead, or 0 for "not there".  All of
 * it belongs to the memory context in which the destination was opened, and is
 * released with it.
 */
#ifndef OUTFLOW_DESTINATION_H
#define OUTFLOW_DESTINATION_H

#include "nodes/pg_list.h"
#include "sink/sending.h"
#include "sink/sink.h"

typedef struct DestinationDriver DestinationDriver;

/* Drivers add their own members after these. */
typedef struct Destination
{
	const DestinationDriver *driver;
	const char				*path; /* as messages name it */
	const char *location;		   /* as locate does, but of what is open */
	int			made; /* by open: the place and what it lies in, that many */
	/* what keeps its lake tables, if not their folders; NULL for none */
	struct LakeCatalog *catalog;
} Destination;

typedef enum DestinationMode
{
	DESTINATION_CREATE,	  /* makes what is missing */
	DESTINATION_EXISTING, /* an error if it is not there */
	DESTINATION_PROBE,	  /* NULL if it is not there but could be made */
	/* a job has written there, whatever the settings allow by now; NULL if
	 * it is not there */
	DESTINATION_KNOWN,
	DESTINATION_TRY /* the same; NULL and errno, whatever is the matter */
} DestinationMode;

typedef enum DestinationPlace
{
	DESTINATION_STAGED,
	DESTINATION_FINAL
} DestinationPlace;

/* Staged files are hidden under a name of this and the job's id. */
#define DESTINATION_HIDDEN ".outflow-"

/* What to do about the job's staged files, which have an owner's token. */
typedef enum DestinationAccess
{
	ACCESS_LOOK,   /* whosever they are */
	ACCESS_JOIN,   /* another process of the job has taken or made them */
	ACCESS_TAKE,   /* for this process, until release */
	ACCESS_CREATE, /* the same; what is missing is made */
	/* as TAKE, to remove what nobody goes on with: only where a lock is to be had
	 * that keeps others out.  What was only begun is removed by it, and missing
	 * then; what has no owner is foreign */
	ACCESS_LEFT
} DestinationAccess;

typedef enum DestinationClaim
{
	CLAIM_GRANTED,
	CLAIM_MISSING, /* nothing is staged */
	CLAIM_LOCKED,  /* another process has taken them */
	CLAIM_FOREIGN  /* they have another token, or none */
} DestinationClaim;

/*
 * A type in a form that is the same on every server where it is the same type: a
 * line for itself and for each of its parts, fields and elements and bounds,
 * with all that these are made of.  It has the part's path, its name in pg_type
 * as a literal unless it is an array, and its typmod, if it has one:
 *
 *	.'price'[] 'numeric'(655366)
 *
 * Domains are what they are made of.  More than this is too much:
 */
#define TYPE_MAX_PARTS 2000
#define TYPE_MAX_TEXT  100000

/* A column whose values go to a table elsewhere. */
typedef struct TableColumn
{
	char *name;
	char *type;		 /* as CREATE TABLE takes it */
	char *type_name; /* in pg_type, domains removed */
	char *parts;	 /* what the same type is made of, as above */
	Oid	  base;		 /* its number */
	int32 typmod;	 /* of it; -1: none */
	bool  is_binary; /* it has a binary form */
	bool  not_null;
	bool  is_primary;
	char  identity; /* attidentity, '\0' for none */
	/* its default, if that is one everywhere; NULL for none */
	char *default_value;
} TableColumn;

/* A table, in the order of its job's. */
typedef struct TableSource
{
	char		*schema;
	char		*name;
	int			 ncolumns;
	TableColumn *columns;
} TableSource;

typedef struct TableOptions
{
	const char *format; /* "binary" or "text"; NULL: whichever fits */
	const char *encoding;
	const ChecksumMethod *checksum;
	bool replace;	/* what the targets held goes when all rows are there */
	bool create;	/* targets that are missing are made */
	bool sequences; /* those of the targets go on behind the rows */
	bool direct;	/* rows are seen as they come, in targets that are empty */
	bool keep;		/* what a later export can carry over stays there */
} TableOptions;

typedef enum TableState
{
	TABLE_SOUND,
	TABLE_MISSING,
	TABLE_OTHER_COUNT,	 /* of the rows that were written */
	TABLE_OTHER_CONTENT, /* as many rows, and not the same */
	TABLE_UNREADABLE	 /* the rows can't be looked at; detail says why */
} TableState;

/* What became of a table's rows. */
typedef struct TableFinding
{
	char	  *table;
	TableState state;
	uint64	   written; /* rows */
	uint64	   found;
	char	  *detail;
} TableFinding;

/*
 * What a destination does that keeps rows in tables.  It has no files: a key is
 * a part's name there, and what lists and reads files finds none.  A part and
 * its sum are committed together; so are all parts, when they are published.
 */
typedef struct TableDriver
{
	/* Before all else that concerns tables: a List of TableSource. */
	void (*set)(Destination *to, List *tables, const TableOptions *options);
	/* Errors unless all rows could go there; the format that fits. */
	const char *(*check)(Destination *to);
	/* Which of the tables the parts that are made next belong to. */
	void (*begin_table)(Destination *to, int table);
	/*
	 * Takes over the rows of a part of another job, by its id, that has kept
	 * them in the same place.  False: they are not there, or of other columns.
	 */
	bool (*carry)(Destination *to, const char *key, const char *id,
				  const char *from_key);
	/* The size and the sum of a part as they were committed with its rows;
	 * false if it is not there. */
	bool (*find)(Destination *to, const char *key, uint64 *size,
				 Checksum *sum);
	bool (*is_published)(Destination *to);
	/* Whether what is there of the job has the columns of now; true if it was
	 * published. */
	bool (*is_current)(Destination *to);
	/* A List of TableFinding, of a published export: counts rows, and with
	 * full reads each of them. */
	List *(*verify)(Destination *to, bool full);
	/* All rows of these parts, and of no other, in one transaction; nothing if
	 * that has been done. */
	void (*publish)(Destination *to, const List *keys);
} TableDriver;

typedef struct DestinationEntry
{
	char  *name;
	uint64 size;
	bool   is_regular; /* no folder, link or special file */
	bool   is_directory;
} DestinationEntry;

typedef struct DestinationLook
{
	uint64	  size;
	bool	  has_crc;
	pg_crc32c crc;
} DestinationLook;

struct DestinationDriver
{
	/* What a user's destination begins with; or NULL, and it is "server:..." */
	const char *scheme;
	/* of a server of this foreign data wrapper. */
	const char *wrapper;
	/* What locations begin with, so that they tell whose they are. */
	const char *location;
	/* NULL: it keeps files. */
	const TableDriver *tables;
	/* Names there are UTF-8; or they are the database's bytes. */
	bool keeps_utf8;

	/* ---- the place */

	/* What comes after the scheme; an error says how it should be written. */
	char *(*parse)(const char *destination);
	/* An error unless the current user may write to such places at all. */
	void (*check_rights)(void);
	/*
	 * One text for each place, whatever it was called.  limit is what
	 * outflow.export_root says; NULL or "" for none.
	 */
	char *(*locate)(const char *place, const char *limit);
	/*
	 * place is parse's result; in KNOWN and TRY mode, locate's, and destination
	 * what the user called it, or NULL: of several ways there it says which.
	 * permissions are the mode that files made there get, or 0 for what is
	 * usual; a place that has no such thing doesn't care.
	 */
	Destination *(*open)(const char *place, const char *limit,
						 DestinationMode mode, int permissions,
						 const char *destination);
	/* An early error where nothing could be written; warns where nobody could
	 * read what permissions let them. */
	void (*check_writable)(Destination *to);
	/* An error if it is not any more what its path names. */
	void (*check_place)(Destination *to);
	/* What other programs call a file, "" for the place itself: a URI, of which
	 * no character is escaped; NULL where there are no files. */
	char *(*uri)(Destination *to, const char *key);
	/*
	 * NULL if no other job has staged files for the folder ("" for the top),
	 * or their name.
	 */
	char *(*check_free)(Destination *to, const char *folder);
	/*
	 * Tries what only this kind of place promises, with a file of that name,
	 * which is there and the caller's; what is well, NULL for nothing to try.
	 */
	char *(*probe)(Destination *to, const char *key);
	void (*close)(Destination *to);

	/* ---- staged files */

	/*
	 * Must be granted before anything below is done to staged files.  id is
	 * the job's; token is its owner's, and not needed to look.
	 */
	DestinationClaim (*claim)(Destination *to, const char *id,
							  const char *token, DestinationAccess access);
	/* Whether there are staged files that claim has found or made. */
	bool (*is_claimed)(const Destination *to);
	/* What claim has taken: for the end of a process; never throws. */
	void (*release)(Destination *to);
	/*
	 * A chain's end.  Nobody sees the file before its finish has made it
	 * durable; then it is staged, in place of an older one of that key.
	 */
	Sink *(*new_part)(Destination *to, const char *key);
	/*
	 * Stages a final file of another destination of the same driver, without
	 * the bytes passing through here if possible.  The other's file stays as it
	 * is, its permissions included.  False: it is not there.
	 */
	bool (*carry)(Destination *to, const char *key, Destination *from,
				  const char *from_key);
	/*
	 * Whether the key's file is staged, and not final as well.  Where nothing
	 * is claimed, nothing is.
	 */
	bool (*is_staged)(Destination *to, const char *key);
	/*
	 * Makes a staged file final.  Whatever else has the key stays, and is an
	 * error.  False if it is not staged any more and something has the key:
	 * most likely an earlier attempt has published it, but the caller has to
	 * check.  Durable after sync.
	 *
	 * written: what the caller knows of the file, or NULL.  What is staged must
	 * be that, or it is an error, or false.
	 */
	bool (*publish)(Destination *to, const char *key,
					const DestinationLook *written);
	/* Removes what killed attempts left, but for what the next one goes on
	 * with; no other may be running. */
	void (*sweep)(Destination *to);
	/* Removes all that is staged, and the claim; fine if there is none. */
	void (*discard)(Destination *to);

	/* ---- final files, and where a place is given, staged ones */

	/* Writes a small final file at once: whole, and durable. */
	void (*put)(Destination *to, const char *key, const char *data, size_t len,
				bool replace);
	/*
	 * The same unless something has the key, which stays: false then.  Of
	 * several writers, wherever they are, one gets it.  sending (NULL: nobody)
	 * is told if it may be there later although this has failed.
	 */
	bool (*put_new)(Destination *to, const char *key, const char *data,
					size_t len, const Sending *sending);
	/* A List of DestinationEntry in the folder ("" for the top) by name, but
	 * the job's own staging area; NIL also if there is no such folder. */
	List *(*list)(Destination *to, const char *folder, int *error);
	/* The same as stat, and the sum of a file's bytes if the place tells it
	 * without reading them. */
	bool (*look)(Destination *to, const char *key, DestinationLook *look,
				 int *error);
	/* The size of a file; false if there is none. */
	bool (*stat)(Destination *to, const char *key, uint64 *size, int *error);
	/* Sends a file's bytes through a chain, up to its finish; false if there
	 * is none. */
	bool (*read)(Destination *to, DestinationPlace place, const char *key,
				 Sink *chain, int *error);
	/* A small file with a NUL after it; NULL if there is none, an error if it
	 * is longer than max. */
	char *(*get)(Destination *to, const char *key, size_t max, size_t *len);
	/*
	 * False if it is not there.  The key "folder/" is the folder, which goes
	 * only if it is empty, and nobody keeps it.  Durable after sync.
	 */
	bool (*remove)(Destination *to, const char *key);
	/* Removes the place itself, durably, if it holds nothing and is no more than
	 * a place, and of what it lies in as much as to->made says; nothing can be
	 * done there afterwards. */
	void (*remove_place)(Destination *to);
	/* What is made from now on has the mode of that file, if it is there. */
	void (*keep_mode)(Destination *to, const char *key);
	/* The mode of what is made gets a file that is there, or by the key "folder/"
	 * that folder and the files in it: what belongs to somebody else does not. */
	void (*give_mode)(Destination *to, const char *key);
	/* Makes publications and removals in the folder durable. */
	void (*sync)(Destination *to, const char *folder);
};

extern const DestinationDriver file_driver;

/* ---- keys */

#define DESTINATION_NAME_MAX 200

/* Whether a folder or a file can have it.  Hidden names are ours. */
static inline bool
destination_name_is_valid(const char *name)
{
	return name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL &&
		   strlen(name) <= DESTINATION_NAME_MAX;
}

/* The name of "folder/name". */
static inline const char *
destination_name(const char *key)
{
	const char *slash = strrchr(key, '/');

	return slash ? slash + 1 : key;
}

static inline char *
destination_key(const char *folder, const char *name)
{
	return psprintf("%s%s%s", folder, folder[0] ? "/" : "", name);
}

#endif /* OUTFLOW_DESTINATION_H */
