# Promise: what an export in its session has published when its server is killed is
# in nobody's way: the next export to the place removes what manifests prove to be
# its own, and nothing else.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('left', conf => "autovacuum = off\n");
my $dir = new_export_dir();
my $told = qr/NOTICE:  what an export had left in ".*" is removed\nDETAIL:  .*\.outflow-/;
my $common = 'NEW.manifest IS DISTINCT FROM OLD.manifest';
my $overwrite = q{options => '{"overwrite": true}', };
my $one = q{CALL outflow.export('t', 'file://%s', %s workers => 0)};
my $many = q{CALL outflow.export_tables('{t,u,w}', 'file://%s', %s workers => 0)};

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub said_by { return ($node->psql('postgres', $_[0]))[2]; }

# succeeds(PLACE, CALL, NAME)
sub succeeds
{
	my ($place, $call, $name) = @_;
	my $said = said_by($call);

	unlike($said, qr/ERROR|WARNING/, "$name: the next call succeeds");
	like($said, $told, "$name: and tells what it removes");
	ok(-e "$place/_SUCCESS", "$name: an export is there");
	is_deeply([ grep { /\.outflow-/ } files_below($place) ], [], "$name: no hidden directory is left");
	is(sql(q(SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify((SELECT max(job) FROM outflow.jobs)))), 'ok', "$name: verified");
	return;
}

sql(<<'EOS');
CREATE TABLE t AS SELECT i AS id, repeat('f', 90) AS note FROM generate_series(1, 2000) i;
CREATE TABLE u AS SELECT i AS id FROM generate_series(1, 10) i;
CREATE TABLE w AS SELECT i AS id FROM generate_series(1, 10) i;
EOS

# all tables have their manifests, and the export has none; nothing or an export was there
foreach my $before (0, 1)
{
	foreach my $next ('', $overwrite)
	{
		my $name = ($before ? 'over an export, next ' : 'next ') . ($next ? 'overwrite' : 'without');
		my $place = "$dir/" . $name =~ s/\W+/_/gr;

		sql(sprintf($many, $place, '')) if $before;
		kill_recording($node, 'job', $common, sprintf($many, $place, $before ? $overwrite : ''));
		is(scalar(grep { m{/_manifest.json$} } files_below($place)), 3, "$name: manifests of the tables are there");
		succeeds($place, sprintf($many, $place, $next), $name);
	}
}

# what is next is of one table
my $place = "$dir/next_one";
kill_recording($node, 'job', $common, sprintf($many, $place, ''));
succeeds($place, sprintf($one, $place, ''), 'next one table');
is_deeply([ grep { /public\./ } files_below($place) ], [], 'next one table: nothing of the others is left');

# somebody's file in a folder, and one of the export's that was changed
$place = "$dir/beside";
kill_recording($node, 'job', $common, sprintf($many, $place, ''));
replace_file("$place/public.u/README", 'x');
my ($part) = glob("$place/public.w/part-*");
replace_file($part, slurp_file($part) =~ s/1/2/r);
like(said_by(sprintf($one, $place, '')), qr/ERROR:  destination ".*" is not empty/, 'beside what is not its own: without overwrite it is refused');
is_deeply([ grep { -f "$place/$_" } files_below($place) ], [ 'public.u/README', $part =~ s{^\Q$place\E/}{}r ], '... and that stays');
like(said_by(sprintf($one, $place, $overwrite)), qr/ERROR:  .* holds other directories, but no export that "overwrite" would replace\nDETAIL:  It holds "public\.u"/, '... with overwrite too');

# folders that are closed, and what is no manifest
$place = "$dir/closed";
kill_recording($node, 'job', $common, sprintf($many, $place, ''));
mkdir "$place/$_" or die $! foreach ('somebody.closed', 'somebody.folder', 'somebody.folder/_manifest.json', 'somebody.file');
replace_file("$place/somebody.file/_manifest.json", 'x');
chmod(0, "$place/somebody.closed", "$place/somebody.file/_manifest.json") == 2 or die $!;
like(said_by(sprintf($one, $place, '')), qr/$told.*ERROR:  destination ".*" is not empty/s, 'beside what is closed: what was left is removed');
chmod(0700, "$place/somebody.closed");
is_deeply([ grep { -f "$place/$_" } files_below($place) ], ['somebody.file/_manifest.json'], '... and nothing else');

# another server's export
$place = "$dir/anothers";
kill_recording($node, 'job', $common, sprintf($many, $place, ''));
my ($hidden) = glob("$place/.outflow-*");
my $token = slurp_file("$hidden/_owner");
replace_file("$place/public.t/_manifest.json", slurp_file("$place/public.t/_manifest.json") =~ s/("server": ")/${1}1/r);
like(said_by(sprintf($one, $place, $overwrite)), qr/ERROR:  .* holds other directories, but no export that "overwrite" would replace\nDETAIL:  It holds "public\.t"\./, "another server's export: it stays");
ok(-e "$place/public.t/_manifest.json", '... with its manifest');

# a whole one, of which only the hidden directory should have gone
foreach my $call ($one, $many)
{
	$place = "$dir/whole_" . ($call eq $one ? 'one' : 'many');
	kill_recording($node, 'job', q(NEW.state = 'done'), sprintf($call, $place, ''));
	my ($uuid) = slurp_file("$place/_manifest.json") =~ /"uuid": "(.*)"/;
	my @whole = files_below($place);
	mkdir("$place/.outflow-$uuid");
	replace_file("$place/.outflow-$uuid/_owner", $token =~ s/^\S+/$uuid/r);
	like(said_by(sprintf($call, $place, '')), qr/ERROR:  destination ".*" is not empty/, 'a whole export: it is not overwritten unasked');
	is_deeply([ files_below($place) ], \@whole, '... and all of it stays');
	unlike(said_by(sprintf($call, $place, $overwrite)), qr/ERROR/, '... until it is to be overwritten');
}

$node->stop;
done_testing();
