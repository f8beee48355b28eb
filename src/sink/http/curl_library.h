/*
 * curl_library.h
 *		libcurl's functions, as they are found when it is loaded.
 */
#ifndef OUTFLOW_CURL_LIBRARY_H
#define OUTFLOW_CURL_LIBRARY_H

#include <curl/curl.h>

#define CURL_FUNCTIONS(X)                                                     \
	X(global_init)                                                            \
	X(version_info)                                                           \
	X(easy_init)                                                              \
	X(easy_setopt)                                                            \
	X(easy_getinfo)                                                           \
	X(easy_pause)                                                             \
	X(easy_cleanup)                                                           \
	X(easy_strerror)                                                          \
	X(multi_init)                                                             \
	X(multi_add_handle)                                                       \
	X(multi_remove_handle)                                                    \
	X(multi_perform)                                                          \
	X(multi_poll)                                                             \
	X(multi_info_read)                                                        \
	X(multi_cleanup)                                                          \
	X(slist_append)                                                           \
	X(slist_free_all)

typedef struct CurlLibrary
{
	void *handle;
	bool  has_directory; /* of the system's authorities, beside their file */
#define X(name) __typeof__(curl_##name) *name;
	CURL_FUNCTIONS(X)
#undef X
} CurlLibrary;

/* Loaded at the first call; an error says what is missing. */
extern const CurlLibrary *curl_library(void);

#endif /* OUTFLOW_CURL_LIBRARY_H */
