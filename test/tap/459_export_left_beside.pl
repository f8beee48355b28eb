# Promise: what an export in its session leaves when its server is killed is removed
# whatever else lies beside it, and what others have there is no obstacle.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use CatalogTest;
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $catalog = start_catalog();
my $node = new_outflow_node('left', conf => "autovacuum = off\n");
my $dir = new_export_dir();
my $told = qr/NOTICE:  what an export had left in ".*" is removed\nDETAIL:  .*\.outflow-/;

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub said_by { return ($node->psql('postgres', $_[0]))[2]; }
sub hidden { my @found = glob("$_[0]/.outflow-*"); return @found; }
sub call_for { return "CALL outflow.export_tables('{$_[1]}', 'file://$_[0]', format => '$_[2]', part_size => '64kB', workers => 0)"; }

# killed(CALL): the session is, and with it the server, when it has written parts of
# all tables
sub killed { return kill_recording($node, 'part', q(NEW.state = 'done' AND NEW.part >= 2), $_[0]); }

# left_in(ROOT, FORMAT): a killed export of t and u, of which parts have their names;
# the uuid
sub left_in
{
	my ($root, $format) = @_;

	killed(call_for($root, 't,u', $format));
	my ($its) = hidden($root);
	my @parts = map { m{([^/]+)$} } sort glob("$its/part-*");
	foreach my $part (@parts)
	{
		my $folder = "$root/public." . ($part eq $parts[-1] ? 'u' : 't');

		mkdir($folder);
		rename("$its/$part", "$folder/$part");
	}
	return $its =~ s/.*\.outflow-//r;
}

# removes(ROOT, CALL, NAME)
sub removes
{
	my ($root, $call, $name) = @_;
	my $answer = said_by($call);

	unlike($answer, qr/ERROR/, "$name: the next call succeeds");
	like($answer, $told, "$name: and tells what it removes");
	is_deeply([ hidden($root) ], [], "$name: no hidden directory is left");
	return;
}

sql(<<'EOS');
CREATE TABLE t AS SELECT i AS id, repeat('f', 90) AS note FROM generate_series(1, 2000) i;
CREATE TABLE u AS SELECT i AS id FROM generate_series(1, 10) i;
CREATE TABLE w AS SELECT i AS id FROM generate_series(1, 10) i;
EOS

# directories that are closed to the server
my $root = "$dir/closed";
my @closed = map { "$root/$_" } qw(lost+found their.folder metadata);
my $uuid = left_in($root, 'delta');
foreach my $folder (@closed)
{
	mkdir($folder);
	chmod(0, $folder);
}
removes($root, call_for($root, 't', 'delta'), 'closed directories');
chmod(0700, @closed);
is_deeply([ grep { /$uuid/ } files_below($root) ], [], 'closed directories: nothing is left');

# the folder of a table that is damaged, and not the next export's
my %damage = (
	delta => [ '_delta_log/00000000000000000000.json' => '{' ],
	iceberg => [ 'metadata/v1.metadata.json' => 'x' ],
	'delta, with a gap' => [ '_delta_log/00000000000000000001.json' => '' ]);

foreach my $what (sort keys %damage)
{
	my ($format) = $what =~ /(\w+)/;
	my ($file, $text) = @{ $damage{$what} };

	$root = "$dir/damaged_" . $what =~ s/\W+/_/gr;
	sql(call_for($root, 't,u', $format)) foreach 1 .. 3;
	$uuid = left_in($root, $format);
	# the newest one is read
	$file =~ s/v1/v3/;
	unlink("$root/public.u/$file");
	replace_file("$root/public.u/$file", $text) if $text ne '';
	my @before = grep { m{^public.u/} } files_below($root);
	removes($root, call_for($root, 't', $format), "$what, damaged");
	is_deeply([ grep { m{^public.u/} } files_below($root) ], \@before, "$what, damaged: nothing is removed there");
}

