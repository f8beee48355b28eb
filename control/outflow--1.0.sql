/* control/outflow--1.0.sql */

-- complain if the script is sourced in psql
\echo Use "CREATE EXTENSION outflow" to load this file. \quit


-- names are public; what a role may do is decided object by object
GRANT USAGE ON SCHEMA outflow TO PUBLIC;

-------------------------------------------------------------------------------
-- Preflight: what this server, database and role lack.  ok is true, false, or
-- null where the condition is a matter of choice or can't be told; fix is the
-- statement that mends it.  Runs as any user and changes nothing.

CREATE FUNCTION outflow.preflight_library(
	OUT version text, OUT wal_free bigint, OUT wal_total bigint,
	OUT root_free bigint, OUT root_total bigint)
LANGUAGE C STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'outflow_preflight_library';

-- a setting that the server may not have and the role may not read
CREATE FUNCTION outflow.preflight_setting(
	name text, OUT value text, OUT readable boolean)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	readable := true;
	value := current_setting(name, true);
EXCEPTION WHEN insufficient_privilege THEN
	readable := false;
END
$$;

-- room on a file system: a tenth of it should be free
CREATE FUNCTION outflow.preflight_room(
	INOUT item text, free bigint, total bigint,
	OUT ok boolean, OUT detail text, OUT fix text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT item, free >= total / 10,
		coalesce(format('%s of %s free', pg_size_pretty(free),
			pg_size_pretty(total)), 'this server process can''t tell'),
		CASE WHEN free < total / 10 THEN '-- make room there' END;
$$;

CREATE FUNCTION outflow.preflight_server()
RETURNS TABLE (item text, ok boolean, detail text, fix text)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- an export's coordinator and its two workers
	workers_wanted CONSTANT int := 3;
	libraries CONSTANT record :=
		outflow.preflight_setting('output_plugin_libraries');
	root CONSTANT record := outflow.preflight_setting('outflow.export_root');
	library CONSTANT record := outflow.preflight_library();
	available int;
	used int;
BEGIN
	-- the setting doesn't exist before 15.19, 16.15, 17.11 and 18.6
	item := 'output_plugin_libraries';
	IF NOT libraries.readable THEN
		ok := NULL;
		detail := format('role %I may not read this setting; a member of'
			' pg_read_all_settings sees whether it lists outflow',
			current_user);
	ELSIF libraries.value IS NULL THEN
		ok := true;
		detail := 'this server has no such setting and allows every plugin;'
			' minor releases from August 2026 on have it';
	ELSE
		ok := EXISTS (
			SELECT FROM string_to_table(libraries.value, ',') AS listed
			WHERE trim(listed, E' "\t\n') IN ('outflow', '$libdir/outflow'));
		detail := format('the server allows %s', libraries.value);
		IF NOT ok THEN
			fix := format('ALTER SYSTEM SET output_plugin_libraries = %s;'
				' SELECT pg_reload_conf();',
				concat_ws(', ', nullif(libraries.value, ''), 'outflow'));
		END IF;
	END IF;
	RETURN NEXT;

	-- files of another version wait for an update, a library of another
	-- version for a restart or an installation
	item := 'extension version';
	SELECT e.extversion = a.default_version AND e.extversion = library.version,
		format('installed %s, library %s, files on the server %s',
			e.extversion, library.version, a.default_version),
		'ALTER EXTENSION outflow UPDATE; -- and connect again'
	INTO ok, detail, fix
	FROM pg_extension AS e JOIN pg_available_extensions AS a
		ON a.name = e.extname
	WHERE e.extname = 'outflow';
	fix := CASE WHEN NOT ok THEN fix END;
	RETURN NEXT;

	item := 'primary server';
	ok := NOT pg_is_in_recovery();
	detail := CASE WHEN ok THEN 'not in recovery'
		ELSE 'in recovery: streams work from 16 on, exports do not' END;
	fix := NULL;
	RETURN NEXT;

	item := 'wal_level';
	ok := current_setting('wal_level') = 'logical';
	detail := current_setting('wal_level');
	fix := CASE WHEN NOT ok THEN 'ALTER SYSTEM SET wal_level = logical;'
		' -- then restart the server' END;
	RETURN NEXT;

	item := 'max_replication_slots';
	available := current_setting('max_replication_slots');
	SELECT count(*) INTO used FROM pg_replication_slots;
	ok := used < available;
	detail := format('%s of %s in use', used, available);
	fix := CASE WHEN NOT ok THEN
		format('ALTER SYSTEM SET max_replication_slots = %s;'
			' -- then restart the server', used + 10) END;
	RETURN NEXT;

	item := 'max_wal_senders';
	available := current_setting('max_wal_senders');
	SELECT count(*) INTO used FROM pg_stat_get_wal_senders();
	ok := used < available;
	detail := format('%s of %s in use', used, available);
	fix := CASE WHEN NOT ok THEN
		format('ALTER SYSTEM SET max_wal_senders = %s;'
			' -- then restart the server', used + 10) END;
	RETURN NEXT;

	item := 'max_worker_processes';
	available := current_setting('max_worker_processes');
	SELECT count(*) INTO used FROM pg_stat_activity AS a
	WHERE a.backend_type NOT IN ('client backend', 'walsender',
		'autovacuum launcher', 'autovacuum worker', 'startup', 'archiver',
		'checkpointer', 'background writer', 'walwriter', 'walreceiver',
		'walsummarizer', 'slotsync worker', 'io worker');
	ok := available - used >= workers_wanted;
	detail := format('%s of %s in use as far as this role sees; an export'
		' with 2 workers takes %s', used, available, workers_wanted);
	fix := CASE WHEN NOT ok THEN
		format('ALTER SYSTEM SET max_worker_processes = %s;'
			' -- then restart the server', used + workers_wanted + 5) END;
	RETURN NEXT;

	item := 'max_slot_wal_keep_size';
	ok := CASE WHEN current_setting('max_slot_wal_keep_size') <> '-1'
		THEN true END;
	detail := CASE WHEN ok
		THEN current_setting('max_slot_wal_keep_size')
		ELSE 'no limit: a slot that nobody reads can fill the disk; with a'
			' limit such a slot is lost instead' END;
	fix := CASE WHEN ok IS NULL THEN
		'ALTER SYSTEM SET max_slot_wal_keep_size = ''50GB'';'
		' SELECT pg_reload_conf();' END;
	RETURN NEXT;

	item := 'outflow.export_root';
	ok := CASE WHEN root.value <> '' THEN true END;
	detail := CASE WHEN NOT root.readable THEN
			format('role %I may not read this setting', current_user)
		WHEN ok THEN root.value
		ELSE 'not set: members of pg_write_server_files export to any'
			' directory that the server may write to' END;
	fix := CASE WHEN ok IS NULL AND root.readable THEN
		'LOAD ''outflow''; ALTER SYSTEM SET outflow.export_root ='
		' ''/srv/export'';'
		' SELECT pg_reload_conf();' END;
	RETURN NEXT;

	RETURN QUERY SELECT * FROM outflow.preflight_room(
		'disk of WAL and slots', library.wal_free, library.wal_total);
	IF library.root_free IS NOT NULL THEN
		RETURN QUERY SELECT * FROM outflow.preflight_room(
			'disk of outflow.export_root', library.root_free,
			library.root_total);
	END IF;
END
$$;

CREATE FUNCTION outflow.preflight_role()
RETURNS TABLE (item text, ok boolean, detail text, fix text)
LANGUAGE sql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT r.item, r.ok, r.detail, CASE WHEN NOT r.ok THEN r.fix END
	FROM pg_roles AS u
	CROSS JOIN LATERAL (VALUES
		('role login', u.rolcanlogin,
			'workers of an export connect as the job''s owner',
			format('ALTER ROLE %I LOGIN;', u.rolname)),
		('role replication', u.rolreplication OR u.rolsuper,
			'needed to create and read replication slots, not for exports',
			format('ALTER ROLE %I REPLICATION;', u.rolname)),
		('role pg_write_server_files',
			pg_has_role(u.oid, 'pg_write_server_files', 'USAGE'),
			'needed for exports to file:// destinations, not for streams',
			format('GRANT pg_write_server_files TO %I;', u.rolname))
	) AS r (item, ok, detail, fix)
	WHERE u.rolname = current_user;
$$;

CREATE FUNCTION outflow.preflight_tables()
RETURNS TABLE (item text, ok boolean, detail text, fix text)
LANGUAGE sql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS $$
	-- logged tables of users, with the index that identifies their rows
	WITH tables AS (
		SELECT c.oid, c.oid::regclass::text AS name, c.relreplident,
			c.reltoastrelid,
			c.relreplident = 'f' OR EXISTS (
				SELECT FROM pg_index AS i
				WHERE i.indrelid = c.oid AND i.indisvalid
				AND CASE c.relreplident WHEN 'd' THEN i.indisprimary
					WHEN 'i' THEN i.indisreplident END) AS identified
		FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
		WHERE c.relkind = 'r' AND c.relpersistence = 'p'
		AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'outflow')
	),
	findings AS (
		SELECT 1 AS rank, t.name,
			'replica identity of ' || t.name AS item, false AS ok,
			'its updates and deletes are streamed without a key' AS detail,
			format('ALTER TABLE %s REPLICA IDENTITY %s;', t.name,
				coalesce('USING INDEX ' || quote_ident((
					SELECT min(ic.relname)
					FROM pg_index AS i JOIN pg_class AS ic
						ON ic.oid = i.indexrelid
					WHERE i.indrelid = t.oid AND i.indisvalid
					AND i.indisunique AND i.indimmediate
					AND i.indpred IS NULL AND i.indexprs IS NULL
					AND NOT EXISTS (
						SELECT FROM pg_attribute AS a
						WHERE a.attrelid = t.oid AND NOT a.attnotnull
						AND a.attnum = ANY
							(i.indkey[0:i.indnkeyatts - 1]))
				)::text), 'FULL')) AS fix
		FROM tables AS t
		WHERE NOT t.identified
	UNION ALL
		-- only tables that do store values out of line: any could
		SELECT 2, t.name, 'toast in ' || t.name, NULL,
			format('an update streams without values that are stored out of'
				' line and did not change, but names their columns;'
				' these can have such values: %s', (
					SELECT string_agg(quote_ident(a.attname), ', '
						ORDER BY a.attnum)
					FROM pg_attribute AS a
					WHERE a.attrelid = t.oid AND a.attnum > 0
					AND NOT a.attisdropped AND a.attstorage <> 'p')),
			format('ALTER TABLE %s REPLICA IDENTITY FULL;', t.name)
		FROM tables AS t
		WHERE t.relreplident <> 'f' AND t.reltoastrelid <> 0
		AND pg_relation_size(t.reltoastrelid) > 0
	UNION ALL
		SELECT 3, p.pubname, 'publication ' || quote_ident(p.pubname),
			s.blocked IS NULL,
			concat_ws('; ',
				CASE WHEN p.puballtables THEN
					'FOR ALL TABLES: every new table joins it' END,
				'UPDATE and DELETE fail on ' || s.blocked
					|| ', which has no replica identity'),
			'ALTER TABLE ' || s.first_blocked || ' REPLICA IDENTITY FULL;'
		FROM pg_publication AS p
		CROSS JOIN LATERAL (
			SELECT string_agg(t.name, ', ' ORDER BY t.name) AS blocked,
				min(t.name) AS first_blocked
			FROM pg_get_publication_tables(p.pubname) AS m
			JOIN tables AS t ON t.oid = m.relid
			WHERE NOT t.identified AND (p.pubupdate OR p.pubdelete)
		) AS s
		WHERE p.puballtables OR s.blocked IS NOT NULL
	)
	SELECT f.item, f.ok, f.detail, f.fix
	FROM findings AS f
	ORDER BY f.rank, f.name;
