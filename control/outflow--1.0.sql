/* control/outflow--1.0.sql */

-- complain if the script is sourced in psql
\echo Use "CREATE EXTENSION outflow" to load this file. \quit

-- The schemas are ours alone: what lay in one that was there before could be
-- called by mistake, and so could what its owner puts there later.  So they are
-- made here, which fails where they are, and go with the extension.  In
-- "outflow_internal" is what no user calls.
CREATE SCHEMA outflow;
CREATE SCHEMA outflow_internal;

-- nor may the default privileges of whoever installs the extension let anybody in
DO $$
DECLARE
	given record;
BEGIN
	FOR given IN
		SELECT DISTINCT n.nspname, a.grantee
		FROM pg_catalog.pg_namespace AS n
		CROSS JOIN LATERAL pg_catalog.aclexplode(n.nspacl) AS a
		WHERE n.nspname OPERATOR(pg_catalog.=)
			ANY (ARRAY['outflow', 'outflow_internal']::pg_catalog.name[])
		AND a.grantee OPERATOR(pg_catalog.<>) n.nspowner
	LOOP
		EXECUTE pg_catalog.format('REVOKE ALL ON SCHEMA %I FROM %s',
			given.nspname, CASE WHEN given.grantee OPERATOR(pg_catalog.=) 0
				THEN 'PUBLIC' ELSE pg_catalog.quote_ident(
					pg_catalog.pg_get_userbyid(given.grantee)) END);
	END LOOP;
END
$$;

-- names are public; what a role may do is decided object by object
GRANT USAGE ON SCHEMA outflow, outflow_internal TO PUBLIC;

-------------------------------------------------------------------------------
-- Preflight: what this server, database and role lack.  ok is true, false, or
-- null where the condition is a matter of choice or cannot be told; fix is the
-- statement that mends it, one that runs as it stands, wherever it is pasted.
-- What can lose something is a comment, with its condition.  Runs as any user and
-- changes nothing.

CREATE FUNCTION outflow_internal.preflight_library(
	OUT version pg_catalog.text, OUT unreadable_limit pg_catalog.text,
	OUT shows_room boolean, OUT wal_free bigint, OUT wal_total bigint,
	OUT root_free bigint, OUT root_total bigint)
LANGUAGE C STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outflow_preflight_library';

-- a setting that the server may not have and the role may not read
CREATE FUNCTION outflow_internal.preflight_setting(
	name pg_catalog.text, OUT value pg_catalog.text, OUT readable boolean)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	readable := true;
	value := pg_catalog.current_setting(name, true);
EXCEPTION WHEN insufficient_privilege THEN
	readable := false;
END
$$;

-- room on a file system: a tenth of it should be free
CREATE FUNCTION outflow_internal.preflight_room(
	INOUT item pg_catalog.text, shown boolean, free bigint, total bigint,
	OUT ok boolean, OUT detail pg_catalog.text, OUT fix pg_catalog.text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT item, free >= total / 10,
		CASE WHEN NOT shown THEN
				pg_catalog.format('role %I may not see this; a member of'
					' pg_monitor does', current_user)
			ELSE coalesce(pg_catalog.format('%s of %s free',
				pg_catalog.pg_size_pretty(free),
				pg_catalog.pg_size_pretty(total)),
				'this server process cannot tell') END,
		CASE WHEN free < total / 10 THEN '-- make room there' END;
$$;

CREATE FUNCTION outflow_internal.preflight_server()
RETURNS TABLE (item pg_catalog.text, ok boolean, detail pg_catalog.text,
	fix pg_catalog.text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- an export's coordinator and its two workers
	workers_wanted CONSTANT int := 3;
	-- first, since it loads the library, which knows its settings' rights
	library CONSTANT record := outflow_internal.preflight_library();
	libraries CONSTANT record :=
		outflow_internal.preflight_setting('output_plugin_libraries');
	root CONSTANT record := outflow_internal.preflight_setting('outflow.export_root');
	effective pg_catalog.text;
	available int;
	used int;
BEGIN
	-- the setting doesn't exist before 15.19, 16.15, 17.11 and 18.6
	item := 'output_plugin_libraries';
	IF NOT libraries.readable THEN
		ok := NULL;
		detail := pg_catalog.format('role %I may not read this setting; a member of'
			' pg_read_all_settings sees whether it lists outflow',
			current_user);
	ELSIF libraries.value IS NULL THEN
		ok := true;
		detail := 'this server has no such setting and allows every plugin;'
			' minor releases from August 2026 on have it';
	ELSE
		ok := EXISTS (
			SELECT FROM pg_catalog.string_to_table(libraries.value, ',') AS listed
			WHERE pg_catalog.btrim(listed, E' "\t\n') IN ('outflow', '$libdir/outflow',
				'outflow_wal2json', '$libdir/outflow_wal2json'));
		detail := pg_catalog.format('the server allows %s', libraries.value);
		IF NOT ok THEN
			fix := pg_catalog.format('ALTER SYSTEM SET output_plugin_libraries = %s;'
				' -- then SELECT pg_reload_conf();',
				pg_catalog.concat_ws(', ', nullif(libraries.value, ''), 'outflow'));
		END IF;
	END IF;
	RETURN NEXT;

	-- files of another version wait for an update, a library of another
	-- version for a restart or an installation
	item := 'extension version';
	SELECT e.extversion = a.default_version AND e.extversion = library.version,
		pg_catalog.format('installed %s, library %s, files on the server %s',
			e.extversion, library.version, a.default_version),
		'ALTER EXTENSION outflow UPDATE; -- and connect again'
	INTO ok, detail, fix
	FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_available_extensions AS a
		ON a.name = e.extname
	WHERE e.extname = 'outflow';
	fix := CASE WHEN NOT ok THEN fix END;
	RETURN NEXT;

	item := 'primary server';
	ok := NOT pg_catalog.pg_is_in_recovery();
	detail := CASE WHEN ok THEN 'not in recovery'
		ELSE 'in recovery: streams work from 16 on, exports do not' END;
	fix := NULL;
	RETURN NEXT;

	item := 'wal_level';
	-- from 19 on a primary's first slot raises replica to logical
	effective := pg_catalog.current_setting('effective_wal_level', true);
	ok := coalesce(effective, pg_catalog.current_setting('wal_level')) = 'logical'
		OR (effective IS NOT DISTINCT FROM 'replica'
			AND NOT pg_catalog.pg_is_in_recovery());
	detail := pg_catalog.concat(pg_catalog.current_setting('wal_level'), ', at present '
		|| nullif(effective, pg_catalog.current_setting('wal_level')));
	fix := CASE WHEN ok THEN NULL
		WHEN pg_catalog.pg_is_in_recovery() AND effective = 'replica' THEN
			'-- on the primary: a slot, or wal_level = logical and a restart'
		ELSE 'ALTER SYSTEM SET wal_level = logical;'
		' -- then restart the server' END;
	RETURN NEXT;

	item := 'max_replication_slots';
	available := pg_catalog.current_setting('max_replication_slots');
	SELECT pg_catalog.count(*) INTO used FROM pg_catalog.pg_replication_slots;
	ok := used < available;
	detail := pg_catalog.format('%s of %s in use', used, available);
	fix := CASE WHEN NOT ok THEN
		pg_catalog.format('ALTER SYSTEM SET max_replication_slots = %s;'
			' -- then restart the server', used + 10) END;
	RETURN NEXT;

	item := 'max_wal_senders';
	available := pg_catalog.current_setting('max_wal_senders');
	SELECT pg_catalog.count(*) INTO used FROM pg_catalog.pg_stat_get_wal_senders();
	ok := used < available;
	detail := pg_catalog.format('%s of %s in use', used, available);
	fix := CASE WHEN NOT ok THEN
		pg_catalog.format('ALTER SYSTEM SET max_wal_senders = %s;'
			' -- then restart the server', used + 10) END;
	RETURN NEXT;

	item := 'max_worker_processes';
	available := pg_catalog.current_setting('max_worker_processes');
	SELECT pg_catalog.count(*) INTO used FROM pg_catalog.pg_stat_activity AS a
	WHERE a.backend_type NOT IN ('client backend', 'walsender',
		'autovacuum launcher', 'autovacuum worker', 'startup', 'archiver',
		'checkpointer', 'background writer', 'walwriter', 'walreceiver',
		'walsummarizer', 'slotsync worker', 'io worker');
	ok := available - used >= workers_wanted;
	detail := pg_catalog.format('%s of %s in use as far as this role sees; an export'
		' with 2 workers takes %s', used, available, workers_wanted);
	fix := CASE WHEN NOT ok THEN
		pg_catalog.format('ALTER SYSTEM SET max_worker_processes = %s;'
			' -- then restart the server', used + workers_wanted + 5) END;
	RETURN NEXT;

	item := 'max_slot_wal_keep_size';
	ok := CASE WHEN pg_catalog.current_setting('max_slot_wal_keep_size') <> '-1'
		THEN true END;
	detail := CASE WHEN ok
		THEN pg_catalog.current_setting('max_slot_wal_keep_size')
		ELSE 'no limit: a slot that nobody reads can fill the disk; with a'
			' limit such a slot is lost instead' END;
	fix := CASE WHEN ok IS NULL THEN
		'-- if a slot that needs more than 50 GB of WAL may be lost:'
		' ALTER SYSTEM SET max_slot_wal_keep_size = ''50GB'';'
		' then SELECT pg_reload_conf();' END;
	RETURN NEXT;

	item := 'outflow.export_root';
	ok := CASE WHEN root.value <> '' THEN true END;
	detail := CASE WHEN NOT root.readable THEN
			pg_catalog.format('role %I may not read this setting', current_user)
		WHEN ok THEN root.value
		ELSE 'not set: every member of pg_write_server_files may make'
			' directories and files, and replace exports, wherever the'
			' server''s operating system user may write, except in the'
			' server''s own directories and hidden ones' END;
	fix := CASE WHEN ok IS NULL AND root.readable THEN
		-- ALTER SYSTEM knows the setting in a session with the library only
		pg_catalog.format('ALTER DATABASE %I SET outflow.export_root ='
			' ''/srv/export''; -- then connect again',
			pg_catalog.current_database()) END;
	RETURN NEXT;

	IF library.unreadable_limit IS NOT NULL THEN
		item := library.unreadable_limit;
		ok := false;
		detail := CASE item WHEN 'outflow.mask_columns' THEN 'its value cannot'
			' be used in this database: no export and no stream runs' ELSE 'its'
			' value cannot be used and hides the server''s own: no export runs in'
			' this session' END;
		-- without the database's name: a line break in it would end the comment
		fix := CASE item WHEN 'outflow.mask_columns' THEN
			'-- set it anew: for the role, by ALTER DATABASE ... SET'
				' outflow.mask_columns, or in the configuration file'
			ELSE '-- remove it from the connection''s options, the role''s and'
				' database''s settings, and the configuration file' END;
		RETURN NEXT;
	END IF;

	RETURN QUERY SELECT * FROM outflow_internal.preflight_room(
		'disk of WAL and slots', library.shows_room, library.wal_free,
		library.wal_total);
	IF library.root_free IS NOT NULL THEN
		RETURN QUERY SELECT * FROM outflow_internal.preflight_room(
			'disk of outflow.export_root', library.shows_room,
			library.root_free, library.root_total);
	END IF;
END
$$;

CREATE FUNCTION outflow_internal.preflight_role()
RETURNS TABLE (item pg_catalog.text, ok boolean, detail pg_catalog.text,
	fix pg_catalog.text)
LANGUAGE sql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT r.item, r.ok, r.detail, CASE WHEN NOT r.ok THEN r.fix END
	FROM pg_catalog.pg_roles AS u
	CROSS JOIN LATERAL (VALUES
		('role login', u.rolcanlogin,
			'workers of an export connect as the job''s owner',
			pg_catalog.format('ALTER ROLE %I LOGIN;', u.rolname)),
		('role replication', u.rolreplication OR u.rolsuper,
			'needed to create and read replication slots, not for exports',
			pg_catalog.format('ALTER ROLE %I REPLICATION;', u.rolname)),
		('role pg_write_server_files',
			pg_catalog.pg_has_role(u.oid, 'pg_write_server_files', 'USAGE'),
			'needed for exports to file:// destinations, not for streams',
			pg_catalog.format('GRANT pg_write_server_files TO %I;', u.rolname))
	) AS r (item, ok, detail, fix)
	WHERE u.rolname = current_user;
$$;

CREATE FUNCTION outflow_internal.preflight_tables()
RETURNS TABLE (item pg_catalog.text, ok boolean, detail pg_catalog.text,
	fix pg_catalog.text)
LANGUAGE sql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS $$
	-- logged tables of users, with the index that identifies their rows
	WITH tables AS (
		SELECT c.oid, c.oid::pg_catalog.regclass::pg_catalog.text AS name, c.relreplident,
			c.reltoastrelid,
			c.relreplident = 'f' OR EXISTS (
				SELECT FROM pg_catalog.pg_index AS i
				WHERE i.indrelid = c.oid AND i.indisvalid
				AND CASE c.relreplident WHEN 'd' THEN i.indisprimary
					WHEN 'i' THEN i.indisreplident END) AS identified
		FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n
			ON n.oid = c.relnamespace
		WHERE c.relkind = 'r' AND c.relpersistence = 'p'
		AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'outflow')
	),
	findings AS (
		SELECT 1 AS rank, t.name,
			'replica identity of ' || t.name AS item, false AS ok,
			'its updates and deletes are streamed without a key' AS detail,
			pg_catalog.format('ALTER TABLE %s REPLICA IDENTITY %s;', t.name,
				coalesce('USING INDEX ' || pg_catalog.quote_ident((
					SELECT pg_catalog.min(ic.relname)
					FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS ic
						ON ic.oid = i.indexrelid
					WHERE i.indrelid = t.oid AND i.indisvalid
					AND i.indisunique AND i.indimmediate
					AND i.indpred IS NULL AND i.indexprs IS NULL
					AND NOT EXISTS (
						SELECT FROM pg_catalog.pg_attribute AS a
						WHERE a.attrelid = t.oid AND NOT a.attnotnull
						AND a.attnum = ANY
							(i.indkey[0:i.indnkeyatts - 1]))
				)::pg_catalog.text), 'FULL')) AS fix
		FROM tables AS t
		WHERE NOT t.identified
	UNION ALL
		-- only tables that do store values out of line: any could
		SELECT 2, t.name, 'toast in ' || t.name, NULL,
			pg_catalog.format('an update streams without values that are stored out of'
				' line and did not change, but names their columns;'
				' these can have such values: %s', (
					SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', '
						ORDER BY a.attnum)
					FROM pg_catalog.pg_attribute AS a
					WHERE a.attrelid = t.oid AND a.attnum > 0
					AND NOT a.attisdropped AND a.attstorage <> 'p')),
			pg_catalog.format('ALTER TABLE %s REPLICA IDENTITY FULL;', t.name)
		FROM tables AS t
		WHERE t.relreplident <> 'f' AND t.reltoastrelid <> 0
		AND pg_catalog.pg_relation_size(t.reltoastrelid) > 0
	UNION ALL
		SELECT 3, p.pubname, 'publication ' || pg_catalog.quote_ident(p.pubname),
			s.blocked IS NULL,
			pg_catalog.concat_ws('; ',
				CASE WHEN p.puballtables THEN
					'FOR ALL TABLES: every new table joins it' END,
				CASE WHEN p.all_sequences THEN
					'FOR ALL SEQUENCES: no stream and no export has them' END,
				'UPDATE and DELETE fail on ' || s.blocked
					|| ', which has no replica identity'),
			'ALTER TABLE ' || s.first_blocked || ' REPLICA IDENTITY FULL;'
		FROM (SELECT *, coalesce(pg_catalog.to_jsonb(a)->>'puballsequences' = 'true',
				false) AS all_sequences FROM pg_catalog.pg_publication AS a) AS p
		CROSS JOIN LATERAL (
			SELECT pg_catalog.string_agg(t.name, ', ' ORDER BY t.name) AS blocked,
				pg_catalog.min(t.name) AS first_blocked
			FROM pg_catalog.pg_get_publication_tables(p.pubname) AS m
			JOIN tables AS t ON t.oid = m.relid
			WHERE NOT t.identified AND (p.pubupdate OR p.pubdelete)
		) AS s
		WHERE p.puballtables OR p.all_sequences OR s.blocked IS NOT NULL
	)
	SELECT f.item, f.ok, f.detail, f.fix
	FROM findings AS f
	ORDER BY f.rank, f.name;
