/*
 * postgres_ledger.c
 *		A job's own rows in the other database: whose it is, which parts it has
 *		committed, and whether it was published.
 *
 * The schema belongs to the mapped user alone.  A part's row is committed with
 * the part's rows and has the sum of the bytes that they came in, so a record
 * of ours that an earlier attempt left, with another sum, is never taken for
 * the record of what is there.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "sink/postgres/postgres_destination.h"

/*
 * How long the lock of a job may be held by a connection that has ended here:
 * the other server looks every other second.  It takes longer where it was not
 * told of that end; then the step is tried again.
 */
#define LOCK_TRIES	  50
#define LOCK_PAUSE_MS 200

/* How long the end of another role's CREATE SCHEMA is waited for. */
#define SCHEMA_PATIENCE "5s"

char *
postgres_ledger(PostgresDestination *self, const char *name)
{
	return psprintf("%s.%s",
					remote_identifier(self->remote, self->remote->ledger),
					remote_identifier(self->remote, name));
}

char *
postgres_staging(PostgresDestination *self, int table)
{
	return postgres_ledger(self, psprintf("%s_%d", self->job, table));
}

char *
postgres_part_number(const char *key)
{
	const char *digits = strchr(destination_name(key), '-');

	if (digits == NULL)
		elog(ERROR, "\"%s\" is not a part's name", key);
	return psprintf("%d", atoi(digits + 1));
}

/* Whether the schema is there; an error if it is somebody else's. */
static bool
ledger_exists(Remote *remote)
{
	const char *const values[] = {remote->ledger};

	remote_run(remote,
			   "SELECT pg_get_userbyid(nspowner) = current_user "
			   "FROM pg_namespace WHERE nspname = $1",
			   1, values);
	if (remote_rows(remote) == 0)
		return false;
	if (!remote_is_true(remote, 0, 0))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("schema \"%s\" of server \"%s\" does not belong to "
						"role \"%s\"",
						remote->ledger, remote->name, remote->user),
				 errdetail("Exports keep there what they have loaded."),
				 errhint("Rename that schema, or use a mapping to another "
						 "role.")));
	return true;
}

/* Its schema may have been made for the role, and nothing in it yet. */
static bool
ledger_has_tables(PostgresDestination *self)
{
	if (!ledger_exists(self->remote))
		return false;
	remote_run(self->remote, "SELECT to_regclass($1) IS NOT NULL", 1,
			   (const char *const[]){postgres_ledger(self, "job")});
	return remote_is_true(self->remote, 0, 0);
}

static void
check_may_create(Remote *remote)
{
	remote_command(
		remote, "SELECT has_database_privilege(current_database(), 'CREATE'), "
				"current_database()");
	if (remote_is_true(remote, 0, 0))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("role \"%s\" cannot create schema \"%s\" on server \"%s\"",
					remote->user, remote->ledger, remote->name),
			 errdetail("Exports keep there what they have loaded."),
			 errhint("There, run CREATE SCHEMA %s AUTHORIZATION %s.",
					 remote_identifier(remote, remote->ledger),
					 remote_identifier(remote, remote->user))));
}

void
postgres_check_ledger(PostgresDestination *self)
{
	if (!ledger_exists(self->remote))
		check_may_create(self->remote);
}

/* Who may create schemas there may be about to make one of that name. */
static void
make_schema(Remote *remote)
{
	check_may_create(remote);
	remote_command(remote, "SET lock_timeout = '" SCHEMA_PATIENCE "'");
	remote_create(remote, psprintf("CREATE SCHEMA %s",
								   remote_identifier(remote, remote->ledger)));
	remote_command(remote, "SET lock_timeout = 0");
	/* or an error, if it is not ours */
	(void) ledger_exists(remote);
}

/*
 * Several processes may do it at a time.  There is nothing yet to lock, but what
 * any role there could, and each step leaves what the next one can go on with.
 */
