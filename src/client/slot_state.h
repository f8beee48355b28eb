/*
 * slot_state.h
 *		How far a slot has been delivered, remembered in a file that survives a
 *		crash at any moment.
 *
 * Two entries take turns, each in a disk block of its own, with a count and a
 * checksum: a torn write leaves the one before.  They are JSON, for whoever
 * looks.  The file is locked while a client uses it.
 */
#ifndef CLIENT_SLOT_STATE_H
#define CLIENT_SLOT_STATE_H

#include <stdbool.h>

#include "client/identity.h"
#include "client/lsn.h"

#define STATE_FILE_NAME 512

typedef struct SlotState
{
	Identity identity;
	Lsn		 confirmed; /* told to PostgreSQL, or about to be */
	/* of a target that stores positions; else 0 and empty */
	Lsn		 position;				/* it has all that ends before */
	char	 file[STATE_FILE_NAME]; /* that it is writing */
	uint64_t bytes;					/* of it, up to that position */
	bool	 finishing;				/* the file is about to be renamed */
	bool	 open_frame;			/* compression goes on after those bytes */
} SlotState;

typedef struct StateFile
{
	char	 *path;
	int		  fd;
	uint64_t  count;
	bool	  exists; /* something was remembered */
	SlotState state;
} StateFile;

/* Opens it, creating an empty one, and reads what it remembers. */
extern StateFile *state_open(const char *path);

/* Remembers file->state; durable once this returns. */
extern void state_write(StateFile *file);

/*
 * Ends the program unless these are the same system and slot, or nothing was
 * remembered.  The timeline is judged by the source.
 */
extern void state_check(const StateFile *file, const Identity *identity);

extern void state_close(StateFile *file);

#endif
