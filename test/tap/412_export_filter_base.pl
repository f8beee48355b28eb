# Promise: an export with a filter carries parts of its base only if the same
# rows pass the same filter: every definition that the filter's meaning hangs
# on is part of the proof, and what can't be followed is never carried.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('filter_base', conf => "autovacuum = off\n");
my $export = new_export_dir();
my $last = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# export(FILTER, BASE, OPTIONS): job and what it says; the export is exact
sub export
{
	my ($filter, $base, $options) = @_;
	my $name = 'e' . ++$last;
	my ($out, $err);

	$base = defined $base ? ", base => $base" : '';
	$options ||= '';
	$node->psql('postgres',
		"SET client_min_messages = notice; CALL outflow.export('t', 'file://$export/$name', part_size => '100kB', filter => \$f\$$filter\$f\$$base$options)",
		stdout => \$out, stderr => \$err);
	like($out, qr/^\d+$/, "exported: $filter") or diag($err);
	sql("COPY (SELECT * FROM t WHERE $filter) TO '$export/copy' CSV");
	ok(slurp_file("$export/copy") eq join('', map { slurp_file("$export/$name/$_") }
			  grep { /^part/ } files_below("$export/$name")), "exact: $filter");
	return ($out, $err);
}

# counts(JOB): carried, exported again, all
sub counts
{
	return sql("SELECT parts_carried, parts_redone, parts_total FROM outflow.jobs WHERE job = $_[0]");
}

sql(<<'EOC');
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN small AS int CHECK (VALUE < 1000000);
CREATE TYPE pair AS (a int, b int);
CREATE TABLE t (id int, note text, m mood, s small, p pair, v tsvector);
INSERT INTO t SELECT i, repeat('x', 90) || i, CASE i % 2 WHEN 0 THEN 'sad' ELSE 'happy' END::mood,
	i, ROW(i, i)::pair, 'a' FROM generate_series(1, 5000) i;
