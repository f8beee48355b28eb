/*
 * memory.h
 *		Memory of the client: allocations that succeed or end the program, and
 *		a buffer of bytes that grows.
 */
#ifndef CLIENT_MEMORY_H
#define CLIENT_MEMORY_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

extern void *client_alloc(size_t size); /* zeroed */
extern void *client_realloc(void *pointer, size_t size);
extern char *client_strdup(const char *text);
extern char *client_strndup(const char *text, size_t length);

/* Always ends with a zero byte that length doesn't count, once it has data. */
typedef struct Bytes
{
	char  *data;
	size_t length;
	size_t allocated;
} Bytes;

extern void mem_reserve(Bytes *bytes, size_t more);
extern void mem_append(Bytes *bytes, const void *data, size_t length);
extern void mem_add(Bytes *bytes, const char *text);
extern void mem_format(Bytes *bytes, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
extern void mem_vformat(Bytes *bytes, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0)));
extern void mem_reset(Bytes *bytes);
extern void mem_free(Bytes *bytes);

/* A new text, by printf's rules. */
extern char *client_format(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

#endif
