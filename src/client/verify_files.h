/*
 * verify_files.h
 *		An export in a directory, compared with its manifest.
 */
#ifndef CLIENT_VERIFY_FILES_H
#define CLIENT_VERIFY_FILES_H

#include "client/verify_report.h"

/*
 * path is the directory, or the manifest in it; references is the directory
 * beneath which files elsewhere may be read, NULL: none may.
 */
extern void verify_path(VerifyReport *report, const char *path,
						const char *references);

#endif
