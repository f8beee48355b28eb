# Promise: a job that masks a column masks it to its end, whatever becomes of the
# names that its rules were written with: before it starts, while it runs, and
# before it is resumed.  Where a masked column is gone, the job ends with an error.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('renames');
my $dir = new_export_dir();

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub error_of
{
	my (undef, undef, $err) = $node->psql('postgres', $_[0]);

	return $err;
}

sub make_tables
{
	sql(<<'EOS');
DROP TABLE IF EXISTS people, persons, parent, p1, p2;
CREATE TABLE people (id int, mail text, note text);
INSERT INTO people SELECT g, 'secret' || g, 'plain' FROM generate_series(1, 8000) AS g;
CREATE TABLE parent (id int, mail text, note text) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF parent FOR VALUES FROM (0) TO (100);
CREATE TABLE p2 PARTITION OF parent FOR VALUES FROM (100) TO (100000);
INSERT INTO parent SELECT * FROM people;
EOS
	return;
}

sub count_clear { return scalar grep { slurp_file("$_[0]/$_") =~ /secret/ } files_below($_[0]); }

# start(TABLE, NAME, MASKS, PARTS): a job that goes no further than so many parts
sub start
{
	my ($table, $name, $masks, $parts) = @_;

	hold_exports($node, $parts);
	my $job = sql("SELECT outflow.export_start('$table', 'file://$dir/$name', workers => 1, part_size => '128kB',"
		  . " options => '{\"mask_columns\": \"$masks\"}')");
	wait_until($node, "SELECT parts_done = $parts AND state = 'running' FROM outflow.jobs WHERE job = $job", 'the parts');
	return $job;
}

sub interrupted
{
	my $job = start(@_, 2);

	sql("SELECT outflow.cancel($job)");
	wait_until($node, "SELECT state = 'interrupted' FROM outflow.jobs WHERE job = $job", 'the interruption');
	release_exports($node);
	return $job;
}

my $mail = 'public.people.mail=redact';
foreach my $case (
	[ 'column', 'people', $mail, 'ALTER TABLE people RENAME mail TO email' ],
	[ 'table', 'people', $mail, 'ALTER TABLE people RENAME TO persons' ],
	[ 'schema', 'people', $mail, 'CREATE SCHEMA other; ALTER TABLE people SET SCHEMA other' ],
	# to a name that another rule, which shows more, is for
	[ 'rule', 'people', "$mail,public.people.*=truncate:100", 'ALTER TABLE people RENAME mail TO email' ],
	[ 'setting', 'people', 'public.people.note=truncate:5', 'ALTER TABLE people RENAME mail TO email', $mail ],
	[ 'detached', 'parent', 'public.p1.mail=redact', 'ALTER TABLE parent DETACH PARTITION p1' ],
	[ 'dropped', 'parent', 'public.p1.mail=redact', 'DROP TABLE p1' ],
	[ 'partition', 'parent', 'public.p1.mail=redact', 'ALTER TABLE p1 RENAME TO p9' ])
{
	my ($name, $table, $masks, $change, $setting) = @$case;

	make_tables();
	sql("LOAD 'outflow'; ALTER SYSTEM SET outflow.mask_columns = '$setting'; SELECT pg_reload_conf()") if $setting;
	wait_until($node, "SELECT current_setting('outflow.mask_columns', true) <> ''", 'the setting') if $setting;
	my $job = interrupted($table, $name, $masks);
	sql($change);
	sql("CALL outflow.resume($job)");
	my $rows = exported_parts("$dir/$name");

	is(count_clear("$dir/$name"), 0, "$name: no value is clear");
	unlike($rows, qr/^\d+,(?!\*\*\*,plain\n)/m, "$name: the masks are those of the call");
	like($rows, qr/^8000,/m, "$name: all the same it is resumed to its end");
	is(sql("SELECT count(*) FROM outflow.verify($job) WHERE status <> 'ok'"), '0', "$name: and verifies");
	sql("LOAD 'outflow'; ALTER SYSTEM RESET outflow.mask_columns; SELECT pg_reload_conf()") if $setting;
	wait_until($node, "SELECT coalesce(current_setting('outflow.mask_columns', true), '') = ''", 'the setting') if $setting;
	sql('DROP SCHEMA other CASCADE') if $name eq 'schema';
	sql('DROP TABLE p9 CASCADE') if $name eq 'partition';
}

# before its first part
make_tables();
sql("LOAD 'outflow'; ALTER SYSTEM SET outflow.max_jobs = 1; SELECT pg_reload_conf()");
wait_until($node, "SELECT current_setting('outflow.max_jobs', true) = '1'", 'the setting');
my $first = start('parent', 'first', 'public.p1.mail=redact', 1);
my $queued = sql(qq{SELECT outflow.export_start('people', 'file://$dir/queued', options => '{"mask_columns": "$mail"}')});
sql('ALTER TABLE people RENAME mail TO email');
# while it runs: a lock that detaching concurrently does without
my ($session, $said) = start_psql($node, 'ALTER TABLE parent DETACH PARTITION p1 CONCURRENTLY');
wait_until($node, 'SELECT bool_or(inhdetachpending) FROM pg_inherits', 'the detachment');
release_exports($node);
wait_until($node, "SELECT count(*) = 2 FROM outflow.jobs WHERE state = 'done' AND job IN ($first, $queued)", 'both jobs');
$session->finish;
is(count_clear("$dir/first"), 0, 'detached while it runs: no value is clear');
is(count_clear("$dir/queued"), 0, 'renamed while it is queued: no value is clear');
sql("LOAD 'outflow'; ALTER SYSTEM RESET outflow.max_jobs; SELECT pg_reload_conf()");

# the values may be anywhere
make_tables();
my $job = interrupted('people', 'moved', $mail);
sql('ALTER TABLE people ADD email text; UPDATE people SET email = mail; ALTER TABLE people DROP mail');
like(error_of("CALL outflow.resume($job)"),
	qr/ERROR:  export job $job failed: a masked column of table "people" was dropped since the export began/, 'a masked column is gone: refused');
ok(!-e "$dir/moved/_SUCCESS", 'a masked column is gone: nothing is published');
is(count_clear("$dir/moved"), 0, 'a masked column is gone: no value is clear');
like(error_of("CALL outflow.resume($job)"), qr/was dropped since the export began/, 'a masked column is gone: for good');
sql("SELECT outflow.forget($job)");

# one that isn't masked may go
make_tables();
$job = interrupted('people', 'unmasked', $mail);
sql('ALTER TABLE people DROP note');
sql("CALL outflow.resume($job)");
is(count_clear("$dir/unmasked"), 0, 'another column is gone: the masks stay');

done_testing();
