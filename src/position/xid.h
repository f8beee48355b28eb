/*
 * xid.h
 *		32-bit transaction ids as 64-bit ones.
 */
#ifndef OUTFLOW_XID_H
#define OUTFLOW_XID_H

/*
 * A 32-bit transaction id of a page, a snapshot or a WAL record as 64-bit: the
 * one within the window that begins three quarters of a cycle before the next
 * id to be given out.  Unfrozen ids are at most half a cycle old, and the
 * quarter cycle ahead is for those given out while a check runs.
 */
typedef uint64	 XidWindow;
extern XidWindow xid_window(void);

static inline uint64
xid_widen(XidWindow window, TransactionId xid)
{
	return window + (uint32) (xid - (uint32) window);
}

#endif /* OUTFLOW_XID_H */
