/*
 * fuzz.h
 *		What the fuzz targets share: reading inputs, exact buffers, verdicts.
 *
 * Targets run inside a stand-alone backend, so that the oracle is the real
 * server: its type input, output and send functions.  A target reads values
 * from its input, lets the server write them, lets our encoder write them
 * into fuzz_out, and compares.
 *
 * An ERROR rejects the input, as a type's input function does with bytes that
 * are no value.  Between fuzz_must_succeed(true) and (false) it is a finding.
 */
#ifndef OUTFLOW_FUZZ_H
#define OUTFLOW_FUZZ_H

#include "encode/encode.h"
#include "stream/stream.h"

/* ---- input, taken from its front; zeros follow its end */

typedef struct FuzzInput
{
	const uint8 *data;
	size_t		 left;
	int			 nesting; /* of the value that is being made */
} FuzzInput;

extern uint64 fuzz_bits(FuzzInput *in, int bytes);
/* 0 .. limit - 1 */
extern int fuzz_below(FuzzInput *in, int limit);
/* Up to max bytes in a buffer of exactly their size; a length goes before. */
extern char *fuzz_bytes(FuzzInput *in, int max, int *len);
/* All that is left, likewise. */
extern char *fuzz_rest(FuzzInput *in, int *len);

/* ---- memory whose end the sanitizer watches, freed after each input */

extern void *fuzz_exact(const void *data, size_t size);

/*
 * The same varlena in another stored form: aligned, with a short header at an
 * odd address, or compressed, where that is possible.
 */
extern Datum fuzz_stored_form(FuzzInput *in, Datum value);

/* Grows by exactly what is reserved: a byte written beyond is a finding. */
extern ByteBuffer fuzz_out;

/* ---- verdicts */

extern void fuzz_must_succeed(bool must);
extern void fuzz_fail(const char *format, ...) pg_attribute_printf(1, 2)
	pg_attribute_noreturn();
/* fuzz_out must hold exactly these bytes; empties it */
extern void fuzz_expect(const char *what, const char *bytes, int len);

/* ---- targets */

typedef struct FuzzTarget
{
	const char *name;
	void (*init)(void); /* once */
	void (*run)(FuzzInput *in);
} FuzzTarget;

extern const FuzzTarget fuzz_numeric;
extern const FuzzTarget fuzz_number;
extern const FuzzTarget fuzz_datetime;
extern const FuzzTarget fuzz_json_string;
extern const FuzzTarget fuzz_json;
extern const FuzzTarget fuzz_option;
extern const FuzzTarget fuzz_row;
extern const FuzzTarget fuzz_change;
extern const FuzzTarget fuzz_parquet;

/* ---- what targets share */

/* Sets it until the end of this input. */
extern void fuzz_set(const char *setting, const char *value);
/* A value of the type, or false where the bytes don't make one. */
extern bool	 fuzz_value(FuzzInput *in, const TypeShape *type, Datum *value);
extern Datum fuzz_numeric_value(FuzzInput *in);
/* stream_options_parse() as in a slot. */
extern const ChangeFormat *fuzz_parse_options(List			*elements,
											  StreamOptions *target);
/* Appends a JSON value of few levels, valid but for what json itself takes. */
extern void fuzz_json_text(FuzzInput *in, StringInfo text, int level);

#endif /* OUTFLOW_FUZZ_H */
