# Promise: metadata of a lake table that is damaged is an error that says what is
# wrong, wherever it is read, and never more than that.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use JSON::PP ();
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('damaged', conf => "autovacuum = off\n");
my $dir = new_export_dir();

$node->safe_psql('postgres', 'CREATE TABLE t AS SELECT i AS id FROM generate_series(1, 100) i');

# each_fails(LAKE, FORMAT, TOLD, NAME): all that reads the table
sub each_fails
{
	my ($lake, $format, $told, $name) = @_;

	foreach my $sql (
		"CALL outflow.export('t', 'file://$lake', format => '$format')",
		"CALL outflow.export('t', 'file://$lake', format => '$format', workers => 0)",
		"SELECT * FROM outflow.lake_versions('file://$lake')",
		"SELECT * FROM outflow.lake_vacuum('file://$lake', interval '0')",
		"SELECT status, detail FROM outflow.verify(1)")
	{
		my $said = run_sql($node, $sql);

		like($said, $told, "$name: " . substr($sql, 0, 40)) if $sql !~ /verify/;
		unlike($said, qr/terminated abnormally|closed the connection/, "$name: the server lives");
	}
	return;
}

# change(MAKE): a text of the metadata, made of a copy of it
sub change
{
	my ($make, $metadata) = @_;
	my $copy = JSON::PP::decode_json(JSON::PP::encode_json($metadata));

	$make->($copy);
	return JSON::PP::encode_json($copy);
}

my $lake = "$dir/iceberg";
like(run_sql($node, "CALL outflow.export('t', 'file://$lake', format => 'iceberg')"), qr/^\d+/, 'an Iceberg table');
my $metadata = iceberg_metadata($lake);
my $whole = JSON::PP::encode_json($metadata);
foreach my $damage (
	[ 'no uuid', sub { delete $_[0]{'table-uuid'} }, qr/has no text "table-uuid"/ ],
	[ 'a uuid that is a number', sub { $_[0]{'table-uuid'} = 7 }, qr/has no text "table-uuid"/ ],
	[ 'no manifest list', sub { delete $_[0]{snapshots}[0]{'manifest-list'} }, qr/has no text "manifest-list"/ ],
	[ 'a null as manifest list', sub { $_[0]{snapshots}[0]{'manifest-list'} = undef }, qr/has no text "manifest-list"/ ],
	[ 'no snapshots', sub { $_[0]{snapshots} = [] }, qr/has no snapshot \d+, the current one/ ])
{
	replace_file("$lake/metadata/v1.metadata.json", change($damage->[1], $metadata));
	each_fails($lake, 'iceberg', $damage->[2], $damage->[0]);
}
replace_file("$lake/metadata/v1.metadata.json", "\0" x 3_000_000);
each_fails($lake, 'iceberg', qr/invalid input syntax for type json.*null character.*v1\.metadata\.json/s, 'zeros');
replace_file("$lake/metadata/v1.metadata.json", "{\0" . ' ' x 3_000_000);
each_fails($lake, 'iceberg', qr/null character/, 'a zero');
replace_file("$lake/metadata/v1.metadata.json", $whole);
like(run_sql($node, "CALL outflow.export('t', 'file://$lake', format => 'iceberg')"), qr/^\d+/, 'mended, it goes on');

replace_file("$lake/metadata/v2.metadata.json", change(sub { $_[0]{snapshots}[0]{summary}{'outflow.lsn'} = 'garbage'; $_[0]{snapshots}[0]{'timestamp-ms'} = 9223372036854775807 }, iceberg_metadata($lake)));
is(run_sql($node, "SELECT committed IS NULL, lsn IS NULL FROM outflow.lake_versions('file://$lake') LIMIT 1"), 't|t', 'what is no position or time is null');
replace_file("$lake/metadata/v2.metadata.json", change(sub { $_[0]{snapshots}[0]{summary}{'outflow.lsn'} = '0/1'; $_[0]{snapshots}[0]{'timestamp-ms'} = 1 }, iceberg_metadata($lake)));

