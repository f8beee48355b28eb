/*
 * parquet_leaf.h
 *		The lower half of the Parquet writer: values of one leaf, their bounds,
 *		dictionary and pages.
 */
#ifndef OUTFLOW_PARQUET_LEAF_H
#define OUTFLOW_PARQUET_LEAF_H

#include "compression.h"
#include "encode/encode.h"
#include "encode/parquet/parquet_bits.h"

/* ---- numbers that the format fixes ---- */

typedef enum ParquetType
{
	PARQUET_BOOLEAN = 0,
	PARQUET_INT32 = 1,
	PARQUET_INT64 = 2,
	PARQUET_FLOAT = 4,
	PARQUET_DOUBLE = 5,
	PARQUET_BYTE_ARRAY = 6,
	PARQUET_FIXED = 7 /* FIXED_LEN_BYTE_ARRAY */
} ParquetType;

typedef enum ParquetEncoding
{
	ENCODING_PLAIN = 0,
	ENCODING_RLE = 3,
	ENCODING_DICTIONARY = 8 /* RLE_DICTIONARY */
} ParquetEncoding;

typedef enum ParquetPageType
{
	PAGE_DATA = 0,
	PAGE_DICTIONARY = 2
} ParquetPageType;

/* ---- parquet_bound.c: least and greatest values ---- */

typedef enum ParquetOrder
{
	ORDER_BOOL,
	ORDER_INT32,
	ORDER_UINT32,
	ORDER_INT64,
	ORDER_FLOAT,
	ORDER_DOUBLE,
	ORDER_BYTES,  /* unsigned bytes, of any length or fixed */
	ORDER_TEXT,	  /* the same; cut between characters */
	ORDER_DECIMAL /* fixed length, big-endian, signed */
} ParquetOrder;

/* Longer values are cut: down for a minimum, up for a maximum. */
#define BOUND_SIZE 64

typedef struct Bound
{
	bool  set;
	bool  exact;
	uint8 len;
	char  data[BOUND_SIZE];
} Bound;

typedef struct Bounds
{
	Bound min;
	Bound max;
	bool  unbounded; /* some value has no order, or no bound that can be cut:
					  * neither min nor max counts */
} Bounds;

static inline void
bound_set(Bound *bound, const void *data, size_t len)
{
	Assert(len <= BOUND_SIZE);
	memcpy(bound->data, data, len);
	bound->len = (uint8) len;
	bound->set = true;
	bound->exact = true;
}

/* Unsigned bytes; what goes on is greater. */
static inline int
compare_bytes(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int cmp = memcmp(a, b, Min(a_len, b_len));

	if (cmp != 0)
		return cmp;
	return (a_len > b_len) - (a_len < b_len);
}

/* A signed number's bytes order as unsigned ones with its sign bit turned. */
static inline int
compare_decimal(const char *a, const char *b, int width)
{
	int a0 = (signed char) a[0];
	int b0 = (signed char) b[0];

	return a0 != b0 ? a0 - b0 : memcmp(a, b, width);
}

struct ParquetLeaf;

extern void bounds_clear(Bounds *bounds);
/* Bounds of n values in PLAIN encoding; of booleans one byte each. */
extern void bounds_of_values(const struct ParquetLeaf *leaf, const char *data,
							 size_t len, int n, Bounds *bounds);
/* Bounds of those of a dictionary's entries that indices use. */
extern void bounds_of_indices(const struct ParquetLeaf *leaf,
							  const uint32 *indices, int n, Bounds *bounds);
extern void bounds_merge(ParquetOrder order, Bounds *into, const Bounds *from);
extern int	bound_compare(ParquetOrder order, const Bound *a, const Bound *b);

/* ---- parquet_byte_bound.c: the same of byte strings in PLAIN encoding */

extern void bounds_of_bytes(const struct ParquetLeaf *leaf, const char *data,
							size_t len, Bounds *bounds);

/* ---- parquet_dictionary.c: the distinct values of a column chunk ---- */

typedef struct DictionarySlot
{
	uint32 hash;
	uint32 entry; /* its number + 1; 0: free */
} DictionarySlot;

typedef struct Dictionary
{
	int				width;	 /* of fixed-width values; 0: by length */
	Bytes			values;	 /* PLAIN, in the order of their numbers */
	Bytes			offsets; /* uint32 start of each, when width is 0 */
	uint32			nentries;
	uint32			nslots; /* a power of two */
	DictionarySlot *slots;	/* NULL: closed, takes no more values */
	size_t			max_bytes;
	size_t			plain_bytes; /* what all values put would take as PLAIN */
	uint64			nvalues;	 /* values put */
} Dictionary;

#define DICTIONARY_FULL (-1)

extern Dictionary *dictionary_new(int width, size_t max_bytes,
								  MemoryContext context);
extern void		   dictionary_close(Dictionary *dictionary);
extern void		   dictionary_free(Dictionary *dictionary);
/* The number of a value, added if new; or DICTIONARY_FULL. */
extern int dictionary_put(Dictionary *dictionary, const char *data,
						  size_t len);
/* The same of n numbers of its width; how many until it was full. */
extern int dictionary_put_numbers(Dictionary *dictionary, const char *data,
								  int n, uint32 *numbers);