$$;

CREATE FUNCTION outflow_internal.preflight_slots()
RETURNS TABLE (item pg_catalog.text, ok boolean, detail pg_catalog.text,
	fix pg_catalog.text)
LANGUAGE sql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT 'slot ' || pg_catalog.quote_ident(s.slot_name),
		CASE WHEN s.wal_status = 'lost' THEN false END,
		CASE WHEN s.wal_status = 'lost'
			THEN 'lost: the server removed WAL that it needs'
			ELSE pg_catalog.format('nobody reads it and it keeps %s of WAL',
				pg_catalog.pg_size_pretty(pg_catalog.pg_wal_lsn_diff(CASE
					WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
					ELSE pg_catalog.pg_current_wal_lsn() END, s.restart_lsn)))
		END,
		pg_catalog.format('-- if %s: SELECT pg_drop_replication_slot(%L);',
			CASE WHEN s.wal_status = 'lost'
				THEN 'its consumer has begun anew on another one'
				ELSE 'no consumer wants what it holds' END, s.slot_name)
	FROM pg_catalog.pg_replication_slots AS s
	WHERE NOT s.active AND NOT s.temporary
	AND (s.restart_lsn IS NOT NULL OR s.wal_status = 'lost')
	ORDER BY s.slot_name;
$$;

-- foreign servers that destinations name: those of this extension's wrappers
CREATE FUNCTION outflow_internal.preflight_servers()
RETURNS TABLE (item pg_catalog.text, ok boolean, detail pg_catalog.text,
	fix pg_catalog.text)
LANGUAGE sql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.format('server %I', s.srvname),
		r.well_named AND r.usable AND r.mapped,
		CASE WHEN NOT r.well_named THEN
				'a destination names a server by what comes before its first colon, and file is no server'
			WHEN NOT r.usable THEN pg_catalog.format('role %I may not use it', current_user)
			WHEN NOT r.mapped THEN pg_catalog.format('role %I has no user mapping for it', current_user)
			ELSE pg_catalog.format(CASE w.fdwvalidator
				WHEN 'outflow_internal.iceberg_validator'::pg_catalog.regproc THEN 'a catalog of wrapper %I'
				ELSE 'a destination of wrapper %I' END, w.fdwname) END,
		CASE WHEN NOT r.well_named THEN
				pg_catalog.format('ALTER SERVER %I RENAME TO ...;', s.srvname)
			WHEN NOT r.usable THEN
				pg_catalog.format('GRANT USAGE ON FOREIGN SERVER %I TO %I;', s.srvname, current_user)
			WHEN NOT r.mapped THEN
				pg_catalog.format('CREATE USER MAPPING FOR %I SERVER %I OPTIONS (...);',
					current_user, s.srvname) END
	FROM pg_catalog.pg_foreign_server AS s
	JOIN pg_catalog.pg_foreign_data_wrapper AS w ON w.oid = s.srvfdw
	CROSS JOIN LATERAL (SELECT
		s.srvname <> 'file' AND pg_catalog.strpos(s.srvname::pg_catalog.text, ':') = 0 AS well_named,
		pg_catalog.has_server_privilege(s.oid, 'USAGE') AS usable,
		EXISTS (SELECT FROM pg_catalog.pg_user_mappings AS m
			WHERE m.srvid = s.oid AND (m.umuser = 0 OR m.usename = current_user)) AS mapped) AS r
	WHERE w.fdwvalidator IN (SELECT p.oid FROM pg_catalog.pg_proc AS p
		WHERE p.pronamespace = 'outflow_internal'::pg_catalog.regnamespace)
	ORDER BY s.srvname;
$$;

