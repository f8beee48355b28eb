/*
 * url.h
 *		The parts of a target's URL.
 */
#ifndef CLIENT_URL_H
#define CLIENT_URL_H

/* Percent-decoded new texts; those that the URL lacks are NULL. */
typedef struct Url
{
	char *text; /* as it was given */
	char *scheme;
	char *user;
	char *password;
	char *host;	   /* with ports, several by commas */
	char *path;	   /* with the slash at its start */
	char *display; /* the URL without user and password, for messages */
} Url;

/* Ends the program if the text is no URL, or one in which a password can't be told. */
extern Url *url_parse(const char *text);
extern void url_free(Url *url);

#endif
