/*
 * encoding.h
 *		The database's encoding, beside UTF-8 and the client's.
 */
#ifndef OUTFLOW_ENCODING_H
#define OUTFLOW_ENCODING_H

/*
 * Before those that convert, and before a report that is to show what the
 * client's encoding has of a name; in a transaction, or where one can be started.
 */
extern void encoding_prepare(void);

/* ---- to UTF-8; not from UTF-8 and not from SQL_ASCII */

/* Bytes that one call converts at most. */
#define MAX_TO_UTF8 256

/*
 * Converts to UTF-8 what stands before the first character that can't be, and
 * ends it with a zero byte.  Returns the number of bytes taken.  dst has room
 * for MAX_TO_UTF8 * MAX_CONVERSION_GROWTH + 1.
 */
extern int encoding_to_utf8(char *dst, const char *data, int len);

/* Length of the character at data; 1 if it is none. */
extern int encoding_char_len(const char *data, int len);

/*
 * Of so many characters.  The server's own function raises an error where the
 * last one is cut off, as can happen in names that other databases gave.
 */
extern int encoding_chars_len(const char *data, int len, int chars);

/* ---- to the client */

/*
 * Text as a report may hold it: the bytes of what the client's encoding lacks
 * as \xNN.  The server converts reports when it sends them, and what it can't
 * convert makes an ERROR of a WARNING, in whose place it comes.  So all that
 * isn't ASCII goes through this in what is less than an ERROR, and in contexts,
 * which any report may get.  Asks no catalog, so that it may stand in a clean-up:
 * what is not prepared is written as bytes.  NULL stays NULL.
 */
extern const char *encoding_shown(const char *text);

/*
 * Frees what is shown, if it isn't the text itself.  Callbacks of a report do so:
 * what they leave behind stays until the next ERROR, which may never come.
 */
extern void encoding_shown_free(const char *shown, const char *text);

/* An errcontext() of such text. */
extern void encoding_context(const char *format, ...)
	pg_attribute_printf(1, 2);

#endif /* OUTFLOW_ENCODING_H */