$$;

CREATE FUNCTION outflow.preflight_slots()
RETURNS TABLE (item text, ok boolean, detail text, fix text)
LANGUAGE sql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT 'slot ' || quote_ident(s.slot_name),
		CASE WHEN s.wal_status = 'lost' THEN false END,
		CASE WHEN s.wal_status = 'lost'
			THEN 'lost: the server removed WAL that it needs'
			ELSE format('nobody reads it and it keeps %s of WAL',
				pg_size_pretty(pg_wal_lsn_diff(CASE
					WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
					ELSE pg_current_wal_lsn() END, s.restart_lsn)))
		END,
		format('SELECT pg_drop_replication_slot(%L);', s.slot_name)
	FROM pg_replication_slots AS s
	WHERE NOT s.active AND NOT s.temporary
	AND (s.restart_lsn IS NOT NULL OR s.wal_status = 'lost')
	ORDER BY s.slot_name;
$$;

CREATE FUNCTION outflow.preflight()
RETURNS TABLE (item text, ok boolean, detail text, fix text)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN QUERY SELECT * FROM outflow.preflight_server();
	RETURN QUERY SELECT * FROM outflow.preflight_role();
	RETURN QUERY SELECT * FROM outflow.preflight_tables();
	RETURN QUERY SELECT * FROM outflow.preflight_slots();
