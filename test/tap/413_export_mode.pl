# Promise: an export's files have the mode that was asked for, and its directories
# the same with the right to search where there is that to read, whatever the server's umask is,
# for every file, with overwrite and with a base; the base's files keep theirs.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('mode');
my $export = new_export_dir();

sub sql { return $node->safe_psql('postgres', $_[0]); }

# refused(MODE, ERROR): as JSON
sub refused
{
	my ($mode, $error) = @_;
	my ($ret, undef, $err) =
	  $node->psql('postgres', "CALL outflow.export('t', 'file://$export/never', options => '{\"mode\": $mode}')");

	like($err, $error, "mode $mode is refused");
	ok(!-e "$export/never", 'before anything is made');
	return;
}

# modes(NAME): of the directory and all in it, but once each
sub modes
{
	my ($name) = @_;
	my %seen;

	foreach my $path ($name, map { "$name/$_" } files_below("$export/$name"))
	{
		my $mode = (stat("$export/$path"))[2] & 07777;

		$seen{ (-d "$export/$path" ? 'directory ' : 'file ') . sprintf('%04o', $mode) } = 1;
	}
	# folders hold files
	foreach my $folder (grep { -d } glob("$export/$name/*"))
	{
		$seen{ sprintf('directory %04o', (stat($folder))[2] & 07777) } = 1;
	}
	return join(' ', sort keys %seen);
}

sub carried { return sql("SELECT parts_carried = parts_total FROM outflow.jobs ORDER BY job DESC LIMIT 1"); }

sub links { return (stat("$export/$_[0]/part-000000.csv"))[3]; }

sql('CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 1000) AS g; CREATE TABLE u (id int)');

refused('"640"', qr/four octal digits, such as "0640"/);
refused('640', qr/four octal digits/);
refused('"0648"', qr/four octal digits/);
refused('"u=rw,g=r"', qr/four octal digits/);
refused(qq{"$_"}, qr/mode "$_" cannot be that of an export's files/)
  foreach qw(0440 0200 0700 0750 0641 0642 4640 2640 1640);

sql("CALL outflow.export('t', 'file://$export/default')");
is(modes('default'), 'directory 0700 file 0600', 'without it all is the owner\'s alone');

sql("CALL outflow.export('t', 'file://$export/a/b', options => '{\"mode\": \"0640\"}')");
is(modes('a/b'), 'directory 0750 file 0640', 'parts, manifest, _SUCCESS and directory have the mode');
is(modes('a'), 'directory 0750 file 0640', 'and so has a directory above that was made');
is( sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify(2)"),
	'ok', 'and stand verification');

sql("CALL outflow.export('t', 'file://$export/inline', workers => 0, options => '{\"mode\": \"0644\"}')");
is(modes('inline'), 'directory 0755 file 0644', 'without workers too');

sql("CALL outflow.export_tables('{t,u}', 'file://$export/many', options => '{\"mode\": \"0664\"}')");
is(modes('many'), 'directory 0775 file 0664', 'and folders have it');

# a directory that is there keeps its mode, and its group is that of what is made in it
mkdir("$export/theirs") or die;
chown((getpwnam('postgres'))[2], (getgrnam('daemon'))[2], "$export/theirs") if $> == 0;
chmod(02770, "$export/theirs") or die;
sql("CALL outflow.export_tables('{t,u}', 'file://$export/theirs', options => '{\"mode\": \"0640\"}')");
is((stat("$export/theirs"))[2] & 07777, 02770, 'a directory that is there keeps its mode');
is((stat("$export/theirs/public.t"))[2] & 07777, 02750, 'its folders inherit its group');
is( (stat("$export/theirs/public.t/part-000000.csv"))[5],
	(stat("$export/theirs"))[5], 'and so do the files in them');

# overwrite
my ($ret, $out, $err) = $node->psql('postgres',
	"CALL outflow.export('t', 'file://$export/default', options => '{\"overwrite\": true, \"mode\": \"0640\"}')");
like($err, qr/WARNING:  not everyone who may read the files may search directory/, 'who cannot find them is told');
is(modes('default'), 'directory 0700 file 0640', 'what replaces an older export has the mode');
chmod(0750, "$export/default") or die;
(undef, undef, $err) = $node->psql('postgres',
	"CALL outflow.export('t', 'file://$export/default', options => '{\"overwrite\": true, \"mode\": \"0640\"}')");
is($err, '', 'and nothing is said where they can');

# base
my $base = sql("SELECT max(job) FROM outflow.jobs");
sql("CALL outflow.export('t', 'file://$export/same', base => $base, options => '{\"mode\": \"0640\"}')");
is(carried() . links('same'), 't2', 'with the same mode parts are carried by hard links');
sql("CALL outflow.export('t', 'file://$export/closed', base => $base)");
is(carried() . links('closed'), 't1', 'with another mode they are carried by copies');
is(modes('closed'), 'directory 0700 file 0600', 'which have the new mode');
is(modes('default'), 'directory 0750 file 0640', 'and the base\'s files keep theirs');
sql("CALL outflow.export('t', 'file://$export/referring', base => $base, options => '{\"mode\": \"0664\", \"carry\": \"reference\"}')");
is(carried() . links('default'), 't2', 'files that are referred to stay where they are');
is(modes('referring'), 'directory 0775 file 0664', 'and new ones have the mode');
is(modes('default'), 'directory 0750 file 0640', 'which is not theirs');

is( sql("SELECT bool_and(status = 'ok') FROM outflow.jobs, outflow.verify(job) WHERE job >= $base"),
	't', 'all stand verification');

$node->stop;
done_testing();
