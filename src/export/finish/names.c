/*
 * names.c
 *		Sorted lists of names: a directory has as many as an export has parts.
 */
#include "postgres.h"

#include "export/finish/finish.h"

static int
names_compare(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

static int
names_compare_key(const void *name, const void *cell)
{
	return strcmp(name, lfirst((const ListCell *) cell));
}

void
names_sort(List *names)
{
	list_sort(names, names_compare);
}

bool
names_have(const List *names, const char *name)
{
	return names != NIL &&
		   bsearch(name, names->elements, names->length, sizeof(ListCell),
				   names_compare_key) != NULL;
}