END
$$;

-------------------------------------------------------------------------------
-- Streaming: what belongs to slots, beside the output plugin.

-- A record for idle databases: a consumer that gets it confirms a position, and
-- the slot lets go of the WAL before it.  Transactional, since others don't
-- move the position that WAL is kept from.
CREATE FUNCTION outflow.heartbeat() RETURNS pg_lsn
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT pg_logical_emit_message(true, 'outflow.heartbeat', ''::text) $$;

CREATE VIEW outflow.slots AS
SELECT s.slot_name AS slot, s.database, s.active,
	pg_wal_lsn_diff(here.lsn, s.restart_lsn)::bigint AS retained_bytes,
	pg_wal_lsn_diff(here.lsn, s.confirmed_flush_lsn)::bigint AS lag_bytes,
	s.wal_status, s.safe_wal_size AS safe_bytes,
	CASE
		WHEN s.wal_status = 'lost'
			THEN 'it is lost already: drop it, make a new one, export anew'
		WHEN s.temporary THEN 'the end of the session that made it'
		ELSE concat_ws('; ',
			CASE WHEN s.safe_wal_size IS NOT NULL THEN
				format('%s more of WAL that it doesn''t follow'
					' (max_slot_wal_keep_size)',
					pg_size_pretty(s.safe_wal_size)) END,
			CASE WHEN nullif(current_setting('idle_replication_slot_timeout',
				true), '0') IS NOT NULL AND NOT s.active THEN
				format('%s without a consumer (idle_replication_slot_timeout)',
					current_setting('idle_replication_slot_timeout', true)) END,
			CASE WHEN s.safe_wal_size IS NULL THEN
				'nothing by itself: it keeps WAL until the disk is full' END)
	END AS removed_by
