# Promise: a secret key that is given by mistake reaches neither the server's log
# nor an error's text, whatever else is wrong with the call; and nothing that a
# user wrote comes back longer than it helps.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = new_export_dir();
# what the server itself writes of each statement is not ours to hide
my $node = new_outflow_node('secrets', conf => <<'EOC');
log_statement = none
log_replication_commands = off
log_min_messages = debug1
log_min_error_statement = debug5
EOC
my $body = '1' . substr('QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L' x 2, 0, 58);
my $key = "AGE-SECRET-KEY-$body";
my $plugin = "AGE-PLUGIN-YUBIKEY-$body";
my $passphrase = 'correct-horse-battery-staple';
my $public = 'age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p';

$node->safe_psql('postgres', 'CREATE TABLE t AS SELECT 1 AS i; CREATE PUBLICATION p FOR TABLE t;'
	  . ' CREATE ROLE eve LOGIN');

# hidden(SQL, TITLE, USER): the call is an error, and its secret is nowhere
sub hidden
{
	my ($sql, $title, $user) = @_;
	my $from = -s $node->logfile;
	my ($status, $stdout, $stderr) = $node->psql('postgres', $sql,
		extra_params => [ '-U', $user // 'postgres' ]);
	my $log = substr(slurp_file($node->logfile), $from);
	# a name is cut after 63 bytes
	my $part = substr($body, 0, 40);
	my $secret = qr/$part|$passphrase/i;

	like($stderr, qr/ERROR/, $title);
	unlike($log, $secret, '... is not in the log');
	# a client that calls from within a function is shown its own statement
	unlike($stderr, $secret, '... nor in the message') unless $sql =~ /^DO/;
	return;
}

my $to = "'file://$dir/x'";
foreach my $secret ($key, lc $key, $plugin, $passphrase)
{
	my $recipients = "encrypt_to => ARRAY['$public', '$secret']";

	hidden("CALL outflow.export('t', $to, $recipients)", 'a secret as recipient');
	hidden("CALL outflow.export('t', $to, encrypt_to => ARRAY[NULL, '$secret'])",
		'... beside a null');
	hidden("CALL outflow.export('t', 'nowhere:', $recipients)", '... with another fault');
	hidden("CALL outflow.export('t', NULL, $recipients)", '... without a destination');
	hidden("CALL outflow.export('t', $to, $recipients)", '... by who may not export', 'eve');
	hidden("BEGIN; CALL outflow.export('t', $to, $recipients)", '... in a transaction');
	hidden("SELECT outflow.export_start('t', $to, $recipients)", '... to be queued');
	hidden("CALL outflow.export_tables('{t}', $to, $recipients)", '... for tables');
	hidden("CALL outflow.export_publication('p', $to, $recipients)", '... for a publication');
	hidden("SELECT outflow.export_publication_start('p', $to, $recipients)", '... queued');
	hidden("DO \$\$ BEGIN PERFORM outflow.export_start('t', $to, $recipients); END \$\$",
		'... in a block');
}
foreach my $argument ("format => '$key'", "compression => '$key'", "part_size => '$key'",
	"columns => '{$key}'", "filter => '$key'", qq{options => '{"$key": 1}'},
	qq{options => '{"encoding": "$key"}'}, qq{options => '{"lossy": "$key"}'})
{
	hidden("CALL outflow.export('t', $to, $argument)", $argument =~ s/ .*//r . ' is a secret');
}
hidden("CALL outflow.export('t', '$key')", 'the destination is a secret');
hidden("CALL outflow.export('t', 'file:///$key')", '... or has one');
hidden("SELECT outflow.prune('$key', 1)", 'a place to prune is a secret');
hidden("SELECT outflow.prune('file:///$key', 1)", '... or has one');
hidden("SELECT outflow.prune('file:///$key', 1)", '... by who may not prune', 'eve');
hidden("SELECT outflow_internal.preflight_destination('file:///$key', 'reach', '_outflow_check_')", 'a place to try has one');
like($node->safe_psql('postgres', "SELECT detail FROM outflow.check_destination('$key')"),
	qr/^argument "destination" holds an age identity/, '... and that is told');

# ---- every argument of every function that can hold one, and as many ways to fail
$node->safe_psql('postgres', "CALL outflow.export('t', 'file://$dir/done')");
my %given = (
	source => "'t'", sources => "'{t}'", schema => "'public'", publication => "'p'",
	destination => $to, prefix => "'file://$dir'", query => "'SELECT 1'", keep => 1,
	job => '(SELECT max(job) FROM outflow.jobs)', slot => "'feed'", enable => 'false');
my @arguments = split(/\n/, $node->safe_psql('postgres', q{
	SELECT proname, prokind, a.name, a.type::regtype,
		array_to_string(proargnames[:pronargs - pronargdefaults], ',')
	FROM pg_proc, unnest(proargtypes::oid[]) WITH ORDINALITY AS t (type, n),
		LATERAL (SELECT proargnames[n] AS name, type) AS a
	WHERE pronamespace = 'outflow'::regnamespace
		AND a.type IN ('text'::regtype, 'name'::regtype, 'text[]'::regtype, 'jsonb'::regtype)}));

cmp_ok(scalar(@arguments), '>', 60, 'arguments that could hold a secret');
foreach my $argument (@arguments)
{
	my ($function, $kind, $name, $type, $needed) = split(/\|/, $argument);
	my $value = { 'text[]' => "ARRAY['$key']", jsonb => qq{'{"$key": 1}'} }->{$type} // "'$key'";
	my $call = "outflow.$function(" . join(', ', "$name => $value",
		map { "$_ => $given{$_}" } grep { $_ ne $name } split(/,/, $needed)) . ')';

	$call = ($kind eq 'p' ? 'CALL' : 'SELECT') . " $call";
	# which tells what is wrong as a row
	next if $function eq 'check_destination';
	hidden($call, "$function has one as $name");
	hidden("BEGIN READ ONLY; $call", '... where nothing may be written');
	hidden('DO $$ BEGIN PERFORM' . substr($call, 6) . '; END $$', '... in a block')
	  if $kind ne 'p';
}

# ---- options of a stream
$node->safe_psql('postgres', q{SELECT pg_create_logical_replication_slot('stream', 'outflow')});
foreach my $options ("'tables', '$key'", "'$key', 'on'", "'mask_columns', 'public.t.i=$key'", "'format', '$key'", "'format', 'wal2json', 'add-tables', '$key'")
{
	hidden("SELECT data FROM pg_logical_slot_get_changes('stream', NULL, NULL, $options)", 'an option of a stream' . $options =~ s/'[^']*$key.*/.../r);
}
$node->safe_psql('postgres', q{SELECT pg_drop_replication_slot('stream')});

# ---- a password, as the client takes it in a URL, and as options that are refused
my $url = "postgresql://user:$passphrase\@host/db";
foreach my $to ("host=h user=u password=$passphrase", "wh:password=$passphrase", "file://u:$passphrase\@h/x", "s3://AK:$passphrase\@bucket/x")
{
	hidden("CALL outflow.export('t', '$to')", "a password in destination $to");
	unlike($node->safe_psql('postgres', "SELECT * FROM outflow.check_destination('$to')"), qr/$passphrase/, '... that is only tried');
	hidden("SELECT * FROM outflow.lake_versions('$to')", '... of a lake table');
	hidden("SELECT outflow.prune('$to', 1)", '... of which old ones go');
}
hidden("CALL outflow.export('t', '$url')", 'a password in a destination');
hidden("SELECT outflow.prune('$url', 1)", '... in a place to prune');
hidden("SELECT * FROM outflow.lake_versions('$url')", '... in a table of a lake');
hidden("CREATE SERVER s FOREIGN DATA WRAPPER outflow_postgres OPTIONS (dbname '$url')", '... in an option of a server');
hidden("CREATE SERVER s FOREIGN DATA WRAPPER outflow_s3 OPTIONS (secret_access_key '$passphrase')", 'a secret in the wrong place');
$node->safe_psql('postgres', q{CREATE SERVER s FOREIGN DATA WRAPPER outflow_s3 OPTIONS (endpoint 'https://s3.invalid', bucket 'bucket', region 'r')});
hidden("CREATE USER MAPPING FOR CURRENT_USER SERVER s OPTIONS (access_key_id 'a', secret_access_keyy '$passphrase')", '... with a wrong name');
hidden("CREATE USER MAPPING FOR CURRENT_USER SERVER s OPTIONS (access_key_id 'a', secret_access_key E'$passphrase\\n')", '... with a wrong value');
hidden("CREATE USER MAPPING FOR CURRENT_USER SERVER s OPTIONS (secret_access_key '$passphrase', access_key_id '')", '... beside one');

# what only looks like one may be exported
is($node->safe_psql('postgres', "CALL outflow.export('t', 'file://$dir/age-plugin-x',"
		  . q{ filter => 'i::text <> ''AGE-SECRET-KEY-''')}) =~ /^\d+$/, 1,
	'a mere mark is none');

# short(SQL, TITLE): an error of a few lines
sub short
{
	my ($sql, $title) = @_;
	my ($status, $stdout, $stderr) = $node->psql('postgres', $sql);

	like($stderr, qr/ERROR/, "$title is refused");
	cmp_ok(length($stderr), '<', 2000, '... in few words');
	return;
}

my $long = "repeat('é', 1000000)";
my $call = "CALL outflow.export('t', $to, ";
short("CALL outflow.export('t', $long)", 'a long destination');
short("CALL outflow.export('t', 'file://' || $long)", '... a relative one');
short("CALL outflow.export('t', 'file:///' || $long)", '... an absolute one');
short("CALL outflow.export('t', 'file:///' || repeat('../', 300000))", '... one that goes up');
short("$call format => $long)", 'a long format');
short("$call compression => $long)", 'a long compression');
short("$call compression => 'zstd:' || $long)", '... level');
short("$call format => 'parquet', compression => $long)", '... of Parquet');
short("$call format => 'parquet', compression => 'zstd:' || $long)", '... level of Parquet');
short("$call part_size => $long)", 'a long part_size');
short("$call columns => ARRAY[$long])", 'a long column');
short("$call filter => $long || ')')", 'a long filter');
short("$call encrypt_to => ARRAY[$long])", 'a long recipient');
short("$call options => jsonb_build_object($long, 1))", 'a long option');
short("$call options => jsonb_build_object($long, '{}'::jsonb))", '... with no scalar');
short("$call format => 'parquet', options => jsonb_build_object('lossy', left($long, 400000)))", 'a long lossy');
short("$call format => 'parquet', options => jsonb_build_object('lossy', left($long, 400000) || '=null'))", '... for a column');
foreach my $option ('encoding', 'delimiter', 'carry', 'header', 'row_group_rows', 'overwrite')
{
	short("$call options => jsonb_build_object('$option', left($long, 400000)))", "a long $option");
}

short("$call options => jsonb_build_object('force_quote', 'i,' || left($long, 400000)))", 'a long column to quote');
short("$call options => jsonb_build_object('mask_columns', 'public.t.' || left($long, 400000) || '=hash'))", 'a long column to mask');
short("SELECT outflow_internal.preflight_destination($to, 'write', $long)", "a trial's long name");
short("SELECT outflow_internal.preflight_destination('file://$dir', $long, '_outflow_check_1')", "... and long step");

# options of the plugin: every one of them with a value that is too long to show
create_slot($node, 'feed');
my ($status, $stdout, $stderr) = $node->psql('postgres',
	q{SELECT FROM pg_logical_slot_get_changes('feed', NULL, NULL, 'no such', 'x')});
my ($names) = $stderr =~ /HINT:  Valid names are: (.*)\./;
foreach my $option (split(/, /, $names), 'filter-origins', 'format-version', 'add-tables')
{
	my ($status, $stdout, $stderr) = $node->psql('postgres', 'INSERT INTO t VALUES (1);'
		  . " SELECT count(*) FROM pg_logical_slot_peek_changes('feed', NULL, NULL,"
		  . " '$option', left($long, 400000))");

	cmp_ok(length($stderr), '<', 2000, "a long $option is not echoed");
}
$node->stop;
done_testing();
