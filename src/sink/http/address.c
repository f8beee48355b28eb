/*
 * address.c
 *		Kinds of IP addresses: IANA's registries of special-purpose IPv4 and
 *		IPv6 addresses, and where clouds keep their machines' credentials.
 */
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

#include "sink/http/address.h"

typedef struct Range
{
	uint8_t		network[16];
	int			bits;
	AddressKind kind;
} Range;

/* The first that matches counts. */
static const Range ranges4[] = {
	{{169, 254, 169, 254}, 32, ADDRESS_METADATA},
	{{169, 254, 170, 2}, 32, ADDRESS_METADATA},
	{{169, 254, 170, 23}, 32, ADDRESS_METADATA},
	{{100, 100, 100, 200}, 32, ADDRESS_METADATA},
	{{168, 63, 129, 16}, 32, ADDRESS_METADATA},
	{{192, 0, 0, 192}, 32, ADDRESS_METADATA},
	{{127}, 8, ADDRESS_LOOPBACK},
	{{169, 254}, 16, ADDRESS_LINK_LOCAL},
	{{10}, 8, ADDRESS_PRIVATE},
	{{172, 16}, 12, ADDRESS_PRIVATE},
	{{192, 168}, 16, ADDRESS_PRIVATE},
	{{100, 64}, 10, ADDRESS_PRIVATE},
	{{0}, 8, ADDRESS_RESERVED},
	{{192, 0, 0}, 24, ADDRESS_RESERVED},
	{{192, 0, 2}, 24, ADDRESS_RESERVED},
	{{198, 18}, 15, ADDRESS_RESERVED},
	{{198, 51, 100}, 24, ADDRESS_RESERVED},
	{{203, 0, 113}, 24, ADDRESS_RESERVED},
	{{224}, 3, ADDRESS_RESERVED}, /* multicast, and all above it */
};

static const Range ranges6[] = {
	/* Amazon, Google, Oracle, Scaleway */
	{{0xfd, 0, 0x0e, 0xc2}, 32, ADDRESS_METADATA},
	{{0xfd, 0x20, 0, 0xce, [14] = 0x02, [15] = 0x54}, 128, ADDRESS_METADATA},
	{{0xfd, 0, 0, 0xc1, [12] = 0xa9, [13] = 0xfe, [14] = 0xa9, [15] = 0xfe},
	 128,
	 ADDRESS_METADATA},
	{{0xfd, 0, 0, 0x42, [15] = 0x42}, 128, ADDRESS_METADATA},
	{{[15] = 1}, 128, ADDRESS_LOOPBACK},
	{{0xfe, 0x80}, 10, ADDRESS_LINK_LOCAL},
	{{0xfc}, 7, ADDRESS_PRIVATE},
	{{0xfe, 0xc0}, 10, ADDRESS_PRIVATE}, /* site-local, of old */
	{{0}, 8, ADDRESS_RESERVED},
	{{1}, 8, ADDRESS_RESERVED},
	{{0x20, 1}, 23, ADDRESS_RESERVED}, /* Teredo among others */
	{{0x20, 1, 0x0d, 0xb8}, 32, ADDRESS_RESERVED},
	{{0xff}, 8, ADDRESS_RESERVED},
};

/* IPv6 networks whose addresses stand for an IPv4 one, which begins there. */
static const struct
{
	uint8_t network[16];
	int		bits;
	int		at;
} embedded[] = {
	{{[10] = 0xff, [11] = 0xff}, 96, 12}, /* mapped */
	{{0x00, 0x64, 0xff, 0x9b}, 96, 12},	  /* NAT64 */
	{{0x20, 0x02}, 16, 2},				  /* 6to4 */
};

static bool
is_within(const uint8_t *address, const uint8_t *network, int bits)
{
	int whole = bits / 8;
	int rest = bits % 8;

	return memcmp(address, network, whole) == 0 &&
		   (rest == 0 ||
			((address[whole] ^ network[whole]) >> (8 - rest)) == 0);
}

static AddressKind
find_kind(const Range *ranges, size_t count, const uint8_t *address)
{
	for (size_t i = 0; i < count; i++)
	{
		if (is_within(address, ranges[i].network, ranges[i].bits))
			return ranges[i].kind;
	}
	return ADDRESS_PUBLIC;
}

static AddressKind
kind4(const uint8_t *address)
{
	return find_kind(ranges4, sizeof(ranges4) / sizeof(ranges4[0]), address);
}

static AddressKind
kind6(const uint8_t *address)
{
	for (size_t i = 0; i < sizeof(embedded) / sizeof(embedded[0]); i++)
	{
		if (is_within(address, embedded[i].network, embedded[i].bits))
			return kind4(address + embedded[i].at);
	}
	return find_kind(ranges6, sizeof(ranges6) / sizeof(ranges6[0]), address);
}

AddressKind
address_kind(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return kind4((const uint8_t *) &((const struct sockaddr_in *) address)
						 ->sin_addr);
	if (address->sa_family == AF_INET6)
		return kind6(
			((const struct sockaddr_in6 *) address)->sin6_addr.s6_addr);
	return ADDRESS_RESERVED;
}

bool
address_is_allowed(AddressKind kind, bool allow_private)
{
	return kind == ADDRESS_PUBLIC ||
		   (allow_private &&
			(kind == ADDRESS_LOOPBACK || kind == ADDRESS_PRIVATE));
}

const char *
address_kind_name(AddressKind kind)
{
	static const char *const names[] = {
		[ADDRESS_PUBLIC] = "a public",
		[ADDRESS_LOOPBACK] = "a loopback",
		[ADDRESS_PRIVATE] = "a private",
		[ADDRESS_METADATA] = "a cloud's metadata",
		[ADDRESS_LINK_LOCAL] = "a link-local",
		[ADDRESS_RESERVED] = "a reserved",
	};

	return names[kind];
}