static void
make_ledger(PostgresDestination *self)
{
	Remote *remote = self->remote;

	if (!ledger_exists(remote))
		make_schema(remote);
	remote_create(
		remote,
		psprintf("CREATE TABLE IF NOT EXISTS %s (job uuid PRIMARY KEY, "
				 "token text NOT NULL, "
				 "started timestamptz NOT NULL DEFAULT now(), "
				 "published timestamptz, xact bigint, "
				 "cluster text NOT NULL)",
				 postgres_ledger(self, "job")));
	remote_create(
		remote,
		psprintf("CREATE TABLE IF NOT EXISTS %s (job uuid REFERENCES %s "
				 "ON DELETE CASCADE, part int, target int NOT NULL, "
				 "rows bigint NOT NULL, bytes bigint NOT NULL, "
				 "checksum text NOT NULL, digest numeric NOT NULL, "
				 "xact bigint, PRIMARY KEY (job, part))",
				 postgres_ledger(self, "part"), postgres_ledger(self, "job")));
	remote_create(
		remote,
		psprintf("CREATE TABLE IF NOT EXISTS %s (job uuid REFERENCES %s "
				 "ON DELETE CASCADE, target int, relation oid NOT NULL, "
				 "name text NOT NULL, made bool NOT NULL, "
				 "form text NOT NULL, encoding text NOT NULL, "
				 "list text NOT NULL, PRIMARY KEY (job, target))",
				 postgres_ledger(self, "target"),
				 postgres_ledger(self, "job")));
}

void
postgres_lock_making(PostgresDestination *self)
{
	remote_command(self->remote,
				   psprintf("LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE",
							postgres_ledger(self, "job")));
}

/*
 * The job's lock: two servers with the same past may run it.  Any role there
 * could have taken it, so nobody waits for it for long, nor without a word.
 */
static bool
lock_job(PostgresDestination *self)
{
	uint64 hash =
		hash_bytes_extended((unsigned char *) self->job, strlen(self->job), 0);

	for (int tries = 0; tries < LOCK_TRIES; tries++)
	{
		remote_command(
			self->remote,
			psprintf("SELECT pg_try_advisory_lock(" POSTGRES_LOCK_JOB ", %d)",
					 (int32) hash));
		if (remote_is_true(self->remote, 0, 0))
			return true;
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 LOCK_PAUSE_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return false;
}

void
postgres_connect(PostgresDestination *self)
{
	if (!remote_connect(self->remote) || !self->is_taken || lock_job(self))
		return;
	/* or the next one would find a connection, and not see that it lacks it */
	remote_close(self->remote);
	ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					errmsg("export \"%s\" on server \"%s\" is in use by "
						   "another process",
						   self->job, self->remote->name)));
}

static void
claim_ids(PostgresDestination *self, const char *id, const char *token)
{
	MemoryContext context = GetMemoryChunkContext(self);

	self->job = MemoryContextStrdup(context, id);
	self->token = token ? MemoryContextStrdup(context, token) : NULL;
}

void
postgres_drop_staging(PostgresDestination *self)
{
	Remote		  *remote = self->remote;
	StringInfoData command;

	remote_run(remote,
			   "SELECT relname FROM pg_class AS c "
			   "JOIN pg_namespace AS n ON n.oid = relnamespace "
			   "WHERE nspname = $1 AND relkind = 'r' "
			   "AND starts_with(relname, $2 || '_')",
			   2, (const char *const[]){remote->ledger, self->job});
	initStringInfo(&command);
	for (int i = 0; i < remote_rows(remote); i++)
		appendStringInfo(&command, "%s %s", i == 0 ? "DROP TABLE" : ",",
						 postgres_ledger(self, remote_value(remote, i, 0)));
	if (command.len > 0)
		remote_command(remote, command.data);
}

/*
 * The ledger's number and the transaction that has made it, which a dump or an
 * upgrade change: everybody may read those.  Then what names the cluster, where
 * the role may ask for it.
 */
char *
postgres_cluster(PostgresDestination *self)
{
	Remote *remote = self->remote;

	remote_run(
		remote,
		"SELECT format('%s/%s %s', attrelid, xmin, $2::text) "
		"FROM pg_attribute "
		"WHERE attrelid = to_regclass($1) AND attname = 'ctid'",
		2,
		(const char *const[]){postgres_ledger(self, "job"), remote->cluster});
	/* what comes next says that there is none */
	return remote_rows(remote) > 0 ? remote_value(remote, 0, 0) : "";
}

/* Staging tables of a job whose row was lost are none whose rows we know. */
static void
add_job(PostgresDestination *self)
{
	char *cluster;

	remote_begin(self->remote);
	cluster = postgres_cluster(self);
	remote_run(self->remote,
			   psprintf("INSERT INTO %s (job, token, cluster) "
						"VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
						postgres_ledger(self, "job")),
			   3, (const char *const[]){self->job, self->token, cluster});
	if (remote_changed(self->remote) > 0)
		postgres_drop_staging(self);
	remote_commit(self->remote);
}

