/*
 * destination_uri.c
 *		Whether other programs find what lies there by the URI that they read.
 *
 * Metadata and manifests are UTF-8.  Names of files are the database's bytes.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "encoding.h"
#include "export/export_destination.h"

/* What ends a URI's path.  Readers drop some control characters, too. */
#define URI_ENDS "#?"

static bool
has_other_bytes(const char *location)
{
	int encoding = GetDatabaseEncoding();

	/* the latter's bytes are told as they are if they are UTF-8 */
	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII)
		return !pg_verify_mbstr(PG_UTF8, location, strlen(location), true);
	if (destination_keeps_utf8(location))
		return false;
	for (; *location; location++)
		if (IS_HIGHBIT_SET(*location))
			return true;
	return false;
}

static bool
has_uri_end(const char *location)
{
	for (; *location; location++)
		if ((unsigned char) *location < ' ' || *location == 127 ||
			strchr(URI_ENDS, *location))
			return true;
	return false;
}

void
destination_check_bytes(const char *location)
{
	if (has_other_bytes(location))
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_NAME),
			 errmsg("other programs would not find the files in \"%s\"",
					encoding_shown(location)),
			 errdetail("They are told of the directory in UTF-8, and its name "
					   "is in the encoding of the database, which is \"%s\".",
					   GetDatabaseEncodingName()),
			 errhint("Choose a directory whose path is ASCII.")));
}

void
destination_check_uri(const char *location)
{
	destination_check_bytes(location);
	if (has_uri_end(location))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("an Iceberg table cannot be in \"%s\"",
						encoding_shown(location)),
				 errdetail("Readers take its path for a URI, and see another "
						   "one."),
				 errhint("Choose a directory whose path has no \"#\", no "
						 "\"?\" and no control characters.")));
}