FROM pg_replication_slots AS s,
	LATERAL (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
		ELSE pg_current_wal_lsn() END) AS here (lsn)
WHERE s.plugin IN ('outflow', '$libdir/outflow');
GRANT SELECT ON outflow.slots TO PUBLIC;

-- capture_ddl: event triggers write DDL into the WAL as logical messages
CREATE FUNCTION outflow.ddl_command_start() RETURNS event_trigger
LANGUAGE C AS 'MODULE_PATHNAME', 'outflow_ddl_command_start';
CREATE FUNCTION outflow.ddl_command_end() RETURNS event_trigger
LANGUAGE C AS 'MODULE_PATHNAME', 'outflow_ddl_command_end';
CREATE FUNCTION outflow.sql_drop() RETURNS event_trigger
LANGUAGE C AS 'MODULE_PATHNAME', 'outflow_sql_drop';
REVOKE ALL ON FUNCTION outflow.ddl_command_start(),
	outflow.ddl_command_end(), outflow.sql_drop() FROM PUBLIC;

-- enable: whether DDL of this database is captured from now on
CREATE FUNCTION outflow.capture_ddl(enable boolean) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	event text;
BEGIN
	IF enable IS NULL THEN
		RAISE null_value_not_allowed USING
			MESSAGE = 'argument "enable" must not be null';
	END IF;
	IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
		RAISE insufficient_privilege USING
			MESSAGE = 'permission denied to capture DDL',
			HINT = 'Event triggers are made by superusers.';
	END IF;
	FOREACH event IN ARRAY
		ARRAY['ddl_command_start', 'ddl_command_end', 'sql_drop']
	LOOP
		IF EXISTS (SELECT FROM pg_event_trigger
			WHERE evtname = 'outflow_' || event) = enable
		THEN
			CONTINUE;
		ELSIF enable THEN
			EXECUTE format('CREATE EVENT TRIGGER outflow_%1$s ON %1$s'
				' EXECUTE FUNCTION outflow.%1$s()', event);
		ELSE
			EXECUTE format('DROP EVENT TRIGGER outflow_%s', event);
		END IF;
	END LOOP;
END;
$$;

-------------------------------------------------------------------------------
-- Exports: the tables that hold jobs.  Nobody has rights on them; only the
-- library's C code writes them, with the rights of their owner.

