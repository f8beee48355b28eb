/*
 * jsonb.c
 *		jsonb to text: compact, or byte for byte what jsonb_out writes.
 *
 * Walks the stored form in place (utils/jsonb.h describes it): a header with
 * the number of children, one JEntry per child (for objects the keys' first,
 * then the values'), then the children's data.  The generic iterator would
 * allocate a state per nesting level and copy every scalar.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "compat.h"
#include "encode/encode.h"

/* Children are visited in order, so that offsets need no search. */
typedef struct ChildWalk
{
	JsonbContainer *container;
	char		   *data;  /* where offsets count from */
	int				index; /* of the next child */
	uint32			offset;
} ChildWalk;

static void append_container(ByteBuffer *out, const JsonStyle *style,
							 JsonbContainer *container);

/* Data and length of the next child; returns its entry. */
static inline JEntry
next_child(ChildWalk *walk, char **data, int *len)
{
	JEntry entry = walk->container->children[walk->index++];
	uint32 start = walk->offset;

	if (JBE_HAS_OFF(entry))
		walk->offset = JBE_OFFLENFLD(entry);
	else
		walk->offset += JBE_OFFLENFLD(entry);
	*data = walk->data + start;
	*len = walk->offset - start;
	return entry;
}

static inline void
append_separator(ByteBuffer *out, const JsonStyle *style, char separator)
{
	char *dst = buffer_reserve(out, 2);

	dst[0] = separator;
	dst[1] = ' ';
	buffer_advance(out, style->compact ? 1 : 2);
}

static void
append_child(ByteBuffer *out, const JsonStyle *style, ChildWalk *walk)
{
	char  *data;
	int	   len;
	JEntry entry = next_child(walk, &data, &len);
	char  *aligned = walk->data + INTALIGN(data - walk->data);

	if (JBE_ISSTRING(entry))
		json_string(out, style, data, len);
	else if (JBE_ISNUMERIC(entry))
		text_numeric(out, PointerGetDatum(aligned));
	else if (JBE_ISBOOL_TRUE(entry))
		buffer_append_literal(out, "true");
	else if (JBE_ISBOOL_FALSE(entry))
		buffer_append_literal(out, "false");
	else if (JBE_ISNULL(entry))
		buffer_append_literal(out, "null");
	else
		append_container(out, style, (JsonbContainer *) aligned);
}

static void
append_array(ByteBuffer *out, const JsonStyle *style, JsonbContainer *array)
{
	int		  count = JsonContainerSize(array);
	ChildWalk elements = {.container = array,
						  .data = (char *) &array->children[count]};

	/* a scalar at the root is stored as an array of one */
	if (JsonContainerIsScalar(array))
	{
		append_child(out, style, &elements);
		return;
	}
	buffer_append_char(out, '[');
	for (int i = 0; i < count && !buffer_is_over(out); i++)
	{
		if (i > 0)
			append_separator(out, style, ',');
		append_child(out, style, &elements);
	}
	buffer_append_char(out, ']');
}

static void
append_object(ByteBuffer *out, const JsonStyle *style, JsonbContainer *object)
{
	int		  count = JsonContainerSize(object);
	char	 *data = (char *) &object->children[count * 2];
	ChildWalk keys = {.container = object, .data = data};
	ChildWalk values = {.container = object,
						.data = data,
						.index = count,
						.offset = getJsonbOffset(object, count)};

	buffer_append_char(out, '{');
	for (int i = 0; i < count && !buffer_is_over(out); i++)
	{
		char *key;
		int	  len;

		if (i > 0)
			append_separator(out, style, ',');
		(void) next_child(&keys, &key, &len);
		json_string(out, style, key, len);
		append_separator(out, style, ':');
		append_child(out, style, &values);
	}
	buffer_append_char(out, '}');
}

static void
append_container(ByteBuffer *out, const JsonStyle *style,
				 JsonbContainer *container)
{
	if (!buffer_may_recurse(out))
		return;
	CHECK_FOR_INTERRUPTS();
	if (JsonContainerIsObject(container))
		append_object(out, style, container);
	else
		append_array(out, style, container);
}

/*
 * A short value is stored without alignment, and copied where it has that; the
 * server's own way would allocate the copy.
 */
void
text_jsonb(ByteBuffer *out, const JsonStyle *style, Datum value)
{
	struct varlena *stored = (struct varlena *) DatumGetPointer(value);
	uint32			aligned[(VARATT_SHORT_MAX + 3) / sizeof(uint32)];

	if (VARATT_IS_EXTERNAL(stored) || !VARATT_IS_SHORT(stored))
		append_container(out, style, &DatumGetJsonbP(value)->root);
	else
	{
		memcpy(aligned, VARDATA_SHORT(stored),
			   VARSIZE_SHORT(stored) - VARHDRSZ_SHORT);
		append_container(out, style, (JsonbContainer *) aligned);
	}
}
