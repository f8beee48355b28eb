/*
 * stretch.c
 *		Neighbouring records of the queue as one piece.
 */
#include "client/targets/targets.h"

/* May be empty: records that are not to be delivered, but move the position. */
bool
target_next_stretch(Target *target, size_t size, Stretch *stretch)
{
	Record record;

	if (!target_next(target, &record))
		return false;
	*stretch = (Stretch){.data = record.data, .first = record.number};
	for (;;)
	{
		if (record.wanted)
			stretch->length += record.length;
		stretch->last = record.number;
		if (record.complete)
		{
			stretch->complete = stretch->length;
			stretch->end = record.lsn;
		}
		if (stretch->length >= size || !target_peek(target, &record))
			break;
		if (stretch->length == 0)
			stretch->data = record.data;
		else if (record.wanted &&
				 record.data != stretch->data + stretch->length)
			break;
		target_next(target, &record);
	}
	return true;
}
