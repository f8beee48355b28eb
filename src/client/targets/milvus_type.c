/*
 * milvus_type.c
 *		Types of fields, and which types of PostgreSQL fit into them.
 */
#ifdef HAVE_LIBCURL

#include <stdlib.h>
#include <string.h>

#include "client/targets/milvus.h"

/* Types of PostgreSQL whose values a field takes as they are. */
static const struct
{
	const char *field;
	const char *columns; /* each between blanks; NULL: all, as texts or JSON */
	MilvusForm	form;
} types[] = {
	{"Bool", " boolean ", MILVUS_AS_IS},
	{"Int8", "", MILVUS_AS_IS},
	{"Int16", " smallint ", MILVUS_AS_IS},
	{"Int32", " smallint integer ", MILVUS_AS_IS},
	{"Int64", " smallint integer bigint oid ", MILVUS_AS_IS},
	{"Float", " smallint real ", MILVUS_AS_IS},
	{"Double", " smallint integer real double_precision numeric ",
	 MILVUS_AS_IS},
	{"VarChar", NULL, MILVUS_TEXT},
	{"String", NULL, MILVUS_TEXT},
	{"Text", NULL, MILVUS_TEXT},
	{"JSON", NULL, MILVUS_JSON},
	{"Geometry", " text character_varying ", MILVUS_TEXT},
	{"Timestamptz", " timestamp_with_time_zone text ", MILVUS_TEXT},
	{"FloatVector", " vector halfvec real[] double_precision[] numeric[] ",
	 MILVUS_VECTOR},
	{"Float16Vector", " vector halfvec real[] double_precision[] numeric[] ",
	 MILVUS_VECTOR},
	{"BFloat16Vector", " vector halfvec real[] double_precision[] numeric[] ",
	 MILVUS_VECTOR},
	{"Int8Vector", " smallint[] integer[] ", MILVUS_VECTOR},
	{"BinaryVector", " bit ", MILVUS_BITS},
	{"SparseFloatVector", " sparsevec ", MILVUS_SPARSE},
	/* by their elements */
	{"Array", "", MILVUS_AS_IS},
};

#define NTYPES ((int) (sizeof(types) / sizeof(types[0])))

static int
find_type(const char *field)
{
	int i;

	for (i = 0; i < NTYPES; i++)
		if (strcmp(types[i].field, field) == 0)
			return i;
	return -1;
}

MilvusForm
milvus_type_form(const char *type)
{
	int i = find_type(type);

	return i < 0 ? MILVUS_AS_IS : types[i].form;
}

char *
milvus_plain_type(const char *type, long long *modifier)
{
	const char *quote = strrchr(type, '"');
	const char *dot = strchr(quote ? quote : type, '.');
	char	   *plain = client_strdup(dot ? dot + 1 : type);
	char	   *open = strchr(plain, '(');
	char	   *close = open ? strchr(open, ')') : NULL;
	char	   *p;

	*modifier = -1;
	if (close)
	{
		*modifier = strtoll(open + 1, NULL, 10);
		memmove(open, close + 1, strlen(close + 1) + 1);
	}
	for (p = plain; *p; p++)
		if (*p == ' ')
			*p = '_';
	return plain;
}

static bool
names_type(const char *list, const char *type)
{
	char *word = client_format(" %s ", type);
	bool  found = strstr(list, word) != NULL;

	free(word);
	return found;
}

bool
milvus_type_fits(const MilvusField *field, const char *type)
{
	int	   i = find_type(field->type);
	size_t length = strlen(type);
	char  *element;
	bool   fits;

	if (i < 0)
		return false;
	if (strcmp(field->type, "Array") != 0)
		return types[i].columns == NULL || names_type(types[i].columns, type);
	i = field->element ? find_type(field->element) : -1;
	if (i < 0 || length < 3 || strcmp(type + length - 2, "[]") != 0)
		return false;
	if (types[i].columns == NULL)
		return names_type(
			" text[] character_varying[] character[] uuid[] name[] ", type);
	element = client_strndup(type, length - 2);
	fits = names_type(types[i].columns, element);
	free(element);
	return fits;
}

#endif /* HAVE_LIBCURL */
