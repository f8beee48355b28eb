/*
 * identity.h
 *		Whose changes these are: which system, timeline and slot.
 */
#ifndef CLIENT_IDENTITY_H
#define CLIENT_IDENTITY_H

#include <stdint.h>

#include "client/lsn.h"

#define IDENTITY_TEXT 64 /* a system identifier, a slot's name */

typedef struct Identity
{
	char	 system_id[IDENTITY_TEXT];
	uint32_t timeline;
	char	 slot[IDENTITY_TEXT];
	Lsn		 head; /* the end of its WAL when the client began; 0: unknown */
} Identity;

#endif
