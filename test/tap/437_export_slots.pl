# Promise: a job drops, and goes on from, the slot that it made and no other one,
# whatever has its name; and only for those who may drop and make slots.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('slots');
my $dir = new_export_dir();

sub sql { return $node->safe_psql('postgres', $_[0]); }

# says(SQL, ROLE): errors and notices
sub says
{
	my ($sql, $role) = @_;
	my ($out, $err);

	$node->psql('postgres', "SET ROLE " . ($role || 'postgres') . "; $sql", stdout => \$out, stderr => \$err);
	return $err;
}

sub has_slot { return sql("SELECT count(*) FROM pg_replication_slots WHERE slot_name = '$_[0]'"); }

sub set_rate
{
	sql("LOAD 'outflow'; ALTER SYSTEM SET outflow.rate_limit = '$_[0]'");
	$node->reload;
	return;
}

# cancelled(NAME): a job that has made its slot of that name, and finished nothing
sub cancelled
{
	my ($name) = @_;

	# not by a prepared transaction, whose end a slot would wait for
	set_rate('10kB');
	my $job = sql("SET ROLE reader; SELECT outflow.export_start('t', 'file://$dir/$name', slot => '$name')");
	$node->poll_query_until('postgres', "SELECT slot_ready FROM outflow.job WHERE job = $job") or die;
	sql("SELECT outflow.cancel($job)");
	$node->poll_query_until('postgres', "SELECT state = 'interrupted' FROM outflow.jobs WHERE job = $job") or die;
	set_rate('0');
	is(has_slot($name), 1, "$name: the job has its slot");
	return $job;
}

sub anew { return sql("SELECT pg_drop_replication_slot('$_[0]'); SELECT FROM pg_create_logical_replication_slot('$_[0]', '$_[1]')"); }

sql('CREATE ROLE reader LOGIN REPLICATION; GRANT pg_write_server_files TO reader');
sql('CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 100000) AS g; GRANT SELECT ON t TO reader');
$node->safe_psql('postgres', 'CREATE DATABASE other');

my $taken = qr/replication slot "\w+" already exists\nDETAIL:  It is not the one that the export made/;
my $kept = qr/NOTICE:  replication slot "\w+" is kept/;
my %meanwhile = (
	made_anew => sub { anew($_[0], 'outflow') },
	of_another_plugin => sub { anew($_[0], 'test_decoding') },
	of_another_database => sub {
		sql("SELECT pg_drop_replication_slot('$_[0]')");
		create_slot($node, $_[0], 'other');
	},
	consumed => sub {
		sql('INSERT INTO t VALUES (0)');
		sql("SELECT count(*) FROM pg_logical_slot_get_changes('$_[0]', NULL, NULL)");
	},
	physical => sub {
		sql("SELECT pg_drop_replication_slot('$_[0]'); SELECT FROM pg_create_physical_replication_slot('$_[0]')");
	});
foreach my $name (sort keys %meanwhile)
{
	my $job = cancelled($name);

	$meanwhile{$name}->($name);
	like(says("CALL outflow.resume($job)"), $taken, "$name: resume doesn't go on from it");
	like(says("SELECT outflow.forget($job)"), $kept, "$name: forget says that it stays");
	is(has_slot($name), 1, "$name: and it does");
	is(sql("SELECT count(*) FROM outflow.jobs WHERE job = $job"), 0, "$name: the job is gone");
	sql("SELECT pg_drop_replication_slot('$name')");
}

# a slot whose job was cancelled before it was made
sql("SELECT pg_create_logical_replication_slot('early', 'outflow')");
like(says("CALL outflow.export('t', 'file://$dir/early', slot => 'early')"), qr/already exists\nHINT:  Choose a name/, 'a name that is taken');
sql("SELECT pg_drop_replication_slot('early')");

# its own: also one that was looked into, and one that was lost
my $job = cancelled('peeked');
sql("INSERT INTO t VALUES (0); CHECKPOINT");
sql("SELECT count(*) FROM pg_logical_slot_peek_changes('peeked', NULL, NULL)") foreach 1 .. 3;
unlike(says("CALL outflow.resume($job)"), qr/ERROR/, 'peeked: resume goes on from it');
is(sql("SELECT state FROM outflow.jobs WHERE job = $job"), 'done', 'peeked: done');
is(sql("SELECT slot_start = confirmed_flush_lsn FROM outflow.job JOIN pg_replication_slots ON slot = slot_name WHERE job = $job"),
	't', 'peeked: with the slot that was made first');
sql("SELECT outflow.forget($job)");
is(has_slot('peeked'), 1, 'peeked: the slot of a finished export stays');

$job = cancelled('dropped');
sql("SELECT pg_drop_replication_slot('dropped')");
unlike(says("CALL outflow.resume($job)"), qr/ERROR/, 'dropped: resume makes a new one');
is(has_slot('dropped'), 1, 'dropped: it is there');

# rights, as the server asks for them
$job = cancelled('rights');
sql('ALTER ROLE reader NOREPLICATION');
like(says("SELECT outflow.forget($job)", 'reader'), qr/permission denied to drop replication slot "rights"/, 'without REPLICATION: forget is refused');
is(has_slot('rights'), 1, 'and the slot is there');
ok(glob("$dir/rights/.outflow-*"), 'and its files are');
anew('rights', 'outflow');
like(says("SELECT outflow.forget($job)", 'reader'), $kept, 'without REPLICATION: a job without a slot of its own may go');

# an interrupted job that must make its slot anew
sql('ALTER ROLE reader REPLICATION');
$job = cancelled('rights_2');
sql("ALTER ROLE reader NOREPLICATION; SELECT pg_drop_replication_slot('rights_2')");
like(says("CALL outflow.resume($job)"), qr/must be superuser or replication role|permission denied to use replication slots/,
	'without REPLICATION: resume makes none');
is(has_slot('rights_2'), 0, 'and there is none');

# a crash leaves none that the job doesn't know, and takes none along
sql('ALTER ROLE reader REPLICATION');
$job = cancelled('crashed');
$node->stop('immediate');
$node->start;
is(has_slot('crashed'), 1, 'crashed: the slot is there');
sql("SELECT outflow.forget($job)");
is(has_slot('crashed'), 0, 'crashed: forget drops it');

done_testing();