/* A value in PLAIN encoding, with its length in front when width is 0. */
extern const char *dictionary_get(const Dictionary *dictionary, uint32 number,
								  size_t *len);

/* ---- parquet_codec.c: compression of pages ---- */

typedef struct ParquetCodec
{
	CompressionId compression;
	int			  id; /* as the format numbers it */
	int			  default_level;
	int			  quick_level;	 /* tried as well when the user chose none */
	size_t (*bound)(size_t len); /* greatest size of len compressed bytes */
	/* numbers: src is those of a fixed width, one after the other */
	size_t (*compress)(void *state, int level, bool numbers, const char *src,
					   size_t len, char *dst, size_t size);
	void *(*begin)(void); /* malloc'd by a library */
	void (*end)(void *state);
} ParquetCodec;

/*
 * Parses "zstd" or "zstd:7"; NULL is zstd.
 * Without a level it is 0: each chunk takes its codec's default or quick one.
 */
extern const ParquetCodec *parquet_codec_parse(const char *text, int *level);

/* ---- parquet_column.c: leaves ---- */

typedef struct ParquetPage
{
	struct ParquetPage *next;
	size_t				size;		/* header and body */
	size_t				plain_size; /* the same before compression */
	int64				first_row;	/* in its row group */
	int64				nulls;
	bool				all_null;
	Bounds				bounds;
	char				data[FLEXIBLE_ARRAY_MEMBER];
} ParquetPage;

/* What a leaf's pages have shown, and those of the next part need not show. */
typedef struct LeafLearned
{
	int skip_groups;  /* row groups until a dictionary is tried again */
	int trial_groups; /* until levels of compression are */
	int codec_level;
} LeafLearned;

typedef struct ParquetLeaf
{
	/* fixed by the schema */
	struct ParquetWriter *writer;
	ParquetType			  type;
	ParquetOrder		  order;
	int					  width; /* of fixed-width values, else 0 */
	int					  max_def;
	int					  max_rep;
	List				 *path; /* of char * */

	/* the page that is being filled */
	RleEncoder def;
	RleEncoder rep;
	int64	   nlevels; /* values, nulls and empty lists */
	int64	   nvalues;
	int64	   first_row;
	Bytes	   values;	 /* PLAIN, after LEVEL_ROOM; booleans in a byte each */
	Bytes	   indices;	 /* uint32 numbers, if it is encoded by dictionary */
	bool	   indexing; /* values go to the dictionary */

	/* the column chunk */
	Dictionary *dictionary; /* NULL: none; closed: only earlier pages use it */
	ParquetPage *pages;
	ParquetPage *last_page;
	int			 npages;
	int			 nindex_pages; /* of them encoded by the dictionary */
	int64		 chunk_levels;
	int64		 chunk_nulls;
	Bounds		 bounds;

	/* the file, as far as its chunks are written */
	Bounds file_bounds;
	int64  file_nulls;

	LeafLearned learned;

	struct LeafSteps
		*steps; /* NULL: nobody asks for the order of its values */
} ParquetLeaf;

/* Room in front of a page's values where its levels usually fit. */
#define LEVEL_ROOM 64

/* Nulls take no bytes, but lists of them many levels: a page ends by them. */
#define MAX_PAGE_LEVELS (4 * 1024 * 1024)

/* Starts a row group: empty buffers in the writer's group context. */
extern void leaf_begin_group(ParquetLeaf *leaf);
extern void leaf_begin_page(ParquetLeaf *leaf, int64 first_row);
extern void leaf_put_null(ParquetLeaf *leaf, int rep, int def);
/* What a leaf of at most eight bytes, or of booleans, keeps of a number. */
extern void leaf_put_number(ParquetLeaf *leaf, int rep, int64 number);
/* Levels and numbers apart: n times the same levels, n numbers in a row. */
extern void leaf_put_levels(ParquetLeaf *leaf, int rep, int def, int n);
extern void leaf_put_numbers(ParquetLeaf *leaf, const char *data, int n);
/* Fixed-width or not: data without a length in front. */
extern void leaf_put_bytes(ParquetLeaf *leaf, int rep, const char *data,
						   size_t len);
/* The page's values are PLAIN from now on, those it has already included. */
extern void leaf_abandon_dictionary(ParquetLeaf *leaf);

static inline bool
leaf_page_is_full(const ParquetLeaf *leaf, size_t page_bytes)
{
	return leaf->values.len + leaf->indices.len > page_bytes ||
		   leaf->nlevels > MAX_PAGE_LEVELS;
}

/* ---- parquet_page.c: pages ---- */

/* Ends the leaf's page, if it has one, and begins the next. */
extern void leaf_end_page(ParquetLeaf *leaf, int64 next_row);
/* The page of a chunk's dictionary, NULL if no page uses it. */
extern ParquetPage *leaf_dictionary_page(ParquetLeaf *leaf);

/* ---- parquet_sorted.c: whether rows are in the order of some leaves ---- */

/* Takes up the values of the page that is about to end; for leaves with steps. */
extern void sorting_take_page(ParquetLeaf *leaf);

#endif /* OUTFLOW_PARQUET_LEAF_H */
