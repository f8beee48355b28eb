/*
 * curl_library.c
 *		Loads libcurl.
 *
 * It is not linked, since it brings some twenty libraries that a process which
 * only streams, or writes files, has no use for.
 */
#include "postgres.h"

#include <dlfcn.h>

#include "compat.h"

#if __has_include(<curl/curl.h>)

#include "sink/http/curl_library.h"

#define LIBRARY "libcurl.so.4"

static CurlLibrary library;

pg_noreturn static void
refuse(const char *detail)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("could not use library \"%s\"", LIBRARY),
					errdetail_internal("%s", detail),
					errhint("Install libcurl in its OpenSSL flavour: Debian's "
							"package libcurl4.")));
}

static void *
find(void *handle, const char *name)
{
	void *function = dlsym(handle, name);

	if (function == NULL)
		refuse(psprintf("It has no function \"%s\".", name));
	return function;
}

const CurlLibrary *
curl_library(void)
{
	CurlLibrary				found;
	curl_version_info_data *version;

	if (library.handle)
		return &library;
	found.handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (found.handle == NULL)
		refuse(dlerror());
#define X(name) found.name = find(found.handle, "curl_" #name);
	CURL_FUNCTIONS(X)
#undef X
	if (found.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		refuse("It could not be initialized.");
	version = found.version_info(CURLVERSION_NOW);
	if ((version->features & CURL_VERSION_SSL) == 0)
		refuse("It was built without TLS.");
	/* curl_multi_poll, and entries for names that may be replaced */
	if (version->version_num < 0x074200)
		refuse("It is older than version 7.66.");
#if LIBCURL_VERSION_NUM >= 0x074600
	found.has_directory =
		version->age >= CURLVERSION_SEVENTH && version->capath;
#else
	found.has_directory = false;
#endif
	library = found;
	return &library;
}

#endif
