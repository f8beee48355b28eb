# Promise: what outflow.mask_columns masks appears nowhere: in no record of any
# format, with old rows, unchanged, oversized and streamed ones, in no file,
# statistics and manifest included, no view and no log; and nobody but
# superusers takes a mask back, by a connection's options, settings, options of
# the call, a filter, or a partition's name.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = new_export_dir();
my $masks = join(',', map { "public.people.$_" }
	  qw(mail=hash ssn=redact born=null note=truncate:2 big=hash doc=redact pin=hash tags=hash));
my $node = new_outflow_node('secrecy', conf => <<"EOC");
outflow.mask_columns = '$masks,public.child.secret=redact,public.parent.mail=redact,public.badkey.id=redact'
outflow.mask_key_file = 'mask.key'
logical_decoding_work_mem = 64kB
log_statement = none
log_min_error_statement = panic
log_min_messages = debug1
EOC
my $key = $node->data_dir . '/mask.key';

append_to_file($key, "an example key of some length\n");
chmod 0600, $key;

$node->safe_psql('postgres', <<'EOS');
CREATE ROLE alice LOGIN REPLICATION IN ROLE pg_write_server_files;
CREATE SCHEMA alice AUTHORIZATION alice;
CREATE TABLE people (mail text PRIMARY KEY, id int NOT NULL, ssn text DEFAULT 'canary-default', born date NOT NULL, note text,
	big text, doc jsonb, pin int NOT NULL, tags text[]);
ALTER TABLE people ALTER big SET STORAGE external;
CREATE TABLE parent (id int, mail text, secret text) PARTITION BY LIST (id);
CREATE TABLE child PARTITION OF parent FOR VALUES IN (1);
CREATE TABLE badkey (id int PRIMARY KEY, v text);
GRANT SELECT ON ALL TABLES IN SCHEMA public TO alice;
CREATE PUBLICATION filtered FOR TABLE people WHERE (mail ~ 'canary') WITH (publish_via_partition_root = true);
EOS

my @formats = (
	[ 'format', 'json', 'include_old', 'on', 'max_value_bytes', '1024' ],
	[ 'format', 'json', 'streaming', 'on' ],
	[ 'format', 'json', 'publication_names', 'filtered' ],
	[ 'format', 'json', 'mask_columns', '*.*.*=truncate:1000' ],
	[ 'format', 'debezium', 'topic_prefix', 'x' ],
	[ 'format', 'wal2json', 'include-default', 'on', 'include-pk', 'on', 'include-not-null', 'on', 'include-types', 'on' ],
	[ 'format', 'wal2json', 'format-version', '2', 'include-default', 'on', 'include-pk', 'on', 'include-domain-data-type', 'on',
		'mask_columns', 'public.people.note=truncate:1000' ]);

create_slot($node, 'feed');
my $change = <<'EOS';
INSERT INTO people SELECT 'canary-' || g, g, 'canary', date '1918-02-07', 'xycanary', repeat('canary', 1000), '{"canary": "canary"}',
	918273645, '{canary}' FROM generate_series(1, 5) AS g;
UPDATE people SET id = id + 100;
UPDATE people SET mail = mail || 'x', pin = 918273645 WHERE id = 102;
ALTER TABLE people REPLICA IDENTITY FULL;
UPDATE people SET note = 'yzcanary' WHERE id < 104;
DELETE FROM people WHERE id = 105;
ALTER TABLE people REPLICA IDENTITY DEFAULT;
DELETE FROM people WHERE id = 104;
INSERT INTO parent VALUES (1, 'canary', 'canary');
INSERT INTO badkey VALUES (1, 'a');
UPDATE badkey SET v = 'b' WHERE id = 1;
EOS
$node->safe_psql('postgres', "BEGIN; $change COMMIT;");
# a large one, for a stream in progress
$node->safe_psql('postgres', q{INSERT INTO people (mail, id, born, note, pin)
	SELECT 'canary-big-' || g, g, '1918-02-07', 'xycanary', 918273645 FROM generate_series(1000, 1500) AS g});

my $canary = qr/canary|918273645|1918-02-07|36BBAE2D|36bbae2d|\x36\xbb\xae\x2d|\x2d\xae\xbb\x36|Y2FuYXJ5/;

