# Promise: a file that an Iceberg table has lost never comes back to it, since whoever
# expires the snapshot that tells of the loss removes the file; what the table still has
# is kept as before.
use strict;
use warnings;

use JSON::PP ();
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('lost', conf => "autovacuum = off\noutflow.retries = 0\n");
my $dir = new_export_dir();
my $overwrite = q(options => '{"overwrite": true}');

sub sql { return $node->safe_psql('postgres', $_[0]); }

# export_sql(TABLE, ARGUMENTS)
sub export_sql
{
	my ($table, @arguments) = @_;

	return "CALL outflow.export('t', " . join(', ', "'file://$dir/$table'", q(format => 'iceberg'), q(part_size => '64kB'), @arguments) . ')';
}

# job(FIELD): of the last one
sub job { return sql("SELECT $_[0] FROM outflow.jobs ORDER BY job DESC LIMIT 1"); }

# version(TABLE, CARRIED, ARGUMENTS): how many parts it has carried, or at least "1+"
sub version
{
	my ($table, $carried, @arguments) = @_;
	my $name = "$table: " . join(', ', @arguments);
	my $said = run_sql($node, export_sql($table, @arguments));

	unlike($said, qr/ERROR/, $name);
	like(job('parts_carried'), $carried eq '1+' ? qr/^[1-9]/ : qr/^$carried$/, "$name: $carried parts are carried");
	whole($table, $name);
	return;
}

sub whole
{
	my ($table, $name) = @_;

	is_deeply([ iceberg_returned("$dir/$table") ], [], "$name: no file is back");
	is(sql('SELECT count(*) FROM outflow.verify(' . job('job') . q[) WHERE status <> 'ok']), '0', "$name: it is what the job made");
	return;
}

# foreign_version(TABLE): by another program, which may have lost any file
sub foreign_version
{
	my ($table) = @_;
	my $metadata = iceberg_metadata("$dir/$table");
	my $id = $metadata->{'current-snapshot-id'} + 1;
	my $sequence = $metadata->{'last-sequence-number'} + 1;
	my ($current) = grep { $_->{'snapshot-id'} == $metadata->{'current-snapshot-id'} } @{ $metadata->{snapshots} };
	my $list = $current->{'manifest-list'} =~ s{[^/]*$}{snap-$id-other.avro}r;

	append_to_file($list =~ s{^file://}{}r, slurp_file($current->{'manifest-list'} =~ s{^file://}{}r));
	push @{ $metadata->{snapshots} }, { 'snapshot-id' => $id, 'parent-snapshot-id' => $current->{'snapshot-id'}, 'sequence-number' => $sequence,
		'timestamp-ms' => $metadata->{'last-updated-ms'} + 1, 'manifest-list' => $list, 'schema-id' => $current->{'schema-id'},
		summary => { operation => 'delete', 'engine-name' => 'spark' } };
	push @{ $metadata->{'snapshot-log'} }, { 'snapshot-id' => $id, 'timestamp-ms' => $metadata->{'last-updated-ms'} + 1 };
	$metadata->{refs}{main}{'snapshot-id'} = $id;
	@$metadata{ 'current-snapshot-id', 'last-sequence-number', 'last-updated-ms' } = ($id, $sequence, $metadata->{'last-updated-ms'} + 1);
	append_to_file("$dir/$table/metadata/v" . (iceberg_number("$dir/$table") + 1) . '.metadata.json', JSON::PP->new->canonical->encode($metadata));
	return;
}

sql(q(CREATE TABLE t (id int PRIMARY KEY, s text); INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 3000) i));
my $all = 0;

# filters and columns in turn
foreach my $workers (0, 1)
{
	my $how = "workers => $workers";

	foreach my $which ([ filter => q('id < 2000'), q('id >= 2000') ], [ columns => q('{id}'), q('{id,s}') ])
	{
		my ($argument, $one, $two) = @$which;
		my $table = "${argument}_$workers";

		version($table, 0, $how, "$argument => $one");
		$all = job('parts_total');
		version($table, $all, $how, "$argument => $one");
		version($table, 0, $how, "$argument => $two");
		version($table, 0, $how, "$argument => $one");
		version($table, job('parts_total'), $how, "$argument => $one");
		sql('UPDATE t SET s = s WHERE id = 1');
		version($table, '1+', $how, "$argument => $one");
	}
}

# roles in turn
sql('CREATE ROLE r1 SUPERUSER LOGIN; CREATE ROLE r2 SUPERUSER LOGIN');
foreach my $role (qw(r1 r2 r1))
{
	like(run_sql($node, "SET ROLE $role; " . export_sql('roles')), qr/^\d/m, "role $role");
	whole('roles', "role $role");
}

# another program's version between
version('others', 0);
foreign_version('others');
version('others', 0, $overwrite);
version('others', job('parts_total'));

# one that comes while the job is at work: its next attempt carries nothing
version('race', 0, 'workers => 1');
hold_publications($node);
my ($session) = start_psql($node, export_sql('race', 'workers => 1', $overwrite));
wait_until($node, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4712 AND NOT granted)", 'the publication');
foreign_version('race');
release_exports($node);
$session->finish;
is(iceberg_metadata("$dir/race")->{'last-sequence-number'}, 2, 'a version of the job has not come');
like(job(q(state || ' ' || error)), qr/^failed the table does not have file "part-\S+" any more/, 'it is told why');
unlike(run_sql($node, 'CALL outflow.resume(' . job('job') . ')'), qr/ERROR/, 'the next attempt ends well');
is(job('parts_carried'), 0, 'and writes all anew');
whole('race', 'a race');

$node->stop;
done_testing();
