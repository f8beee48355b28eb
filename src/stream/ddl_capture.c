/*
 * ddl_capture.c
 *		Puts the text of DDL commands into the WAL, for streams to find there.
 *
 * outflow.capture_ddl() makes event triggers of the functions below.  When a
 * command has changed something, a transactional logical message tells its
 * tag, its text and its objects; the stream makes a "ddl" record of it, which
 * stands after the changes before the command and before those after it, and
 * is gone with them when the transaction is undone.
 *
 * The server doesn't tell an event trigger the text of its command, so a hook
 * around utility commands remembers it.  The session's first command may come
 * before the library with the hook; its text is then looked up in the client's
 * portal, and not known if the command ran inside a function.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "commands/event_trigger.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "parser/scansup.h"
#include "replication/message.h"
#include "replication/origin.h"
#include "tcop/pquery.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/portal.h"

#include "compat.h"
#include "stream/ddl.h"

/* Longer commands are told without their text. */
#define MAX_COMMAND (256 * 1024 * 1024)

/* A utility command that is running, and the one that runs it. */
typedef struct RunningCommand
{
	const char			  *source; /* what it is part of */
	int					   location;
	int					   length; /* 0: to the end */
	bool				   told;   /* when what it dropped was known */
	struct RunningCommand *outer;
} RunningCommand;

static RunningCommand		   *running = NULL;
static ProcessUtility_hook_type next_hook = NULL;

/*
 * Of the session's first command, if the hook missed it; NULL if not known.  What
 * it runs itself comes by the hook and leaves this alone; afterwards there is
 * always one that is running.
 */
static char *missed_text = NULL;

static bool missed_told = false; /* as the flag of a running command */

static void
remember_command(PlannedStmt *statement, const char *source,
				 bool read_only_tree, ProcessUtilityContext context,
				 ParamListInfo params, QueryEnvironment *environment,
				 DestReceiver *dest, QueryCompletion *completion)
{
	RunningCommand command = {.source = source,
							  .location = statement->stmt_location,
							  .length = statement->stmt_len,
							  .outer = running};

	PG_TRY();
	{
		/* a part of a command has no text of its own */
		if (context != PROCESS_UTILITY_SUBCOMMAND)
			running = &command;
		(next_hook ? next_hook : standard_ProcessUtility)(
			statement, source, read_only_tree, context, params, environment,
			dest, completion);
	}
	PG_FINALLY();
	{
		running = command.outer;
	}
	PG_END_TRY();
}

void
ddl_capture_init(void)
{
	next_hook = ProcessUtility_hook;
	ProcessUtility_hook = remember_command;
}

/* A copy of one command of a source, without the white space around it. */
static char *
command_text(const char *source, int location, int length)
{
	if (source == NULL)
		return NULL;
	if (location > 0)
		source += location;
	if (location < 0 || length <= 0)
		length = strlen(source);
	/* a record of WAL has its limit, and must not stop the command */
	if (length > MAX_COMMAND)
		return NULL;
	while (length > 0 && scanner_isspace(*source))
	{
		source++;
		length--;
	}
	while (length > 0 && scanner_isspace(source[length - 1]))
		length--;
	return pnstrdup(source, length);
}

/*
 * The text of a command that the hook missed, if it is the one that the client
 * sent: that one's tree is in the portal, not yet changed.  Inside a function or
 * DO block the portal has the command that called it.
 */
static char *
find_missed(const Node *tree)
{
	ListCell *lc;

	foreach (lc, ActivePortal ? ActivePortal->stmts : NIL)
	{
		const PlannedStmt *statement = lfirst_node(PlannedStmt, lc);

		if (equal(statement->utilityStmt, tree))
			return command_text(ActivePortal->sourceText,
								statement->stmt_location, statement->stmt_len);
	}
	return NULL;
}

/* The text of the command whose event triggers are at work. */
static char *
current_command(void)
{
	if (running)
		return command_text(running->source, running->location,
							running->length);
	return missed_text;
}

/* Whether that one was told already.  Others may run in the middle of it. */
static bool *
current_told(void)
{
	return running ? &running->told : &missed_told;
}

/* ---- what must not leave the server */

static bool
ends_with(const char *text, const char *end)
{
	size_t length = strlen(text);

	return length >= strlen(end) &&
		   strcmp(text + length - strlen(end), end) == 0;
}

/* Commands whose options hold passwords and the like are left out. */
static bool
may_hold_secret(const char *tag)
{
	return ends_with(tag, " USER MAPPING") || ends_with(tag, " SERVER") ||
		   ends_with(tag, " SUBSCRIPTION") ||
		   ends_with(tag, " FOREIGN DATA WRAPPER");
}

/*
 * Objects whose commands are told, but without their text, which may hold such
 * options, too: ALTER TABLE and IMPORT FOREIGN SCHEMA among them.
 */
static bool
has_private_text(const char *tag, const char *type)
{
	return type && strncmp(type, "foreign table", 13) == 0 &&
		   strncmp(tag, "DROP ", 5) != 0;
}

/* ---- the message */

/* Whether our own objects, temporary ones or an extension's script are at work. */
static bool
is_of_interest(const char *schema, bool is_hidden)
{
	return !is_hidden &&
		   (schema == NULL || (strcmp(schema, "pg_temp") != 0 &&
							   strcmp(schema, "outflow") != 0 &&
							   strcmp(schema, "outflow_internal") != 0));
}

