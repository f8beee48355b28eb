# Promise: base "last" is the owner's last finished export of the same tables and
# format in a directory beside the new one, and first of all one with the same
# columns and filters; without one everything is exported, and a NOTICE says so.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('last', conf => "autovacuum = off\n");
my $export = new_export_dir();
my $last = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# export(CALL, ARGUMENTS, ROLE): the job's number, its base's, and what was said
sub export
{
	my ($call, $arguments, %params) = @_;
	my $place = "$export/" . ($params{below} // '') . 'e' . ++$last;
	my ($out, $err);

	$node->psql('postgres', "CALL outflow.$call, 'file://$place'"
		  . ($arguments ? ", $arguments" : '') . ')',
		stdout => \$out, stderr => \$err, extra_params => $params{role} ? [ '-U', $params{role} ] : []);
	return ($err) unless $out =~ /^\d+$/;
	return ($out, sql("SELECT coalesce(base, 0) FROM outflow.job WHERE job = $out"), $err);
}

my $last_base = q{options => '{"base": "last"}'};

sql('CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 1000) AS g; CREATE TABLE u (id int);'
	  . 'CREATE ROLE other LOGIN IN ROLE pg_write_server_files; GRANT SELECT ON t TO other');

my ($first, $base, $said) = export("export('t'", $last_base);
is($base, 0, 'the first export has no base');
like($said, qr/NOTICE:  no finished export to carry parts over from/, 'and says so');
(my $second, $base, $said) = export("export('t'", $last_base);
is($base, $first, 'the second one has the first');
like($said, qr/1 parts carried over, 0 exported again/, 'and takes its parts');

# what is none: another table, format, place or owner
export("export('u'", '');
export("export('t'", "format => 'jsonl'");
export("export('t'", '', below => 'below/');
export("export('t'", '', role => 'other');
is((export("export('t'", $last_base))[1], $second, 'neither another table, format, place nor owner is its base');
is((export("export('t'", $last_base, role => 'other'))[1], sql("SELECT min(job) FROM outflow.jobs WHERE owner = 'other'"),
	'each owner has a base of its own');
my $newest = sql("SELECT max(job) FROM outflow.jobs WHERE owner <> 'other' AND format = 'csv' AND source = 'public.t' AND destination !~ 'below'");

# the same columns and filter come first, then the last one
my ($filtered) = export("export('t'", "filter => 'id > 10'");
is((export("export('t'", $last_base))[1], $newest, 'one with another filter comes after one with the same');
is((export("export('t'", "filter => 'id > 10', $last_base"))[1], $filtered, 'whichever that is');
$newest = sql("SELECT max(job) FROM outflow.jobs WHERE source = 'public.t' AND owner <> 'other'");
is((export("export('t'", "filter => 'id > 20', $last_base"))[1], $newest, 'or else the last one of the table');

# many tables: the same ones first, then those that have one of them
my ($many) = export("export_tables('{t,u}'", '');
is((export("export_tables('{u,t}'", $last_base))[1], $many, 'tables in another order are the same');
sql('CREATE TABLE v (id int)');
my $before = sql('SELECT max(job) FROM outflow.jobs');
is((export("export_tables('{t,u,v}'", $last_base))[1], $before, 'a table more, and it is the last one with some of them');

# forgotten, and given twice
my ($gone) = export("export('u'", '');
is((export("export('u'", $last_base))[1], $gone, 'the last one');
sql("SELECT outflow.forget(max(job)) FROM outflow.jobs; SELECT outflow.forget($gone)");
isnt((export("export('u'", $last_base))[1], $gone, 'unless it was forgotten');
like((export("export('t'", "base => $first, $last_base"))[0],
	qr/argument "base" and option "base" exclude each other/, 'with a number it is refused');
like((export("export('t'", q{options => '{"base": "first"}'}))[0], qr/invalid value for export option "base"/,
	'and so is another word');

$node->stop;
done_testing();