# files of a version that is there, and the next export is of other tables, as CSV
foreach my $format (qw(delta iceberg))
{
	$root = "$dir/versions_$format";
	sql(call_for($root, 't,u', $format));
	my @before = files_below($root);
	my ($of) = map { /-([0-9a-f-]{36})\./ } grep { /part-/ } @before;
	$uuid = left_in($root, $format);
	my $its = "$root/.outflow-$of";
	rename("$root/.outflow-$uuid", $its);
	replace_file("$its/_owner", slurp_file("$its/_owner") =~ s/^\S+/$of/r);
	unlink(glob("$root/public.*/part-*$uuid*"));
	sql('SELECT outflow.forget(max(job)) FROM outflow.jobs');
	my $said = said_by(call_for($root, 'w', 'csv') =~ s/, workers/, options => '{"overwrite": true}', workers/r);
	like($said, $told, "$format, with its versions, and next CSV: it tells what it removes");
	like($said, qr/ERROR:  .* holds other directories, but no export that "overwrite" would replace/, '... and replaces no tables');
	is_deeply([ hidden($root) ], [], '... and no hidden directory is left');
	is_deeply([ grep { m{^public\.[tu]/} } files_below($root) ], \@before, "$format, with its versions, and next CSV: nothing else is removed");
}

# somebody's file, where no table is: what it is beside is named
$root = "$dir/readme";
$uuid = left_in($root, 'delta');
replace_file("$root/public.u/README", 'x');
like(said_by(call_for($root, 'w', 'delta')), qr{ERROR:  another export is writing .*DETAIL:  It holds "\.outflow-$uuid", and "$root/public\.u" has files of that export beside others\.}s, "somebody's file: the folder is named");
unlink("$root/public.u/README");
removes($root, call_for($root, 'w', 'delta'), "without somebody's file");

# an export of files has no table in its place, and another export's may get one there
foreach my $next (qw(delta catalog))
{
	$root = "$dir/place_$next";
	killed("CALL outflow.export('t', 'file://$root', format => 'csv', part_size => '64kB', workers => 0)");
}
replace_file("$dir/place_delta/README", 'x');
like(said_by("CALL outflow.export('w', 'file://$dir/place_delta', format => 'delta', workers => 0)"), qr/ERROR:  .*is not empty/, "somebody's file where files were to be");
ok(!-e "$dir/place_delta/_delta_log", '... which no table is made beside');

# somebody's file that has the name of the other format's folder
$root = "$dir/other_format";
killed("CALL outflow.export('t', 'file://$root', format => 'delta', part_size => '64kB', workers => 0)");
replace_file("$root/metadata", 'x');
like(said_by("CALL outflow.export('w', 'file://$root', format => 'delta', workers => 0)"), qr/ERROR:  .*is not empty/, "somebody's file with a folder's name: it is named");
is_deeply([ hidden($root) ], [], '... and nothing else is in the way');

# the next export is to a catalog, which has none of the other tables
sql($catalog->server_sql('cat', q{client_id 'outflow', client_secret 'CANARY'}, retries => 1));
foreach my $format (qw(delta iceberg))
{
	foreach my $versions (0, 1)
	{
		my $name = "$format, $versions versions, next to a catalog";

		$root = "$dir/catalog_${format}_$versions";
		sql(call_for($root, 't,u', $format)) if $versions;
		my @before = $versions ? files_below($root) : ();
		$uuid = left_in($root, $format);
		$catalog->make_namespace("${format}_$versions");
		removes($root, "CALL outflow.export_tables('{w}', 'file://$root', format => 'iceberg', options => '{\"catalog\": \"cat:${format}_$versions\"}')", $name);
		is_deeply([ grep { m{^public\.[tu]/} } files_below($root) ], \@before, "$name: all that no version has is removed");
	}
}

$catalog->make_namespace('itself');
removes("$dir/place_catalog", "CALL outflow.export('w', 'file://$dir/place_catalog', format => 'iceberg', options => '{\"catalog\": \"cat:itself.w\"}')", 'files, next to a catalog');

$node->stop;
done_testing();