CREATE TABLE outflow.job (
	job bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	uuid uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
	owner oid NOT NULL,
	state text NOT NULL DEFAULT 'queued' CHECK (state OPERATOR(pg_catalog.=)
		ANY (ARRAY['queued', 'running', 'interrupted', 'failed', 'done'])),
	destination text NOT NULL,	-- as its owner wrote it
	location text NOT NULL,		-- resolved; one unfinished job each
	format text NOT NULL,
	compression text NOT NULL,
	encrypt_to text[] NOT NULL,
	part_size bigint NOT NULL,
	workers int NOT NULL,
	base bigint,
	slot name,
	publication name,			-- that named the tables
	slot_made boolean NOT NULL DEFAULT false,	-- by this job, or about to be
	slot_ready boolean NOT NULL DEFAULT false,	-- what it can't show has ended
	options jsonb NOT NULL,
	settings jsonb NOT NULL,	-- captured: what text output depends on
	snapshot text,				-- of the present run
	lsn pg_lsn,
	parts_total int,			-- null until a plan has been made
	publishing boolean NOT NULL DEFAULT false,
	retries int NOT NULL DEFAULT 0,
	waiting_for text,			-- when queued, or before another try
	error text,
	error_code text,
	error_detail text,
	error_hint text,
	error_context text,			-- which column, table and row
	submitted timestamptz NOT NULL DEFAULT pg_catalog.now(),
	started timestamptz,		-- the present run
	finished timestamptz
);

-- one unfinished job to a place
CREATE UNIQUE INDEX job_location ON outflow.job (location)
WHERE state OPERATOR(pg_catalog.<>) 'done';

-- what a job exports: one row for each table that was named
CREATE TABLE outflow.source (
	job bigint NOT NULL,
	source int NOT NULL,
	relation oid NOT NULL,
	name text NOT NULL,			-- as it was when the job was created
	folder text NOT NULL,		-- below the destination; empty for one table
	columns text[],				-- null for all
	filter text,
	definition text,			-- JSON: its columns, when the plan was made
	PRIMARY KEY (job, source)
);

-- ranges of heap blocks; a row that is done was durable before it was written
CREATE TABLE outflow.part (
	job bigint NOT NULL,
	part int NOT NULL,
	source int NOT NULL,
	relation oid NOT NULL,
	name text NOT NULL,
	first_block bigint NOT NULL,
	end_block bigint NOT NULL,	-- the first one after the part
	state text NOT NULL DEFAULT 'pending' CHECK (state OPERATOR(pg_catalog.=)
		ANY (ARRAY['pending', 'failed', 'done'])),
	carried boolean NOT NULL DEFAULT false,
	redone boolean NOT NULL DEFAULT false,
	file text,					-- "folder/name", below the destination
	rows bigint,
	bytes bigint,
	bytes_stored bigint,
	crc32c bigint,				-- of the plain bytes
	checksum text,				-- of the stored bytes, "method:hex"
	snapshot text,
	lsn pg_lsn,
	stamp text,					-- null: may never be carried
	reason text,				-- why not, or why it was exported again
	location text,				-- the directory with the file; null for the job's
	attempts int NOT NULL DEFAULT 0,
	error text,
	PRIMARY KEY (job, part)
);

-- rows that replication, a dump or an administrator puts here lose their stamp:
-- only this cluster's own are trusted
CREATE FUNCTION outflow.part_guard() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'outflow_part_guard';

REVOKE ALL ON FUNCTION outflow.part_guard() FROM PUBLIC;

CREATE TRIGGER part_guard BEFORE INSERT OR UPDATE ON outflow.part
	FOR EACH ROW EXECUTE FUNCTION outflow.part_guard();
ALTER TABLE outflow.part ENABLE ALWAYS TRIGGER part_guard;

-- 'running' in the table means nothing without a live coordinator
CREATE FUNCTION outflow.job_state(job bigint, state text) RETURNS text
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'outflow_job_state';

