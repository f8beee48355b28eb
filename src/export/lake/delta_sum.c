/*
 * delta_sum.c
 *		Sums that files of a Delta table's log have of themselves.
 */
#include "postgres.h"

#include "encode/delta/delta_checkpoint.h"
#include "export/lake/delta_log.h"

#define SUM_DIGITS strlen(DELTA_NO_SUM_DIGITS)
/* Thrift: a string of as many characters is next. */
#define CHECKPOINT_SUM_NAME DELTA_CHECKPOINT_SUM "\x18\x08"

/* The place of the digits behind the name's last. */
static char *
find_digits(char *text, const char *end, const char *name)
{
	size_t len = strlen(name);
	char  *digits = NULL;
	char  *at;

	while ((at = memmem(text, end - text, name, len)) != NULL)
		text = digits = at + len;
	return digits && end - digits >= SUM_DIGITS ? digits : NULL;
}

char *
delta_find_sum(char *text, size_t len)
{
	char *stop = memchr(text, '\n', len);

	return stop ? find_digits(text, stop, DELTA_SUM_NAME "\"") : NULL;
}

char *
delta_find_checkpoint_sum(char *file, size_t len)
{
	return find_digits(file, file + len, CHECKPOINT_SUM_NAME);
}

/* Of all of it, where none is named yet. */
static char *
sum_of(const char *text, size_t len)
{
	return psprintf("%08x", checksum_crc32c(text, len));
}

void
delta_put_sum(char *at, const char *text, size_t len)
{
	memcpy(at, sum_of(text, len), SUM_DIGITS);
}

Finding
delta_judge_sum(char *at, const char *text, size_t len)
{
	char *was;
	char *is;

	/* exports of before have named none, nor do others */
	if (at == NULL)
		return finding_ok;
	was = pnstrdup(at, SUM_DIGITS);
	memcpy(at, DELTA_NO_SUM_DIGITS, SUM_DIGITS);
	is = sum_of(text, len);
	memcpy(at, was, SUM_DIGITS);
	if (strcmp(was, is) == 0)
		return finding_ok;
	return (Finding){"wrong content",
					 strspn(was, "0123456789abcdef") == SUM_DIGITS
						 ? psprintf("crc32c was %s, is %s", was, is)
						 : psprintf("crc32c is %s", is)};
}
