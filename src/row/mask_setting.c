/*
 * mask_setting.c
 *		outflow.mask_columns, which binds everybody, and the key of hashes.
 *
 * The key stands in a file, as the server's other secrets do, and not in the
 * setting: the server writes changed settings into its log, and members of
 * pg_read_all_settings read them.
 */
#include "postgres.h"

#include <sys/stat.h>
#include <unistd.h>

#include "mb/pg_wchar.h"
#include "storage/fd.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "compat.h"
#include "row/mask.h"

/* A shorter one could be found by trying. */
#define MIN_KEY 16
#define MAX_KEY 1024

static char *mask_columns = NULL;
static char *mask_key_file = NULL;

/*
 * Of a role or a database, which a login takes over.  What it refuses gives way to
 * the server's own value, maybe none, without more than a WARNING.
 */
static bool
is_taken_at_login(GucSource source)
{
	return source >= PGC_S_GLOBAL && source <= PGC_S_DATABASE_USER;
}

/* What is let pass here is refused when it is used. */
static bool
mask_check_columns(char **value, void **extra, GucSource source)
{
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "outflow mask setting", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	List		 *rules;
	const char	 *problem = mask_rules_read(*value, &rules);

	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	if (problem == NULL)
		return true;
	if (is_taken_at_login(source))
	{
		ereport(WARNING,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for parameter \"%s\"",
						"outflow.mask_columns"),
				 errdetail("Streams and exports are refused with it."),
				 errhint("%s", problem)));
		return true;
	}
	GUC_check_errhint("%s", problem);
	return false;
}

static void
mask_assign_setting(const char *value, void *extra)
{
	row_invalidate_all();
}

void
mask_define_settings(void)
{
	DefineCustomStringVariable(
		"outflow.mask_columns",
		"Columns whose values leave PostgreSQL masked, whoever asks.",
		"A comma list of schema.table.column=method.", &mask_columns, "",
		PGC_SUSET, GUC_SUPERUSER_ONLY | GUC_ALLOW_IN_PARALLEL,
		mask_check_columns, mask_assign_setting, NULL);
	DefineCustomStringVariable(
		"outflow.mask_key_file", "File that holds the key of hashed columns.",
		NULL, &mask_key_file, "", PGC_SIGHUP,
		GUC_SUPERUSER_ONLY | GUC_ALLOW_IN_PARALLEL, NULL, NULL, NULL);
}

const char *
mask_setting(void)
{
	return mask_columns ? mask_columns : "";
}

/* A text of the configuration file has the encoding of whoever wrote it. */
static const char *
read_setting(List **rules)
{
	const char *text = mask_setting();

	*rules = NIL;
	if (!pg_verifymbstr(text, strlen(text), true))
		return "It is not text in this database's encoding. The database can "
			   "have a setting of its own.";
	return mask_rules_read(text, rules);
}

bool
mask_setting_is_readable(void)
{
	List *rules;

	return read_setting(&rules) == NULL;
}

List *
mask_setting_rules(void)
{
	List	   *rules;
	const char *problem = read_setting(&rules);

	if (problem)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIG_FILE_ERROR),
				 errmsg("setting \"%s\" has a value that cannot be used",
						"outflow.mask_columns"),
				 errdetail("Which columns are masked is not known, so that "
						   "none may leave."),
				 errhint("%s", problem)));
	return rules;
}

static void
report_key(const char *reason)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONFIG_FILE_ERROR),
			 errmsg("could not read the key for masked columns"),
			 errdetail("%s", reason),
			 errhint("Setting outflow.mask_key_file names a file of at least "
					 "%d bytes, which the server's user owns and nobody else "
					 "may read.",
					 MIN_KEY)));
}

static bool
is_private(FILE *file)
{
	struct stat status;

	return fstat(fileno(file), &status) == 0 && S_ISREG(status.st_mode) &&
		   status.st_uid == geteuid() &&
		   (status.st_mode & (S_IRWXG | S_IRWXO)) == 0;
}

/* What is wrong with the file, or NULL; the key without its line end. */
static const char *
read_key(FILE *file, MaskKey *key)
{
	if (!is_private(file))
		return "Others than the server's user may use the file.";
	key->size = fread(key->bytes, 1, MAX_KEY + 1, file);
	if (ferror(file))
		return "The file cannot be read.";
	while (key->size > 0 && (key->bytes[key->size - 1] == '\n' ||
							 key->bytes[key->size - 1] == '\r'))
		key->size--;
	if (key->size < MIN_KEY || key->size > MAX_KEY)
		return psprintf("The key must have %d to %d bytes.", MIN_KEY, MAX_KEY);
	return NULL;
}

MaskKey *
mask_key_load(void)
{
	MaskKey	   *key = palloc(offsetof(MaskKey, bytes) + MAX_KEY + 1);
	const char *problem = "The file cannot be opened.";
	struct stat status;
	FILE	   *file;

	if (mask_key_file == NULL || mask_key_file[0] == '\0')
		report_key("No file is named.");
	/* opening a FIFO would wait, whatever cancels it */
	if (stat(mask_key_file, &status) == 0 && !S_ISREG(status.st_mode))
		report_key("It is not a regular file.");
	file = AllocateFile(mask_key_file, PG_BINARY_R);
	if (file)
	{
		problem = read_key(file, key);
		/* now, as there may be no transaction that an error would end */
		FreeFile(file);
	}
	if (problem)
		report_key(problem);
	return key;
}

static bool
have_hash(const List *rules)
{
	const ListCell *cell;

	foreach (cell, rules)
	{
		if (((MaskRule *) lfirst(cell))->method == MASK_HASH)
			return true;
	}
	return false;
}

MaskKey *
mask_key_for(const List *rules)
{
	if (have_hash(mask_setting_rules()) || have_hash(rules))
		return mask_key_load();
	return NULL;
}

void
mask_check_key(const List *rules)
{
	MaskKey *key = mask_key_for(rules);

	if (key)
	{
		explicit_bzero(key->bytes, key->size);
		pfree(key);
	}
}