-- whom a live job waits for, and who waits behind its locks
CREATE FUNCTION outflow.job_waiting_for(job bigint) RETURNS text
LANGUAGE sql VOLATILE STRICT PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS $$
	WITH locks AS MATERIALIZED (
		SELECT * FROM pg_locks
	), coordinator AS (
		SELECT pid FROM locks
		WHERE locktype = 'advisory' AND objsubid = 28518 AND granted
		AND mode = 'ExclusiveLock'
		AND database = (SELECT oid FROM pg_database
			WHERE datname = current_database())
		AND classid::bigint << 32 | objid::bigint = job
	), prepared AS (
		-- their locks have no process; that on the transaction tells which
		SELECT DISTINCT h.relation, h.transactionid, x.gid
		FROM locks AS h JOIN locks AS own USING (virtualtransaction)
		JOIN pg_prepared_xacts AS x ON x.transaction = own.transactionid
		WHERE h.granted AND h.pid IS NULL AND own.pid IS NULL
	), waiting AS (
		SELECT DISTINCT l.pid, l.relation, l.transactionid, l.mode,
			coalesce(l.relation::regclass::text,
				'transaction ' || l.transactionid, 'an object') AS object,
			pg_blocking_pids(l.pid) AS blockers
		FROM locks AS l WHERE NOT l.granted
	)
	SELECT string_agg(line, '; ' ORDER BY line) FROM (
		SELECT format('%s on %s, held by %s', w.mode, w.object, concat_ws(', ',
			'process ' || nullif(array_to_string(
				array_remove(w.blockers, 0), ', '), ''),
			CASE WHEN 0 = ANY (w.blockers) THEN coalesce((
				SELECT string_agg(format('prepared transaction %L', p.gid),
					', ' ORDER BY p.gid)
				FROM prepared AS p WHERE p.relation = w.relation
				OR p.transactionid = w.transactionid),
				'a prepared transaction') END)) AS line
		FROM waiting AS w JOIN coordinator AS c USING (pid)
		UNION ALL
		SELECT format('process %s waits behind this job for %s on %s', w.pid,
			w.mode, w.object)
		FROM waiting AS w JOIN coordinator AS c ON c.pid = ANY (w.blockers)
	) AS lines
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
	p.rows, p.bytes, p.bytes_stored,
	CASE WHEN r.seconds OPERATOR(pg_catalog.>) 0
		THEN (p.bytes_written OPERATOR(pg_catalog./) r.seconds)::bigint END
		AS rate,
	CASE WHEN s.state OPERATOR(pg_catalog.=) 'running'
		AND p.blocks_done OPERATOR(pg_catalog.>) 0
		THEN pg_catalog.make_interval(secs => r.seconds
			OPERATOR(pg_catalog.*) (p.blocks OPERATOR(pg_catalog.-)
				p.blocks_done) OPERATOR(pg_catalog./) p.blocks_done) END
		AS eta,
	j.snapshot, j.lsn, j.slot, j.retries,
	CASE s.state WHEN 'queued' THEN coalesce(j.waiting_for, 'its start')
		WHEN 'running' THEN nullif(pg_catalog.concat_ws('; ', j.waiting_for,
			outflow.job_waiting_for(j.job)), '') END AS waiting_for,
	-- on one line, since there is nobody to whom the rest could be told
	CASE WHEN j.error IS NOT NULL THEN pg_catalog.concat(j.error, ' ('
		OPERATOR(pg_catalog.||) pg_catalog.replace(j.error_context, E'\n', '; ')
		OPERATOR(pg_catalog.||) ')') END AS error,
	j.started, j.finished
FROM outflow.job AS j
CROSS JOIN LATERAL (SELECT outflow.job_state(j.job, j.state) AS state) AS s
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
		-- by this run
		coalesce(pg_catalog.sum(q.bytes) FILTER (WHERE q.done
			AND NOT q.carried), 0)::float8 AS bytes_written,
		coalesce(pg_catalog.sum(q.blocks), 0)::float8 AS blocks,
		coalesce(pg_catalog.sum(q.blocks) FILTER (WHERE q.done), 0)::float8
			AS blocks_done
	FROM (
		SELECT t.state OPERATOR(pg_catalog.=) 'done' AS done, t.carried,
			t.redone, t.rows, t.bytes, t.bytes_stored,
			t.end_block OPERATOR(pg_catalog.-) t.first_block AS blocks
		FROM outflow.part AS t WHERE t.job OPERATOR(pg_catalog.=) j.job
	) AS q
) AS p
CROSS JOIN LATERAL (SELECT pg_catalog.date_part('epoch',
	coalesce(j.finished, pg_catalog.clock_timestamp())
	OPERATOR(pg_catalog.-) j.started) AS seconds) AS r
