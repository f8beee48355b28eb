/*
 * xid.c
 *		Where the window of 64-bit transaction ids lies at present.
 */
#include "postgres.h"

#include "access/transam.h"

#include "position/xid.h"

XidWindow
xid_window(void)
{
	uint64 next = U64FromFullTransactionId(ReadNextFullTransactionId());
	uint64 behind = UINT64CONST(3) << 30;

	return next > behind ? next - behind : 0;
}
