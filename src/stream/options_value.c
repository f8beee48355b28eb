/*
 * options_value.c
 *		Values of options that more than one format has.
 */
#include "postgres.h"

#include <ctype.h>

#include "compat.h"
#include "option.h"
#include "stream/stream.h"

const OptionChoice oversize_choices[] = {
	{"omit", OVERSIZE_OMIT},
	{"error", OVERSIZE_ERROR},
	{NULL},
};

int
action_mask(List *names)
{
	static const struct
	{
		const char *name;
		int			mask;
	} actions[] = {
		{"insert", ACTION_INSERT},
		{"update", ACTION_UPDATE},
		{"delete", ACTION_DELETE},
		{"truncate", ACTION_TRUNCATE},
	};
	ListCell *lc;
	int		  mask = 0;

	foreach (lc, names)
	{
		int found = 0;
		int i;

		for (i = 0; i < lengthof(actions); i++)
			if (strcmp(actions[i].name, lfirst(lc)) == 0)
				found = actions[i].mask;
		if (found == 0)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("invalid value \"%s\" for " STREAM_OPTION
								   " \"actions\"",
								   option_shown(lfirst(lc))),
							errhint("Valid values are \"insert\", \"update\", "
									"\"delete\" and \"truncate\".")));
		mask |= found;
	}
	return mask;
}

static bool
parse_skipped(const char *text, SkippedChange *change)
{
	char		 *lsn = pstrdup(text);
	char		 *index = strchr(lsn, '/');
	char		 *end;
	bool		  good;
	unsigned long value = 0;

	/* after a second slash, as in a record's id */
	index = index ? strchr(index + 1, '/') : NULL;
	change->all = index == NULL;
	if (index)
	{
		*index++ = '\0';
		errno = 0;
		value = strtoul(index, &end, 16);
		if (!isxdigit((unsigned char) *index) || *end != '\0' || errno != 0 ||
			value > PG_UINT32_MAX)
			return false;
	}
	change->index = (uint32) value;
	good = parse_lsn(lsn, &change->lsn);
	pfree(lsn);
	return good;
}

void
skip_changes_parse(StreamOptions *options)
{
	ListCell *lc;

	options->skipped = palloc0(sizeof(SkippedChange) *
							   (list_length(options->skip_changes) + 1));
	foreach (lc, options->skip_changes)
		if (!parse_skipped(lfirst(lc), &options->skipped[options->nskipped++]))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid change \"%s\" in " STREAM_OPTION
							" \"skip_changes\"",
							option_shown(lfirst(lc))),
					 errhint("Name a change by its LSN, such as 0/1A2B310, or "
							 "by LSN and index, such as 0/1A2B310/0002.")));
}