# a number that nobody writes
append_to_file("$lake/metadata/v07.metadata.json", '{}');
like(run_sql($node, "CALL outflow.export('t', 'file://$lake', format => 'iceberg')"), qr/^\d+/, 'stale metadata is in the way of no export');
unlike(run_sql($node, "SELECT * FROM outflow.lake_vacuum('file://$lake')"), qr/ERROR/, '... nor of a vacuum');
unlink "$lake/metadata/v07.metadata.json";
# what another catalog may have: a version that it went back to, say; or a commit of
# Hadoop's, that is under way or was killed
my $uuid = '8d1e0a52-6f27-4b3e-9d9c-5a0c7e6f1b2d';
my $remove = qr/If no catalog has the table, and nothing else writes to it, remove that file\./;
foreach my $in_the_way (
	[ "00001-$uuid.metadata.json", qr/has features.*may be another catalog's.*HINT:  (Export to another directory|Use the vacuum)/s ],
	[ 'v3.gz.metadata.json', qr/has features.*is compressed.*HINT:  (Export to another directory|Use the vacuum)/s ],
	[ "$uuid.metadata.json", qr/another program may be writing to.*\nHINT:  $remove/s ],
	[ "$uuid.gz.metadata.json", qr/another program may be writing to.*\nHINT:  $remove/s ])
{
	my ($name, $told) = @$in_the_way;

	append_to_file("$lake/metadata/$name", '{}');
	foreach my $sql ("CALL outflow.export('t', 'file://$lake', format => 'iceberg')", "SELECT * FROM outflow.lake_vacuum('file://$lake')")
	{
		my $said = run_sql($node, $sql);

		like($said, $told, "what is in the way is said: $name");
		like($said, qr{\nDETAIL:  File "metadata/\Q$name\E" }, '... and named');
	}
	unlink "$lake/metadata/$name";
}
unlike(run_sql($node, "SELECT * FROM outflow.lake_vacuum('file://$lake')"), qr/ERROR/, 'without it, a vacuum goes on');

# a job whose table gets such a file goes on without it
$node->safe_psql('postgres', 'UPDATE t SET id = id + 1');
my $job = run_sql($node, 'SELECT max(job) + 1 FROM outflow.jobs');
hold_publications($node);
my ($begun, $told) = start_psql($node, "CALL outflow.export('t', 'file://$lake', format => 'iceberg')");
wait_until($node, "SELECT bool_and(state = 'done') FROM outflow.parts WHERE job = $job", 'all parts are there');
append_to_file("$lake/metadata/$uuid.metadata.json", '{}');
release_exports($node);
$begun->finish;
like($$told, qr/another program may be writing to.*$remove.*CALL outflow\.resume\($job\) continues it\./s, 'a job that meets it can be resumed');
unlink "$lake/metadata/$uuid.metadata.json";
unlike(run_sql($node, "CALL outflow.resume($job)"), qr/ERROR/, '... when it is gone');

# beside a commit that comes to its end, before the export gives up if it can
my $heard_of;
foreach my $try (1 .. 10)
{
	append_to_file("$lake/metadata/$uuid.metadata.json", '{}');
	my $next = JSON::PP::encode_json(iceberg_metadata($lake));
	(my $waits, $heard_of) = start_psql($node, "CALL outflow.export('t', 'file://$lake', format => 'iceberg')");
	until (run_sql($node, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'Extension' AND query ~ 'outflow.export'") > 0)
	{
		$waits->pump_nb;
		last unless $waits->pumpable;
	}
	replace_file("$lake/metadata/$uuid.metadata.json", $next);
	rename("$lake/metadata/$uuid.metadata.json", "$lake/metadata/v" . (iceberg_number($lake) + 1) . '.metadata.json') or die $!;
	$waits->finish;
	last unless $$heard_of =~ /another program may be writing/;
}
unlike($$heard_of, qr/ERROR/, 'an export waits for a commit that ends');

# another writer's snapshot, over one that is gone and may have been the job's
$node->safe_psql('postgres', 'UPDATE t SET id = id + 1');
my $last = run_sql($node, 'SELECT max(job) FROM outflow.jobs');
hold_publications($node);
my ($session, $heard) = start_psql($node, "CALL outflow.export('t', 'file://$lake', format => 'iceberg')");
wait_until($node, "SELECT bool_and(state = 'done') FROM outflow.parts WHERE job > $last", 'all parts are there');
$metadata = iceberg_metadata($lake);
push @{ $metadata->{snapshots} },
  { %{ $metadata->{snapshots}[-1] }, 'snapshot-id' => 77, 'parent-snapshot-id' => 999, 'sequence-number' => 9,
	summary => { operation => 'append', 'engine-name' => 'Other' } };
$metadata->{'current-snapshot-id'} = 77;
replace_file("$lake/metadata/v" . (iceberg_number($lake) + 1) . '.metadata.json', JSON::PP::encode_json($metadata));
release_exports($node);
$session->finish;
my @there = grep { !/^\.outflow/ } files_below($lake);
like(run_sql($node, 'SELECT outflow.forget(max(job)) FROM outflow.jobs'), qr/files of export job \d+ in ".*" stay/, 'forget says that files stay');
is_deeply([ files_below($lake) ], \@there, 'and they do');

$lake = "$dir/delta";
like(run_sql($node, "CALL outflow.export('t', 'file://$lake', format => 'delta')"), qr/^\d+/, 'a Delta table');
my $log = "$lake/_delta_log/00000000000000000000.json";
$whole = slurp_file($log);
replace_file($log, "\0" x 3_000_000);
each_fails($lake, 'delta', qr/null character.*00000\.json/s, 'zeros in the log');
replace_file($log, $whole =~ s/\n/\n\0 \n/r);
each_fails($lake, 'delta', qr/null character/, 'a zero in the log');
replace_file($log, $whole =~ s/"source":"[^"]*",//r);
is(run_sql($node, "SELECT count(*) FROM outflow.lake_versions('file://$lake')"), '1', 'a version that does not name its source');
replace_file($log, $whole);
like(run_sql($node, "CALL outflow.export('t', 'file://$lake', format => 'delta')"), qr/^\d+/, 'mended, it goes on');

$node->stop;
done_testing();