/* Under the origin that tells it from everybody's messages (captured.c). */
static void
log_captured(const StringInfoData *content)
{
	ReplOriginId origin = session_origin;

	PG_TRY();
	{
		session_origin = DoNotReplicateId;
		log_logical_message(DDL_PREFIX, content->data, content->len, true);
	}
	PG_FINALLY();
	{
		session_origin = origin;
	}
	PG_END_TRY();
}

/*
 * Leaves SPI open.  As the superuser that owns the functions: the right to call
 * them may have been taken from whoever runs the command.
 */
static void
read_objects(const char *query)
{
	Oid	 user;
	int	 security_context;
	bool is_read;

	GetUserIdAndSecContext(&user, &security_context);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID,
						   security_context | SECURITY_LOCAL_USERID_CHANGE);
	is_read = SPI_connect() == SPI_OK_CONNECT &&
			  SPI_execute(query, false, 0) == SPI_OK_SELECT;
	SetUserIdAndSecContext(user, security_context);
	if (!is_read)
		elog(ERROR, "could not read the objects of a command");
}

/*
 * Writes the message, if any of the query's rows is of interest; false if not.
 * Its columns are the object's type, schema and identity, and whether to pass it
 * over.  The query names schemas throughout: it runs under anybody's search_path.
 */
static bool
ddl_write_message(const char *tag, const char *query)
{
	char		  *command = current_command();
	StringInfoData objects;
	StringInfoData content;
	bool		   is_private = false;
	int			   found = 0;

	/* what an extension's script does is the extension's */
	if (may_hold_secret(tag) || creating_extension || !XLogLogicalInfoActive())
		return false;
	initStringInfo(&objects);
	initStringInfo(&content);
	read_objects(query);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple tuple = SPI_tuptable->vals[i];
		TupleDesc desc = SPI_tuptable->tupdesc;
		char	 *hidden = SPI_getvalue(tuple, desc, 4);
		char	 *type = SPI_getvalue(tuple, desc, 1);

		is_private |= has_private_text(tag, type);
		if (!is_of_interest(SPI_getvalue(tuple, desc, 2),
							hidden && strcmp(hidden, "t") == 0))
			continue;
		found++;
		ddl_message_add(&objects, type, SPI_getvalue(tuple, desc, 3));
	}
	SPI_finish();
	ddl_message_begin(&content, tag, is_private ? NULL : command);
	appendBinaryStringInfo(&content, objects.data, objects.len);
	if (found > 0)
		log_captured(&content);
	return found > 0;
}

static EventTriggerData *
trigger_data(FunctionCallInfo fcinfo)
{
	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function can only be called as an event "
						"trigger")));
	return (EventTriggerData *) fcinfo->context;
}

/* The objects of the commands that a command consists of. */
#define COMMANDS                                                              \
	"SELECT object_type, schema_name, object_identity, in_extension"          \
	" FROM pg_catalog.pg_event_trigger_ddl_commands()"

/* What was dropped, and whether to pass it over. */
#define DROPPED(is_hidden)                                                    \
	"SELECT object_type, schema_name, object_identity, " is_hidden            \
	" FROM pg_catalog.pg_event_trigger_dropped_objects()"

/* Whether a view's own rule counts as an object differs between servers. */
#define IS_NO_AIM                                                             \
	"is_temporary OR NOT (original OR normal AND"                             \
	" object_type OPERATOR(pg_catalog.<>) 'rule')"

PG_FUNCTION_INFO_V1(outflow_ddl_command_start);

/* Before a command that the hook missed: its tree is still as it was parsed. */
PGDLLEXPORT Datum
outflow_ddl_command_start(PG_FUNCTION_ARGS)
{
	EventTriggerData *data = trigger_data(fcinfo);
	char			 *text;

	if (running == NULL)
	{
		text = find_missed(data->parsetree);
		missed_text =
			text ? MemoryContextStrdup(TopMemoryContext, text) : NULL;
	}
	PG_RETURN_NULL();
}

PG_FUNCTION_INFO_V1(outflow_ddl_command_end);

PGDLLEXPORT Datum
outflow_ddl_command_end(PG_FUNCTION_ARGS)
{
	EventTriggerData *data = trigger_data(fcinfo);
	bool			 *told = current_told();

	if (!*told)
		(void) ddl_write_message(GetCommandTagName(data->tag), COMMANDS);
	*told = false;
	PG_RETURN_NULL();
}

/*
 * A command that drops is told here, with what else it did: DROP OWNED revokes,
 * too.  What another one drops belongs to the objects that it is told of at its
 * end; an ALTER PUBLICATION that only takes tables away has none.  What goes with
 * an extension is not told when it comes either.
 */
static const char *
drop_query(const char *tag)
{
	if (strcmp(tag, "DROP EXTENSION") == 0)
		return DROPPED("NOT original");
	if (strncmp(tag, "DROP ", 5) == 0)
		return DROPPED(IS_NO_AIM) " UNION ALL " COMMANDS;
	return DROPPED(IS_NO_AIM) " WHERE NOT EXISTS (" COMMANDS ")";
}

PG_FUNCTION_INFO_V1(outflow_sql_drop);

PGDLLEXPORT Datum
outflow_sql_drop(PG_FUNCTION_ARGS)
{
	EventTriggerData *data = trigger_data(fcinfo);
	const char		 *tag = GetCommandTagName(data->tag);

	*current_told() = ddl_write_message(tag, drop_query(tag));
	PG_RETURN_NULL();
}
