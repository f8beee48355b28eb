# Promise: what other writers do to a lake table, and what other databases commit to
# it, is understood for what it is: a rollback, a version that changes nothing, names
# in any letters; and no file goes that somebody needs.
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

my $node = new_outflow_node('others', conf => "autovacuum = off\noutflow.retries = 0\n");
my $dir = new_export_dir();
my $now = time() * 1000;
my $day = 86400 * 1000;

# export(TABLE, LAKE, FORMAT, DATABASE): with overwrite, if the format ends in "!"
sub export
{
	my ($table, $lake, $format, $database) = @_;
	my $options = $format =~ s/!$// ? q(, options => '{"overwrite": true}') : '';

	return run_sql($node, "CALL outflow.export('$table', 'file://$lake', format => '$format', workers => 0$options)", $database);
}

# version_file(LAKE, NUMBER): of a Delta table
sub version_file
{
	my ($lake, $number) = @_;

	return sprintf('%s/_delta_log/%020d.json', $lake, $number);
}

# say_nothing(LAKE, NUMBER...): versions of another writer that change nothing
sub say_nothing
{
	my ($lake, @numbers) = @_;

	append_to_file(version_file($lake, $_), qq({"commitInfo":{"timestamp":$now,"operation":"VACUUM END"}}\n)) foreach @numbers;
	return;
}

# crc32c(TEXT)
sub crc32c
{
	my ($text) = @_;
	my $crc = 0xFFFFFFFF;

	foreach my $byte (unpack('C*', $text))
	{
		$crc ^= $byte;
		$crc = $crc & 1 ? ($crc >> 1) ^ 0x82F63B78 : $crc >> 1 foreach 1 .. 8;
	}
	return $crc ^ 0xFFFFFFFF;
}

$node->safe_psql('postgres', <<'EOC');
CREATE TABLE t AS SELECT i AS id FROM generate_series(1, 100) i;
CREATE TABLE u AS SELECT i AS id FROM generate_series(1, 10) i;
CREATE DATABASE second;
EOC
$node->safe_psql('second', "CREATE EXTENSION outflow; CREATE TABLE t AS SELECT i AS id FROM generate_series(1, 50) i");

# of Iceberg: two versions, of which others go back to the first one
# rollback(LAKE, AGES): in days, of both versions and of the way back
sub rollback
{
	my ($lake, @ages) = @_;
	my @ids;

	foreach (0, 1)
	{
		like(export('t', $lake, 'iceberg'), qr/^\d+/, 'a version');
		$node->safe_psql('postgres', 'UPDATE t SET id = id + 1');
	}
	write_iceberg_metadata($lake, sub {
		my ($metadata) = @_;
		my @snapshots = @{ $metadata->{snapshots} };

		@ids = map { $_->{'snapshot-id'} } @snapshots;
		$snapshots[$_]{'timestamp-ms'} = $now - $ages[$_] * $day foreach (0, 1);
		$metadata->{'snapshot-log'} = [ map { { 'timestamp-ms' => $now - $ages[$_] * $day, 'snapshot-id' => $ids[ $_ % 2 ] } } (0 .. 2) ];
		$metadata->{'current-snapshot-id'} = $ids[0];
		$metadata->{refs}{main}{'snapshot-id'} = $ids[0];
	});
	return @ids;
}

sub vacuum { return run_sql($node, "SELECT count(*) FROM outflow.lake_vacuum('file://$_[0]')"); }
sub versions { return run_sql($node, "SELECT string_agg(version::text, ' ') FROM outflow.lake_versions('file://$_[0]')"); }

my @ids = rollback("$dir/back", 31, 30, 29);
like(export('t', "$dir/back", 'iceberg'), qr/^\d+/, 'a version after the rollback');
like(vacuum("$dir/back"), qr/^\d+$/, 'a vacuum');
like(versions("$dir/back"), qr/^$ids[0] \d+$/, 'keeps what was the table until now, and not what was it long ago');
@ids = rollback("$dir/left", 40, 30, 0);
like(vacuum("$dir/left"), qr/^0$/, 'a vacuum on the day of the rollback removes nothing');
is(versions("$dir/left"), "$ids[1] $ids[0]", 'what was the table yesterday stays');

