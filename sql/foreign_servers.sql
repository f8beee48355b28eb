-- Promise: foreign servers of destinations take every option that there is and
-- refuse every other one with the fix; secrets belong to user mappings, are never
-- shown, and what reaches the server's own network or files is a superuser's.
\set VERBOSITY default
SET client_min_messages = warning;
CREATE SERVER lake FOREIGN DATA WRAPPER outflow_s3 OPTIONS (bucket 'lake');
ALTER SERVER lake OPTIONS (ADD region 'eu-central-1', ADD endpoint 'https://s3.example.org:9000/',
	ADD path_style 'on', ADD storage_class 'STANDARD_IA', ADD encryption 'kms', ADD kms_key_id 'alias/x',
	ADD tags 'a=1&b=2', ADD content_type 'text/csv', ADD checksum 'sha256', ADD conditional 'all',
	ADD chunk_size '16MB', ADD equal_chunks 'on', ADD max_object_size '1TB', ADD connect_timeout '3',
	ADD stall_timeout '30', ADD retries '2', ADD allow_private 'on', ADD ca_file '/etc/ssl/ca.pem');
DROP SERVER lake;

CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(E'\n', message, nullif(detail, ''), nullif(hint, ''));
END $$;
CREATE FUNCTION try_server(wrapper text, options text) RETURNS text LANGUAGE sql AS
	$$ SELECT options || E'\n' || try(format('CREATE SERVER tried FOREIGN DATA WRAPPER outflow_%s OPTIONS (%s)', wrapper, options)) $$;
\pset format unaligned
\pset tuples_only on
SELECT try_server('s3', o) FROM unnest(ARRAY[
	$$region 'x'$$,
	$$bucket 'UPPER'$$, $$bucket 'a'$$, $$bucket 'a..b'$$, $$bucket '-ab'$$, $$bucket 'a/b'$$,
	$$bucket 'lake', region 'eu west'$$, $$bucket 'lake', region ''$$,
	$$bucket 'lake', endpoint 's3.example.org'$$, $$bucket 'lake', endpoint 'https://'$$,
	$$bucket 'lake', endpoint 'https://host/path'$$, $$bucket 'lake', endpoint 'https://user:pw@host'$$,
	$$bucket 'lake', endpoint 'https://host:0'$$, $$bucket 'lake', endpoint 'https://host:70000'$$,
	$$bucket 'lake', endpoint 'http://host'$$, $$bucket 'lake', endpoint E'https://host\nx'$$,
	$$bucket 'lake', endpoint 'file:///etc'$$,
	$$bucket 'lake', endpoint 'https://127.0.0.1', path_style 'off'$$,
	$$bucket 'lake', path_style 'maybe'$$,
	$$bucket 'lake', tags E'a\r\nx-amz-acl: public-read'$$, $$bucket 'lake', storage_class ''$$,
	$$bucket 'lake', kms_key_id 'x'$$, $$bucket 'lake', encryption 'sse-c'$$,
	$$bucket 'lake', checksum 'crc32'$$, $$bucket 'lake', conditional 'never'$$,
	$$bucket 'lake', chunk_size '1MB'$$, $$bucket 'lake', max_object_size '1PB'$$,
	$$bucket 'lake', connect_timeout '0'$$, $$bucket 'lake', ca_file 'ca.pem'$$,
	$$bucket 'lake', secret_access_key 'hunter2'$$, $$bucket 'lake', access_key_id 'x'$$,
	$$bucket 'lake', nonsense 'x'$$]) o;
SELECT try_server('postgres', o) FROM unnest(ARRAY[
	$$dbname 'shop'$$, $$host 'db'$$, $$host 'a,b', dbname 'shop'$$, $$host '/tmp', dbname 'shop'$$,
	$$host 'db', dbname 'host=other'$$, $$host 'db', dbname 'postgresql://other'$$,
	$$host 'db', dbname 'shop', sslmode 'none'$$, $$host 'db', dbname 'shop', password 'hunter2'$$,
	$$host 'db', dbname 'shop', passfile '/etc/passwd'$$, $$host 'db', dbname 'shop', service 'x'$$,
	$$host 'db', dbname 'shop', sslrootcert 'root.crt'$$,
	$$host 'db', dbname 'shop', channel_binding 'x'$$,
	$$host 'db.example.org', dbname 'shop', port '5433', sslmode 'require', connect_timeout '5'$$]) o;
