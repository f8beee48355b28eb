/*
 * fuzz_parquet.h
 *		A Parquet file as levels and values: as it must be, and as it was read.
 *
 *	fuzz_parquet.c			the target: writes random rows, compares the two
 *	fuzz_parquet_expect.c	types and rows -> what the file must hold
 *	fuzz_parquet_thrift.c	Thrift's compact protocol -> trees
 *	fuzz_parquet_pages.c	a column chunk's pages -> levels and values
 *	fuzz_parquet_bounds.c	are statistics and indexes true?
 *	fuzz_parquet_file.c		the file around them
 *
 * Nothing here includes the writer's headers but the target, which makes its
 * limits small: everything is written down a second time, in the plainest way.
 */
#ifndef OUTFLOW_FUZZ_PARQUET_H
#define OUTFLOW_FUZZ_PARQUET_H

#include "fuzz.h"

/* One pair of levels of a leaf; data is NULL where no value belongs to it. */
typedef struct FileEntry
{
	int	   rep;
	int	   def;
	size_t len;
	const char
		*data; /* as in PLAIN pages, without a length; booleans a byte */
} FileEntry;

typedef struct FileLeaf
{
	const char *path; /* names joined by line feeds */
	int			physical;
	int			width; /* of fixed-width values, else 0 */
	int			max_def;
	int			max_rep;
	bool		is_unsigned;
	bool		is_decimal; /* and of fixed length: a signed number */
	bool		is_text;
	bool		bounded;   /* some chunk's statistics have bounds */
	bool		unbounded; /* some chunk can't have bounds */
	bool		left_out;  /* some chunk could have them and hasn't */
	int64		count;
	int64		room;
	FileEntry  *entries;
} FileLeaf;

typedef struct FileContent
{
	StringInfoData schema; /* an element a line */
	int64		   rows;
	int			   ngroups;
	int			   nleaves;
	FileLeaf	  *leaves;
	StringInfoData metadata; /* name=value lines */
} FileContent;

/* What the format numbers. */
enum
{
	PHYSICAL_BOOLEAN = 0,
	PHYSICAL_INT32 = 1,
	PHYSICAL_INT64 = 2,
	PHYSICAL_FLOAT = 4,
	PHYSICAL_DOUBLE = 5,
	PHYSICAL_BYTE_ARRAY = 6,
	PHYSICAL_FIXED = 7
};

/* ---- fuzz_parquet_expect.c */

typedef enum ExpectPolicy
{
	EXPECT_ERROR,
	EXPECT_NULL,
	EXPECT_STRING,
	EXPECT_NULL_NAMED /* null, asked for this column */
} ExpectPolicy;

/* Whether a type has values that Parquet hasn't. */
extern bool		 may_be_unholdable(const TypeShape *type);
extern FileLeaf *file_leaf_add(FileContent *content);
extern void file_leaf_put(FileLeaf *leaf, int rep, int def, const char *data,
						  size_t len);

/* An empty file for rows of the shape; one policy for each of its columns. */
extern FileContent *expect_begin(RowShape			*shape,
								 const ExpectPolicy *policies);
/*
 * Adds a row.  False if it stops the export: then it counts for nothing, and
 * stops tells which columns do.
 */
extern bool expect_row(FileContent *content, RowShape *shape,
					   const ExpectPolicy *policies, const Datum *values,
					   const bool *nulls, bool *stops);

/* ---- fuzz_parquet_thrift.c: damage is a finding */

/* What is still to be read of some bytes. */
typedef struct FileBytes
{
	const uint8 *at;
	const uint8 *end;
} FileBytes;

extern uint8	   file_byte(FileBytes *bytes);
extern uint64	   file_varint(FileBytes *bytes);
extern const char *file_take(FileBytes *bytes, size_t n);
extern uint32	   file_uint32(FileBytes *bytes);

typedef struct ThriftNode
{
	int					type;
	int64				number;
	const char		   *data; /* binary */
	size_t				len;
	int					count; /* of a list's elements or a struct's fields */
	int				   *ids;   /* of fields */
	struct ThriftNode **items;
} ThriftNode;

extern ThriftNode *thrift_read_struct(FileBytes *bytes);
/* NULL: there is none */
extern ThriftNode *thrift_get(const ThriftNode *node, int id);
/* These must be there. */
extern ThriftNode *thrift_struct_of(const ThriftNode *node, int id);
extern ThriftNode *thrift_list_of(const ThriftNode *node, int id);
extern int64	   thrift_int_of(const ThriftNode *node, int id);
extern char		  *thrift_string_of(const ThriftNode *node, int id);
extern int64	   thrift_int_or(const ThriftNode *node, int id, int64 other);

/* ---- fuzz_parquet_pages.c */

typedef struct FilePage
{
	int64 offset;
	int64 size; /* header and body */
	int64 first_entry;
	int64 nentries;
	int64 first_row; /* of the chunk's */
} FilePage;

typedef struct FileChunk
{
	int64	  rows;
	int64	  first_entry; /* of the leaf's */
	int64	  nentries;
	int64	  dictionary_bytes;
	int		  npages;
	FilePage *pages;
} FileChunk;

/* Reads a chunk's pages from the file; its values are added to the leaf. */
extern void file_read_pages(const char *file, const ThriftNode *metadata,
							FileLeaf *leaf, FileChunk *chunk);

/* ---- fuzz_parquet_bounds.c */

extern void file_check_statistics(FileLeaf *leaf, const FileChunk *chunk,
								  const ThriftNode *statistics);
/* index is NULL where the chunk has none */
extern void file_check_column_index(const FileLeaf	 *leaf,
									const FileChunk	 *chunk,
									const ThriftNode *index);

/* ---- fuzz_parquet_file.c */

typedef struct FileLimits
{
	int	  codec; /* as the format numbers it */
	int64 group_rows;
	int64 dictionary_bytes;
} FileLimits;

/* Everything that a file says must be so; returns what it holds. */
extern FileContent *file_read_whole(const char *data, size_t len,
									const FileLimits *limits);

#endif /* OUTFLOW_FUZZ_PARQUET_H */