CREATE FUNCTION outflow.preflight()
RETURNS TABLE (item pg_catalog.text, ok boolean, detail pg_catalog.text,
	fix pg_catalog.text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY SELECT * FROM outflow_internal.preflight_server();
	RETURN QUERY SELECT * FROM outflow_internal.preflight_role();
	RETURN QUERY SELECT * FROM outflow_internal.preflight_servers();
	RETURN QUERY SELECT * FROM outflow_internal.preflight_tables();
	RETURN QUERY SELECT * FROM outflow_internal.preflight_slots();
END
$$;

-------------------------------------------------------------------------------
-- Streaming: what belongs to slots, beside the output plugin.

-- A record for idle databases: a consumer that gets it confirms a position, and
-- the slot lets go of the WAL before it.  Transactional, since others don't
-- move the position that WAL is kept from.
CREATE FUNCTION outflow.heartbeat() RETURNS pg_catalog.pg_lsn
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF pg_catalog.pg_is_in_recovery() THEN
		RAISE read_only_sql_transaction USING
			MESSAGE = 'cannot execute outflow.heartbeat on a standby',
			HINT = 'Call it on the primary server.';
	END IF;
	RETURN pg_catalog.pg_logical_emit_message(true, 'outflow.heartbeat',
		''::pg_catalog.text);
END
$$;

CREATE VIEW outflow.slots AS
SELECT s.slot_name AS slot, s.database, s.active,
	pg_catalog.pg_wal_lsn_diff(here.lsn, s.restart_lsn)::bigint
		AS retained_bytes,
	pg_catalog.pg_wal_lsn_diff(here.lsn, s.confirmed_flush_lsn)::bigint
		AS lag_bytes,
	s.wal_status, s.safe_wal_size AS safe_bytes,
	CASE
		WHEN s.wal_status OPERATOR(pg_catalog.=) 'lost'
			THEN 'it is lost already: drop it, make a new one, export anew'
		WHEN s.temporary THEN 'the end of the session that made it'
		ELSE pg_catalog.concat_ws('; ',
			CASE WHEN s.safe_wal_size IS NOT NULL THEN
				pg_catalog.format('%s more of WAL that it does not follow'
					' (max_slot_wal_keep_size)',
					pg_catalog.pg_size_pretty(s.safe_wal_size)) END,
			CASE WHEN idle.timeout OPERATOR(pg_catalog.<>) '0' AND NOT s.active
				THEN pg_catalog.format('%s without a consumer'
					' (idle_replication_slot_timeout)', idle.timeout) END,
			CASE WHEN s.safe_wal_size IS NULL THEN
				'nothing by itself: it keeps WAL until the disk is full' END)
	END AS removed_by
FROM pg_catalog.pg_replication_slots AS s,
	LATERAL (SELECT CASE WHEN pg_catalog.pg_is_in_recovery()
			THEN pg_catalog.pg_last_wal_replay_lsn()
		ELSE pg_catalog.pg_current_wal_lsn() END) AS here (lsn),
	LATERAL (SELECT pg_catalog.current_setting(
		'idle_replication_slot_timeout', true)) AS idle (timeout)
WHERE s.plugin OPERATOR(pg_catalog.=) ANY (ARRAY['outflow',
	'$libdir/outflow', 'outflow_wal2json',
	'$libdir/outflow_wal2json']::pg_catalog.name[]);

-- capture_ddl: event triggers write DDL into the WAL as logical messages
CREATE FUNCTION outflow_internal.ddl_command_start() RETURNS pg_catalog.event_trigger
LANGUAGE C AS 'MODULE_PATHNAME', 'outflow_ddl_command_start';
CREATE FUNCTION outflow_internal.ddl_command_end() RETURNS pg_catalog.event_trigger
LANGUAGE C AS 'MODULE_PATHNAME', 'outflow_ddl_command_end';
CREATE FUNCTION outflow_internal.sql_drop() RETURNS pg_catalog.event_trigger
LANGUAGE C AS 'MODULE_PATHNAME', 'outflow_sql_drop';
REVOKE ALL ON FUNCTION outflow_internal.ddl_command_start(),
	outflow_internal.ddl_command_end(), outflow_internal.sql_drop() FROM PUBLIC;

-- enable: whether DDL of this database is captured from now on
CREATE FUNCTION outflow.capture_ddl(enable boolean) RETURNS pg_catalog.void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	event pg_catalog.text;
BEGIN
	IF enable IS NULL THEN
		RAISE null_value_not_allowed USING
			MESSAGE = 'argument "enable" must not be null';
	END IF;
	IF NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
		RAISE insufficient_privilege USING
			MESSAGE = 'permission denied to capture DDL',
			HINT = 'Event triggers are made by superusers.';
	END IF;
	IF pg_catalog.pg_is_in_recovery() THEN
		RAISE read_only_sql_transaction USING
			MESSAGE = 'cannot execute outflow.capture_ddl on a standby',
			HINT = 'Call it on the primary server.';
	END IF;
	IF pg_catalog.current_setting('transaction_read_only')::boolean THEN
		RAISE read_only_sql_transaction USING
			MESSAGE = 'cannot execute outflow.capture_ddl in a read-only transaction';
	END IF;
	FOREACH event IN ARRAY
		ARRAY['ddl_command_start', 'ddl_command_end', 'sql_drop']
	LOOP
		IF EXISTS (SELECT FROM pg_catalog.pg_event_trigger
			WHERE evtname = 'outflow_' || event) <> enable
		THEN
			EXECUTE pg_catalog.format(CASE WHEN enable
				THEN 'CREATE EVENT TRIGGER outflow_%1$s ON %1$s'
					' EXECUTE FUNCTION outflow_internal.%1$s()'
				ELSE 'DROP EVENT TRIGGER outflow_%1$s' END, event);
		END IF;
		-- the stream has the rows of a session that works as a replica, too
		IF enable THEN
			EXECUTE pg_catalog.format(
				'ALTER EVENT TRIGGER outflow_%s ENABLE ALWAYS', event);
		END IF;
	END LOOP;
END;
$$;

-------------------------------------------------------------------------------
-- Exports: the tables that hold jobs.  Nobody has rights on them; only the
-- library's C code writes them, with the rights of their owner.

CREATE TABLE outflow.job (
	job bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	uuid pg_catalog.uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
	owner pg_catalog.oid NOT NULL,
	server pg_catalog.text,					-- and database that queued it, and no copy of them
	state pg_catalog.text NOT NULL DEFAULT 'queued' CHECK (state OPERATOR(pg_catalog.=)
		ANY (ARRAY['queued', 'running', 'interrupted', 'failed', 'done'])),
	destination pg_catalog.text NOT NULL,	-- as its owner wrote it
	location pg_catalog.text NOT NULL,		-- resolved; one unfinished job each
	format pg_catalog.text NOT NULL,
	compression pg_catalog.text NOT NULL,
	encrypt_to pg_catalog.text[] NOT NULL,
	part_size bigint NOT NULL,
	workers int NOT NULL,
	processes int NOT NULL DEFAULT 0,		-- of the present run, as it began
	base bigint,
	slot pg_catalog.name,
	publication pg_catalog.name,			-- that named the tables
	slot_start pg_catalog.pg_lsn,			-- its confirmed LSN when this job made it
	slot_restart pg_catalog.pg_lsn,		-- and its restart LSN
	slot_ready boolean NOT NULL DEFAULT false,	-- what it can't show has ended
	options pg_catalog.jsonb NOT NULL,
	settings pg_catalog.jsonb NOT NULL,	-- captured: what text output depends on
	snapshot pg_catalog.text,				-- of the present run
	lsn pg_catalog.pg_lsn,
	parts_total int,			-- null until a plan has been made
	publishing boolean NOT NULL DEFAULT false,
	manifest pg_catalog.text,				-- the sum of the one above those of many tables
	retries int NOT NULL DEFAULT 0,
	waiting_for pg_catalog.text,			-- when queued, or before another try
	tried pg_catalog.timestamptz,	-- when it was last found that it must wait
	error pg_catalog.text,
	error_code pg_catalog.text,
	error_detail pg_catalog.text,
	error_hint pg_catalog.text,
	error_context pg_catalog.text,			-- which column, table and row
	submitted pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
	started pg_catalog.timestamptz,		-- the present run
	finished pg_catalog.timestamptz
);

-- one unfinished job to a place
CREATE UNIQUE INDEX job_location ON outflow.job (location)
WHERE state OPERATOR(pg_catalog.<>) 'done';

-- what a job exports: one row for each table that was named
CREATE TABLE outflow.source (
	job bigint NOT NULL,
	source int NOT NULL,
	relation pg_catalog.oid NOT NULL,
	name pg_catalog.text NOT NULL,			-- as it was when the job was created
	folder pg_catalog.text NOT NULL,		-- below the destination; empty for one table
	columns pg_catalog.text[],				-- null for all
	filter pg_catalog.text,
	filter_objects pg_catalog.text,			-- what its names stand for, "catalog/oid " each
	masks pg_catalog.text[],				-- "attnum=method", whatever becomes of the names
	query pg_catalog.text,				-- in place of a table; null for none
	definition pg_catalog.text,			-- JSON: its columns, when the plan was made
	table_schema pg_catalog.text,			-- of a lake table: as its log has them
	comment pg_catalog.text,				-- of a lake table: the table's
	structure pg_catalog.text,			-- JSON: its columns and key, when the plan was made
	manifest pg_catalog.text,				-- its manifest's sum, "method:hex", when done
	PRIMARY KEY (job, source)
);

-- ranges of heap blocks; a row that is done was durable before it was written
CREATE TABLE outflow.part (
	job bigint NOT NULL,
	part int NOT NULL,
	source int NOT NULL,
	relation pg_catalog.oid NOT NULL,
	name pg_catalog.text NOT NULL,
	first_block bigint NOT NULL,
	end_block bigint NOT NULL,	-- the first one after the part
	state pg_catalog.text NOT NULL DEFAULT 'pending' CHECK (state OPERATOR(pg_catalog.=)
		ANY (ARRAY['pending', 'failed', 'done'])),
	carried boolean NOT NULL DEFAULT false,
	redone boolean NOT NULL DEFAULT false,
	file pg_catalog.text,					-- "folder/name", below the destination
	rows bigint,
	bytes bigint,
	bytes_stored bigint,
	crc32c bigint,				-- of the plain bytes
	crc32c_stored bigint,		-- of the stored bytes, as stores may tell it
	checksum pg_catalog.text,	-- of the stored bytes, "method:hex"
	made_null bigint,			-- values that the format can't hold
	snapshot pg_catalog.text,
	lsn pg_catalog.pg_lsn,
	stamp pg_catalog.text,					-- null: may never be carried
	reason pg_catalog.text,				-- why not, or why it was exported again
	statistics pg_catalog.text,			-- what a lake table's log says of it
	location pg_catalog.text,				-- the directory with the file; null for the job's
	attempts int NOT NULL DEFAULT 0,
	error pg_catalog.text,
	PRIMARY KEY (job, part)
);

-- rows that replication, a dump or an administrator puts here lose their stamp:
-- only this cluster's own are trusted
CREATE FUNCTION outflow_internal.part_guard() RETURNS pg_catalog.trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'outflow_part_guard';

-- rights on all tables (pg_write_all_data) are none on these
CREATE FUNCTION outflow_internal.job_guard() RETURNS pg_catalog.trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'outflow_job_guard';

REVOKE ALL ON FUNCTION outflow_internal.part_guard(), outflow_internal.job_guard() FROM PUBLIC;

CREATE TRIGGER job_guard BEFORE INSERT OR UPDATE OR DELETE ON outflow.job
	FOR EACH STATEMENT EXECUTE FUNCTION outflow_internal.job_guard();
ALTER TABLE outflow.job ENABLE ALWAYS TRIGGER job_guard;
CREATE TRIGGER job_guard BEFORE INSERT OR UPDATE OR DELETE ON outflow.source
	FOR EACH STATEMENT EXECUTE FUNCTION outflow_internal.job_guard();
ALTER TABLE outflow.source ENABLE ALWAYS TRIGGER job_guard;
CREATE TRIGGER job_guard BEFORE INSERT OR UPDATE OR DELETE ON outflow.part
	FOR EACH STATEMENT EXECUTE FUNCTION outflow_internal.job_guard();
ALTER TABLE outflow.part ENABLE ALWAYS TRIGGER job_guard;

CREATE TRIGGER part_guard BEFORE INSERT OR UPDATE ON outflow.part
	FOR EACH ROW EXECUTE FUNCTION outflow_internal.part_guard();
ALTER TABLE outflow.part ENABLE ALWAYS TRIGGER part_guard;

-- 'running' in the table means nothing without a live coordinator
CREATE FUNCTION outflow_internal.job_state(job bigint, state pg_catalog.text)
RETURNS pg_catalog.text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outflow_job_state';

-- what a live job waits for, and which processes its locks block
CREATE FUNCTION outflow_internal.job_waiting_for(job bigint) RETURNS pg_catalog.text
LANGUAGE sql VOLATILE STRICT PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS $$
	WITH locks AS MATERIALIZED (
		SELECT * FROM pg_catalog.pg_locks
	), coordinator AS (
		SELECT pid FROM locks
		WHERE locktype = 'advisory' AND objsubid = 28518 AND granted
		AND mode = 'ExclusiveLock'
		AND database = (SELECT d.oid FROM pg_catalog.pg_database AS d
			WHERE d.datname = pg_catalog.current_database())
		AND classid::bigint << 32 | objid::bigint = job
	), prepared AS (
		-- their locks have no process; that on the transaction tells which
		SELECT DISTINCT h.relation, h.transactionid, x.gid
		FROM locks AS h JOIN locks AS own USING (virtualtransaction)
		JOIN pg_catalog.pg_prepared_xacts AS x ON x.transaction = own.transactionid
		WHERE h.granted AND h.pid IS NULL AND own.pid IS NULL
	), waiting AS (
		SELECT DISTINCT l.pid, l.relation, l.transactionid, l.mode,
			coalesce(l.relation::pg_catalog.regclass::pg_catalog.text,
				CASE WHEN l.locktype = 'object' AND l.database <> 0 THEN
					pg_catalog.pg_describe_object(l.classid, l.objid, l.objsubid) END,
				'transaction ' || l.transactionid, 'an object') AS object,
			pg_catalog.pg_blocking_pids(l.pid) AS blockers
		FROM locks AS l WHERE NOT l.granted
	)
	SELECT pg_catalog.string_agg(line, '; ' ORDER BY line) FROM (
		SELECT pg_catalog.format('%s on %s, held by %s', w.mode, w.object,
			pg_catalog.concat_ws(', ',
			'process ' || nullif(pg_catalog.array_to_string(
				pg_catalog.array_remove(w.blockers, 0), ', '), ''),
			CASE WHEN 0 = ANY (w.blockers) THEN coalesce((
				SELECT pg_catalog.string_agg(pg_catalog.format('prepared transaction %L', p.gid),
					', ' ORDER BY p.gid)
				FROM prepared AS p WHERE p.relation = w.relation
				OR p.transactionid = w.transactionid),
				'a prepared transaction') END)) AS line
		FROM waiting AS w JOIN coordinator AS c USING (pid)
		UNION ALL
		SELECT pg_catalog.format('process %s waits for %s on %s, blocked by this job', w.pid,
			w.mode, w.object)
		FROM waiting AS w JOIN coordinator AS c ON c.pid = ANY (w.blockers)
	) AS lines
$$;

-- whether the server lets a background worker connect as the role; limits on
-- connections are for sessions only
CREATE FUNCTION outflow_internal.job_can_connect(role pg_catalog.oid) RETURNS boolean
LANGUAGE sql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (
		SELECT FROM pg_catalog.pg_roles AS r
		WHERE r.oid = role AND r.rolcanlogin
		AND pg_catalog.has_database_privilege(r.oid,
			pg_catalog.current_database(), 'CONNECT'))
$$;

-- how far a session is that runs a job itself
CREATE FUNCTION outflow_internal.job_session_progress(job bigint,
	OUT rows bigint, OUT bytes bigint)
RETURNS SETOF record
LANGUAGE sql VOLATILE STRICT PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT p.tuples_processed, p.bytes_processed
	FROM pg_catalog.pg_locks AS l
	JOIN pg_catalog.pg_stat_progress_copy AS p USING (pid)
	WHERE l.locktype = 'advisory' AND l.objsubid = 28518 AND l.granted
	AND l.mode = 'ExclusiveLock'
	AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d
		WHERE d.datname = pg_catalog.current_database())
	AND l.classid::bigint << 32 | l.objid::bigint = job
