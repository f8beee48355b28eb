/*
 * encoding.c
 *		From the database's encoding to UTF-8, a piece at a time, and what a
 *		client's encoding lacks.
 *
 * The server's own function for that looks the conversion up in the catalogs
 * each time, which is slow, and impossible where there is no transaction: a
 * walsender has none around a non-transactional message.  It also raises an
 * error for a character that UTF-8 doesn't have, which would stop a stream for
 * good.  So the conversion is looked up once, and called for what it can do.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"

#include "encoding.h"

/*
 * The process's, since its database has one encoding, and so has its client
 * for as long as a stream runs.  fn_oid is invalid where there is nothing to
 * convert, and where the server can't (MULE_INTERNAL).
 */
typedef struct Conversion
{
	int		 from;
	int		 to;
	FmgrInfo function;
} Conversion;

static Conversion to_utf8 = {.from = -1};
static Conversion to_client = {.from = -1};

static void
prepare(Conversion *conversion, int to)
{
	int			  from = GetDatabaseEncoding();
	MemoryContext caller = CurrentMemoryContext;
	bool		  in_transaction = IsTransactionState();
	Oid			  oid;

	if (conversion->from == from && conversion->to == to)
		return;
	conversion->from = -1;
	conversion->function.fn_oid = InvalidOid;
	if (from != to && from != PG_SQL_ASCII && to != PG_SQL_ASCII)
	{
		if (!in_transaction)
			StartTransactionCommand();
		oid = FindDefaultConversionProc(from, to);
		if (OidIsValid(oid))
			fmgr_info_cxt(oid, &conversion->function, TopMemoryContext);
		if (!in_transaction)
			CommitTransactionCommand();
		MemoryContextSwitchTo(caller);
	}
	conversion->from = from;
	conversion->to = to;
}

void
encoding_prepare(void)
{
	prepare(&to_utf8, PG_UTF8);
	prepare(&to_client, pg_get_client_encoding());
}

/* At most MAX_TO_UTF8 bytes; returns how many were converted. */
static int
convert_some(Conversion *conversion, char *dst, const char *data, int len)
{
	if (!OidIsValid(conversion->function.fn_oid))
		return 0;
	return DatumGetInt32(FunctionCall6(
		&conversion->function, Int32GetDatum(conversion->from),
		Int32GetDatum(conversion->to), CStringGetDatum(data),
		CStringGetDatum(dst), Int32GetDatum(Min(len, MAX_TO_UTF8)),
		BoolGetDatum(true)));
}

int
encoding_to_utf8(char *dst, const char *data, int len)
{
	Assert(to_utf8.from == GetDatabaseEncoding());
	return convert_some(&to_utf8, dst, data, len);
}

int
encoding_char_len(const char *data, int len)
{
	int char_len = pg_encoding_verifymbchar(GetDatabaseEncoding(), data, len);

	return Max(char_len, 1);
}

int
encoding_chars_len(const char *data, int len, int chars)
{
	int taken = 0;

	while (taken < len && chars-- > 0)
		taken += encoding_char_len(data + taken, len - taken);
	return taken;
}

/* Whether the client's encoding has the character at data. */
static bool
client_has(const char *data, int len)
{
	int	 client = pg_get_client_encoding();
	char converted[MAX_TO_UTF8 * MAX_CONVERSION_GROWTH + 1];

	if (!IS_HIGHBIT_SET(*data))
		return true;
	if (to_client.from != GetDatabaseEncoding() || to_client.to != client)
		return false;
	return convert_some(&to_client, converted, data, len) == len;
}

/* In SQL_ASCII, where a byte is a character, the client's count. */
static int
shown_char(StringInfo shown, const char *data, int len)
{
	bool is_ascii = GetDatabaseEncoding() == PG_SQL_ASCII;
	int	 taken = is_ascii ? pg_encoding_verifymbchar(pg_get_client_encoding(),
													 data, len)
						  : encoding_char_len(data, len);

	if (is_ascii ? taken > 0 : client_has(data, taken))
	{
		appendBinaryStringInfo(shown, data, taken);
		return taken;
	}
	taken = Max(taken, 1);
	for (int i = 0; i < taken; i++)
		appendStringInfo(shown, "\\x%02x", (unsigned char) data[i]);
	return taken;
}

/* And where there is no client: a worker's reports only go to the log. */
static bool
client_has_all(const char *text)
{
	int client = pg_get_client_encoding();

	if (text == NULL || whereToSendOutput != DestRemote ||
		client == GetDatabaseEncoding() || client == PG_SQL_ASCII)
		return true;
	while (*text && !IS_HIGHBIT_SET(*text))
		text++;
	return *text == '\0';
}

const char *
encoding_shown(const char *text)
{
	StringInfoData shown;
	const char	  *end;

	if (client_has_all(text))
		return text;
	end = text + strlen(text);
	initStringInfo(&shown);
	while (text < end)
		text += shown_char(&shown, text, end - text);
	return shown.data;
}

void
encoding_shown_free(const char *shown, const char *text)
{
	if (shown != text)
		pfree(unconstify(char *, shown));
}

void
encoding_context(const char *format, ...)
{
	StringInfoData text;
	const char	  *shown;
	int			   needed = 0;

	initStringInfo(&text);
	do
	{
		va_list args;

		enlargeStringInfo(&text, needed);
		va_start(args, format);
		needed = appendStringInfoVA(&text, format, args);
		va_end(args);
	} while (needed > 0);
	shown = encoding_shown(text.data);
	errcontext("%s", shown);
	encoding_shown_free(shown, text.data);
	pfree(text.data);
}
