/*
 * sanitize_first.c
 *		Initializes AddressSanitizer before any library's own constructor.
 *
 * Preloaded and linked with -z initfirst.  The runtime initializes itself in
 * the first malloc.  In a server that one may come from a library that holds
 * glibc's gettext lock, which the runtime then takes a second time.
 */
#include <stdlib.h>

__attribute__((constructor)) static void
allocate(void)
{
	free(malloc(1));
}
