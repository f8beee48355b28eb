# Promise: all that makes a version of a lake table has the mode that its export was
# asked for, also what older versions had before; a vacuum changes no mode.
use strict;
use warnings;

use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('lakemode', conf => "autovacuum = off\n");
my $dir = new_export_dir();

sub sql { return $node->safe_psql('postgres', $_[0]); }

# export_mode(NAME, FORMAT, MODE): '' for none
sub export_mode
{
	my ($name, $format, $mode) = @_;
	my $options = $mode ? qq(, options => '{"mode": "$mode"}') : '';

	sql("CALL outflow.export('t', 'file://$dir/$name', format => '$format', part_size => '16kB', workers => 0$options)");
	return;
}

# error_of(SQL): '' for none
sub error_of
{
	my ($status, $out, $err) = $node->psql('postgres', $_[0]);

	return $status == 0 ? '' : $err;
}

# modes(NAME, PATTERN): of the files in the table's directory whose paths are so, once each
sub modes
{
	my ($name, $pattern) = @_;
	my %seen = map { sprintf('%04o', (stat("$dir/$name/$_"))[2] & 07777) => 1 } grep { /$pattern/ } files_below("$dir/$name");

	return join(' ', sort keys %seen);
}

sql('CREATE TABLE t AS SELECT i AS id FROM generate_series(1, 5000) i');

# a vacuum
export_mode('vacuumed', 'iceberg', '0644');
is(modes('vacuumed', qr/./), '0644', 'all files have the mode');
sql("SELECT * FROM outflow.lake_vacuum('file://$dir/vacuumed', interval '0')");
is(modes('vacuumed', qr/./), '0644', 'and keep it at a vacuum that removes nothing');
sql('UPDATE t SET id = id + 1 WHERE id = 1');
export_mode('vacuumed', 'iceberg', '0644');
cmp_ok(sql("SELECT count(*) FROM outflow.lake_vacuum('file://$dir/vacuumed', interval '0')"), '>', 0, 'one that expires a version');
is(modes('vacuumed', qr/./), '0644', 'gives the new metadata the mode of the last');

# another mode than before, for all that the version has
foreach my $format ('delta', 'iceberg')
{
	my $folder = $format eq 'delta' ? '_delta_log' : 'metadata';

	# so that there is a checkpoint, too
	foreach (1 .. 11)
	{
		export_mode($format, $format);
		sql('UPDATE t SET id = id + 1 WHERE id = 1');
	}
	is(modes($format, qr/./), '0600', "$format: the owner's alone");
	foreach my $mode ('0644', '0640', '')
	{
		export_mode($format, $format, $mode);
		cmp_ok(sql('SELECT parts_carried FROM outflow.jobs ORDER BY job DESC LIMIT 1'), '>', 0, "$format: mode \"$mode\": parts are carried");
		# other files of older versions keep theirs
		sql("SELECT * FROM outflow.lake_vacuum('file://$dir/$format', interval '0')");
		is(modes($format, qr/./), $mode || '0600', '... and have the mode');
		is(sprintf('%04o', (stat("$dir/$format/$folder"))[2] & 07777), { '0644' => '0755', '0640' => '0750', '' => '0700' }->{$mode},
			'... as has what is said of them');
		sql('UPDATE t SET id = id + 1 WHERE id = 2');
	}
	chmod(0500, "$dir/$format/$folder") or die $!;
	like(($node->psql('postgres', "CALL outflow.export('t', 'file://$dir/$format', format => '$format', workers => 0)"))[2], qr/Permission denied/, "$format: a folder that is closed");
	is(sprintf('%04o', (stat("$dir/$format/$folder"))[2] & 0700), '0500', '... stays closed');
	chmod(0700, "$dir/$format/$folder") or die $!;
}

# what nobody has to read may be anywhere
my $log = "$dir/delta/_delta_log";
foreach my $file (map { sprintf('%020d.json', $_) } 0 .. 5)
{
	rename("$log/$file", "$dir/$file") or die $!;
	symlink("$dir/$file", "$log/$file") or die $!;
}
export_mode('delta', 'delta');
pass('a log whose beginning is behind links goes on');
is(error_of($_), '', "... also for: $_")
  foreach "SELECT * FROM outflow.lake_vacuum('file://$dir/delta')", "SELECT * FROM outflow.lake_versions('file://$dir/delta')";
is(sql('SELECT status, detail FROM outflow.verify((SELECT max(job) FROM outflow.jobs)) WHERE status <> $$ok$$'), '', '... also to verify it');
chmod(0, "$dir/iceberg/metadata/version-hint.text") or die $!;
export_mode('iceberg', 'iceberg');
is(slurp_file("$dir/iceberg/metadata/version-hint.text"), (sort { $b <=> $a } map { /v(\d+)\.metadata/ } files_below("$dir/iceberg"))[0], 'a hint that is closed is written anew');

$node->stop;
done_testing();