# a snapshot of another writer is replaced
like(export('t', "$dir/replaced", 'iceberg'), qr/^\d+/, 'a table');
write_iceberg_metadata("$dir/replaced", sub {
	my ($metadata) = @_;

	push @{ $metadata->{snapshots} },
	  { %{ $metadata->{snapshots}[-1] }, 'snapshot-id' => 77, 'sequence-number' => 2, summary => { operation => 'append', 'engine-name' => 'Other' } };
	$metadata->{'current-snapshot-id'} = 77;
	$metadata->{'last-sequence-number'} = 2;
	$metadata->{refs}{main}{'snapshot-id'} = 77;
});
like(export('t', "$dir/replaced", 'iceberg!'), qr/^\d+/, 'another writer\'s version is replaced');
my $summary = iceberg_snapshot("$dir/replaced", 2)->{summary};
is($summary->{operation}, 'overwrite', 'and readers are told so');
is(join(' ', grep { /^(deleted|removed)-/ } sort keys %$summary), '', 'and nothing of files that nobody has counted');

# one that had partitions, and has none any more
like(export('t', "$dir/spec", 'iceberg'), qr/^\d+/, 'a table');
is_deeply([ iceberg_specs("$dir/spec") ], ['0 0 []'], 'its manifests are of no partitions');
write_iceberg_metadata("$dir/spec", sub {
	my ($metadata) = @_;

	$metadata->{'partition-specs'} = [
		{ 'spec-id' => 0, fields => [ { name => 'id', transform => 'identity', 'source-id' => 1, 'field-id' => 1000 } ] },
		{ 'spec-id' => 1, fields => [] } ];
	$metadata->{'default-spec-id'} = 1;
	$metadata->{'last-partition-id'} = 1000;
});
like(export('t', "$dir/spec", 'iceberg'), qr/^\d+/, 'another writer gave it partitions and took them back');
is_deeply([ iceberg_specs("$dir/spec") ], ['1 1 []'], 'manifests have the number of what has none, also of files that stay');

# a name that looks like a type
$node->safe_psql('postgres', 'CREATE TABLE named ("a, b" int, n numeric(9,2))');
like(export('named', "$dir/named", 'iceberg'), qr/^\d+/, 'a column with a comma');
write_iceberg_metadata("$dir/named", sub { $_[0]{schemas}[0]{fields}[1]{type} = 'decimal(9, 2)'; });
like(export('named', "$dir/named", 'iceberg'), qr/^\d+/, 'once more');
is(scalar @{ iceberg_metadata("$dir/named")->{schemas} }, 1, 'spaces in a type make no other schema');
$node->safe_psql('postgres', 'ALTER TABLE named RENAME "a, b" TO "a,b"');
like(export('named', "$dir/named", 'iceberg'), qr/^\d+/, 'it is renamed');
my $metadata = iceberg_metadata("$dir/named");
my ($schema) = grep { $_->{'schema-id'} == $metadata->{'current-schema-id'} } @{ $metadata->{schemas} };
is($schema->{fields}[0]{name}, 'a,b', 'and the table has the new name');

# of Delta: a job that committed one of its tables, over which another database went on
like(export('u', "$dir/both/public.u", 'delta', 'postgres'), qr/^\d+/, 'the second table');
hold_publications($node);
my ($session, $heard) = start_psql($node, "CALL outflow.export_tables('{t,u}', 'file://$dir/both', format => 'delta')");
wait_until($node, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4712 AND NOT granted)", 'the publication');
append_to_file(version_file("$dir/both/public.u", 1), qq({"commitInfo":{}}\n{"add":{"path":"x","partitionValues":{},"size":1,"modificationTime":1,"dataChange":true}}\n));
release_exports($node);
$session->finish;
my @files = lake_files("$dir/both/public.t");
is(lake_last("$dir/both/public.t") . scalar(@files), '01', 'a job has committed one table of two');
say_nothing("$dir/both/public.t", 1 .. 9);
like(export('t', "$dir/both/public.t", 'delta!', 'second'), qr/^\d+/, 'another database goes on');
ok(-e "$dir/both/public.t/_delta_log/_outflow_state", 'and keeps what the table is');
my $job = run_sql($node, "SELECT max(job) FROM outflow.jobs WHERE state <> 'done'");
run_sql($node, "SELECT outflow.forget($job)");
ok(-e "$dir/both/public.t/$files[0]", 'a file that a version has stays when its job is forgotten');

