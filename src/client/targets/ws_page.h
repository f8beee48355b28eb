/*
 * ws_page.h
 *		The files of client/page, as the program serves them.
 */
#ifndef CLIENT_WS_PAGE_H
#define CLIENT_WS_PAGE_H

typedef struct WsPage
{
	const char *path; /* NULL after the last one */
	const char *type;
	const char *text;
	const char *headers; /* more of them, each with its line's end */
} WsPage;

extern const WsPage ws_pages[];

#endif
