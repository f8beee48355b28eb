-- What the stream_* tests share: functions in the current schema.
\set ECHO none
SET client_min_messages = warning;
SELECT current_schema() AS stream_schema \gset

CREATE FUNCTION create_slot(slot name) RETURNS void LANGUAGE sql AS
	$$SELECT FROM pg_create_logical_replication_slot(slot, 'outflow')$$;

-- a slot's records as they are, all consumed
CREATE FUNCTION consume(slot name, VARIADIC options text[] = '{}')
RETURNS TABLE (n bigint, data text) LANGUAGE sql AS
	$$SELECT row_number() OVER (), data
	  FROM pg_logical_slot_get_changes(slot, NULL, NULL, VARIADIC options)$$;

-- the same, left in the slot
CREATE FUNCTION peek(slot name, VARIADIC options text[] = '{}')
RETURNS TABLE (n bigint, data text) LANGUAGE sql AS
	$$SELECT row_number() OVER (), data
	  FROM pg_logical_slot_peek_changes(slot, NULL, NULL, VARIADIC options)$$;

-- a record without what differs from run to run, and without our schema
CREATE FUNCTION plain(record text) RETURNS text LANGUAGE sql IMMUTABLE AS
	$$SELECT regexp_replace(regexp_replace(regexp_replace(replace(record,
		format('"schema":"%s",', current_schema()), ''),
		'"(id|[a-z_]*lsn|ts)":"[0-9A-F/.:TZ-]*",?', '', 'g'),
		'"(xid|subxid|oid)":[0-9]+,?', '', 'g'), ',\}', '}', 'g')$$;

-- the records of a slot, consumed and plain
CREATE FUNCTION records(slot name, VARIADIC options text[] = '{}')
RETURNS TABLE (record text) LANGUAGE sql AS
	$$SELECT plain(data) FROM consume(slot, VARIADIC options) ORDER BY n$$;

-- only those of changes
CREATE FUNCTION changes(slot name, VARIADIC options text[] = '{}')
RETURNS TABLE (record text) LANGUAGE sql AS
	$$SELECT record FROM records(slot, VARIADIC options) AS r
	  WHERE record !~ '^{"op":"(begin|commit|schema)"'$$;

-- Applies one record to the table copy: to the row that "key" names, or, where
-- the table has no key, to one of the rows that equal "old".
CREATE FUNCTION apply(copy regclass, r json) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	names text;
	which text;
	given json := coalesce(r->'key', r->'old');
	changed bigint;
BEGIN
	SELECT string_agg(quote_ident(k), ', ') INTO names
	FROM json_object_keys(r->'new') AS k;
	SELECT string_agg(format(
		'c.%1$I::text IS NOT DISTINCT FROM (json_populate_record(NULL::%2$s, $1)).%1$I::text',
		k, copy), ' AND ') INTO which
	FROM json_object_keys(given) AS k;
	which := format('ctid = (SELECT ctid FROM %s AS c WHERE %s LIMIT 1)',
		copy, which);
	CASE r->>'op'
		WHEN 'insert' THEN
			EXECUTE format('INSERT INTO %s SELECT * FROM json_populate_record(NULL::%1$s, $1)',
				copy) USING r->'new';
		WHEN 'update' THEN
			EXECUTE format('UPDATE %s SET (%s) = (SELECT %2$s FROM json_populate_record(NULL::%1$s, $2)) WHERE %3$s',
				copy, names, which) USING given, r->'new';
			GET DIAGNOSTICS changed = ROW_COUNT;
		WHEN 'delete' THEN
			EXECUTE format('DELETE FROM %s WHERE %s', copy, which) USING given;
			GET DIAGNOSTICS changed = ROW_COUNT;
		WHEN 'truncate' THEN
			EXECUTE format('TRUNCATE %s', copy);
	END CASE;
	IF changed <> 1 THEN
		RAISE '% rows for %', changed, r;
	END IF;
END $$;

-- Consumes the slot and applies what concerns table to copy.
CREATE FUNCTION replay(slot name, source regclass, copy regclass,
	VARIADIC options text[] = '{}') RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	r json;
	applied bigint := 0;
BEGIN
	FOR r IN SELECT data::json FROM consume(slot, VARIADIC options) ORDER BY n
	LOOP
		CONTINUE WHEN r->>'op' NOT IN ('insert', 'update', 'delete', 'truncate')
			OR format('%I.%I', r->>'schema', r->>'table')::regclass <> source;
		PERFORM apply(copy, r);
		applied := applied + 1;
	END LOOP;
	RETURN applied;
END $$;

-- Rows that only one of two tables has, compared as text and counted.
CREATE FUNCTION differences(a regclass, b regclass) RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format(
		'(SELECT ''only in %1$s: '' || t::text FROM %1$s AS t EXCEPT ALL SELECT ''only in %1$s: '' || t::text FROM %2$s AS t)
		 UNION ALL
		 (SELECT ''only in %2$s: '' || t::text FROM %2$s AS t EXCEPT ALL SELECT ''only in %2$s: '' || t::text FROM %1$s AS t)',
		a, b);
END $$;
RESET client_min_messages;
\pset format unaligned
\pset tuples_only on
\set ECHO all
