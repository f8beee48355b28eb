/*
 * lake_claim.c
 *		Files of a lake table that no job writes.
 */
#include "postgres.h"

#include "export/lake/lake.h"
#include "export/lake/lake_table.h"

#define LAKE_CLAIM "lake-vacuum"

bool
lake_claim(Destination *root)
{
	return root->driver->claim(root, LAKE_CLAIM, LAKE_CLAIM, ACCESS_CREATE) ==
		   CLAIM_GRANTED;
}

void
lake_sweep(Destination *root)
{
	if (!root->driver->is_claimed(root) &&
		root->driver->claim(root, LAKE_CLAIM, LAKE_CLAIM, ACCESS_TAKE) ==
			CLAIM_GRANTED)
		root->driver->discard(root);
}
