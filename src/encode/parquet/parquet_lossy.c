/*
 * parquet_lossy.c
 *		What becomes of a value that Parquet can't hold (NaN in a DECIMAL, an
 *		infinite date, ...), and of a null where there can be none.
 *
 * The column's lossy policy decides: it stops the export or becomes a null.
 */
#include "postgres.h"

#include "encode/parquet/parquet.h"

static int
detail_of_row(const ItemPointerData *place, const char *what)
{
	if (place == NULL)
		return errdetail("A row has %s.", what);
	if (place_number(place) > 0)
		return errdetail("Row " UINT64_FORMAT " has %s.", place_number(place),
						 what);
	return errdetail("The row with ctid (%u,%u) has %s.",
					 ItemPointerGetBlockNumberNoCheck(place),
					 ItemPointerGetOffsetNumberNoCheck(place), what);
}

void
parquet_unholdable(const ParquetNode *node, const ItemPointerData *place,
				   const char *what)
{
	ParquetColumn *column = node->column;
	const char	  *name = column->shape->name;
	/* what isn't text doesn't become it */
	bool is_text = node->leaf && node->leaf->order == ORDER_TEXT;

	if (column->lossy == LOSSY_NULL && node->optional)
	{
		column->made_null++;
		return;
	}
	ereport(
		ERROR,
		(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
		 errmsg("column \"%s\" has a value that Parquet cannot hold", name),
		 detail_of_row(place, what),
		 is_text ? errhint("Set the option \"lossy\" to \"null\", for "
						   "all columns or as \"%s=null\".",
						   name)
				 : errhint("Set the option \"lossy\" to \"null\" or "
						   "\"string\", for all columns or as "
						   "\"%s=string\".",
						   name)));
}

/* A catalog may say so of a column that has nulls; the file must not. */
void
parquet_refuse_null(const ParquetNode *node)
{
	const char *name = node->column->shape->name;

	ereport(ERROR,
			(errcode(ERRCODE_NOT_NULL_VIOLATION),
			 errmsg("column \"%s\" is declared NOT NULL and has a null", name),
			 errhint("Set the option \"lossy\" to \"%s=null\".", name)));
}