$$;

CREATE VIEW outflow.jobs WITH (security_barrier) AS
SELECT j.job, s.state, pg_catalog.pg_get_userbyid(j.owner) AS owner,
	-- all of many tables would be a text that nobody reads
	(SELECT CASE WHEN j.publication IS NOT NULL THEN
			pg_catalog.format('publication %I (%s tables)', j.publication,
				pg_catalog.count(*))
		ELSE pg_catalog.string_agg(o.name, ', ' ORDER BY o.source)
			FILTER (WHERE o.source OPERATOR(pg_catalog.<) 3)
			OPERATOR(pg_catalog.||)
			CASE WHEN pg_catalog.count(*) OPERATOR(pg_catalog.>) 3 THEN
				pg_catalog.format(' and %s more', pg_catalog.count(*)
					OPERATOR(pg_catalog.-) 3) ELSE '' END
		END
		FROM outflow.source AS o WHERE o.job OPERATOR(pg_catalog.=) j.job)
		AS source,
	j.destination, j.format, j.parts_total,
	p.parts_done, p.parts_carried, p.parts_redone,
	p.rows OPERATOR(pg_catalog.+) l.rows AS rows,
	p.bytes OPERATOR(pg_catalog.+) l.bytes AS bytes, p.bytes_stored,
	CASE WHEN r.seconds OPERATOR(pg_catalog.>) 0
		THEN ((p.bytes_written OPERATOR(pg_catalog.+) l.bytes)
			OPERATOR(pg_catalog./) r.seconds)::bigint END
		AS rate,
	CASE WHEN s.state OPERATOR(pg_catalog.=) 'running'
		AND p.blocks_done OPERATOR(pg_catalog.>) 0
		THEN pg_catalog.make_interval(secs => r.seconds
			OPERATOR(pg_catalog.*) (p.blocks OPERATOR(pg_catalog.-)
				p.blocks_done) OPERATOR(pg_catalog./) p.blocks_done) END
		AS eta,
	j.snapshot, j.lsn, j.slot, j.retries,
	CASE WHEN s.state OPERATOR(pg_catalog.=) 'queued'
			THEN CASE WHEN NOT outflow_internal.job_can_connect(j.owner)
					THEN 'its owner, who cannot connect'
				ELSE coalesce(j.waiting_for, 'its start') END
		WHEN s.state OPERATOR(pg_catalog.=) 'running'
			THEN (SELECT pg_catalog.string_agg(w.line, '; ')
				-- before another try it has the error's message
				FROM (VALUES (CASE WHEN o.owned THEN j.waiting_for
						ELSE pg_catalog.split_part(j.waiting_for, ' after: ', 1) END),
					(outflow_internal.job_waiting_for(j.job))) AS w (line))
		END AS waiting_for,
	-- on one line, since there is nobody to whom the rest could be told; messages
	-- may hold values of tables that only the owner may read
	CASE WHEN NOT o.owned THEN
			CASE WHEN j.error IS NOT NULL OR (w.fault IS NOT NULL
					AND s.state OPERATOR(pg_catalog.=) 'interrupted') THEN
				coalesce('SQLSTATE ' OPERATOR(pg_catalog.||) j.error_code,
					'<insufficient privilege>') END
		WHEN s.state OPERATOR(pg_catalog.=) 'interrupted'
			AND w.fault IS NOT NULL THEN
			pg_catalog.concat(coalesce(j.error, 'the export was interrupted'),
				' (', w.fault, ')')
		WHEN j.error IS NOT NULL THEN pg_catalog.concat(j.error, ' ('
			OPERATOR(pg_catalog.||)
			pg_catalog.replace(j.error_context, E'\n', '; ')
			OPERATOR(pg_catalog.||) ')') END AS error,
	j.started, j.finished, p.made_null
FROM outflow.job AS j
CROSS JOIN LATERAL (SELECT outflow_internal.job_state(j.job, j.state) AS state) AS s
CROSS JOIN LATERAL (SELECT pg_catalog.pg_has_role(j.owner, 'USAGE') AS owned) AS o
CROSS JOIN LATERAL (
	SELECT pg_catalog.count(*) FILTER (WHERE q.done)::int AS parts_done,
		pg_catalog.count(*) FILTER (WHERE q.carried)::int AS parts_carried,
		pg_catalog.count(*) FILTER (WHERE q.redone)::int AS parts_redone,
		coalesce(pg_catalog.sum(q.rows) FILTER (WHERE q.done), 0)::bigint
			AS rows,
		coalesce(pg_catalog.sum(q.bytes) FILTER (WHERE q.done), 0)::bigint
			AS bytes,
		coalesce(pg_catalog.sum(q.bytes_stored) FILTER (WHERE q.done), 0)
			::bigint AS bytes_stored,
		coalesce(pg_catalog.sum(q.made_null) FILTER (WHERE q.done), 0)
			::bigint AS made_null,
		-- by this run
		coalesce(pg_catalog.sum(q.bytes) FILTER (WHERE q.done
			AND NOT q.carried), 0)::pg_catalog.float8 AS bytes_written,
		coalesce(pg_catalog.sum(q.blocks), 0)::pg_catalog.float8 AS blocks,
		coalesce(pg_catalog.sum(q.blocks) FILTER (WHERE q.done), 0)::pg_catalog.float8
			AS blocks_done,
		pg_catalog.min(q.error) FILTER (WHERE NOT q.done) AS error
	FROM (
		SELECT t.state OPERATOR(pg_catalog.=) 'done' AS done, t.carried,
			t.redone, t.rows, t.bytes, t.bytes_stored, t.made_null,
			t.error, t.end_block OPERATOR(pg_catalog.-) t.first_block AS blocks
		FROM outflow.part AS t WHERE t.job OPERATOR(pg_catalog.=) j.job
	) AS q
) AS p
-- a query's parts are recorded together, when the last one is written
CROSS JOIN LATERAL (
	SELECT coalesce(pg_catalog.sum(q.rows), 0)::bigint AS rows,
		coalesce(pg_catalog.sum(q.bytes), 0)::bigint AS bytes
	FROM outflow_internal.job_session_progress(CASE
		WHEN s.state OPERATOR(pg_catalog.=) 'running'
		AND j.workers OPERATOR(pg_catalog.=) 0
		AND j.parts_total IS NULL THEN j.job END) AS q
) AS l
CROSS JOIN LATERAL (SELECT pg_catalog.date_part('epoch',
	coalesce(j.finished, pg_catalog.clock_timestamp())
	OPERATOR(pg_catalog.-) j.started) AS seconds) AS r
-- what an interrupted job was trying to get past
CROSS JOIN LATERAL (SELECT coalesce(CASE WHEN pg_catalog.starts_with(
	j.waiting_for, 'the next try of ') THEN pg_catalog.concat('it waited for ',
		j.waiting_for) END, p.error) AS fault) AS w
WHERE o.owned
OR pg_catalog.pg_has_role('pg_monitor', 'USAGE');

CREATE VIEW outflow.parts WITH (security_barrier) AS
SELECT p.job, p.part, p.state, p.name AS relation, p.first_block,
	CASE WHEN p.end_block OPERATOR(pg_catalog.>) p.first_block
		THEN p.end_block OPERATOR(pg_catalog.-) 1 END AS last_block,
	CASE WHEN p.file IS NOT NULL
		THEN pg_catalog.concat_ws('/', p.location, p.file) END AS file,
	p.rows, p.bytes, p.bytes_stored, p.snapshot, p.lsn, p.attempts,
	CASE WHEN p.error IS NULL OR pg_catalog.pg_has_role(j.owner, 'USAGE') THEN p.error
		ELSE '<insufficient privilege>' END AS error
FROM outflow.part AS p
JOIN outflow.job AS j ON j.job OPERATOR(pg_catalog.=) p.job
WHERE pg_catalog.pg_has_role(j.owner, 'USAGE')
OR pg_catalog.pg_has_role('pg_monitor', 'USAGE');

-------------------------------------------------------------------------------
-- Exports: what users call.  Each checks rights for itself.

CREATE PROCEDURE outflow.export(
	source pg_catalog.regclass,
	destination pg_catalog.text,
	format pg_catalog.text DEFAULT 'csv',
	compression pg_catalog.text DEFAULT NULL,
	columns pg_catalog.text[] DEFAULT NULL,
	filter pg_catalog.text DEFAULT NULL,
	encrypt_to pg_catalog.text[] DEFAULT NULL,
	part_size pg_catalog.text DEFAULT '128MB',
	workers int DEFAULT 2,
	base bigint DEFAULT NULL,
	slot pg_catalog.name DEFAULT NULL,
	options pg_catalog.jsonb DEFAULT '{}',
	INOUT job bigint DEFAULT NULL)
LANGUAGE c AS 'MODULE_PATHNAME', 'outflow_export';

-- the rows of a query, which runs in the calling session
CREATE PROCEDURE outflow.export_query(
	query pg_catalog.text,
	destination pg_catalog.text,
	format pg_catalog.text DEFAULT 'csv',
	compression pg_catalog.text DEFAULT NULL,
	encrypt_to pg_catalog.text[] DEFAULT NULL,
	part_size pg_catalog.text DEFAULT '128MB',
	options pg_catalog.jsonb DEFAULT '{}',
	INOUT job bigint DEFAULT NULL)
LANGUAGE c AS 'MODULE_PATHNAME', 'outflow_export_query';

-- many tables as one job: a folder for each, one snapshot, one slot
CREATE PROCEDURE outflow.export_tables(
	sources pg_catalog.regclass[],
	destination pg_catalog.text,
	format pg_catalog.text DEFAULT 'csv',
	compression pg_catalog.text DEFAULT NULL,
	encrypt_to pg_catalog.text[] DEFAULT NULL,
	part_size pg_catalog.text DEFAULT '128MB',
	workers int DEFAULT 2,
	base bigint DEFAULT NULL,
	slot pg_catalog.name DEFAULT NULL,
	options pg_catalog.jsonb DEFAULT '{}',
	INOUT job bigint DEFAULT NULL)
LANGUAGE c AS 'MODULE_PATHNAME', 'outflow_export_tables';

-- the ordinary tables of a schema that the caller may read
CREATE PROCEDURE outflow.export_schema(
	schema pg_catalog.regnamespace,
	destination pg_catalog.text,
	format pg_catalog.text DEFAULT 'csv',
	compression pg_catalog.text DEFAULT NULL,
	encrypt_to pg_catalog.text[] DEFAULT NULL,
	part_size pg_catalog.text DEFAULT '128MB',
	workers int DEFAULT 2,
	base bigint DEFAULT NULL,
	slot pg_catalog.name DEFAULT NULL,
	options pg_catalog.jsonb DEFAULT '{}',
	INOUT job bigint DEFAULT NULL)
