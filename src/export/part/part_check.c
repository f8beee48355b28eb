/*
 * part_check.c
 *		Whether a part's file is still the one that was written.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "export/export_destination.h"
#include "export/part/part_check.h"

static Finding
finding_of_size(const FinishedPart *part, uint64 size)
{
	if ((int64) size == part->bytes_stored)
		return finding_ok;
	return (Finding){"wrong size",
					 psprintf(INT64_FORMAT
							  " bytes were written, " UINT64_FORMAT
							  " are there",
							  part->bytes_stored, size)};
}

/* Rows in a table have the sum that was committed with them. */
static Finding
check_rows(Destination *root, const FinishedPart *part)
{
	uint64	 size;
	Checksum sum;
	Finding	 finding;

	if (!root->driver->tables->find(root, part->file, &size, &sum))
		return finding_unreadable(0);
	finding = finding_of_size(part, size);
	return finding_is_ok(finding) ? finding_of_sums(&part->checksum, &sum)
								  : finding;
}

/* The stored bytes: size and checksum. */
static Finding
check_stored(Destination *root, DestinationPlace place,
			 const FinishedPart *part)
{
	Meter meter = {0};
	Sink *chain =
		meter_new(sink_null_new(), &meter, false, part->checksum.method);
	int		error;
	Finding finding;

	if (root->driver->tables)
		return check_rows(root, part);
	if (!root->driver->read(root, place, part->file, chain, &error))
		return finding_unreadable(error);
	finding = finding_of_size(part, meter.bytes);
	return finding_is_ok(finding)
			   ? finding_of_sums(&part->checksum, &meter.checksum)
			   : finding;
}

Destination *
part_open_location(const FinishedPart *part)
{
	return destination_open_location(part->location);
}

static Finding
check_part_in(const Job *job, Destination *root, const FinishedPart *part,
			  PartContentCheck content)
{
	DestinationPlace place = DESTINATION_FINAL;
	Finding			 finding = finding_unreadable(0);

	/* before publication, an older export may have a file of the same name */
	if (part->location == NULL && job->state != JOB_DONE &&
		root->driver->is_claimed(root))
	{
		place = DESTINATION_STAGED;
		finding = check_stored(root, place, part);
	}
	if (strcmp(finding.status, "missing") == 0 &&
		(part->location || job->state == JOB_DONE || job->publishing ||
		 root->driver->tables))
	{
		place = DESTINATION_FINAL;
		finding = check_stored(root, place, part);
	}
	/* a damaged file need not be unpacked */
	if (content && finding_is_ok(finding) && root->driver->tables == NULL)
		finding = content(job, root, place, part);
	return finding;
}

Finding
part_check(const Job *job, Destination *root, const FinishedPart *part,
		   PartContentCheck content)
{
	Destination *other;
	Finding		 finding;

	if (part->location == NULL)
		return check_part_in(job, root, part, content);
	other = part_open_location(part);
	if (other == NULL)
		return finding_unreadable(errno);
	finding = check_part_in(job, other, part, content);
	other->driver->close(other);
	return finding;
}

static Finding
look_in(Destination *root, const FinishedPart *part)
{
	DestinationLook look = {0};
	int				error;
	Finding			finding;

	if (!root->driver->look(root, part->file, &look, &error))
		return finding_unreadable(error);
	finding = finding_of_size(part, look.size);
	if (finding_is_ok(finding) && look.has_crc && part->crc32c_stored >= 0 &&
		part->crc32c_stored != (int64) look.crc)
		return (Finding){"wrong checksum",
						 psprintf("crc32c was %08x, is %08x",
								  (uint32) part->crc32c_stored, look.crc)};
	return finding;
}

Finding
part_look(Destination *root, const FinishedPart *part)
{
	Destination *other;
	Finding		 finding;

	if (part->location == NULL)
		return look_in(root, part);
	other = part_open_location(part);
	if (other == NULL)
		return finding_unreadable(errno);
	finding = look_in(other, part);
	other->driver->close(other);
	return finding;
}

bool
part_is_stored(Destination *root, DestinationPlace place,
			   const FinishedPart *part)
{
	return finding_is_ok(check_stored(root, place, part));
}

bool
part_is_intact(const Job *job, Destination *root, const FinishedPart *part)
{
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "outflow check part", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	bool		  intact = finding_is_ok(part_check(job, root, part, NULL));

	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return intact;
}