WHERE pg_catalog.pg_has_role(j.owner, 'USAGE')
OR pg_catalog.pg_has_role('pg_monitor', 'USAGE');

CREATE VIEW outflow.parts WITH (security_barrier) AS
SELECT p.job, p.part, p.state, p.name AS relation, p.first_block,
	CASE WHEN p.end_block OPERATOR(pg_catalog.>) p.first_block
		THEN p.end_block OPERATOR(pg_catalog.-) 1 END AS last_block,
	CASE WHEN p.file IS NOT NULL
		THEN pg_catalog.concat_ws('/', p.location, p.file) END AS file,
	p.rows, p.bytes, p.bytes_stored, p.snapshot, p.lsn, p.attempts, p.error
FROM outflow.part AS p
JOIN outflow.job AS j ON j.job OPERATOR(pg_catalog.=) p.job
WHERE pg_catalog.pg_has_role(j.owner, 'USAGE')
OR pg_catalog.pg_has_role('pg_monitor', 'USAGE');

GRANT SELECT ON outflow.jobs, outflow.parts TO PUBLIC;

-------------------------------------------------------------------------------
-- Exports: what users call.  Each checks rights for itself.

CREATE PROCEDURE outflow.export(
	source regclass,
	destination text,
	format text DEFAULT 'csv',
	compression text DEFAULT NULL,
	columns text[] DEFAULT NULL,
	filter text DEFAULT NULL,
	encrypt_to text[] DEFAULT NULL,
	part_size text DEFAULT '128MB',
	workers int DEFAULT 2,
	base bigint DEFAULT NULL,
	slot name DEFAULT NULL,
	options jsonb DEFAULT '{}',
	INOUT job bigint DEFAULT NULL)
LANGUAGE c AS 'MODULE_PATHNAME', 'outflow_export';

-- many tables as one job: a folder for each, one snapshot, one slot
CREATE PROCEDURE outflow.export_tables(
	sources regclass[],
	destination text,
	format text DEFAULT 'csv',
	compression text DEFAULT NULL,
	encrypt_to text[] DEFAULT NULL,
	part_size text DEFAULT '128MB',
	workers int DEFAULT 2,
	base bigint DEFAULT NULL,
	slot name DEFAULT NULL,
	options jsonb DEFAULT '{}',
	INOUT job bigint DEFAULT NULL)
LANGUAGE c AS 'MODULE_PATHNAME', 'outflow_export_tables';

-- the tables, row filters and column lists of a publication
CREATE PROCEDURE outflow.export_publication(
	publication name,
	destination text,
	format text DEFAULT 'csv',
	compression text DEFAULT NULL,
	encrypt_to text[] DEFAULT NULL,
	part_size text DEFAULT '128MB',
	workers int DEFAULT 2,
	base bigint DEFAULT NULL,
	slot name DEFAULT NULL,
	options jsonb DEFAULT '{}',
	INOUT job bigint DEFAULT NULL)
LANGUAGE c AS 'MODULE_PATHNAME', 'outflow_export_publication';

CREATE PROCEDURE outflow.resume(job bigint)
LANGUAGE c AS 'MODULE_PATHNAME', 'outflow_resume';

-- the same without waiting: they start when the transaction commits
CREATE FUNCTION outflow.export_start(
	source regclass,
	destination text,
	format text DEFAULT 'csv',
	compression text DEFAULT NULL,
	columns text[] DEFAULT NULL,
	filter text DEFAULT NULL,
	encrypt_to text[] DEFAULT NULL,
	part_size text DEFAULT '128MB',
	workers int DEFAULT 2,
	base bigint DEFAULT NULL,
	slot name DEFAULT NULL,
	options jsonb DEFAULT '{}')
RETURNS bigint LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outflow_export_start';

CREATE FUNCTION outflow.export_publication_start(
	publication name,
	destination text,
	format text DEFAULT 'csv',
	compression text DEFAULT NULL,
	encrypt_to text[] DEFAULT NULL,
	part_size text DEFAULT '128MB',
	workers int DEFAULT 2,
	base bigint DEFAULT NULL,
	slot name DEFAULT NULL,
	options jsonb DEFAULT '{}')
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

CREATE FUNCTION outflow.forget(job bigint) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outflow_forget';

CREATE FUNCTION outflow.verify(job bigint)
RETURNS TABLE (part int, file text, status text, detail text)
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'outflow_verify';
