/*
 * sink_test.c
 *		Makes the stages and destinations of src/sink callable from SQL, for
 *		test/tap/050_sink.pl; never installed.
 *
 * Linked from the same objects as the extension, with some system calls
 * wrapped (see sink_fault.c).
 */
#include "postgres.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "sink/file/file.h"
#include "sink_test.h"
#include "storage/fd.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_MODULE_MAGIC;

#define BLOCK_SIZE (1024 * 1024)
#define JOB_ID	   "test"

PG_FUNCTION_INFO_V1(sink_write_file);
PG_FUNCTION_INFO_V1(sink_read_file);
PG_FUNCTION_INFO_V1(sink_open_root);
PG_FUNCTION_INFO_V1(sink_open_subdir);
PG_FUNCTION_INFO_V1(sink_put);
PG_FUNCTION_INFO_V1(sink_get);
PG_FUNCTION_INFO_V1(sink_carry);
PG_FUNCTION_INFO_V1(sink_publish);
PG_FUNCTION_INFO_V1(sink_remove);
PG_FUNCTION_INFO_V1(sink_list);
PG_FUNCTION_INFO_V1(sink_temp);
PG_FUNCTION_INFO_V1(sink_open_files);
PG_FUNCTION_INFO_V1(sink_limit_file_size);

