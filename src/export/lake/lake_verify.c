/*
 * lake_verify.c
 *		Whether a version of a lake table is what its job has made.
 */
#include "postgres.h"

#include "export/lake/lake_table.h"

typedef struct TableRead
{
	const LakeFormat *format;
	Destination		 *root;
	const char		 *folder;
	LakeTable		 *table;
} TableRead;

static void
read_table(void *arg)
{
	TableRead *read = arg;

	read->table = read->format->read(read->root, read->folder, true);
}

void
lake_verify(Destination *root, const Job *job, const JobSource *source,
			const List *parts, LakeTellFinding tell, void *arg)
{
	TableRead read = {lake_format_of(root, job), root, source->folder};
	LakeCheck check = {.root = root,
					   .folder = source->folder,
					   .parts = parts,
					   .tell = tell,
					   .arg = arg};
	char	 *table =
		destination_key(source->folder, psprintf("%s/", read.format->folder));
	Finding finding = lake_try(read_table, &read);

	if (!finding_is_ok(finding))
	{
		tell(arg, table, finding);
		return;
	}
	check.table = read.table;
	check.version = lake_version_of_job(read.table, job->uuid);
	if (check.version)
		read.format->check(&check);
	else
		tell(arg, table,
			 (Finding){"missing",
					   "The table's log has no version of this job."});
}
