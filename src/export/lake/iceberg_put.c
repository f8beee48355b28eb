/*
 * iceberg_put.c
 *		Where a change of an Iceberg table goes: to the next metadata file,
 *		which whoever writes it first has, or to the catalog.
 */
#include "postgres.h"

#include "export/lake/iceberg_table.h"

bool
iceberg_put_change(Destination *root, IcebergTable *table,
				   const IcebergChange *change)
{
	LakeTable *lake = &table->table;
	char	  *metadata;

	if (root->catalog)
	{
		if (!iceberg_rest_put(root, table, change))
			return false;
		lake->last = table->sequence + (change->snapshot != NULL);
		return true;
	}
	metadata = iceberg_metadata_next(table, change);
	/* the first is v1, not v0 */
	lake->last = lake_next_number(Max(lake->last, 0));
	return lake_put_version(root, lake->folder, change->job,
							iceberg_metadata_key(lake->folder, lake->last),
							metadata, strlen(metadata));
}
