/*
 * finding.c
 *		What verify() tells of a file.
 */
#include "postgres.h"

#include "export/job/finding.h"
#include "sink/server.h"

const Finding finding_ok = {"ok", NULL};

bool
finding_is_ok(Finding finding)
{
	return strcmp(finding.status, finding_ok.status) == 0;
}

Finding
finding_unreadable(int error)
{
	if (error == 0 || error == ENOENT || error == ENOTDIR)
		return (Finding){"missing", NULL};
	if (error == SERVER_LOST)
		return (Finding){"unreadable",
						 "No server that this role may use leads there."};
	return (Finding){"unreadable", pstrdup(strerror(error))};
}

Finding
finding_of_sums(const Checksum *was, const Checksum *is)
{
	if (checksum_equal(was, is))
		return finding_ok;
	return (Finding){"wrong checksum",
					 psprintf("%s was %s, is %s", was->method->name,
							  checksum_hex(was), checksum_hex(is))};
}
