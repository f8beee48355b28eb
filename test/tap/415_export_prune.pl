# Promise: prune removes whole finished exports that are provably this database's
# and the caller's, all but the newest; none that another one needs, and nothing that is not theirs.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('prune');
my $export = new_export_dir();
my $said;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# export(NAME, ARGUMENTS): the job's number
sub export
{
	my ($name, $arguments) = @_;

	return sql("CALL outflow.export('t', 'file://$export/$name'" . ($arguments ? ", $arguments" : '') . ')');
}

# prune(PREFIX, KEEP, ROLE): the numbers of what was removed; the rest is said
sub prune
{
	my ($prefix, $keep, $role) = @_;
	my $out;

	$node->psql('postgres',
		"SELECT string_agg(job::text, ' ' ORDER BY job) FROM outflow.prune('file://$export/$prefix', $keep)",
		stdout => \$out, stderr => \$said, extra_params => $role ? [ '-U', $role ] : []);
	return $out;
}

sub there { return join(' ', grep { !/^\./ } sort map { s{.*/}{}r } glob("$export/$_[0]*")); }

sql('CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 1000) AS g; CREATE TABLE u (id int)');

# the newest stay
my @a = map { export("a$_") } 1 .. 4;
my $b = export('b1');
is(prune('a', 0), '', 'the last one cannot be removed');
like($said, qr/argument "keep" must be at least 1/, 'and that is said');
is(prune('a', 2), "$a[0] $a[1]", 'all but two are removed, and named');
is($said, '', 'without a word more');
is(there('a'), 'a3 a4', 'their directories are gone');
is(there('b'), 'b1', 'that of another prefix stays');
is(sql("SELECT string_agg(job::text, ' ' ORDER BY job) FROM outflow.jobs"), "$a[2] $a[3] $b", 'and so are their records');
is(prune('a', 2), '', 'again, there is nothing to do');
is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.jobs, outflow.verify(job)"), 'ok', 'what is left is whole');

# carried parts are their exports' own; referred to ones are not
my $c1 = export('c1');
my $c2 = export('c2', "base => $c1");
is(prune('c', 1), $c1, 'a base goes');
is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($c2)"), 'ok', 'and what was carried from it is whole');
my $c3 = export('c3', qq{base => $c2, options => '{"carry": "reference"}'});
is(prune('c', 1), '', 'an export that another one refers to stays');
like($said, qr/export job $c2 stays\nDETAIL:  Parts of export job $c3 refer to its files/, 'and that is said');
my $c4 = export('c4');
is(prune('c', 1), "$c2 $c3", 'both go when none of them is kept');
is(there('c'), 'c4', 'with their directories');

# many tables
my @d = map { sql("CALL outflow.export_tables('{t,u}', 'file://$export/d$_')") } 1, 2;
is(prune('d', 1) . there('d'), "$d[0]d2", 'folders go too');

# another export that was made in a table's folder
my @j = map { sql("CALL outflow.export_tables('{t,u}', 'file://$export/j$_')") } 1, 2;
system('rm', '-r', "$export/j1/public.t") == 0 or die;
my $inner = export('j1/public.t');
is(prune('j', 2), $j[0], 'an export goes that has another one in a folder');
like($said, qr{directory "\Q$export\E/j1" stays\nDETAIL:  It holds something that is not known}, 'its directory stays, and that is said');
is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($inner)"), 'ok', 'and the other one is whole');
is(join(' ', files_below("$export/j1")), 'public.t/_SUCCESS public.t/_manifest.json public.t/part-000000.csv', 'it alone');

# what was replaced or removed by hand doesn't count
my @e = map { export("e$_") } 1 .. 3;
my $e4 = export('e3', q{options => '{"overwrite": true}'});
is(prune('e', 2) . ' ' . there('e'), "$e[0] e2 e3", 'an export that was replaced is none');
system('rm', '-r', "$export/e3") == 0 or die;
is(prune('e', 1), '', 'nor is one that was removed by hand: the newest stays');
is(there('e'), 'e2', 'where it is');

# other people's files, changed ones, another one's export
my @f = map { export("f$_") } 1 .. 4;
append_to_file("$export/f1/notes", 'mine');
append_to_file("$export/f2/part-000000.csv", "changed\n");
mkdir("$export/f9") or die;
append_to_file("$export/f9/part-000000.csv", "1\n");
append_to_file("$export/f3/_manifest.json", ' ');
is(prune('f', 1), "$f[0] $f[1] $f[2]", 'exports with files of others go');
like($said, qr{directory "\Q$export\E/f$_" stays\nDETAIL:  It holds something that is not known}, "f$_ stays with them, and that is said")
  foreach 1, 2;
is(join(' ', files_below("$export/f1")), 'notes', 'a file of others stays');
is(join(' ', files_below("$export/f2")), 'part-000000.csv', 'a changed one too');
is(there('f'), 'f1 f2 f4 f9', 'and a directory that no job has');

# rights
sql('CREATE ROLE other LOGIN IN ROLE pg_write_server_files; CREATE ROLE nobody LOGIN; CREATE ROLE member LOGIN IN ROLE other;'
	  . 'GRANT SELECT ON t TO other');
my @g = map { $node->safe_psql('postgres', "CALL outflow.export('t', 'file://$export/g$_')", extra_params => [ '-U', 'other' ]) } 1 .. 3;
export('g4');
is(prune('g', 1, 'nobody'), '', 'whoever may not write files may not remove any');
like($said, qr/permission denied|pg_write_server_files/, 'and is told so');
is(prune('g', 2, 'member'), $g[0], 'a member of the owner may');
is(prune('', 1, 'other'), $g[1], 'and the owner only their own');
is(there('g'), 'g3 g4', 'the others\' stay');

my @i = map { export("i$_") } 1, 2;
push @i, map { $node->safe_psql('postgres', "CALL outflow.export('t', 'file://$export/i$_')", extra_params => [ '-U', 'other' ]) } 3 .. 5;
is(prune('i', 2), $i[2], 'nobody is pruned to make room for another one\'s exports');
is(there('i'), 'i1 i2 i4 i5', 'so each owner\'s newest stay');

# one that is in use
my $h1 = export('h1');
my $h2 = export('h2');
my $h3 = sql("SELECT outflow.export_start('t', 'file://$export/h3', base => $h1)");
sql("DO 'BEGIN WHILE EXISTS (SELECT FROM outflow.jobs WHERE state IN (''queued'', ''running'')) LOOP PERFORM pg_sleep(0.1); END LOOP; END'");
sql("UPDATE outflow.job SET state = 'interrupted' WHERE job = $h3");
is(prune('h', 1), '', 'the base of an unfinished export stays');
like($said, qr/export job $h1 stays\nDETAIL:  It is the base of export job $h3, which is not done/, 'and that is said');
like(
	($node->psql('postgres', "SELECT * FROM outflow.prune('/srv/export', 1)"))[2],
	qr/unknown kind of destination/, 'a prefix is that of a destination');

$node->stop;
done_testing();