DROP SERVER tried;
SELECT try_server('iceberg', o) FROM unnest(ARRAY[
	$$warehouse 'x'$$, $$uri 'catalog.example.org'$$, $$uri 'http://host'$$, $$uri 'https://user:pw@host/x'$$,
	$$uri 'https://host/a/../b'$$, $$uri 'https://host/a?b=c'$$, $$uri 'https://host:0/x'$$, $$uri E'https://host/a\nb'$$,
	$$uri 'https://host', oauth2_uri 'ftp://host'$$, $$uri 'https://host', prefix ''$$,
	$$uri 'https://host', warehouse E'a\r\nb'$$, $$uri 'https://host', ca_file 'ca.pem'$$,
	$$uri 'https://host', token 'hunter2'$$, $$uri 'https://host', bucket 'x'$$,
	$$uri 'https://[::1]:8181/api/catalog/', warehouse 'main', prefix 'p', scope 'all', oauth2_uri 'https://login.example.org/token',
	retries '3', connect_timeout '5', stall_timeout '30'$$]) o;
SELECT o || E'\n' || try(format('CREATE USER MAPPING FOR PUBLIC SERVER tried OPTIONS (%s)', o)) FROM unnest(ARRAY[
	$$client_id 'x'$$, $$client_secret 'hunter2'$$, $$token 'hunter2', client_id 'x', client_secret 'y'$$,
	$$token 'hunter 2'$$, $$token ''$$, $$token 'hunter2', uri 'https://other'$$,
	$$client_id 'x', client_secret 'hunter2'$$]) o;
DROP SERVER tried CASCADE;

-- mappings: nothing of their values is shown
CREATE SERVER lake FOREIGN DATA WRAPPER outflow_s3 OPTIONS (bucket 'lake');
SELECT o || E'\n' || try(format('CREATE USER MAPPING FOR PUBLIC SERVER lake OPTIONS (%s)', o)) FROM unnest(ARRAY[
	$$access_key_id 'key'$$, $$secret_access_key 'hunter2'$$,
	$$access_key_id 'key', secret_access_key E'hunter2\n'$$,
	$$access_key_id 'key', secret_access_key ''$$,
	$$access_key_id 'key', secret_access_key 'hunter2', bucket 'x'$$,
	$$access_key_id 'key', secret_access_key 'hunter2', password 'x'$$,
	$$access_key_id 'key', secret_access_key 'hunter2', session_token 'token'$$]) o;

-- what only a superuser may set, and nobody else may then turn elsewhere
CREATE ROLE regress_outflow_fdw;
GRANT USAGE ON FOREIGN DATA WRAPPER outflow_s3 TO regress_outflow_fdw;
SET ROLE regress_outflow_fdw;
SELECT try_server('s3', $$bucket 'lake', allow_private 'on', endpoint 'http://127.0.0.1'$$);
SELECT try_server('s3', $$bucket 'lake', ca_file '/etc/passwd'$$);
SELECT try_server('s3', $$bucket 'lake'$$);
RESET ROLE;
ALTER SERVER tried OPTIONS (ADD allow_private 'on');
SET ROLE regress_outflow_fdw;
SELECT try($$ALTER SERVER tried OPTIONS (ADD endpoint 'https://other.example.org')$$);
RESET ROLE;
-- preflight says what a role lacks
CREATE SERVER "file" FOREIGN DATA WRAPPER outflow_s3 OPTIONS (bucket 'lake');
SET ROLE regress_outflow_fdw;
SELECT item, ok, detail, fix FROM outflow.preflight() WHERE item LIKE 'server%';
RESET ROLE;
DROP SERVER "file";
-- destinations that can't be reached
SELECT step, ok, detail, fix FROM outflow.check_destination('nowhere:x');
SELECT step, ok, detail, fix FROM outflow.check_destination('tried:a/../b');
-- and the wrapper itself has none
SELECT try('ALTER FOREIGN DATA WRAPPER outflow_s3 OPTIONS (ADD bucket $o$x$o$)');
DROP SERVER lake CASCADE;
DROP SERVER tried CASCADE;
REVOKE ALL ON FOREIGN DATA WRAPPER outflow_s3 FROM regress_outflow_fdw;
DROP ROLE regress_outflow_fdw;
DROP FUNCTION try_server, try;
