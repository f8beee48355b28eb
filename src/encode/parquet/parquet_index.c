/*
 * parquet_index.c
 *		The page index: bounds and places of a chunk's pages.
 */
#include "postgres.h"

#include "encode/parquet/parquet.h"

enum
{
	UNORDERED = 0,
	ASCENDING = 1,
	DESCENDING = 2
};

static int
index_order(const ParquetLeaf *leaf)
{
	const ParquetPage *before = NULL;
	bool			   ascending = true;
	bool			   descending = true;

	for (ParquetPage *page = leaf->pages; page; page = page->next)
	{
		int min, max;

		if (page->all_null)
			continue;
		if (before)
		{
			min = bound_compare(leaf->order, &before->bounds.min,
								&page->bounds.min);
			max = bound_compare(leaf->order, &before->bounds.max,
								&page->bounds.max);
			ascending &= min <= 0 && max <= 0;
			descending &= min >= 0 && max >= 0;
		}
		before = page;
	}
	return ascending ? ASCENDING : descending ? DESCENDING : UNORDERED;
}

void
index_put_columns(const ParquetLeaf *leaf, Bytes *out)
{
	Thrift		 thrift;
	ParquetPage *page;

	/* all of a chunk's pages have bounds, or there is no index */
	if (leaf->bounds.unbounded)
		return;
	thrift_begin(&thrift, out);
	thrift_list(&thrift, 1, THRIFT_TRUE, leaf->npages);
	for (page = leaf->pages; page; page = page->next)
		thrift_element_bool(&thrift, page->all_null);
	thrift_list(&thrift, 2, THRIFT_BINARY, leaf->npages);
	for (page = leaf->pages; page; page = page->next)
		thrift_element_binary(&thrift, page->bounds.min.data,
							  page->bounds.min.len);
	thrift_list(&thrift, 3, THRIFT_BINARY, leaf->npages);
	for (page = leaf->pages; page; page = page->next)
		thrift_element_binary(&thrift, page->bounds.max.data,
							  page->bounds.max.len);
	thrift_i32(&thrift, 4, index_order(leaf));
	thrift_list(&thrift, 5, THRIFT_I64, leaf->npages);
	for (page = leaf->pages; page; page = page->next)
		thrift_element_int(&thrift, page->nulls);
	thrift_end(&thrift);
}

void
index_put_offsets(const ParquetLeaf *leaf, int64 offset, Bytes *out)
{
	Thrift thrift;

	thrift_begin(&thrift, out);
	thrift_list(&thrift, 1, THRIFT_STRUCT, leaf->npages);
	for (ParquetPage *page = leaf->pages; page; page = page->next)
	{
		thrift_element_struct(&thrift);
		thrift_i64(&thrift, 1, offset);
		thrift_i32(&thrift, 2, (int32) page->size);
		thrift_i64(&thrift, 3, page->first_row);
		thrift_end(&thrift);
		offset += page->size;
	}
	thrift_end(&thrift);
}
