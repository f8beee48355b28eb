/*
 * fuzz.c
 *		Runs libFuzzer inside a stand-alone backend.
 *
 * SELECT fuzz('target', 'argument' ...) hands the arguments to libFuzzer and
 * doesn't return: libFuzzer ends the process, with status 0 if it found
 * nothing.  Each input runs in a subtransaction of its own, rolled back.
 */
#include "postgres.h"

#include "access/toast_internals.h"
#include "access/xact.h"
#include "catalog/pg_am_d.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "compat.h"
#include "fuzz.h"

extern int LLVMFuzzerRunDriver(int *argc, char ***argv,
							   int (*run)(const uint8_t *, size_t));

/* Memory of ours that is not there after an input was run is a leak; caches
 * of the server may grow for a while. */
#define INPUTS_PER_LEAK_CHECK 5000
#define MAX_GROWTH			  (16 * 1024 * 1024)

static const FuzzTarget *const targets[] = {
	&fuzz_numeric, &fuzz_number, &fuzz_datetime, &fuzz_json_string, &fuzz_json,
	&fuzz_option,  &fuzz_row,	 &fuzz_change,	 &fuzz_parquet};

ByteBuffer fuzz_out;

static const FuzzTarget *target;
static MemoryContext	 input_context;
static bool				 must_succeed = false;

/* ---- input */

uint64
fuzz_bits(FuzzInput *in, int bytes)
{
	uint64 bits = 0;
	size_t taken = Min((size_t) bytes, in->left);

	memcpy(&bits, in->data, taken);
	in->data += taken;
	in->left -= taken;
	return bits;
}

int
fuzz_below(FuzzInput *in, int limit)
{
	return fuzz_bits(in, limit > 256 ? 4 : 1) % limit;
}

char *
fuzz_bytes(FuzzInput *in, int max, int *len)
{
	size_t wanted = fuzz_below(in, max + 1);
	char  *bytes;

	*len = Min(wanted, in->left);
	bytes = fuzz_exact(in->data, *len);
	in->data += *len;
	in->left -= *len;
	return bytes;
}

char *
fuzz_rest(FuzzInput *in, int *len)
{
	char *bytes = fuzz_exact(in->data, in->left);

	*len = in->left;
	in->data += in->left;
	in->left = 0;
	return bytes;
}

/* ---- memory */

void *
fuzz_exact(const void *data, size_t size)
{
	MemoryContextCallback *callback =
		MemoryContextAlloc(input_context, sizeof(MemoryContextCallback));
	void *copy = malloc(size);

	callback->func = free;
	callback->arg = copy;
	MemoryContextRegisterResetCallback(input_context, callback);
	if (size > 0)
		memcpy(copy, data, size);
	return copy;
}

Datum
fuzz_stored_form(FuzzInput *in, Datum value)
{
	struct varlena *plain = PG_DETOAST_DATUM(value);
	int				form = fuzz_below(in, 3);
	int				len = VARSIZE(plain) - VARHDRSZ;
	char		   *exact;

	if (form == 1 && VARATT_CAN_MAKE_SHORT(plain))
	{
		exact = fuzz_exact(plain, len + VARHDRSZ_SHORT + 1);
		exact++; /* malloc aligns; a short header need not be */
		SET_VARSIZE_SHORT(exact, len + VARHDRSZ_SHORT);
		memcpy(exact + VARHDRSZ_SHORT, VARDATA(plain), len);
		return PointerGetDatum(exact);
	}
	if (form == 2)
	{
		Datum packed = toast_compress_datum(PointerGetDatum(plain),
											TOAST_PGLZ_COMPRESSION);

		if (DatumGetPointer(packed) != NULL)
			plain = (struct varlena *) DatumGetPointer(packed);
	}
	return PointerGetDatum(fuzz_exact(plain, VARSIZE_ANY(plain)));
}

