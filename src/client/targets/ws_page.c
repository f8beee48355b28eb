/*
 * ws_page.c
 *		The files of client/page; the Makefile makes C texts of them.
 */
#ifdef HAVE_WSLAY

#include <stddef.h>

#include "client/targets/ws_page.h"

static const char index_html[] =
#include "client/page/index.html.inc"
	;
static const char page_css[] =
#include "client/page/page.css.inc"
	;
static const char page_js[] =
#include "client/page/page.js.inc"
	;
static const char outflow_js[] =
#include "client/page/outflow.js.inc"
	;

#define JAVASCRIPT "text/javascript; charset=utf-8"

/* A module is given to pages of other origins only if its server says so. */
#define FOR_ALL "Access-Control-Allow-Origin: *\r\n"

const WsPage ws_pages[] = {
	{"/", "text/html; charset=utf-8", index_html, ""},
	{"/page.css", "text/css; charset=utf-8", page_css, ""},
	{"/page.js", JAVASCRIPT, page_js, ""},
	{"/outflow.js", JAVASCRIPT, outflow_js, FOR_ALL},
	{NULL, NULL, NULL, NULL},
};

#endif /* HAVE_WSLAY */