extern PGDLLEXPORT Datum sink_write_file(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum sink_read_file(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum sink_open_root(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum sink_open_subdir(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum sink_put(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum sink_get(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum sink_carry(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum sink_publish(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum sink_remove(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum sink_list(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum sink_temp(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum sink_open_files(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum sink_limit_file_size(PG_FUNCTION_ARGS);

static char *
text_argument(FunctionCallInfo fcinfo, int number)
{
	return PG_ARGISNULL(number) ? NULL
								: text_to_cstring(PG_GETARG_TEXT_PP(number));
}

static FileRoot *
open_root(FunctionCallInfo fcinfo, int number)
{
	FileRoot *root = file_root_open(text_argument(fcinfo, number), NULL,
									FILE_ROOT_CREATE, FILE_MODE_PRIVATE);

	(void) file_temp_open(root, JOB_ID, true);
	return root;
}

static uint32
next_random(uint32 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

void
generate_bytes(const char *kind, uint32 seed, char *out, size_t len)
{
	uint32 state = (seed * 2654435761u) | 1u;
	size_t used = 0;

	if (strcmp(kind, "random") == 0)
		for (; used + 4 <= len; used += 4)
		{
			uint32 value = next_random(&state);

			memcpy(out + used, &value, 4);
		}
	else if (strcmp(kind, "text") == 0)
		for (uint32 line = 0; used + 100 <= len; line++)
		{
			uint32 value = next_random(&state);

			used += snprintf(out + used, 100,
							 "%u,customer %u,2026-11-%02u,%u.%02u,open\n",
							 line, value % 1000, value % 28 + 1,
							 (value >> 10) % 10000, value % 100);
		}
	memset(out + used, 0, len - used);
}

/* Writes the stream in chunks of 1 to max_chunk bytes; 0: block by block. */
static void
write_stream(Sink *sink, const char *kind, uint64 bytes, uint32 max_chunk,
			 uint32 seed)
{
	char  *block = palloc(BLOCK_SIZE);
	uint32 state = seed + 1;
	uint64 done = 0;

	while (done < bytes)
	{
		size_t in_block = Min(BLOCK_SIZE, bytes - done);
		size_t at = 0;

		if (done == 0 || strcmp(kind, "zero") != 0)
			generate_bytes(kind, seed + done / BLOCK_SIZE, block, BLOCK_SIZE);
		while (at < in_block)
		{
			size_t len = in_block - at;

			if (max_chunk > 0)
			{
				size_t chunk = next_random(&state) % max_chunk + 1;

				len = Min(len, chunk);
			}
			sink_write(sink, block + at, len);
			at += len;
		}
		done += in_block;
	}
	pfree(block);
}

static AgeRecipients *
recipients_argument(FunctionCallInfo fcinfo, int number)
{
	Datum *values;
	int	   count;
	char **texts;

	if (PG_ARGISNULL(number))
		return NULL;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(number), TEXTOID, -1, false,
					  TYPALIGN_INT, &values, NULL, &count);
	texts = palloc(sizeof(char *) * Max(count, 1));
	for (int i = 0; i < count; i++)
		texts[i] = TextDatumGetCString(values[i]);
	return age_recipients_parse(texts, count);
}

/*
 * sink_write_file(dir, name, kind, bytes, max_chunk, seed, compression,
 *				   recipients, ending): plain and stored size, CRC-32C and
 * SHA-256, and seconds.  ending: "publish", "keep" in the temporary directory,
 * "error" or "exit" before the file is finished, or "null": no file at all.
 */
Datum
sink_write_file(PG_FUNCTION_ARGS)
{
	char				 *ending = text_argument(fcinfo, 8);
	char				 *name = text_argument(fcinfo, 1);
	FileRoot			 *root = NULL;
	AgeRecipients		 *recipients;
	const CompressMethod *method;
	Sink				 *sink;
	int					  level;
	Meter				  plain;
	Meter				  stored;
	instr_time			  start;
	instr_time			  duration;

	method = compress_parse(text_argument(fcinfo, 6), &level);
	recipients = recipients_argument(fcinfo, 7);
	if (strcmp(ending, "null") == 0)
		sink = sink_null_new();
	else
	{
		root = open_root(fcinfo, 0);
		sink = file_new(root, name);
	}
	sink = meter_new(sink, &stored, false, checksum_find("xxh128"));
	if (recipients)
		sink = age_new(sink, recipients);
	sink = method->compressor(sink, level);
	sink = meter_new(sink, &plain, true, checksum_find("sha256"));

	INSTR_TIME_SET_CURRENT(start);
	write_stream(sink, text_argument(fcinfo, 2), PG_GETARG_INT64(3),
				 PG_GETARG_INT32(4), PG_GETARG_INT32(5));
	if (strcmp(ending, "error") == 0)
		ereport(ERROR, (errmsg("error in the middle")));
	if (strcmp(ending, "exit") == 0)
		ereport(FATAL, (errmsg("exit in the middle")));
	sink_finish(sink);
	sink_cleanup(sink);
	INSTR_TIME_SET_CURRENT(duration);
	INSTR_TIME_SUBTRACT(duration, start);

	if (strcmp(ending, "publish") == 0)
	{
		(void) file_publish(root, name, true);
		file_root_sync(root);
		file_temp_remove(root);
	}
	PG_RETURN_TEXT_P(cstring_to_text(psprintf(
		UINT64_FORMAT " %08X %s " UINT64_FORMAT " %s %.3f", plain.bytes,
		plain.crc, checksum_hex(&plain.checksum), stored.bytes,
		checksum_hex(&stored.checksum), INSTR_TIME_GET_DOUBLE(duration))));
}

/* sink_read_file(dir, name, compression): "bytes crc sha256", NULL: none */
Datum
sink_read_file(PG_FUNCTION_ARGS)
{
	FileRoot *root = open_root(fcinfo, 0);
	int		  level;
	Meter	  plain;
	Sink	 *sink;
	bool	  found;

	sink = meter_new(sink_null_new(), &plain, true, checksum_find("sha256"));
	sink =
		compress_parse(text_argument(fcinfo, 2), &level)->decompressor(sink);
	found = file_read(root, FILE_FINAL, text_argument(fcinfo, 1), sink);
	sink_cleanup(sink);
	file_temp_remove(root);
	if (!found)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(
		cstring_to_text(psprintf(UINT64_FORMAT " %08X %s", plain.bytes,
								 plain.crc, checksum_hex(&plain.checksum))));
}

/* sink_open_root(path, export_root, create, missing_ok): the path it took */
Datum
sink_open_root(PG_FUNCTION_ARGS)
{
	int flags = (PG_GETARG_BOOL(2) ? FILE_ROOT_CREATE : 0) |
				(PG_GETARG_BOOL(3) ? FILE_ROOT_MISSING_OK : 0);
	FileRoot *root =
		file_root_open(text_argument(fcinfo, 0), text_argument(fcinfo, 1),
					   flags, FILE_MODE_PRIVATE);

	if (root == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(file_root_path(root)));
}

/* sink_open_subdir(dir, name, create): the path it took */
Datum
sink_open_subdir(PG_FUNCTION_ARGS)
{
	FileRoot *root =
		file_root_open(text_argument(fcinfo, 0), NULL, 0, FILE_MODE_PRIVATE);

	root = file_root_subdir(root, text_argument(fcinfo, 1),
							PG_GETARG_BOOL(2) ? FILE_ROOT_CREATE
											  : FILE_ROOT_MISSING_OK);
	if (root == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(file_root_path(root)));
}

/* sink_put(dir, name, content, replace) */
Datum
sink_put(PG_FUNCTION_ARGS)
{
	FileRoot *root = open_root(fcinfo, 0);
	char	 *content = text_argument(fcinfo, 2);

	file_put(root, text_argument(fcinfo, 1), content, strlen(content),
			 PG_GETARG_BOOL(3));
	file_temp_remove(root);
	PG_RETURN_VOID();
}

/* sink_get(dir, name, max) */
Datum
sink_get(PG_FUNCTION_ARGS)
{
	FileRoot *root =
		file_root_open(text_argument(fcinfo, 0), NULL, 0, FILE_MODE_PRIVATE);
	size_t len;
	char  *content;

	content = file_get(root, FILE_FINAL, text_argument(fcinfo, 1),
					   PG_GETARG_INT32(2), &len);
	if (content == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(content, len));
}

/* sink_carry(dir, name, from_dir, from_name) */
Datum
sink_carry(PG_FUNCTION_ARGS)
{
	FileRoot *root = open_root(fcinfo, 0);
	FileRoot *from =
		file_root_open(text_argument(fcinfo, 2), NULL, 0, FILE_MODE_PRIVATE);

	PG_RETURN_BOOL(file_carry(root, text_argument(fcinfo, 1), from,
							  text_argument(fcinfo, 3)));
}

/* sink_publish(dir, name, replace) */
Datum
sink_publish(PG_FUNCTION_ARGS)
{
	FileRoot *root = open_root(fcinfo, 0);
	bool	  moved;

	moved = file_publish(root, text_argument(fcinfo, 1), PG_GETARG_BOOL(2));
	file_root_sync(root);
	PG_RETURN_BOOL(moved);
}

/* sink_remove(dir, name) */
Datum
sink_remove(PG_FUNCTION_ARGS)
{
	FileRoot *root =
		file_root_open(text_argument(fcinfo, 0), NULL, 0, FILE_MODE_PRIVATE);

	PG_RETURN_BOOL(file_remove(root, FILE_FINAL, text_argument(fcinfo, 1)));
}

/* sink_list(dir, temp): "name size" lines, "name -" for what is no file */
Datum
sink_list(PG_FUNCTION_ARGS)
{
	FileRoot *root =
		file_root_open(text_argument(fcinfo, 0), NULL, 0, FILE_MODE_PRIVATE);
	FilePlace	   place = PG_GETARG_BOOL(1) ? FILE_TEMP : FILE_FINAL;
	StringInfoData lines;
	ListCell	  *lc;

	if (!file_temp_open(root, JOB_ID, false) && place == FILE_TEMP)
		PG_RETURN_NULL();
	initStringInfo(&lines);
	foreach (lc, file_list(root, place))
	{
		DestinationEntry *entry = lfirst(lc);

		appendStringInfo(&lines, "%s%s ", lines.len > 0 ? "\n" : "",
						 entry->name);
		if (entry->is_regular)
			appendStringInfo(&lines, UINT64_FORMAT, entry->size);
		else
			appendStringInfoChar(&lines, '-');
	}
	PG_RETURN_TEXT_P(cstring_to_text_with_len(lines.data, lines.len));
}

/* sink_temp(dir, what): "open", "sweep" or "remove" */
Datum
sink_temp(PG_FUNCTION_ARGS)
{
	FileRoot *root = open_root(fcinfo, 0);
	char	 *what = text_argument(fcinfo, 1);

	if (strcmp(what, "sweep") == 0)
		file_temp_sweep(root);
	else if (strcmp(what, "remove") == 0)
		file_temp_remove(root);
	PG_RETURN_VOID();
}

/* sink_open_files(dir): how many descriptors this backend has there */
Datum
sink_open_files(PG_FUNCTION_ARGS)
{
	char		  *directory = text_argument(fcinfo, 0);
	DIR			  *dir = AllocateDir("/proc/self/fd");
	struct dirent *entry;
	int			   count = 0;

	while ((entry = ReadDir(dir, "/proc/self/fd")) != NULL)
	{
		char *link = psprintf("/proc/self/fd/%s", entry->d_name);
		char  target[MAXPGPATH];
		int	  len = readlink(link, target, sizeof(target));

		if (len >= (int) strlen(directory) &&
			strncmp(target, directory, strlen(directory)) == 0)
			count++;
	}
	FreeDir(dir);
	PG_RETURN_INT32(count);
}

/* From now on this backend's files end at so many bytes: a disk that fills. */
Datum
sink_limit_file_size(PG_FUNCTION_ARGS)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) != 0)
		elog(ERROR, "getrlimit: %m");
	limit.rlim_cur =
		PG_GETARG_INT64(0) < 0 ? limit.rlim_max : PG_GETARG_INT64(0);
	if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
		elog(ERROR, "setrlimit: %m");
	PG_RETURN_VOID();
}
