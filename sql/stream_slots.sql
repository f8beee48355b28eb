-- heartbeat and slots: what keeps slots moving and what they hold
\getenv project PG_ABS_SRCDIR
CREATE SCHEMA stream_slots;
SET search_path = stream_slots;
\set shared :project '/test/lib/stream.sql'
\i :shared
SELECT create_slot('stream_slots');
SELECT outflow.heartbeat() > '0/0';
SELECT * FROM records('stream_slots');
-- it moves a slot even where messages are not wanted
SELECT confirmed_flush_lsn AS before FROM pg_replication_slots WHERE slot_name = 'stream_slots' \gset
SELECT outflow.heartbeat() > '0/0';
SELECT * FROM records('stream_slots', 'messages', 'off');
SELECT confirmed_flush_lsn > :'before' FROM pg_replication_slots WHERE slot_name = 'stream_slots';

SELECT FROM pg_create_logical_replication_slot('stream_slots_other', 'test_decoding');
SELECT FROM pg_create_logical_replication_slot('stream_slots_temporary', 'outflow', true);
SELECT slot, database = current_database() AS here, active, retained_bytes BETWEEN 0 AND 1000000000 AS retains,
	lag_bytes <= retained_bytes AS lags, wal_status, safe_bytes, removed_by
FROM outflow.slots WHERE slot ~ '^stream_slots' ORDER BY slot;
SET search_path = "none such";
SELECT count(*) FROM outflow.slots WHERE slot ~ '^stream_slots';
SET search_path = stream_slots;
SELECT pg_drop_replication_slot('stream_slots_temporary'), pg_drop_replication_slot('stream_slots_other');
-- anybody may look and beat
CREATE ROLE stream_slots_user;
SET ROLE stream_slots_user;
SELECT count(*) >= 1 FROM outflow.slots;
SELECT outflow.heartbeat() > '0/0';
RESET ROLE;
DROP ROLE stream_slots_user;

SELECT pg_drop_replication_slot('stream_slots');
SET client_min_messages = warning;
DROP SCHEMA stream_slots CASCADE;
