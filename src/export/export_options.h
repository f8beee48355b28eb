/*
 * export_options.h
 *		The "options" argument of an export.
 */
#ifndef OUTFLOW_EXPORT_OPTIONS_H
#define OUTFLOW_EXPORT_OPTIONS_H

#include "encode/encode.h"
#include "sink/sink.h"

typedef enum CarryMode
{
	CARRY_LINK,
	CARRY_REFERENCE
} CarryMode;

/* What becomes of the rows that a table has, when an export's are there. */
typedef enum PublishMode
{
	PUBLISH_UNSET, /* they stay */
	PUBLISH_APPEND,
	PUBLISH_REPLACE
} PublishMode;

/* How rows get into tables. */
typedef enum LoadMode
{
	LOAD_UNSET, /* all at once, in the end */
	LOAD_STAGED,
	LOAD_DIRECT, /* part by part */
	LOAD_KEPT	 /* staged, and what was staged stays for a later export */
} LoadMode;

typedef struct ExportOptions
{
	RowFormatOptions	  row; /* as the format takes them */
	bool				  overwrite;
	bool				  row_security;	  /* rows may be hidden */
	bool				  base_is_last;	  /* see job_find_base() */
	int					  carry;		  /* CarryMode */
	int					  publish;		  /* PublishMode */
	int					  load;			  /* LoadMode */
	bool				  create;		  /* tables that are missing */
	bool				  sequences;	  /* go on behind the rows */
	int					  mode;			  /* of files; 0 for what is usual */
	bool				  names_encoding; /* row.encoding is no default */
	char				 *catalog;		  /* of lake tables; NULL for none */
	List				 *part_key;		  /* of a query's columns, char * */
	char				 *mask_columns;	  /* as written; NULL for none */
	List				 *masks;		  /* the same as MaskRules */
	const ChecksumMethod *checksum;		  /* of the stored bytes */
} ExportOptions;

/* Parses {"name": value, ...}; errors name the option. */
extern void	 export_options_parse(const char *json, ExportOptions *options);
extern int64 export_size_parse(const char *name, const char *text);

#endif /* OUTFLOW_EXPORT_OPTIONS_H */