CREATE FUNCTION third(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 % 3';
CREATE FUNCTION wanted(int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT public.third($1) = 0';
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);
CREATE FUNCTION same(int, int) RETURNS bool IMMUTABLE LANGUAGE internal AS 'int4eq';
CREATE OPERATOR ==== (LEFTARG = int, RIGHTARG = int, FUNCTION = same);
CREATE FUNCTION bound() RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 4000; END';
CREATE FUNCTION odd(int) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 % 2 = 1; END';
EOC

# ---- filters that can be followed
my %base;
my @followed = ('id < 4000 AND note <> \'x\'', 'wanted(id)', 'id === 5 OR id > 100', 'id ==== 5 OR id > 100', 'm = \'sad\'', 'id < bound()',
	'note COLLATE "C" LIKE \'x%7\'', 'id = ANY (ARRAY[1, 2, 3000])', 's > 10 AND id > 7', 'v @@ \'a\'::tsquery');
foreach my $filter (@followed)
{
	my ($job) = export($filter);
	my $parts = sql("SELECT parts_total FROM outflow.jobs WHERE job = $job");
	my ($next) = export($filter, $job);

	cmp_ok($parts, '>', 5, 'there are several parts');
	is(counts($next), "$parts|0|$parts", "all parts are carried: $filter");
	$base{$filter} = $next;
}

# another filter is another output
my ($job, $notice) = export('id < 4001 AND note <> \'x\'', $base{ $followed[0] });
like(counts($job), qr/^0\|/, 'with another filter nothing is carried');
like($notice, qr/the definition of the output was changed/, 'and it says why');
($job) = export('id > 0');
my $all = sql("SELECT parts_total FROM outflow.jobs WHERE job = $job");
($job) = export('id < 4000 AND note <> \'x\'', $job);
like(counts($job), qr/^0\|/, 'nor from one that let more through');

# the second proof speaks of all rows, also of those that did not pass
sql('VACUUM (FREEZE) t');
my ($frozen) = export('wanted(id)', $base{'wanted(id)'});
is(counts($frozen), "$all|0|$all", 'freezing costs nothing');
sql('UPDATE t SET id = 3 WHERE id = 2; DELETE FROM t WHERE id = 4');
my $changed;
($changed, $notice) = export('wanted(id)', $frozen);
like(counts($changed), qr/^\d+\|[12]\|/, 'a row that did not pass and passes now is found');
sql('VACUUM (FREEZE) t; UPDATE t SET id = 5 WHERE id = 3 AND ctid <> (SELECT min(ctid) FROM t WHERE id = 3)');
($job) = export('wanted(id)', $changed);
like(counts($job), qr/^\d+\|[12]\|/, 'and one that passed and does not');

# ---- definitions are changed, with CREATE OR REPLACE
my %change = (
	'wanted(id)' => q{CREATE OR REPLACE FUNCTION third(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 % 4'},
	'id < bound()' => q{CREATE OR REPLACE FUNCTION bound() RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 3000; END'},
	'id ==== 5 OR id > 100' => q{CREATE OR REPLACE FUNCTION same(int, int) RETURNS bool IMMUTABLE LANGUAGE internal AS 'int4ne'},
	'm = \'sad\'' => q{ALTER TYPE mood RENAME VALUE 'happy' TO 'glad'});
foreach my $filter (sort keys %change)
{
	($job) = export($filter);
	my ($same) = export($filter, $job);
	is(counts($same), "$all|0|$all", "carried before the change: $filter");
	sql($change{$filter});
	($job, $notice) = export($filter, $same);
	is(counts($job), "0|$all|$all", "nothing is carried after: $change{$filter}");
	like($notice, qr/the definition of the output was changed/, 'and it says why');
}
($job) = export('wanted(id)');
sql(q{ALTER TABLE t RENAME note TO n; ALTER TABLE t RENAME s TO note; ALTER TABLE t RENAME n TO s});
($job) = export('wanted(id)', $job);
like(counts($job), qr/^0\|/, 'names that were exchanged make other rows');

# a library's next version may order and compare otherwise
sql(q{CREATE DATABASE utf8 TEMPLATE template0 ENCODING 'UTF8'});
$node->safe_psql('utf8', q{CREATE EXTENSION outflow; CREATE COLLATION mine (provider = icu, locale = 'und');
	CREATE TABLE t AS SELECT i::text AS s FROM generate_series(1, 5000) i});
my $same = collated(collated());
is(collated_counts($same), 't', 'carried under the same version of a collation');
$node->safe_psql('utf8', q{UPDATE pg_collation SET collprovider = 'c', collcollate = 'C', collctype = 'C', collversion = NULL WHERE collname = 'mine'});
is(collated_counts(collated($same)), 'f', 'nothing is carried under another one');

sub collated
{
	my ($base) = @_;

	return $node->safe_psql('utf8', "CALL outflow.export('t', 'file://$export/collated" . ++$last . "', filter => \$f\$s COLLATE mine > '2'\$f\$"
		  . ($base ? ", base => $base)" : ')'));
}

sub collated_counts
{
	return $node->safe_psql('utf8', "SELECT parts_carried = parts_total FROM outflow.jobs WHERE job = $_[0]");
}

# ---- filters that can't be followed
sql(<<'EOC');
CREATE FUNCTION pair_eq(pair, pair) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT ($1).a = ($2).a';
CREATE FUNCTION set_sql(int) RETURNS bool IMMUTABLE LANGUAGE sql SET work_mem = '1MB' AS 'SELECT $1 > 5';
EOC
my %reason = (
	'odd(id)' => qr/nobody can tell what the filter's function odd calls/,
	'set_sql(id)' => qr/nobody can tell what the filter's function set_sql calls/,
	'p IS NOT NULL' => qr/operators of the filter's type public\.pair may be redefined/,
	'p = ROW(1, 1)::pair' => qr/operators of the filter's type public\.pair may be redefined/,
	'id::small > 5' => qr/the filter checks constraints of domain public\.small/,
	q{to_tsvector('english', s) @@ 'x'::tsquery OR id > 1} => qr/values of type regconfig depend on catalogs/);
foreach my $filter (sort keys %reason)
{
	($job) = export($filter);
	($job, $notice) = export($filter, $job);
	like(counts($job), qr/^0\|/, "never carried: $filter");
	like($notice, $reason{$filter}, 'and it says why');
}

# ---- columns that can't be followed, also in partitions that number them otherwise
sql(<<'EOC');
CREATE TABLE named (id int, c regclass, k int, d regclass) PARTITION BY RANGE (k);
CREATE TABLE named_1 (d regclass, k int, gone int, c regclass, id int);
ALTER TABLE named_1 DROP COLUMN gone;
ALTER TABLE named ATTACH PARTITION named_1 FOR VALUES FROM (0) TO (100);
INSERT INTO named SELECT i, 'pg_class', i, 'pg_proc' FROM generate_series(1, 99) AS i;
EOC

# named_reason(FILTER, COLUMNS): why the only part isn't carried; empty: it is
sub named_reason
{
	my ($filter, $columns) = @_;
	my $base = '';
	my ($job, $err);

	foreach my $time (1 .. 2)
	{
		$node->psql('postgres',
			"SET client_min_messages = notice; CALL outflow.export('named', 'file://$export/e" . ++$last . "', columns => '$columns', filter => '$filter'$base)",
			stdout => \$job, stderr => \$err);
		$base = ", base => $job";
	}
	return sql("SELECT parts_carried FROM outflow.jobs WHERE job = $job") eq '1' ? '' : $err;
}
is(named_reason('k > 5', '{id}'), '', 'one that is neither exported nor looked at by the filter costs nothing');
is(named_reason('k > 5 AND (d IS NOT NULL OR true)', '{id}'), '', 'nor does one that the filter need not look at');
like(named_reason('k > 5', '{id,c}'), qr/values of type regclass depend on catalogs/, 'one that is exported has no proof');
like(named_reason('d IS NOT NULL', '{id}'), qr/values of type regclass depend on catalogs/, 'nor has one that the filter looks at');

# a column that only the filter looks at counts, as each leaf has it
sub named_carried
{
	my ($base) = @_;

	return sql("CALL outflow.export('named', 'file://$export/e" . ++$last . "', columns => '{id}', filter => 'k > 5'" . ($base ? ", base => $base)" : ')'));
}
my $before = named_carried();
sql('ALTER TABLE named RENAME c TO e');
$before = named_carried($before);
is(counts($before), '1|0|1', 'another name of another column changes nothing');
sql('ALTER TABLE named RENAME k TO f; ALTER TABLE named RENAME id TO k; ALTER TABLE named RENAME f TO id');
like(counts(named_carried($before)), qr/^0\|/, 'names that were exchanged make other rows there, too');

# ---- a resumed export carries, too
sql("LOAD 'outflow'; ALTER SYSTEM SET outflow.rate_limit = '200kB'");
$node->reload;
$job = sql("SELECT outflow.export_start('t', 'file://$export/resumed', part_size => '100kB', filter => 'id > 10', workers => 1)");
$node->poll_query_until('postgres', "SELECT parts_done >= 2 FROM outflow.jobs WHERE job = $job");
sql("SELECT outflow.cancel($job)");
$node->poll_query_until('postgres', "SELECT state = 'interrupted' FROM outflow.jobs WHERE job = $job");
my $done = sql("SELECT parts_done FROM outflow.jobs WHERE job = $job");
sql("ALTER SYSTEM SET outflow.rate_limit = 0");
$node->reload;
sql("CALL outflow.resume($job)");
is(sql("SELECT parts_carried = $done, parts_redone FROM outflow.jobs WHERE job = $job"),
	't|0', 'resume keeps the filtered parts that were done');

# ---- a definition that changes while a part is read
sql("LOAD 'outflow'; ALTER SYSTEM SET outflow.rate_limit = '100kB'");
$node->reload;
$job = sql("SELECT outflow.export_start('t', 'file://$export/under', filter => 'id > 10', workers => 1)");
$node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM pg_stat_progress_copy WHERE tuples_processed > 0');
sql("ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'");
is(sql('SELECT count(*) FROM pg_stat_progress_copy'), '1', 'the part is still being read');
sql("ALTER SYSTEM SET outflow.rate_limit = 0");
$node->reload;
$node->poll_query_until('postgres', "SELECT state = 'failed' FROM outflow.jobs WHERE job = $job");
like(sql("SELECT error FROM outflow.jobs WHERE job = $job"), qr/definitions of table public\.t were changed/, 'such a part is none');
is(sql("SELECT count(*) FROM outflow.part WHERE job = $job AND stamp IS NOT NULL"), '0', 'and may not be carried');
sql("CALL outflow.resume($job)");
is(sql("SELECT state FROM outflow.jobs WHERE job = $job"), 'done', 'but is made anew');

done_testing();
