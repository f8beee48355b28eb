/*
 * encoding.c
 *		From the database's encoding to UTF-8, a piece at a time.
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
#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "encode/encode.h"

/*
 * The process's, since its database has one encoding.  fn_oid is invalid where
 * the server has no conversion (MULE_INTERNAL).
 */
static FmgrInfo to_utf8;
static int		prepared_encoding = -1;

void
encoding_prepare(void)
{
	int			  encoding = GetDatabaseEncoding();
	MemoryContext caller = CurrentMemoryContext;
	bool		  in_transaction = IsTransactionState();
	Oid			  conversion;

	if (prepared_encoding == encoding)
		return;
	to_utf8.fn_oid = InvalidOid;
	if (encoding != PG_UTF8 && encoding != PG_SQL_ASCII)
	{
		if (!in_transaction)
			StartTransactionCommand();
		conversion = FindDefaultConversionProc(encoding, PG_UTF8);
		if (OidIsValid(conversion))
			fmgr_info_cxt(conversion, &to_utf8, TopMemoryContext);
		if (!in_transaction)
			CommitTransactionCommand();
		MemoryContextSwitchTo(caller);
	}
	prepared_encoding = encoding;
}

int
encoding_to_utf8(char *dst, const char *data, int len)
{
	Assert(prepared_encoding == GetDatabaseEncoding());
	if (!OidIsValid(to_utf8.fn_oid))
		return 0;
	return DatumGetInt32(FunctionCall6(
		&to_utf8, Int32GetDatum(prepared_encoding), Int32GetDatum(PG_UTF8),
		CStringGetDatum(data), CStringGetDatum(dst),
		Int32GetDatum(Min(len, MAX_TO_UTF8)), BoolGetDatum(true)));
}

int
encoding_char_len(const char *data, int len)
{
	int char_len = pg_encoding_verifymbchar(prepared_encoding, data, len);

	return Max(char_len, 1);
}