LANGUAGE c AS 'MODULE_PATHNAME', 'outflow_export_schema';

-- the tables, row filters and column lists of a publication
CREATE PROCEDURE outflow.export_publication(
	publication name,
	destination pg_catalog.text,
	format pg_catalog.text DEFAULT 'csv',
	compression pg_catalog.text DEFAULT NULL,
	encrypt_to pg_catalog.text[] DEFAULT NULL,
	part_size pg_catalog.text DEFAULT '128MB',
	workers int DEFAULT 2,
	base bigint DEFAULT NULL,
	slot pg_catalog.name DEFAULT NULL,
	options pg_catalog.jsonb DEFAULT '{}',
	INOUT job bigint DEFAULT NULL)
LANGUAGE c AS 'MODULE_PATHNAME', 'outflow_export_publication';

CREATE PROCEDURE outflow.resume(job bigint)
LANGUAGE c AS 'MODULE_PATHNAME', 'outflow_resume';

-- the same without waiting: they start when the transaction commits
CREATE FUNCTION outflow.export_start(
	source pg_catalog.regclass,
	destination pg_catalog.text,
	format pg_catalog.text DEFAULT 'csv',
	compression pg_catalog.text DEFAULT NULL,
	columns pg_catalog.text[] DEFAULT NULL,
	filter pg_catalog.text DEFAULT NULL,
	encrypt_to pg_catalog.text[] DEFAULT NULL,
	part_size pg_catalog.text DEFAULT '128MB',
	workers int DEFAULT 2,
	base bigint DEFAULT NULL,
	slot pg_catalog.name DEFAULT NULL,
	options pg_catalog.jsonb DEFAULT '{}')
RETURNS bigint LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outflow_export_start';

CREATE FUNCTION outflow.export_tables_start(
	sources pg_catalog.regclass[],
	destination pg_catalog.text,
	format pg_catalog.text DEFAULT 'csv',
	compression pg_catalog.text DEFAULT NULL,
	encrypt_to pg_catalog.text[] DEFAULT NULL,
	part_size pg_catalog.text DEFAULT '128MB',
	workers int DEFAULT 2,
	base bigint DEFAULT NULL,
	slot pg_catalog.name DEFAULT NULL,
	options pg_catalog.jsonb DEFAULT '{}')
RETURNS bigint LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outflow_export_tables_start';

CREATE FUNCTION outflow.export_schema_start(
	schema pg_catalog.regnamespace,
	destination pg_catalog.text,
	format pg_catalog.text DEFAULT 'csv',
	compression pg_catalog.text DEFAULT NULL,
	encrypt_to pg_catalog.text[] DEFAULT NULL,
	part_size pg_catalog.text DEFAULT '128MB',
	workers int DEFAULT 2,
	base bigint DEFAULT NULL,
	slot pg_catalog.name DEFAULT NULL,
	options pg_catalog.jsonb DEFAULT '{}')
RETURNS bigint LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outflow_export_schema_start';

CREATE FUNCTION outflow.export_publication_start(
	publication name,
	destination pg_catalog.text,
	format pg_catalog.text DEFAULT 'csv',
	compression pg_catalog.text DEFAULT NULL,
	encrypt_to pg_catalog.text[] DEFAULT NULL,
	part_size pg_catalog.text DEFAULT '128MB',
	workers int DEFAULT 2,
	base bigint DEFAULT NULL,
	slot pg_catalog.name DEFAULT NULL,
	options pg_catalog.jsonb DEFAULT '{}')
RETURNS bigint LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outflow_export_publication_start';

CREATE FUNCTION outflow.resume_start(job bigint) RETURNS bigint
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outflow_resume_start';

-- starts queued jobs that found no free worker; returns how many
CREATE FUNCTION outflow.run_queue() RETURNS int
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outflow_run_queue';

CREATE FUNCTION outflow.cancel(job bigint) RETURNS boolean
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outflow_cancel';

CREATE FUNCTION outflow.forget(job bigint, abandon boolean DEFAULT false)
RETURNS pg_catalog.void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outflow_forget';

-- Restoring.  First what the library tells: for each table of a finished job its
-- manifest, where the files are that it names, and the table's structure of then,
-- which no file tells: an expression may have what was masked or left out.
CREATE FUNCTION outflow_internal.restore_manifests(job bigint)
RETURNS TABLE (relation pg_catalog.oid, directory pg_catalog.text,
	manifest pg_catalog.jsonb, structure pg_catalog.jsonb)
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outflow_restore_manifests';

-- What an identity's sequence has other than by default, after a space, or "".  It
-- has the type that the column had, which the sequence itself need not have; what
-- it has as a bound by default is no choice of anybody's.
CREATE FUNCTION outflow_internal.restore_counting(counting pg_catalog.pg_sequence,
	type pg_catalog.text)
RETURNS pg_catalog.text
LANGUAGE sql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN f.seqincrement = 1 AND f.lowest = 1 AND f.highest = f.most
			AND f.start = 1 AND NOT f.seqcycle
			-- none of its values is one of the type's
			OR f.lowest >= f.highest THEN ''
		ELSE pg_catalog.format(' (INCREMENT BY %s MINVALUE %s MAXVALUE %s'
			' START WITH %s%s)', f.seqincrement, f.lowest, f.highest, f.start,
			CASE WHEN f.seqcycle THEN ' CYCLE' END) END
	FROM (SELECT counting.seqincrement, counting.seqcycle, t.most,
		CASE WHEN counting.seqmin = -1 - o.most THEN -1 - t.most
			ELSE greatest(counting.seqmin, -1 - t.most) END AS lowest,
		CASE WHEN counting.seqmax = o.most THEN t.most
			ELSE least(counting.seqmax, t.most) END AS highest,
		greatest(least(counting.seqstart, t.most), -1 - t.most) AS start
		FROM (VALUES ('smallint', 32767), ('integer', 2147483647),
				('bigint', 9223372036854775807)) AS t (type, most),
			(VALUES ('smallint', 32767), ('integer', 2147483647),
				('bigint', 9223372036854775807)) AS o (type, most)
		WHERE t.type = restore_counting.type
		AND o.type = pg_catalog.format_type(counting.seqtypid, NULL)) AS f
$$;

-- A table's columns and primary key as JSON.  Columns are by name, each with its
-- number, which stays when it is renamed.  A generated one that has no mask, of the
-- form "attnum=method", has its declaration, in words that are alike in every session,
-- the columns that it is made of, and a hash of what the declaration means.  So what a
-- job recorded can be compared with what is.
CREATE FUNCTION outflow_internal.table_structure(relation pg_catalog.oid,
	masks pg_catalog.text[])
RETURNS pg_catalog.text
LANGUAGE sql STABLE STRICT PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
SET DateStyle = 'ISO, MDY'
SET IntervalStyle = postgres
SET TimeZone = 'UTC'
SET bytea_output = hex
SET extra_float_digits = 1
SET lc_monetary = 'C'
SET quote_all_identifiers = off
AS $$
	SELECT pg_catalog.jsonb_build_object('key', (
		SELECT pg_catalog.jsonb_build_object(
			'columns', pg_catalog.jsonb_agg(a.attname ORDER BY n.place)
				FILTER (WHERE n.place <= i.indnkeyatts),
			'included', coalesce(pg_catalog.jsonb_agg(a.attname ORDER BY n.place)
				FILTER (WHERE n.place > i.indnkeyatts), '[]'),
			'deferrable', k.condeferrable, 'deferred', k.condeferred,
			-- since PostgreSQL 18
			'without_overlaps', coalesce(pg_catalog.to_jsonb(k)->'conperiod', 'false'))
		FROM pg_catalog.pg_constraint AS k
		JOIN pg_catalog.pg_index AS i ON i.indexrelid = k.conindid
		CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[])
			WITH ORDINALITY AS n (attnum, place)
		JOIN pg_catalog.pg_attribute AS a
			ON a.attrelid = relation AND a.attnum = n.attnum
		WHERE k.conrelid = relation AND k.contype = 'p'
		GROUP BY k.oid, k.*, k.condeferrable, k.condeferred
	), 'columns', coalesce(pg_catalog.jsonb_object_agg(a.attname, pg_catalog.jsonb_build_object(
		'column', a.attnum) || CASE WHEN a.attgenerated = 's' AND NOT EXISTS (
			SELECT FROM pg_catalog.unnest(masks) AS m (mask)
			WHERE pg_catalog.split_part(m.mask, '=', 1)::int = a.attnum)
		THEN pg_catalog.jsonb_build_object(
		'declaration', pg_catalog.concat(
			pg_catalog.format_type(a.atttypid, a.atttypmod),
			CASE WHEN a.attcollation NOT IN (0, t.typcollation) THEN ' COLLATE '
				|| a.attcollation::pg_catalog.regcollation::pg_catalog.text END,
			' GENERATED ALWAYS AS (', pg_catalog.pg_get_expr(d.adbin, d.adrelid),
			') STORED'),
		'not_null', a.attnotnull,
		'of', (SELECT coalesce(pg_catalog.jsonb_agg(DISTINCT i.attname), '[]')
			FROM pg_catalog.pg_depend AS p
			JOIN pg_catalog.pg_attribute AS i
				ON i.attrelid = relation AND i.attnum = p.refobjsubid
			WHERE p.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
			AND p.refobjid = relation AND i.attnum <> a.attnum
			AND (p.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
					AND p.objid = relation AND p.objsubid = a.attnum
				OR p.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
					AND p.objid = d.oid)),
		-- where things stood in the command that made it is no part of it
		'meaning', pg_catalog.hashtextextended(pg_catalog.concat_ws(' ', a.atttypid,
			a.atttypmod, a.attcollation, pg_catalog.regexp_replace(
				d.adbin::pg_catalog.text, ' :(location|list_start|list_end) -?\d+', '',
				'g')), 0)) ELSE '{}' END), '{}'))::pg_catalog.text
	FROM pg_catalog.pg_attribute AS a
	JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
	LEFT JOIN pg_catalog.pg_attrdef AS d
		ON d.adrelid = a.attrelid AND d.adnum = a.attnum
	WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
$$;

-- The columns that were generated when the table was exported, if nothing that they
-- were made of was masked or left out.  What is generated otherwise now, or not at
-- all, has no declaration.
CREATE FUNCTION outflow_internal.restore_generated(relation pg_catalog.oid,
	manifest pg_catalog.jsonb)
RETURNS TABLE (label pg_catalog.text, attnum int, declaration pg_catalog.text,
	not_null boolean)
