/*
 * aws_container.h
 *		Where a container gets its keys from, as its environment says.
 */
#ifndef CLIENT_AWS_CONTAINER_H
#define CLIENT_AWS_CONTAINER_H

/*
 * A new text: the endpoint that AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI
 * names; NULL if neither is set.  Ends the program if keys may not come from there.
 */
extern char *aws_container_url(void);

/* Ends the program if the token that the environment names can't be one. */
extern void aws_container_check_token(void);

/* What the endpoint wants to see, a new text; NULL: nothing. */
extern char *aws_container_token(void);

/* The value of a variable; NULL if it is not set, or empty. */
extern const char *aws_environment(const char *name);

#endif