# the state stands at a version that changed nothing
like(export('t', "$dir/state", 'delta'), qr/^\d+/, 'a table');
say_nothing("$dir/state", 1);
append_to_file("$dir/state/_delta_log/_outflow_state",
	sprintf(qq({"version":1,"crc32c":%u}\n), crc32c(slurp_file(version_file("$dir/state", 1)))) . slurp_file(version_file("$dir/state", 0)));
like(export('u', "$dir/state", 'delta'), qr/is not of an export of table public\.u/, 'whose a table is is known after a version that changed nothing');
like(export('t', "$dir/state", 'delta'), qr/^\d+/, 'and it goes on');

# a writer's text is shown, but not all of it
append_to_file(version_file("$dir/state", 3), JSON::PP::encode_json({ commitInfo => { operation => 'o' x 100_000, engineInfo => 'e' x 100_000 } })
	  . "\n" . '{"add":{"path":"x","partitionValues":{},"size":1,"modificationTime":1,"dataChange":true}}' . "\n");
my $said = export('t', "$dir/state", 'delta');
like($said, qr/Operation "o+.*" of "e+.*" has made it/, 'another writer is named');
cmp_ok(length($said), '<', 5000, 'in short');

# many versions and removals take no memory of their product
SKIP:
{
	my $lake = "$dir/many";
	my ($app, $uuid) = ('outflow/' . run_sql($node, 'SELECT system_identifier FROM pg_control_system()') . '/'
		  . run_sql($node, "SELECT oid FROM pg_database WHERE datname = 'postgres'") . '/1', '00000000-0000-4000-8000-');

	skip 'no /proc', 2 if !-e '/proc/self/status';
	mkdir $_ foreach ($lake, "$lake/_delta_log");
	foreach my $version (0 .. 199)
	{
		append_to_file(version_file($lake, $version), qq({"commitInfo":{"timestamp":1,"outflow":{"uuid":"$uuid) . sprintf('%012d', $version)
			  . qq("}}}\n{"txn":{"appId":"$app","version":$version}}\n)
			  . join('', map { qq({"remove":{"path":"part-$_-$uuid) . sprintf('%012d', $version) . qq(.parquet","deletionTimestamp":$now}}\n) } 1 .. 100));
	}
	my ($removed, $peak) = split(/\n/, run_sql($node, "SELECT count(*) FROM outflow.lake_vacuum('file://$lake');
		SELECT substring(pg_read_file('/proc/' || pg_backend_pid() || '/status') FROM 'VmHWM:\\s*(\\d+)')"));
	is($removed, '0', 'a vacuum of many versions');
	cmp_ok($peak, '<', 200_000, 'takes little memory, in kB');
}

# a database that knows no encoding
$node->safe_psql('postgres', q(CREATE DATABASE ascii ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0));
$node->safe_psql('ascii', qq(CREATE EXTENSION outflow; CREATE TABLE "t\xc3\xa9\xf0\x9f\x98\x80" AS SELECT 1 AS "id\xc3\xa9";
	COMMENT ON TABLE "t\xc3\xa9\xf0\x9f\x98\x80" IS E'\xc3\xa9 \\\\u00e9'));
foreach my $format (qw(delta iceberg))
{
	like(export("\"t\xc3\xa9\xf0\x9f\x98\x80\"", "$dir/ascii-$format", $format, 'ascii'), qr/^\d+(?!.*ERROR)/s, "$format: a name in other letters, version $_") foreach (0, 1);
	is(run_sql($node, "SELECT count(*) FROM outflow.lake_versions('file://$dir/ascii-$format')", 'ascii'), '2', "$format: it can be read");
	is(run_sql($node, "SELECT count(*) FROM outflow.lake_vacuum('file://$dir/ascii-$format')", 'ascii'), '0', "$format: and vacuumed");
}
say_nothing("$dir/ascii-delta", 2 .. 9);
like(export("\"t\xc3\xa9\xf0\x9f\x98\x80\"", "$dir/ascii-delta", 'delta', 'ascii'), qr/^\d+(?!.*ERROR)/s, 'a tenth version');
ok(-e "$dir/ascii-delta/_delta_log/00000000000000000010.checkpoint.parquet", 'has a checkpoint');
is(iceberg_metadata("$dir/ascii-iceberg")->{properties}{comment}, "\x{e9} \\u00e9", 'a comment is what it was');

$node->stop;
done_testing();