/*
 * Stands in for buffer_grow(): fuzz_out grows by what is asked for, without the
 * byte that buffers keep after their last.
 */
extern void __real_buffer_grow(ByteBuffer *out, size_t n);
extern void __wrap_buffer_grow(ByteBuffer *out, size_t n);

void
__wrap_buffer_grow(ByteBuffer *out, size_t n)
{
	char *data;

	if (out != &fuzz_out)
	{
		__real_buffer_grow(out, n);
		return;
	}
	if (n >= MaxAllocSize - out->len)
		elog(ERROR, "buffer would pass 1 GB");
	data = malloc(out->len + n);
	if (out->len > 0)
		memcpy(data, out->data, out->len);
	free(out->data);
	out->data = data;
	out->cap = out->len + n + 1;
}

static void
empty_out(void)
{
	free(fuzz_out.data);
	memset(&fuzz_out, 0, sizeof(fuzz_out));
}

/* ---- verdicts */

void
fuzz_must_succeed(bool must)
{
	must_succeed = must;
}

void
fuzz_fail(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "\n%s: ", target->name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	abort();
}

void
fuzz_expect(const char *what, const char *bytes, int len)
{
	if (fuzz_out.len != len ||
		(len > 0 && memcmp(fuzz_out.data, bytes, len) != 0))
		fuzz_fail("%s: expected\n%.*s\nbut got\n%.*s", what, len, bytes,
				  (int) fuzz_out.len, fuzz_out.data);
	empty_out();
}

void
fuzz_set(const char *setting, const char *value)
{
	(void) set_config_option(setting, value, PGC_SUSET, PGC_S_SESSION,
							 GUC_ACTION_SET, true, 0, false);
}

/* ---- the loop */

static void
check_growth(void)
{
	static int	inputs = 0;
	static Size before = 0;
	Size		now;

	if (++inputs % INPUTS_PER_LEAK_CHECK != 0)
		return;
	now = MemoryContextMemAllocated(TopMemoryContext, true);
	if (before == 0)
		before = now;
	if (now > before + MAX_GROWTH)
	{
		MemoryContextStats(TopMemoryContext);
		fuzz_fail("%d inputs left %zu bytes behind", inputs, now - before);
	}
}

static int
run_input(const uint8_t *data, size_t size)
{
	FuzzInput	  in = {.data = data, .left = size};
	ResourceOwner owner = CurrentResourceOwner;
	MemoryContext caller = CurrentMemoryContext;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(input_context);
	PG_TRY();
	{
		target->run(&in);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(input_context);
		error = CopyErrorData();
		FlushErrorState();
		if (must_succeed)
			fuzz_fail("unexpected error: %s", error->message);
	}
	PG_END_TRY();
	must_succeed = false;
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	empty_out();
	MemoryContextReset(input_context);
	check_growth();
	return 0;
}

PG_FUNCTION_INFO_V1(fuzz);
PGDLLEXPORT Datum fuzz(PG_FUNCTION_ARGS);

Datum
fuzz(PG_FUNCTION_ARGS)
{
	char  *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Datum *elements;
	char **arguments;
	int	   count;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false,
					  TYPALIGN_INT, &elements, NULL, &count);
	arguments = palloc0(sizeof(char *) * (count + 2));
	arguments[0] = name;
	for (int i = 0; i < count; i++)
		arguments[i + 1] = TextDatumGetCString(elements[i]);
	count++;

	for (int i = 0; i < lengthof(targets); i++)
	{
		if (strcmp(targets[i]->name, name) == 0)
			target = targets[i];
	}
	if (target == NULL)
		elog(ERROR, "unknown fuzz target \"%s\"", name);

	/* blocks this small leave most chunks to malloc, one by one */
	input_context =
		AllocSetContextCreate(TopMemoryContext, "fuzz input", 0, 1024, 1024);
	target->init();
	LLVMFuzzerRunDriver(&count, &arguments, run_input);
	PG_RETURN_VOID();
}
