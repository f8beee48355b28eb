/* validity.sql: declares the functions of the library that psql's :library names */

CREATE SCHEMA validity;
SET search_path = validity;

CREATE FUNCTION scan(rel regclass, first bigint, past bigint) RETURNS text
LANGUAGE c STRICT AS :'library', 'validity_scan';
CREATE FUNCTION finish(stamp text) RETURNS text
LANGUAGE c STRICT AS :'library', 'validity_finish';
CREATE FUNCTION finish_carelessly(stamp text) RETURNS text
LANGUAGE c STRICT AS :'library', 'validity_finish_carelessly';
CREATE FUNCTION check_stamp(stamp text, OUT valid boolean, OUT reason text, OUT rule text, OUT blocks bigint)
LANGUAGE c STRICT AS :'library', 'validity_check_stamp';
CREATE FUNCTION check_page_rules(stamp text) RETURNS boolean
LANGUAGE c STRICT AS :'library', 'validity_check_page_rules';
CREATE FUNCTION check_digest(stamp text) RETURNS boolean
LANGUAGE c STRICT AS :'library', 'validity_check_digest';
CREATE FUNCTION switch_off(VARIADIC rules text[]) RETURNS void
LANGUAGE c STRICT AS :'library', 'validity_switch_off';
CREATE FUNCTION signature(rel regclass, output text = '') RETURNS text
LANGUAGE c STRICT AS :'library', 'validity_signature';
CREATE FUNCTION extend(rel regclass, blocks integer) RETURNS void
LANGUAGE c STRICT AS :'library', 'validity_extend';

-- a part that is a whole table, at once
CREATE FUNCTION stamp(rel regclass) RETURNS text
LANGUAGE sql AS $$
	SELECT validity.finish(validity.scan(rel, 0,
		pg_relation_size(rel) / current_setting('block_size')::bigint))
$$;

RESET search_path;