LANGUAGE sql STABLE STRICT PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS $$
	WITH now AS MATERIALIZED (
		SELECT n.key, n.value
		FROM pg_catalog.jsonb_each(outflow_internal.table_structure(
			relation, '{}')::pg_catalog.jsonb->'columns') AS n
		WHERE n.value ? 'declaration'
	)
	SELECT g.key, (g.value->'column')::int,
		CASE WHEN EXISTS (
			SELECT FROM now AS n
			WHERE n.value->'column' = g.value->'column'
				AND n.value->'meaning' = g.value->'meaning'
			OR n.key = g.key AND n.value->'declaration' = g.value->'declaration')
		THEN g.value->>'declaration' END,
		(g.value->'not_null')::boolean
	FROM pg_catalog.jsonb_each(manifest#>'{structure,columns}') AS g
	WHERE g.value ? 'declaration' AND NOT EXISTS (
		SELECT FROM pg_catalog.jsonb_array_elements(g.value->'of') AS o
		WHERE NOT EXISTS (
			SELECT FROM pg_catalog.jsonb_array_elements(manifest->'columns') AS e
			WHERE e->'name' = o.value AND NOT e ? 'mask'))
$$;

-- The columns of an exported table: as the manifest has them, which is as the
-- files do.  Where the table is still there, one is generated or counted as it
-- was, if no file of COPY has the generated values; an identity takes no null.
CREATE FUNCTION outflow_internal.restore_columns(relation pg_catalog.oid,
	manifest pg_catalog.jsonb)
RETURNS TABLE (label pg_catalog.text, declaration pg_catalog.text,
	is_loaded boolean, is_counted boolean)
LANGUAGE sql STABLE STRICT PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS $$
	WITH exported AS (
		SELECT c.value->>'name' AS label, c.value->>'type' AS type,
			c.value->>'collation' AS collation,
			NOT (c.value->>'nullable')::boolean AS not_null,
			c.value ? 'mask' AS masked, c.ordinality AS place
		FROM pg_catalog.jsonb_array_elements(manifest->'columns') WITH ORDINALITY AS c
	), generated AS (
		SELECT g.label, g.attnum, g.declaration AS making, g.not_null
		FROM outflow_internal.restore_generated(relation, manifest) AS g
		WHERE g.declaration IS NOT NULL
	), live AS (
		SELECT r.key AS label, a.attnum, a.attidentity, s.sequence
		FROM pg_catalog.jsonb_each(manifest#>'{structure,columns}') AS r
		JOIN pg_catalog.pg_attribute AS a ON a.attrelid = relation
			AND a.attnum = (r.value->'column')::int AND NOT a.attisdropped
		LEFT JOIN pg_catalog.pg_attrdef AS d
			ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		-- an identity's sequence, or the one whose next number is the default
		LEFT JOIN LATERAL (
			SELECT q AS sequence
			FROM pg_catalog.pg_depend AS o
			JOIN pg_catalog.pg_sequence AS q ON q.seqrelid = o.objid
			WHERE o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
			AND o.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
			AND o.refobjid = relation AND o.refobjsubid = a.attnum
			AND (o.deptype = 'i' OR pg_catalog.pg_get_expr(d.adbin, d.adrelid)
				= pg_catalog.concat('nextval(''', pg_catalog.replace(
					q.seqrelid::pg_catalog.regclass::pg_catalog.text, '''', ''''''),
					'''::regclass)'))
			LIMIT 1) AS s ON true
	), found AS (
		SELECT e.label, e.type, e.collation, e.not_null, l.attidentity, g.making,
			-- a line of jsonl has names, so that one can be passed over
			g.making IS NOT NULL AND NOT e.masked
				AND manifest->>'format' = 'jsonl' AS made,
			s.counting IS NOT NULL AND e.not_null AND NOT e.masked AS counted,
			s.counting, e.place
		FROM exported AS e LEFT JOIN live AS l USING (label)
		LEFT JOIN generated AS g USING (label),
			outflow_internal.restore_counting(l.sequence, e.type) AS s (counting)
	UNION ALL
		SELECT g.label, NULL, NULL, g.not_null, '', g.making, true, false,
			NULL, 0.5 + (SELECT pg_catalog.count(*)
				FROM exported AS e JOIN live AS o USING (label)
				WHERE o.attnum < g.attnum) + g.attnum / 10000.0
		FROM generated AS g
		WHERE g.label NOT IN (SELECT e.label FROM exported AS e)
	)
	SELECT f.label, pg_catalog.concat_ws(' ', pg_catalog.quote_ident(f.label),
			CASE WHEN f.made THEN f.making
				ELSE pg_catalog.concat(f.type, ' COLLATE ' || f.collation) END,
			CASE WHEN f.not_null THEN 'NOT NULL' END,
			CASE WHEN f.counted THEN pg_catalog.format(
				'GENERATED %s AS IDENTITY%s', CASE f.attidentity WHEN 'a'
					THEN 'ALWAYS' ELSE 'BY DEFAULT' END, f.counting) END),
		NOT f.made, f.counted
	FROM found AS f ORDER BY f.place
$$;

-- Whether COPY by itself would take what it reads for something else: binary is in
-- client_encoding; and what is in SQL_ASCII, it would not look at.
CREATE FUNCTION outflow_internal.restore_sets_encoding(manifest pg_catalog.jsonb)
RETURNS pg_catalog.bool
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT manifest->>'format' = 'binary' OR (manifest->>'encoding' = 'SQL_ASCII'
		AND manifest->>'format' <> 'jsonl')
$$;

-- what COPY reads a file of a manifest from, and how
CREATE FUNCTION outflow_internal.restore_copy_from(directory pg_catalog.text,
	file pg_catalog.text, manifest pg_catalog.jsonb)
RETURNS pg_catalog.text
LANGUAGE sql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.concat(CASE WHEN f.tool IS NULL
			THEN pg_catalog.quote_literal(f.path)
			-- for the shell, and that for SQL
			ELSE pg_catalog.format('PROGRAM %L', pg_catalog.format('%s ''%s''',
				f.tool, pg_catalog.replace(f.path, '''', '''\'''''))) END,
		' WITH (', pg_catalog.concat_ws(', ',
			-- a line is one value: no JSON has these characters
			CASE manifest->>'format' WHEN 'jsonl'
				THEN 'FORMAT csv, DELIMITER E''\002'', QUOTE E''\001'''
				ELSE 'FORMAT ' || (manifest->>'format') END,
			CASE WHEN (f.options->>'header')::boolean THEN 'HEADER' END,
			'DELIMITER ' || pg_catalog.quote_literal(f.options->>'delimiter'),
			'NULL ' || pg_catalog.quote_literal(f.options->>'null'),
			'QUOTE ' || pg_catalog.quote_literal(f.options->>'quote'),
			'ESCAPE ' || pg_catalog.quote_literal(f.options->>'escape'),
			-- unless the session has it meanwhile
			CASE WHEN NOT outflow_internal.restore_sets_encoding(manifest) THEN
				pg_catalog.format('ENCODING %L', manifest->>'encoding') END),
		')')
	FROM (SELECT manifest->'options' AS options,
		CASE WHEN pg_catalog.starts_with(file, '/') THEN file
			ELSE directory || file END AS path,
		CASE pg_catalog.split_part(manifest->>'compression', ':', 1)
			WHEN 'gzip' THEN 'gzip -dc' WHEN 'zstd' THEN 'zstd -dcq'
			WHEN 'lz4' THEN 'lz4 -dcq' END AS tool) AS f
$$;

-- A block that loads text in another client_encoding than the session's.  Bytes of
-- no encoding must be valid in the database's.
CREATE FUNCTION outflow_internal.restore_copy_in_encoding(encoding pg_catalog.text,
	command pg_catalog.text)
RETURNS pg_catalog.text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.format(
		E'DECLARE mine text DEFAULT current_setting(''client_encoding'');\n'
		'BEGIN\n'
		'  PERFORM set_config(''client_encoding'', %s, true);\n'
		'  EXECUTE %L;\n'
		'  PERFORM set_config(''client_encoding'', mine, true);\n'
		'END', CASE encoding WHEN 'SQL_ASCII' THEN 'getdatabaseencoding()'
			ELSE pg_catalog.quote_literal(encoding) END, command)
$$;

-- What checks the lines of jsonl that are loaded: of a database whose encoding is
-- not UTF-8 they have escapes, which one without an encoding can't read, and some
-- of which stand for bytes that are no character; and a line that doesn't tell its
-- row ends in a space.
CREATE FUNCTION outflow_internal.restore_check_lines(source pg_catalog.text)
RETURNS pg_catalog.text
LANGUAGE sql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.format(E'DO %L;\n', pg_catalog.concat(E'BEGIN\n',
		CASE WHEN pg_catalog.getdatabaseencoding() <> 'UTF8' THEN
			E'  IF EXISTS (SELECT FROM pg_temp.outflow_line WHERE line ~ CASE'
			' getdatabaseencoding() WHEN ''SQL_ASCII'' THEN'
			' ''(^|[^\\\\])(\\\\\\\\)*\\\\u(00[89a-f]|0[1-9a-f]|[1-9a-f])'' ELSE'
			' ''(^|[^\\\\])(\\\\\\\\)*\\\\uef[89a-f]'' END) THEN\n'
			'    RAISE feature_not_supported USING MESSAGE ='
			' ''lines of jsonl have text that this database cannot read back'','
			' HINT = ''Export it again as binary, or as csv with'
			' {"encoding": "SQL_ASCII"}.'';\n'
			'  END IF;\n' END,
		pg_catalog.format(E'  IF EXISTS (SELECT FROM pg_temp.outflow_line'
			' WHERE line LIKE ''%% '') THEN\n'
			'    RAISE feature_not_supported USING MESSAGE = %L,'
			' DETAIL = ''They end in a space.'','
			' HINT = ''Export it again as csv, text or binary.'';\n'
			'  END IF;\n', pg_catalog.format('lines of table %s have values that'
			' jsonl does not tell', source)),
		'END'))
$$;

-- The primary key of then, if its columns were all exported, and none with a mask
-- under which rows share it; what it only includes may be missing.
CREATE FUNCTION outflow_internal.restore_key(relation pg_catalog.oid,
	manifest pg_catalog.jsonb)
RETURNS pg_catalog.text
LANGUAGE sql STABLE STRICT PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.concat('PRIMARY KEY (', f.columns,
		CASE WHEN (k.key->'without_overlaps')::boolean THEN ' WITHOUT OVERLAPS' END,
		') INCLUDE (' || f.included, ')',
		CASE WHEN (k.key->'deferrable')::boolean THEN ' DEFERRABLE' END,
		CASE WHEN (k.key->'deferred')::boolean THEN ' INITIALLY DEFERRED' END)
	FROM (SELECT manifest#>'{structure,key}' AS key) AS k, LATERAL (
		SELECT pg_catalog.bool_and(e.label IS NOT NULL AND (e.mask IS NULL OR
				e.mask = 'hash' AND (k.key->'without_overlaps')::boolean IS NOT TRUE))
				FILTER (WHERE NOT n.is_included) AS is_whole,
			pg_catalog.string_agg(pg_catalog.quote_ident(e.label), ', ' ORDER BY n.place)
				FILTER (WHERE NOT n.is_included) AS columns,
			pg_catalog.string_agg(pg_catalog.quote_ident(e.label), ', ' ORDER BY n.place)
				FILTER (WHERE n.is_included) AS included
		FROM (
			SELECT c.name, c.place, false AS is_included
			FROM pg_catalog.jsonb_array_elements_text(k.key->'columns')
				WITH ORDINALITY AS c (name, place)
		UNION ALL
			SELECT c.name, c.place, true
			FROM pg_catalog.jsonb_array_elements_text(k.key->'included')
				WITH ORDINALITY AS c (name, place)
		) AS n
		LEFT JOIN LATERAL (SELECT m->>'name' AS label, m->>'mask' AS mask
			FROM pg_catalog.jsonb_array_elements(manifest->'columns') AS m
			WHERE m->>'name' = n.name
			UNION ALL
			SELECT r.label, NULL
			FROM outflow_internal.restore_columns(relation, manifest) AS r
			WHERE r.label = n.name AND NOT r.is_loaded
			LIMIT 1) AS e ON true
	) AS f
	WHERE f.is_whole
$$;

-- the SQL that makes one table, without its rows
CREATE FUNCTION outflow_internal.restore_create_table(relation pg_catalog.oid,
	manifest pg_catalog.jsonb)
RETURNS pg_catalog.text
LANGUAGE sql STABLE STRICT PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT pg_catalog.format(E'\nCREATE SCHEMA IF NOT EXISTS %I;\n'
			'%sCREATE TABLE IF NOT EXISTS %s (%s);\n', (pg_catalog.parse_ident(manifest->>'source'))[1], (
			-- as JSON a name has no line breaks, which would end the comment
			SELECT pg_catalog.string_agg(pg_catalog.format(
				E'-- column %s is not generated as it was any more: left out\n',
				pg_catalog.to_json(g.label)), '' ORDER BY g.attnum)
			FROM outflow_internal.restore_generated(relation, manifest) AS g
			WHERE g.declaration IS NULL AND g.label NOT IN (
				SELECT c.label FROM outflow_internal.restore_columns(relation, manifest) AS c)),
		manifest->>'source', pg_catalog.concat_ws(', ', (
			SELECT pg_catalog.string_agg(c.declaration, ', ')
			FROM outflow_internal.restore_columns(relation, manifest) AS c),
			outflow_internal.restore_key(relation, manifest)))
$$;

-- the same for its rows and sequences
CREATE FUNCTION outflow_internal.restore_load_table(relation pg_catalog.oid,
	directory pg_catalog.text, manifest pg_catalog.jsonb)
RETURNS pg_catalog.text
LANGUAGE sql STABLE STRICT PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS $$
	-- null for a table without columns, whose lists would be no SQL
	WITH loaded AS (
		SELECT ' (' || pg_catalog.string_agg(pg_catalog.quote_ident(c.label), ', ')
				|| ')' AS columns,
			-- where SQL's null can't be, it is JSON's
			pg_catalog.string_agg(pg_catalog.format(CASE WHEN EXISTS (
				SELECT FROM pg_catalog.jsonb_array_elements(manifest->'columns') AS e
				WHERE e->>'name' = c.label AND e->>'type' IN ('json', 'jsonb')
				AND NOT (e->'nullable')::boolean AND NOT e ? 'mask')
				THEN 'coalesce(r.%I, ''null'')' ELSE 'r.%I' END, c.label), ', ')
				AS fields
		FROM outflow_internal.restore_columns(relation, manifest) AS c
		WHERE c.is_loaded
	)
	SELECT pg_catalog.concat((
		SELECT pg_catalog.string_agg(pg_catalog.format(
			CASE WHEN manifest->>'format' = 'jsonl' THEN
				E'COPY pg_temp.outflow_line FROM %3$s;\n%6$s'
				'INSERT INTO %1$s%2$s OVERRIDING SYSTEM VALUE SELECT %4$s'
				' FROM pg_temp.outflow_line AS l,'
				' json_populate_record(NULL::%1$s, l.line::json) AS r;\n'
				'TRUNCATE pg_temp.outflow_line;\n'
			WHEN outflow_internal.restore_sets_encoding(manifest) THEN
				E'DO %5$L;\n'
			ELSE E'COPY %1$s%2$s FROM %3$s;\n' END,
			manifest->>'source', l.columns, f.copied, l.fields,
			outflow_internal.restore_copy_in_encoding(manifest->>'encoding',
				pg_catalog.format('COPY %s%s FROM %s', manifest->>'source', l.columns,
					f.copied)),
			outflow_internal.restore_check_lines(manifest->>'source')),
			'' ORDER BY p.ordinality)
		FROM loaded AS l, pg_catalog.jsonb_array_elements(manifest->'parts')
			WITH ORDINALITY AS p, LATERAL outflow_internal.restore_copy_from(
				directory, p.value->>'file', manifest) AS f (copied)), (
		SELECT pg_catalog.string_agg(pg_catalog.format(
			E'SELECT setval(s.seqrelid, n.value) FROM pg_sequence AS s, (\n'
			'  SELECT max(%2$I), min(%2$I) FROM %1$s) AS t,\n'
			'  LATERAL (SELECT CASE WHEN s.seqincrement > 0 THEN t.max'
			' ELSE t.min END) AS n (value)\n'
			'WHERE s.seqrelid = pg_get_serial_sequence(%1$L, %2$L)::regclass'
			' AND n.value BETWEEN s.seqmin AND s.seqmax;\n',
			manifest->>'source', c.label), '')
		FROM outflow_internal.restore_columns(relation, manifest) AS c
		WHERE c.is_counted))
$$;

-- The value of a captured setting under which text is read as it was written: a
-- DateStyle other than ISO writes days and months in another order than it says.
CREATE FUNCTION outflow_internal.restore_setting(setting pg_catalog.text,
	written pg_catalog.text)
RETURNS pg_catalog.text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN setting <> 'DateStyle' THEN written
		WHEN written LIKE 'German,%' THEN 'German, DMY'
		WHEN written NOT LIKE 'ISO,%' THEN pg_catalog.replace(written, 'YMD', 'MDY')
		ELSE written END
$$;

-- A zone that is hours, as the setting has it or after POSIX's abbreviation, and so
-- many that no server reads a time of it.
CREATE FUNCTION outflow_internal.restore_zone_is_far(manifest pg_catalog.jsonb)
RETURNS pg_catalog.bool
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT manifest->'settings'->>'TimeZone'
		~* '^(INTERVAL ''|<[^>]*>|[a-z]+)?[-+]?(1[6-9]|[2-9][0-9]|[0-9]{3})'
$$;

-- The first column with times, at whatever depth, whose text doesn't tell when they
-- were: but in ISO it has a time zone's abbreviation, which may be that of another
-- zone too, or be unknown to the server, or the same before and after a change.
CREATE FUNCTION outflow_internal.restore_inexact_column(relation pg_catalog.oid,
	manifest pg_catalog.jsonb)
RETURNS pg_catalog.text
LANGUAGE sql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	WITH RECURSIVE held AS (
		SELECT c.ordinality AS place, c.value->>'name' AS label,
			-- looking a name up needs rights on its schema, which a table's owner may
			-- lack; so it is done for the types alone that the table has no more
			CASE WHEN a.type IS NULL
				THEN pg_catalog.to_regtype(c.value->>'type')::pg_catalog.oid
				ELSE a.type END AS type
		FROM pg_catalog.jsonb_array_elements(manifest->'columns') WITH ORDINALITY AS c
		LEFT JOIN LATERAL (SELECT l.atttypid AS type FROM pg_catalog.pg_attribute AS l
			WHERE l.attrelid = relation AND NOT l.attisdropped
			AND pg_catalog.format_type(l.atttypid, l.atttypmod) = c.value->>'type'
			LIMIT 1) AS a ON true
		WHERE manifest->>'format' IN ('csv', 'text')
		AND c.value->>'mask' IS DISTINCT FROM 'null'
		AND (outflow_internal.restore_zone_is_far(manifest)
			OR manifest->'settings'->>'DateStyle' NOT LIKE 'ISO,%'
			-- names of UTC, and hours, which are what such a zone is abbreviated to,
			-- whether the setting has them or POSIX's form, where both must agree
			AND manifest->'settings'->>'TimeZone' !~* pg_catalog.concat_ws('|',
				'^(UTC|UCT|GMT|Zulu|Universal|Greenwich|Etc/.*)$', '^[-+]?[0-9.]+$', '^INTERVAL ',
				'^<[+]([0-9:]+)>-\2$', '^<-([0-9:]+)>[+]\3$'))
	UNION
		SELECT h.place, h.label, inner_type
		FROM held AS h
		JOIN pg_catalog.pg_type AS t ON t.oid = h.type
		LEFT JOIN pg_catalog.pg_range AS r
			ON t.oid IN (r.rngtypid, r.rngmultitypid)
		LEFT JOIN pg_catalog.pg_attribute AS a
			ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped,
		LATERAL pg_catalog.unnest(ARRAY[t.typelem, t.typbasetype, r.rngsubtype,
			a.atttypid]) AS inner_type
	)
	SELECT h.label FROM held AS h
	WHERE h.type = 'pg_catalog.timestamptz'::pg_catalog.regtype
	ORDER BY h.place LIMIT 1
$$;

-- The first file that is not the server's: a part may have stayed where it was first
-- exported to, wherever the others are.
CREATE FUNCTION outflow_internal.restore_stored_file(directory pg_catalog.text,
	manifest pg_catalog.jsonb)
RETURNS pg_catalog.text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN pg_catalog.starts_with(p.value->>'file', 's3://')
		THEN p.value->>'file' ELSE directory || (p.value->>'file') END
	FROM pg_catalog.jsonb_array_elements(manifest->'parts') WITH ORDINALITY AS p
	WHERE pg_catalog.starts_with(p.value->>'file', 's3://')
	OR pg_catalog.starts_with(directory, 's3://')
		AND NOT pg_catalog.starts_with(p.value->>'file', '/')
	ORDER BY p.ordinality LIMIT 1
$$;

-- The SQL that makes the tables of a finished job, loads all their parts and
-- sets their sequences.  What the tables are made of is written under settings of
-- its own, which it is to be read under; rows are read under those that they were
-- written under.
CREATE FUNCTION outflow.restore_script(job bigint) RETURNS pg_catalog.text
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
SET transform_null_equals = off
SET array_nulls = on
SET xmloption = content
SET DateStyle = 'ISO, MDY'
SET IntervalStyle = postgres
SET TimeZone = 'UTC'
SET bytea_output = hex
SET extra_float_digits = 1
SET lc_monetary = 'C'
SET quote_all_identifiers = off
AS $$
DECLARE
	exported record;
	tables pg_catalog.text;
	settings pg_catalog.text;
	rows pg_catalog.text DEFAULT '';
	inexact pg_catalog.text;
	stored pg_catalog.text;
BEGIN
	FOR exported IN SELECT m.relation, m.directory, m.manifest
			|| pg_catalog.jsonb_build_object('structure', coalesce(m.structure, '{}'))
			AS manifest
		FROM outflow_internal.restore_manifests(restore_script.job) AS m
	LOOP
		inexact := outflow_internal.restore_inexact_column(exported.relation,
			exported.manifest);
		stored := outflow_internal.restore_stored_file(exported.directory,
			exported.manifest);
		IF exported.manifest->>'format' IN ('parquet', 'delta', 'iceberg') THEN
			RAISE feature_not_supported USING
				MESSAGE = pg_catalog.format('COPY cannot load format "%s"',
					exported.manifest->>'format'),
				HINT = 'DuckDB can, with its extension for PostgreSQL.';
		ELSIF exported.manifest ? 'encrypt_to' THEN
			RAISE feature_not_supported USING
				MESSAGE = pg_catalog.format('export job %s is encrypted',
					restore_script.job),
				HINT = 'Only "age -d" with a secret key opens its files, and'
					' the server must never see that.';
		ELSIF stored IS NOT NULL THEN
			RAISE feature_not_supported USING
				MESSAGE = pg_catalog.format('COPY cannot load "%s"', stored),
				DETAIL = 'It reads files of the server only.',
				HINT = 'Bring the files there, and load each by COPY.';
		ELSIF inexact IS NOT NULL
			AND outflow_internal.restore_zone_is_far(exported.manifest) THEN
			RAISE feature_not_supported USING
				MESSAGE = pg_catalog.format('COPY cannot load column "%s" of'
					' table %s', inexact, exported.manifest->>'source'),
				DETAIL = pg_catalog.format('No time of zone "%s" can be read.',
					exported.manifest->'settings'->>'TimeZone'),
				HINT = 'Export it again after "SET TimeZone = UTC", or as jsonl.';
		ELSIF inexact IS NOT NULL THEN
			RAISE feature_not_supported USING
				MESSAGE = pg_catalog.format('the text of column "%s" of table %s'
					' does not tell which times it means', inexact,
					exported.manifest->>'source'),
				DETAIL = pg_catalog.format('Under DateStyle "%s" it has abbreviations'
					' of time zone "%s", and these are not always read as what they'
					' were.', exported.manifest->'settings'->>'DateStyle',
					exported.manifest->'settings'->>'TimeZone'),
				HINT = 'Export it again after "SET DateStyle = ISO", or as jsonl.';
		END IF;
		tables := coalesce(tables, pg_catalog.concat(
			pg_catalog.format(E'-- export job %s\nBEGIN;\n'
				'SET LOCAL search_path = pg_catalog, pg_temp;\n',
				restore_script.job),
			(SELECT pg_catalog.string_agg(pg_catalog.format(
					E'SET LOCAL %I = %L;\n', s.key,
					pg_catalog.current_setting(s.key)), '')
				FROM pg_catalog.unnest(ARRAY['standard_conforming_strings',
					'transform_null_equals', 'array_nulls', 'xmloption',
					'DateStyle', 'IntervalStyle', 'TimeZone',
					'bytea_output', 'extra_float_digits', 'lc_monetary']) AS s (key))))
			|| outflow_internal.restore_create_table(exported.relation, exported.manifest);
		settings := coalesce(settings, pg_catalog.concat(E'\n',
			(SELECT pg_catalog.string_agg(pg_catalog.format(
					E'SET LOCAL %I = %L;\n', s.key,
					outflow_internal.restore_setting(s.key, s.value)), ''
					ORDER BY s.key)
				FROM pg_catalog.jsonb_each_text(
					exported.manifest->'settings') AS s),
			CASE exported.manifest->>'format' WHEN 'jsonl' THEN
				E'CREATE TEMPORARY TABLE outflow_line (line text)'
				' ON COMMIT DROP;\n' END));
		rows := rows || outflow_internal.restore_load_table(exported.relation,
			exported.directory, exported.manifest);
	END LOOP;
	RETURN tables || settings || rows || E'\nCOMMIT;';
END
$$;

-- the slot of the caller's finished job, if nobody has consumed from it
CREATE FUNCTION outflow_internal.job_slot(job bigint, given pg_catalog.name)
RETURNS pg_catalog.name
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outflow_job_slot';

-- Makes the slot that a subscription goes on from after a job: of the plugin
-- pgoutput, at the position where what is before was exported and what is after
-- was not.  A subscription has no "after_snapshot", so there must be one.  The
-- slot gets its name when it is there; until then it goes with this session.
CREATE FUNCTION outflow.subscription_slot(job bigint, slot pg_catalog.name)
RETURNS pg_catalog.pg_lsn
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	own pg_catalog.name := outflow_internal.job_slot(subscription_slot.job,
		subscription_slot.slot);
	passing pg_catalog.name := pg_catalog.format('outflow_subscription_%s',
		pg_catalog.pg_backend_pid());
	exported pg_catalog.text;
	seen_until pg_catalog.pg_lsn;
	last pg_catalog.pg_lsn;		-- end of the last transaction that was exported
	next pg_catalog.pg_lsn;		-- the first one that was not
BEGIN
	SELECT j.snapshot, j.lsn INTO STRICT exported, seen_until
	FROM outflow.jobs AS j WHERE j.job = subscription_slot.job;
	WITH late AS MATERIALIZED (
		SELECT (s.data::pg_catalog.jsonb->>'end_lsn')::pg_catalog.pg_lsn AS lsn
		FROM pg_catalog.pg_logical_slot_peek_changes(own,
			seen_until, NULL, 'after_snapshot', exported, 'messages', 'off',
			'include_schemas', 'off') AS s
		WHERE s.data LIKE '{"op":"commit",%'
	), ended AS MATERIALIZED (
		SELECT (s.data::pg_catalog.jsonb->>'end_lsn')::pg_catalog.pg_lsn AS lsn,
			(s.data::pg_catalog.jsonb->>'commit_lsn')
			::pg_catalog.pg_lsn AS commit_lsn
		FROM pg_catalog.pg_logical_slot_peek_changes(own,
			seen_until, NULL, 'messages', 'off', 'include_schemas', 'off') AS s
		WHERE s.data LIKE '{"op":"commit",%'
	)
	SELECT pg_catalog.max(e.lsn) FILTER (WHERE e.lsn NOT IN (SELECT l.lsn FROM late AS l)),
		pg_catalog.min(e.commit_lsn) FILTER (WHERE e.lsn IN (SELECT l.lsn FROM late AS l))
	INTO last, next
	FROM ended AS e;
	IF next < last THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = pg_catalog.format('export job %s has no position in WAL'
				' that a subscription can start from', subscription_slot.job),
			DETAIL = pg_catalog.format('It holds a transaction that committed'
				' at %s, and not one that committed at %s: that one waited for'
				' a standby.', last, next),
			HINT = 'Export again, or stream with pg_outflow.';
	END IF;

	PERFORM pg_catalog.pg_drop_replication_slot(s.slot_name)
	FROM pg_catalog.pg_replication_slots AS s
	WHERE s.slot_name = passing AND s.temporary;
	PERFORM pg_catalog.pg_copy_logical_replication_slot(own, passing, true,
		'pgoutput');
	IF last IS NOT NULL THEN
		PERFORM pg_catalog.pg_replication_slot_advance(passing, last);
	END IF;
	PERFORM pg_catalog.pg_copy_logical_replication_slot(passing,
		subscription_slot.slot, false, 'pgoutput');
	PERFORM pg_catalog.pg_drop_replication_slot(passing);
	RETURN (SELECT s.confirmed_flush_lsn
		FROM pg_catalog.pg_replication_slots AS s
		WHERE s.slot_name = subscription_slot.slot);
END
$$;

-- removes the caller's finished exports but each owner's newest, and returns which
CREATE FUNCTION outflow.prune(prefix pg_catalog.text, keep int)
RETURNS TABLE (job bigint, destination pg_catalog.text)
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outflow_prune';

-- lake tables: exports with a table format, of which each is a version; catalog
-- is 'server:namespace.table' of a table in an Iceberg catalog
CREATE FUNCTION outflow.lake_versions(destination pg_catalog.text,
	catalog pg_catalog.text DEFAULT '')
RETURNS TABLE (version bigint, committed pg_catalog.timestamptz,
	operation pg_catalog.text, writer pg_catalog.text, job bigint,
	snapshot pg_catalog.text, lsn pg_catalog.pg_lsn, rows bigint,
	files_added bigint, files_removed bigint)
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outflow_lake_versions';

-- removes files that no version has had for so long
CREATE FUNCTION outflow.lake_vacuum(destination pg_catalog.text,
	retention pg_catalog.interval DEFAULT '7 days',
	catalog pg_catalog.text DEFAULT '')
RETURNS TABLE (file pg_catalog.text, bytes bigint)
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outflow_lake_vacuum';

-- verify is 'quick' or 'full'; null: full for files of this server, quick for
-- what is elsewhere
CREATE FUNCTION outflow.verify(job bigint,
	verify pg_catalog.text DEFAULT NULL)
RETURNS TABLE (part int, file pg_catalog.text, status pg_catalog.text,
	detail pg_catalog.text)
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outflow_verify';

-------------------------------------------------------------------------------
-- Destinations that are foreign servers: a server says where, a user mapping
-- holds the secrets.  Nothing is queried through them, so there are no handlers.

CREATE FUNCTION outflow_internal.s3_validator(options pg_catalog.text[],
	catalog pg_catalog.oid)
RETURNS pg_catalog.void LANGUAGE c STRICT STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outflow_s3_validator';

CREATE FUNCTION outflow_internal.postgres_validator(options pg_catalog.text[],
	catalog pg_catalog.oid)
RETURNS pg_catalog.void LANGUAGE c STRICT STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outflow_postgres_validator';

CREATE FUNCTION outflow_internal.iceberg_validator(options pg_catalog.text[],
	catalog pg_catalog.oid)
RETURNS pg_catalog.void LANGUAGE c STRICT STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outflow_iceberg_validator';

-- the server calls them, whoever it is for
REVOKE ALL ON FUNCTION outflow_internal.s3_validator(pg_catalog.text[], pg_catalog.oid),
	outflow_internal.iceberg_validator(pg_catalog.text[], pg_catalog.oid),
	outflow_internal.postgres_validator(pg_catalog.text[], pg_catalog.oid) FROM PUBLIC;

CREATE FOREIGN DATA WRAPPER outflow_s3
	NO HANDLER VALIDATOR outflow_internal.s3_validator;

-- no destination: the catalog that says which version a table is
CREATE FOREIGN DATA WRAPPER outflow_iceberg
	NO HANDLER VALIDATOR outflow_internal.iceberg_validator;

CREATE FOREIGN DATA WRAPPER outflow_postgres
	NO HANDLER VALIDATOR outflow_internal.postgres_validator;

-- one step of the following: what is well, null for nothing to try, or an error
CREATE FUNCTION outflow_internal.preflight_destination(destination pg_catalog.text,
	step pg_catalog.text, trial pg_catalog.text)
RETURNS pg_catalog.text LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outflow_preflight_destination';

-- tries a destination with a small file, which is removed again
CREATE FUNCTION outflow.check_destination(destination pg_catalog.text)
RETURNS TABLE (step pg_catalog.text, ok boolean, detail pg_catalog.text,
	fix pg_catalog.text)
LANGUAGE plpgsql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	trial CONSTANT pg_catalog.text :=
		'_outflow_check_' || pg_catalog.gen_random_uuid();
	written boolean := false;
	more pg_catalog.text;
BEGIN
	FOREACH step IN ARRAY ARRAY['reach', 'write', 'list', 'read', 'checksum', 'remove'] LOOP
		CONTINUE WHEN step NOT IN ('reach', 'write') AND NOT written;
		fix := NULL;
		BEGIN
			detail := outflow_internal.preflight_destination(destination, step, trial);
			ok := true;
			written := written OR step = 'write';
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS detail = MESSAGE_TEXT,
				more = PG_EXCEPTION_DETAIL, fix = PG_EXCEPTION_HINT;
			detail := pg_catalog.concat_ws('. ', detail, nullif(more, ''));
			fix := nullif(fix, '');
			ok := false;
		END;
		CONTINUE WHEN detail IS NULL;
		RETURN NEXT;
		EXIT WHEN step = 'reach' AND NOT ok;
	END LOOP;
EXCEPTION WHEN query_canceled THEN
	-- which OTHERS is not
	BEGIN
		PERFORM outflow_internal.preflight_destination(destination, 'give up', trial);
	EXCEPTION WHEN OTHERS THEN
		NULL;
	END;
	RAISE;
END
$$;

-- The tables are nobody's, views are for reading, and what only the extension
-- calls is not called by others, whatever rights the default privileges of whoever
-- installs it have given away.
DO $$
DECLARE
	given record;
BEGIN
	FOR given IN
		SELECT DISTINCT o.kind, o.name, a.grantee
		FROM (SELECT 'TABLE', c.oid::pg_catalog.regclass::pg_catalog.text,
				c.relnamespace, c.relowner, c.relacl
			FROM pg_catalog.pg_class AS c
			UNION ALL
			SELECT 'ROUTINE', p.oid::pg_catalog.regprocedure::pg_catalog.text,
				p.pronamespace, p.proowner, p.proacl
			FROM pg_catalog.pg_proc AS p) AS o (kind, name, namespace, owner, acl)
		CROSS JOIN LATERAL pg_catalog.aclexplode(o.acl) AS a
		WHERE o.namespace OPERATOR(pg_catalog.=) ANY (ARRAY['outflow',
			'outflow_internal']::pg_catalog.regnamespace[])
		AND a.grantee OPERATOR(pg_catalog.<>) o.owner
		-- functions are for everybody, unless the script has said otherwise
		AND (a.grantee OPERATOR(pg_catalog.<>) 0
			OR o.kind OPERATOR(pg_catalog.=) 'TABLE')
	LOOP
		EXECUTE pg_catalog.format('REVOKE ALL ON %s %s FROM %s', given.kind,
			given.name, CASE WHEN given.grantee OPERATOR(pg_catalog.=) 0
				THEN 'PUBLIC' ELSE pg_catalog.quote_ident(
					pg_catalog.pg_get_userbyid(given.grantee)) END);
	END LOOP;
END
$$;

GRANT SELECT ON outflow.slots, outflow.jobs, outflow.parts TO PUBLIC;
