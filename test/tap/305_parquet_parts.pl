# Promise: in format parquet, too, an export with a base and a resumed one keep
# the parts that still hold, export the others again, and are together exactly
# the table; so are the parts of several workers, and those that age decrypts.
use strict;
use warnings;

use OutflowTest;
use ParquetTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('parts',
	conf => "autovacuum = off\nmax_worker_processes = 16\n");
my $dir = new_export_dir();

sub sql { return $node->safe_psql('postgres', $_[0]); }

# export(TABLE, NAME, ARGUMENTS): the job, which wrote into that directory
sub export
{
	my ($table, $name, $arguments) = @_;

	return sql("CALL outflow.export('$table', 'file://$dir/$name', format => 'parquet',"
		  . " part_size => '100kB'" . ($arguments ? ", $arguments" : '') . ')');
}

# counts(JOB): carried, exported again, all
sub counts
{
	return sql("SELECT parts_carried, parts_redone, parts_total FROM outflow.jobs WHERE job = $_[0]");
}

# is_exact(JOB, TABLE, NAME): what readers find there is the table
sub is_exact
{
	my ($job, $table, $name) = @_;

	check_parquet($node, 'postgres', 'compare', $table, "$dir/$name");
	is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job)"),
		'ok', "$name: verify() is content");
	is_deeply(
		[ grep { !/^(part-\d+\.parquet|_manifest\.json|_SUCCESS)$/ } files_below("$dir/$name") ],
		[], "$name: nothing is left over");
	return;
}

# links(NAME): how many files have another name, too
sub links
{
	return scalar(
		grep { (stat("$dir/$_[0]/$_"))[3] > 1 }
		  grep { /^part-/ } files_below("$dir/$_[0]"));
}

sql(<<'EOS');
CREATE TYPE pair AS (a int, b text);
CREATE TABLE t (id bigint NOT NULL, n int, price numeric(20,3), note text, at timestamptz, tags text[],
	pairs pair[], doc jsonb) WITH (fillfactor = 90);
INSERT INTO t SELECT g, CASE WHEN g % 3 > 0 THEN g % 100 END, g * 1.125, 'note ' || md5(g::text),
	timestamptz '2020-01-01 00:00+00' + g * interval '7 min', ARRAY['a', NULL, 'b' || g % 9],
	CASE WHEN g % 2 = 0 THEN ARRAY[ROW(g, 'x')::pair, NULL] END, jsonb_build_object('k', g)
	FROM generate_series(1, 12000) g;
EOS

# ---- several workers
my $full = export('t', 'full', 'workers => 4');
my $parts = (split(/\|/, counts($full)))[2];
cmp_ok($parts, '>', 20, 'there are many parts');
is_exact($full, 't', 'full');

# ---- a base
my $same = export('t', 'same', "workers => 4, base => $full");
is(counts($same), "$parts|0|$parts", 'all parts of an unchanged table are carried');
is(links('same'), $parts, 'as links');
is_exact($same, 't', 'same');

# new rows are so long that they don't fit between the old ones
sql(<<'EOS');
UPDATE t SET note = 'changed', tags = '{}' WHERE id = 1;
DELETE FROM t WHERE id = 6000;
INSERT INTO t SELECT g, g, NULL, repeat('new', 300), NULL, NULL, NULL, NULL FROM generate_series(20001, 20300) g;
EOS
my $next = export('t', 'next', "base => $same");
like(counts($next), qr/^@{[$parts - 3]}\|3\|\d+$/,
	'parts with a change are exported again, and the last, which grew');
is(links('next'), $parts - 3, 'the others are links');
is_exact($next, 't', 'next');

# what changes the bytes of all parts
$parts = (split(/\|/, counts($next)))[2];
my $number = 0;
foreach my $other (q{compression => 'gzip'}, q{options => '{"row_group_rows": 100}'},
	q{options => '{"lossy": "string"}'}, q{columns => '{id,note}'})
{
	my $name = 'other' . ++$number;
	my $job = export('t', $name, "$other, base => $next");

	is(counts($job), "0|$parts|$parts", "with $other nothing is carried");
	is(sql("SELECT DISTINCT status FROM outflow.verify($job)"), 'ok',
		'and all is written again');
}

# in one transaction, with references
my $referring = export('t', 'referring',
	qq{workers => 0, base => $next, options => '{"carry": "reference"}'});
is(counts($referring), "$parts|0|$parts", 'parts are carried by reference');
is_deeply([ grep { /^part-/ } files_below("$dir/referring") ], [], 'and not copied');

# ---- the server dies; then what was finished already changes in one place
sql("LOAD 'outflow'; ALTER SYSTEM SET outflow.rate_limit = '300kB'");
$node->reload;
my $job = sql("SELECT outflow.export_start('t', 'file://$dir/resumed', format => 'parquet',"
	  . " part_size => '100kB', workers => 3, compression => 'none')");
$node->poll_query_until('postgres',
	"SELECT parts_done > 5 AND parts_done < parts_total - 3 FROM outflow.jobs WHERE job = $job")
  or die 'the export was over too soon';
$node->stop('immediate');
$node->start;
sql('ALTER SYSTEM RESET outflow.rate_limit');
$node->reload;

my ($done, $first, $block) = split(/\|/,
	sql("SELECT count(*), min(part), min(first_block) FROM outflow.parts WHERE job = $job AND state = 'done'"));
cmp_ok($done, '>', 5, 'some parts were finished');
cmp_ok($done, '<', $parts, 'and some were not');
sql("UPDATE t SET price = -1 WHERE ctid = (SELECT min(ctid) FROM t WHERE ctid >= '($block,0)')");
sql("INSERT INTO t (id, note) VALUES (30000, repeat('after the crash', 60))");
sql("CALL outflow.resume($job)");
is(sql("SELECT state FROM outflow.jobs WHERE job = $job"), 'done', 'the job ends');
my ($carried, $redone) = split(/\|/, counts($job));
cmp_ok($carried, '>', 0, 'finished parts are carried');
cmp_ok($redone, '>', 0, 'and the changed one is exported again');
is($carried + $redone, $done, 'as were all that were finished');
is_exact($job, 't', 'resumed');

# ---- age
system_or_bail('age-keygen', '-o', "$dir/key");
my ($recipient) = slurp_file("$dir/key") =~ /public key: (age1\w+)/;
my $secret = export('t', 'secret', "workers => 3, encrypt_to => '{$recipient}'");
my $again = export('t', 'again', "encrypt_to => '{$recipient}', base => $secret");
$parts = (split(/\|/, counts($secret)))[2];
is(counts($again), "$parts|0|$parts", 'encrypted parts are carried as they are');
foreach my $name (qw(secret again))
{
	my @files = grep { /^part-/ } files_below("$dir/$name");
	my $readable = 0;

	is(scalar @files, $parts, "$name: all parts are there");
	mkdir "$dir/plain_$name" or die;
	foreach my $file (@files)
	{
		my ($plain) = $file =~ /^(part-\d{6}\.parquet)\.age$/
		  or fail("$file does not say what it is");

		$readable++ if slurp_file("$dir/$name/$file") =~ /outflow\.columns/;
		system_or_bail('age', '-d', '-i', "$dir/key", '-o', "$dir/plain_$name/$plain", "$dir/$name/$file");
	}
	is($readable, 0, "$name: none can be read without the key");
	check_parquet($node, 'postgres', 'compare', 't', "$dir/plain_$name");
}
is(sql("SELECT DISTINCT status FROM outflow.verify($again)"), 'ok', 'verified without a key');

$node->stop;
done_testing();
