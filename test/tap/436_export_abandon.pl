# Promise: a job whose place is gone for good can be forgotten all the same, by
# saying so: nobody is asked there, what would be left is named, and what is here,
# the record and the slot, goes.  Without saying so, nothing is forgotten.
use strict;
use warnings;

use FakeS3;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WarehouseTest;

my $node = new_outflow_node('main', conf => "outflow.retries = 0\nmax_prepared_transactions = 2\n");
my $store = start_fake_s3();
my $warehouse = new_warehouse('warehouse');

sub sql { return $node->safe_psql('postgres', $_[0]); }

# fails(SQL, PATTERN, NAME)
sub fails
{
	my ($statement, $pattern, $name) = @_;
	my ($code, $out, $err) = $node->psql('postgres', $statement);

	return like($code == 0 ? 'no error' : $err, $pattern, $name);
}

# abandoned(JOB, PATTERN, NAME): it goes, and with such a warning
sub abandoned
{
	my ($job, $pattern, $name) = @_;
	my ($code, $out, $err) = $node->psql('postgres', "SELECT outflow.forget($job, abandon => true)");

	is($code, 0, "$name: the job is forgotten") or diag($err);
	like($err, $pattern, "$name: what stays is named");
	is(sql("SELECT count(*) FROM outflow.jobs WHERE job = $job"), '0', "$name: and the record is gone");
	return;
}

sub last_job { return sql('SELECT max(job) FROM outflow.jobs'); }
sub uuid { return sql("SELECT uuid FROM outflow.job WHERE job = $_[0]"); }

sql('CREATE TABLE t AS SELECT i AS id, md5(i::text) AS note FROM generate_series(1, 20000) i; CREATE PUBLICATION shop FOR TABLE t');
sql($store->server_sql('lake', retries => 0) . warehouse_sql($warehouse));

# ---- a bucket that is gone
$store->faults('deny PUT _SUCCESS');
fails("CALL outflow.export_publication('shop', 'lake:gone', slot => 'shop')", qr/could not write .*_SUCCESS/, 'an export that does not come to its end');
my $job = last_job();
my $id = uuid($job);
$store->faults('answer 404 <Error><Code>NoSuchBucket</Code></Error>');
fails("SELECT outflow.forget($job)", qr/NoSuchBucket/, 'a bucket that is gone: forget refuses');
$store->forget_requests;
abandoned($job, qr{WARNING:  what export job $job has left at "s3:[^"]*/lake/gone" stays there\nDETAIL:  All that is in "\.outflow-$id".* Published already, perhaps: "public\.t/part-000000\.csv".*each "_manifest\.json" and "_SUCCESS"\.\nHINT: .*remove it}, 'a bucket that is gone');
is($store->asked('.'), 0, 'the store was asked nothing');
is(sql('SELECT count(*) FROM pg_replication_slots'), '0', 'the slot is here, and goes');
$store->faults();

# ---- a server that is gone, before anything was published
hold_exports($node, 1);
my ($call) = start_psql($node, "CALL outflow.export('t', 'lake:dropped', part_size => '100kB')");
wait_until($node, q{SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted}, 'the export waits');
fails('SELECT outflow.forget(' . last_job() . ', abandon => true)', qr/is running/, 'a job at work is not abandoned');
$job = cancel_held($node, $call, last_job());
$id = uuid($job);
sql('DROP SERVER lake CASCADE');
fails("SELECT outflow.forget($job)", qr/no server that may be used leads to "s3:.*HINT: .*abandon => true/s, 'a server that is gone: forget refuses, and says what helps');
abandoned($job, qr/DETAIL:  All that is in "\.outflow-$id", and of a store unfinished uploads to there\.\n/, 'a server that is gone');
like($store->keys(''), qr{dropped/\.outflow-$id/}, 'which is so');

# ---- another PostgreSQL that is gone: in its staging tables, and loaded directly
$warehouse->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY, note text); INSERT INTO t VALUES (1); GRANT INSERT, SELECT, DELETE, TRUNCATE ON t TO loader');
fails("CALL outflow.export('t', 'warehouse:public.t')", qr/duplicate key/, 'an export that does not come to its end');
$job = last_job();
$id = uuid($job);
$warehouse->stop;
fails("SELECT outflow.forget($job)", qr/could not connect/, 'a server that does not run: forget refuses');
abandoned($job, qr/at "postgresql:.*DETAIL:  Tables whose names begin with "$id", rows of the ledger with that job\.\n/s, 'a server that does not run');
$warehouse->start;
like(leftovers($warehouse), qr/^\Q$id\E_0$/, 'which is so');

# ---- of what is finished, everything stays in any case
$warehouse->safe_psql('postgres', 'TRUNCATE t');
foreach my $load ('staged', 'kept')
{
	$job = sql(qq{CALL outflow.export('t', 'warehouse:public.t', options => '{"load": "$load", "publish": "replace"}')});
	$id = uuid($job);
	$warehouse->stop;
	abandoned($job, $load eq 'kept' ? qr/begin with "$id"/ : qr/^$/, "finished, $load");
	$warehouse->start;
}

# ---- a file's place is no other
my $dir = $node->basedir . '/files';
hold_exports($node, 1);
($call) = start_psql($node, "CALL outflow.export('t', 'file://$dir', part_size => '100kB')");
wait_until($node, q{SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted}, 'the export waits');
$job = cancel_held($node, $call, last_job());
$id = uuid($job);
abandoned($job, qr{at "\Q$dir\E" stays there}, 'files');
ok(-d "$dir/.outflow-$id", 'which is so');
fails("CALL outflow.export('t', 'file://$dir')", qr/another export is writing/, 'nobody takes the place for free');
done_testing();