# said(SQL, ROLE, OPTIONS): all that a session gets to see
sub said
{
	my ($sql, $role, $options) = @_;

	local $ENV{PGOPTIONS} = $options // '';
	my ($status, $out, $err) = $node->psql('postgres', $sql, extra_params => [ '-U', $role // 'alice' ]);

	return $out . $err;
}

foreach my $options (@formats)
{
	my $stream = said("SELECT data FROM pg_logical_slot_peek_changes('feed', NULL, NULL, "
		  . join(', ', map { "'$_'" } @$options) . ')');
	my $what = join(' ', @$options);

	unlike($stream, $canary, "stream: $what");
	like($stream, qr/[0-9a-f]{64}/, '... has hashes');
	like($stream, qr/"x."|"y."/, '... and the beginning of notes');
	like($stream, qr/stream_start/, '... some while in progress') if $what =~ /streaming/;
}

# the key of a row whose key is masked beyond recognition
my $stream = said("SELECT data FROM pg_logical_slot_peek_changes('feed', NULL, NULL, 'tables', 'public.badkey')");
like($stream, qr/"op":"update".*"new":\{"id":"\*\*\*","v":"b"\}/, 'a redacted key');
unlike($stream, qr/"key":\{/, '... is none');
like($stream, qr/"key":\[\]|"key":null/, '... in the definition, too');
like(said("SELECT data FROM pg_logical_slot_peek_changes('feed', NULL, NULL, 'format', 'json', 'tables', 'public.people')"),
	qr/"op":"schema".*"name":"pin","type":"text","oid":25,"attnum":8,"nullable":false\}.*"key":\["mail"\]/, 'a hashed one is');
$node->safe_psql('postgres', "SELECT FROM pg_logical_slot_get_changes('feed', NULL, NULL, 'actions', 'truncate')");

my $files = 0;
foreach my $format (qw(csv text binary jsonl parquet))
{
	foreach my $more ('', ', workers => 0', ", options => '{\"mask_columns\": \"public.people.*=truncate:1000\"}'")
	{
		my $place = "$dir/" . ++$files;
		my $compression = $format eq 'parquet' ? 'none' : 'gzip';

		is(said("CALL outflow.export('people', 'file://$place', format => '$format', compression => '$compression'$more)") =~ tr/0-9\n//cdr =~ s/\s//gr,
			$files, "export: $format$more");
		foreach my $file (files_below($place))
		{
			my $content = slurp_file("$place/$file");

			$content = `gzip -dc $place/$file` if $file =~ /\.gz$/;
			unlike($content, $canary, "... $file");
		}
	}
}
unlike(said('SELECT * FROM outflow.jobs; SELECT * FROM outflow.parts; SELECT * FROM outflow.verify(1); SELECT outflow.restore_script(1)'),
	$canary, 'views and functions of jobs');
like(said('SELECT outflow.restore_script(1)'), qr/pin text NOT NULL/, 'restored as text');

# what the owner of a table says in a filter, and what a reader may
foreach my $filter ("mail = 'canary-1'", "1 / (pin - 918273645) = 1", "id > 0 AND left(note, 1) = 'x'")
{
	my $quoted = $filter =~ s/'/''/gr;

	like(said("CALL outflow.export('people', 'file://$dir/none', filter => '$quoted')"),
		qr/filter must not use masked column/, "a filter: $filter");
}
unlike(said("CALL outflow.export('people', 'file://$dir/super', filter => 'pin > 0')", $ENV{PGUSER} // scalar getpwuid($<)),
	qr/ERROR/, '... of a superuser');

# partitions
foreach my $table (qw(parent child))
{
	said("CALL outflow.export('$table', 'file://$dir/$table')");
	is(exported_parts("$dir/$table"), "1,***,***\n", "rules of table and partition hold for $table");
}

# a filter that fails, of a publication
$node->safe_psql('postgres', <<'EOS');
CREATE TABLE fails (id int PRIMARY KEY, mail text);
ALTER TABLE fails REPLICA IDENTITY FULL;
GRANT SELECT ON fails TO alice;
CREATE PUBLICATION failing FOR TABLE fails WHERE (array_length(parse_ident(mail), 1) > 0);
INSERT INTO fails VALUES (1, '!canary');
EOS
$node->safe_psql('postgres', q{SELECT pg_create_logical_replication_slot('fails', 'outflow')});
$node->safe_psql('postgres', q{INSERT INTO fails VALUES (2, '!canary')});
my $fails = said("SELECT data FROM pg_logical_slot_peek_changes('fails', NULL, NULL, 'publication_names', 'failing', 'mask_columns', 'public.fails.mail=hash')");
like($fails, qr/ERROR:  could not apply a row filter of table "public.fails"/, 'a publication\'s filter fails');
unlike($fails, $canary, '... and tells nothing');
$fails = said("CALL outflow.export_publication('failing', 'file://$dir/failing', options => '{\"mask_columns\": \"public.fails.mail=hash\"}')");
like($fails, qr/could not apply a row filter of table "public.fails"/, '... in an export, too');
unlike($fails, $canary, '... and tells nothing');
unlike(said('SELECT * FROM outflow.jobs; SELECT * FROM outflow.parts'), $canary, '... nor does its job');

# one whose error tells of the value in its context
$node->safe_psql('postgres', q{ALTER PUBLICATION failing SET TABLE fails WHERE (jsonb_in(textout(mail)) ? 'a')});
$node->safe_psql('postgres', q(UPDATE fails SET mail = '{canary' WHERE id = 2));
$fails = said("SELECT data FROM pg_logical_slot_peek_changes('fails', NULL, NULL, 'publication_names', 'failing', 'mask_columns', 'public.fails.mail=hash')");
like($fails, qr/ERROR:  could not apply a row filter of table "public.fails"/, 'a filter that parses');
unlike($fails, $canary, '... tells nothing either');
$node->safe_psql('postgres', q{SELECT pg_drop_replication_slot('fails'); DROP TABLE fails;
	SELECT count(*) FROM pg_logical_slot_get_changes('feed', NULL, NULL, 'actions', 'truncate')});

# who may take a mask back
my $export = sub { return "CALL outflow.export('people', 'file://$dir/try" . ++$files . "', columns => '{mail}')" };
my $peek = q{SELECT data FROM pg_logical_slot_peek_changes('feed', NULL, NULL)};
$node->safe_psql('postgres', "INSERT INTO people (mail, id, born, pin) VALUES ('canary-last', 1, '1918-02-07', 1)");
foreach my $try ('outflow.mask_columns=', 'outflow.mask_columns=a.b.c=null', 'OUTFLOW.Mask_Columns=', 'outflow.mask_key_file=/etc/passwd')
{
	like(said($_, 'alice', "-c $try"), qr/has a value that cannot be used/, "-c $try") foreach ($export->(), $peek);
}
foreach my $try ("SET outflow.mask_columns = ''", "SET SESSION outflow.mask_columns TO DEFAULT",
	"BEGIN; SET LOCAL outflow.mask_columns = ''; COMMIT", 'RESET ALL', "ALTER ROLE alice SET outflow.mask_columns = ''",
	"CREATE FUNCTION alice.f() RETURNS text LANGUAGE sql SET outflow.mask_columns = '' AS 'SELECT 1'",
	"SELECT set_config('outflow.mask_columns', '', false)")
{
	my $stream = said("$try; $peek");

	unlike($stream, $canary, $try);
	like($stream, qr/[0-9a-f]{64}|permission denied to set parameter/, '... is refused, or without effect');
	said("$try; " . $export->());
	unlike(-d "$dir/try$files" ? exported_parts("$dir/try$files") : '', $canary, '... nor in a file');
}
like(said("SELECT outflow.run_queue(); SET outflow.mask_columns = ''"), qr/permission denied to set parameter/, 'it is a superuser\'s');
like(said("SELECT FROM outflow.jobs; SHOW outflow.mask_columns"), qr/must be superuser|permission/, 'nor is it read');
like(said("LOAD 'outflow'; ALTER DATABASE postgres SET outflow.mask_key_file = 'x'", $ENV{PGUSER} // scalar getpwuid($<)),
	qr/cannot be changed now/, 'the key\'s file is named in the configuration file alone');

# a job whose masks change while it runs: no part is unlike another
$node->safe_psql('postgres', "CREATE TABLE wide AS SELECT g AS id, 'clear' AS v, 'clear' AS w FROM generate_series(1, 20000) AS g");
hold_exports($node, 0);
my ($call, $answer) = start_psql($node,
	"CALL outflow.export('wide', 'file://$dir/wide', part_size => '64kB', workers => 1, options => '{\"mask_columns\": \"*.wide.v=redact\"}')");
wait_until($node, q{SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'}, 'a part that waits');
$node->append_conf('postgresql.conf', "outflow.mask_columns = '$masks,public.wide.w=redact'");
$node->reload;
$node->poll_query_until('postgres', q{SELECT current_setting('outflow.mask_columns') ~ 'wide'});
release_exports($node);
$call->finish;
like($$answer, qr/masks of table public.wide were changed while it is exported/, 'masks that change under a job');
my $wide = $node->safe_psql('postgres', 'SELECT max(job) FROM outflow.jobs');
$node->safe_psql('postgres', "CALL outflow.resume($wide)");
like(exported_parts("$dir/wide"), qr/^(?:\d+,\*\*\*,\*\*\*\n){20000}$/, '... hold for all of it after a resume');
is($node->safe_psql('postgres', "SELECT count(*) FROM outflow.verify($wide) WHERE status <> 'ok'"), 0, '... which verifies');

# a running stream takes a new mask over
my $file = "$dir/live";
my $live = IPC::Run::start([ 'pg_recvlogical', '-d', $node->connstr('postgres'), '-S', 'feed', '--start', '-f', $file, '-F', '0' ],
	'>', \my $said, '2>&1');
wait_for_line($file, qr/"op":"commit"/);
$node->safe_psql('postgres', 'CREATE TABLE late (id int PRIMARY KEY, v text); INSERT INTO late VALUES (1, $$clear$$)');
wait_for_line($file, qr/"v":"clear"/);
$node->append_conf('postgresql.conf', "outflow.mask_columns = '$masks,public.late.v=hash'");
$node->reload;
$node->poll_query_until('postgres', q{SELECT current_setting('outflow.mask_columns') ~ 'late'});
foreach my $n (2 .. 300)
{
	$node->safe_psql('postgres', "INSERT INTO late VALUES ($n, 'clear')");
	last if slurp_file($file) =~ /"v":"[0-9a-f]{64}"/;
	Time::HiRes::usleep(100_000);
}
$live->kill_kill;
like(slurp_file($file), qr/"v":"clear".*"v":"[0-9a-f]{64}"/s, 'a running stream takes a new mask over');

$node->stop('fast');
my $log = slurp_file($node->logfile);
unlike($log, $canary, 'the server\'s log');
unlike($log, qr/an example key/, '... has no key either');

done_testing();
