/*
 * memory.c
 *		Allocations of the client, and buffers that grow.
 */
#include "client/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A buffer that had to hold one huge record gives its memory back. */
#define MAX_KEPT (4 * 1024 * 1024)

static void
memory_exhausted(void)
{
	fputs("pg_outflow: out of memory\n", stderr);
	exit(1);
}

void *
client_alloc(size_t size)
{
	void *pointer = calloc(1, size ? size : 1);

	if (pointer == NULL)
		memory_exhausted();
	return pointer;
}

void *
client_realloc(void *pointer, size_t size)
{
	pointer = realloc(pointer, size ? size : 1);
	if (pointer == NULL)
		memory_exhausted();
	return pointer;
}

char *
client_strndup(const char *text, size_t length)
{
	char *copy = client_alloc(length + 1);

	memcpy(copy, text, length);
	return copy;
}

char *
client_strdup(const char *text)
{
	return client_strndup(text, strlen(text));
}

void
mem_reserve(Bytes *bytes, size_t more)
{
	size_t needed;

	if (more >= SIZE_MAX / 2 - bytes->length)
		memory_exhausted();
	needed = bytes->length + more + 1;
	if (needed <= bytes->allocated)
		return;
	if (needed < bytes->allocated * 2)
		needed = bytes->allocated * 2;
	if (needed < 256)
		needed = 256;
	bytes->data = client_realloc(bytes->data, needed);
	bytes->allocated = needed;
}

void
mem_append(Bytes *bytes, const void *data, size_t length)
{
	mem_reserve(bytes, length);
	if (length > 0)
		memcpy(bytes->data + bytes->length, data, length);
	bytes->length += length;
	bytes->data[bytes->length] = '\0';
}

void
mem_add(Bytes *bytes, const char *text)
{
	mem_append(bytes, text, strlen(text));
}

void
mem_vformat(Bytes *bytes, const char *format, va_list arguments)
{
	va_list again;
	int		length;

	va_copy(again, arguments);
	length = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (length < 0)
		memory_exhausted();
	mem_reserve(bytes, length);
	vsnprintf(bytes->data + bytes->length, length + 1, format, arguments);
	bytes->length += length;
}

void
mem_format(Bytes *bytes, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	mem_vformat(bytes, format, arguments);
	va_end(arguments);
}

void
mem_reset(Bytes *bytes)
{
	if (bytes->allocated > MAX_KEPT)
		mem_free(bytes);
	bytes->length = 0;
	if (bytes->data)
		bytes->data[0] = '\0';
}

void
mem_free(Bytes *bytes)
{
	free(bytes->data);
	memset(bytes, 0, sizeof(*bytes));
}

char *
client_format(const char *format, ...)
{
	Bytes	bytes = {0};
	va_list arguments;

	va_start(arguments, format);
	mem_vformat(&bytes, format, arguments);
	va_end(arguments);
	return bytes.data;
}