static DestinationClaim
look_for_job(PostgresDestination *self, DestinationAccess access)
{
	const char *const values[] = {self->job, self->token};

	if (!ledger_has_tables(self))
		return CLAIM_MISSING;
	if (access == ACCESS_CREATE)
		add_job(self);
	remote_run(self->remote,
			   psprintf("SELECT token = $2 FROM %s WHERE job = $1",
						postgres_ledger(self, "job")),
			   2, values);
	if (remote_rows(self->remote) == 0)
		return CLAIM_MISSING;
	if (access != ACCESS_LOOK && !remote_is_true(self->remote, 0, 0))
		return CLAIM_FOREIGN;
	return CLAIM_GRANTED;
}

DestinationClaim
postgres_claim(Destination *to, const char *id, const char *token,
			   DestinationAccess access)
{
	PostgresDestination *self = postgres_self(to);
	bool			 take = access == ACCESS_TAKE || access == ACCESS_CREATE;
	DestinationClaim claim;

	/* a lock that was had before goes with the connection */
	if (self->is_taken)
		remote_close(self->remote);
	self->is_taken = false;
	claim_ids(self, id, token);
	postgres_connect(self);
	if (access == ACCESS_CREATE)
		make_ledger(self);
	claim = look_for_job(self, access);
	if (claim == CLAIM_GRANTED && take)
	{
		if (!lock_job(self))
			claim = CLAIM_LOCKED;
		else
			self->is_taken = true;
	}
	if (claim == CLAIM_MISSING)
		self->job = NULL;
	return claim;
}

bool
postgres_is_claimed(const Destination *to)
{
	return postgres_self(to)->job != NULL;
}

void
postgres_release(Destination *to)
{
	remote_close(postgres_self(to)->remote);
}

bool
postgres_begin(PostgresDestination *self, bool to_publish)
{
	Remote *remote = self->remote;
	char   *cluster;

	if (self->job == NULL)
		elog(ERROR, "nothing is claimed in \"%s\"", self->base.path);
	postgres_connect(self);
	remote_begin(remote);
	cluster = postgres_cluster(self);
	remote_run(
		remote,
		psprintf("SELECT published IS NOT NULL, " POSTGRES_IS_MOVED(
					 "$3") " FROM %s WHERE job = $1 AND token = $2 FOR %s",
				 postgres_ledger(self, "job"),
				 to_publish ? "UPDATE" : "SHARE"),
		3, (const char *const[]){self->job, self->token, cluster});
	if (remote_rows(self->remote) != 1)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("server \"%s\" does not know the export any more",
					remote->name),
			 errdetail("Its row in \"%s\".job was removed.", remote->ledger)));
	self->is_moved = remote_is_true(remote, 0, 1);
	return remote_is_true(remote, 0, 0);
}

void
postgres_begin_loading(PostgresDestination *self)
{
	if (postgres_begin(self, false))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the export was already published on server \"%s\"",
						self->remote->name),
				 errhint("Forget the job.")));
	postgres_check_moved(self);
}

void
postgres_check_moved(PostgresDestination *self)
{
	if (self->options.direct && self->is_moved)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rows of the export on server \"%s\" cannot be told "
						"from others",
						self->remote->name),
				 errdetail(POSTGRES_MOVED),
				 errhint("Forget the job, empty its tables there and begin a "
						 "new one.")));
}

bool
postgres_find(Destination *to, const char *key, uint64 *size, Checksum *sum)
{
	PostgresDestination *self = postgres_self(to);
	const char *const	 values[] = {self->job, postgres_part_number(key)};

	if (self->job == NULL)
		return false;
	postgres_connect(self);
	remote_run(self->remote,
			   psprintf("SELECT bytes, checksum FROM %s "
						"WHERE job = $1 AND part = $2::int",
						postgres_ledger(self, "part")),
			   2, values);
	if (remote_rows(self->remote) == 0)
		return false;
	*size = strtou64(remote_value(self->remote, 0, 0), NULL, 10);
	checksum_from_text(remote_value(self->remote, 0, 1), sum);
	return true;
}

bool
postgres_is_published(Destination *to)
{
	PostgresDestination *self = postgres_self(to);
	const char *const	 values[] = {self->job};

	if (self->job == NULL)
		return false;
	postgres_connect(self);
	remote_run(self->remote,
			   psprintf("SELECT published IS NOT NULL FROM %s WHERE job = $1",
						postgres_ledger(self, "job")),
			   1, values);
	return remote_rows(self->remote) > 0 && remote_is_true(self->remote, 0, 0);
}
