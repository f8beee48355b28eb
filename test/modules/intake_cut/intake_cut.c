/*
 * intake_cut.c
 *		What the client takes of a transaction whose delivery is cut off.
 *
 *		intake_cut DELIVERY...
 *
 * Between deliveries the connection is lost.  One is a letter for each record:
 * B, E begin transactions of different ends, C ends one, s is a schema record,
 * and any other a change that has the letter as its id; a comma parts messages.
 * One that is k or K is a keepalive, of B's commit or of what is behind it.
 * The records that reach the queue are printed by their letters.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/intake.h"
#include "client/memory.h"

static char *
record_text(char letter)
{
	switch (letter)
	{
		case 'B':
		case 'E':
			return client_format("{\"op\":\"begin\",\"commit_lsn\":\"0/%d\"}\n",
								 letter == 'B' ? 1000 : 2000);
		case 'C':
			return client_format("{\"op\":\"commit\"}\n");
		case 's':
			return client_format("{\"op\":\"schema\"}\n");
		default:
			return client_format("{\"op\":\"insert\",\"id\":\"%c\"}\n", letter);
	}
}

static void
deliver_message(Intake *intake, const char *letters, size_t n)
{
	Bytes message = {0};

	for (size_t i = 0; i < n; i++)
	{
		char *text = record_text(letters[i]);

		mem_add(&message, text);
		free(text);
	}
	intake_message(intake, message.data, message.data, message.length - 1,
				   3000, 0, NULL);
}

static void
print_queue(const Backlog *backlog)
{
	Cursor cursor = {0};
	Record record;
	char   id;

	for (; backlog_peek(backlog, &cursor, &record); backlog_advance(&cursor))
		putchar(sscanf(record.data, "{\"op\":\"insert\",\"id\":\"%c", &id) == 1
					? id
				: record.kind == FRAME_SCHEMA ? 's'
				: record.kind == FRAME_COMMIT ? 'C'
											  : 'B');
}

int
main(int argc, char **argv)
{
	Backlog backlog = {0};
	Intake	intake = {.format = frame_format("json"),
					  .ledger = ledger_new(1),
					  .backlog = &backlog};

	for (int i = 1; i < argc; i++)
	{
		const char *p = argv[i];

		for (; *p; p += strspn(p, ","))
		{
			size_t n = strcspn(p, ",");

			if (n == 1 && strchr("kK", *p))
				intake_keepalive(&intake, *p == 'k' ? 0x1000 : 0x1001, 0);
			else
				deliver_message(&intake, p, n);
			p += n;
		}
		if (i + 1 < argc)
			intake_restart(&intake);
	}
	print_queue(&backlog);
	return 0;
}
