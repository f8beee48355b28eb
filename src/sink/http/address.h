/*
 * address.h
 *		Which addresses a server must not be talked into connecting to.
 */
#ifndef OUTFLOW_ADDRESS_H
#define OUTFLOW_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

typedef enum AddressKind
{
	ADDRESS_PUBLIC,
	/* may be allowed: this machine, and networks that are nobody else's */
	ADDRESS_LOOPBACK,
	ADDRESS_PRIVATE,
	/* never: they hand out a machine's own rights, or lead nowhere */
	ADDRESS_METADATA,
	ADDRESS_LINK_LOCAL,
	ADDRESS_RESERVED
} AddressKind;

extern AddressKind address_kind(const struct sockaddr *address);
extern bool		   address_is_allowed(AddressKind kind, bool allow_private);
/* "a loopback", ...: what goes before "address" in a message */
extern const char *address_kind_name(AddressKind kind);

#endif /* OUTFLOW_ADDRESS_H */
