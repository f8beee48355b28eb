/*
 * sink_bench.c
 *		Measures one stage, or a whole chain, on bytes that are already in
 *		memory.
 */
#include "postgres.h"

#include <sys/resource.h>

#include "fmgr.h"
#include "funcapi.h"
#include "portability/instr_time.h"
#include "sink/file/file.h"
#include "sink_test.h"
#include "utils/builtins.h"

/* Encoders hand over rows in batches of about this size. */
#define BATCH_SIZE (64 * 1024)

/* Repeated until all bytes are written: longer than any window but zstd's. */
#define SAMPLE_SIZE (64 * 1024 * 1024)

PG_FUNCTION_INFO_V1(sink_measure);
extern PGDLLEXPORT Datum sink_measure(PG_FUNCTION_ARGS);

static double
cpu_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
		   (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Puts one stage, named as below or a compression, before next. */
static Sink *
add_stage(const char *name, Sink *next, const char *recipient)
{
	static Meter meters[2];
	int			 level;

	if (strcmp(name, "crc32c") == 0)
		return meter_new(next, &meters[0], true, NULL);
	if (checksum_find(name))
		return meter_new(next, &meters[1], false, checksum_find(name));
	if (strcmp(name, "age") == 0)
	{
		char *texts[1] = {unconstify(char *, recipient)};

		return age_new(next, age_recipients_parse(texts, 1));
	}
	return compress_parse(name, &level)->compressor(next, level);
}

/*
 * sink_measure(dir, stages from front to back separated by blanks, recipient,
 *				bytes): CPU seconds, all seconds.  Without dir the end is the
 * sink that forgets.
 */
Datum
sink_measure(PG_FUNCTION_ARGS)
{
	char	  *stages = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char	  *recipient = text_to_cstring(PG_GETARG_TEXT_PP(2));
	int64	   bytes = PG_GETARG_INT64(3);
	char	  *sample = palloc(SAMPLE_SIZE);
	FileRoot  *root = NULL;
	Sink	  *sink = sink_null_new();
	char	  *blank;
	double	   cpu;
	instr_time start;
	instr_time duration;

	generate_bytes("text", 1, sample, SAMPLE_SIZE);
	if (!PG_ARGISNULL(0))
	{
		root = file_root_open(text_to_cstring(PG_GETARG_TEXT_PP(0)), NULL,
							  FILE_ROOT_CREATE, FILE_MODE_PRIVATE);
		(void) file_temp_open(root, "bench", true);
		sink = file_new(root, "measured");
	}
	while ((blank = strrchr(stages, ' ')) != NULL)
	{
		sink = add_stage(blank + 1, sink, recipient);
		*blank = '\0';
	}
	sink = add_stage(stages, sink, recipient);

	cpu = cpu_seconds();
	INSTR_TIME_SET_CURRENT(start);
	for (int64 done = 0; done < bytes; done += BATCH_SIZE)
		sink_write(sink, sample + done % SAMPLE_SIZE, BATCH_SIZE);
	sink_finish(sink);
	cpu = cpu_seconds() - cpu;
	INSTR_TIME_SET_CURRENT(duration);
	INSTR_TIME_SUBTRACT(duration, start);
	sink_cleanup(sink);
	if (root)
		file_temp_remove(root);
	PG_RETURN_TEXT_P(cstring_to_text(
		psprintf("%.6f %.6f", cpu, INSTR_TIME_GET_DOUBLE(duration))));
}
