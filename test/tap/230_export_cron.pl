# Promise: pg_cron can start exports: by a direct CALL, whose outcome it records, each
# night on top of the last one, in its own and in another database, with old ones pruned;
# and without waiting, when run_queue() starts what stayed queued.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $export = new_export_dir();
my $node = PostgreSQL::Test::Cluster->new('cron');

need_library($node, 'pg_cron');

# pg_cron connects like a client, through the only socket that there is
$node->init(allows_streaming => 'logical');
$node->append_conf('postgresql.conf', <<"EOC");
shared_preload_libraries = 'pg_cron'
cron.database_name = 'postgres'
cron.host = '@{[ $node->host ]}'
EOC
$node->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# schedule(FUNCTION, ...): as the role that may export
sub schedule
{
	my ($function, @arguments) = @_;

	$node->safe_psql('postgres', "SELECT cron.$function(" . join(', ', map { "\$a\$$_\$a\$" } @arguments) . ')',
		extra_params => [ '-U', 'exporter' ]);
	return;
}

# since cron began
sub outcome
{
	return sql("SELECT r.status || ' ' || r.return_message FROM cron.job_run_details AS r"
		  . " JOIN cron.job USING (jobid) WHERE jobname = '$_[0]' AND r.status IN ('succeeded', 'failed') ORDER BY runid LIMIT 1");
}

sql('CREATE EXTENSION outflow; CREATE EXTENSION pg_cron;'
	  . 'CREATE ROLE exporter LOGIN IN ROLE pg_write_server_files;'
	  . 'CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 1000) AS g;'
	  . 'GRANT SELECT ON t TO exporter; GRANT USAGE ON SCHEMA cron TO exporter;'
	  . 'GRANT EXECUTE ON FUNCTION cron.schedule_in_database TO exporter');
sql('CREATE DATABASE shop');
$node->safe_psql('shop', 'CREATE EXTENSION outflow; CREATE TABLE u (id int); GRANT SELECT ON u TO exporter');

# one job queued before, which nobody but cron starts
sql("SELECT outflow.cancel(outflow.export_start('t', 'file://$export/queued'))");
sql("UPDATE outflow.job SET state = 'queued'");

# nights of before: three minutes ago, and so on
my @nights = map {
	$node->safe_psql('postgres', "CALL outflow.export('t', 'file://$export/night-$_')", extra_params => [ '-U', 'exporter' ]) } 1 .. 3;

schedule('schedule', 'later', '* * * * *',
	"SELECT outflow.export_start('public.t', 'file://$export/' || to_char(now(), 'HH24MI'))");
schedule('schedule', 'nightly', '* * * * *',
	"CALL outflow.export('public.t', 'file://$export/night-' || to_char(now(), 'HH24MI'), options => '{\"base\": \"last\"}')");
schedule('schedule', 'old', '* * * * *', "SELECT * FROM outflow.prune('file://$export/night-', 2)");
schedule('schedule', 'refused', '* * * * *', "CALL outflow.export('public.none', 'file://$export/refused')");
schedule('schedule_in_database', 'other', '* * * * *',
	"CALL outflow.export('public.u', 'file://$export/other-' || to_char(now(), 'HH24MI'))", 'shop');
sql(q{SELECT cron.schedule('queue', '* * * * *', 'SELECT outflow.run_queue()')});

# cron's clock ticks once a minute
ok($node->poll_query_until('postgres', "SELECT state = 'done' FROM outflow.jobs WHERE job = 1"),
	'cron starts one that was queued');
ok( $node->poll_query_until('postgres',
		"SELECT count(DISTINCT jobid) = 6 FROM cron.job_run_details WHERE status IN ('succeeded', 'failed')"),
	'every job has had its turn');
ok( $node->poll_query_until('postgres',
		"SELECT count(*) > 0 FROM outflow.jobs WHERE destination ~ '$export/[0-9]+\$' AND state = 'done'"),
	'an export that nobody waits for ends');
is( sql("SELECT DISTINCT r.status, r.username FROM cron.job_run_details AS r"
		  . " JOIN cron.job USING (jobid) WHERE jobname = 'later'"),
	'succeeded|exporter', 'cron saw it start');
like(outcome('nightly'), qr/^succeeded /, 'a direct CALL is seen to its end');
like(outcome('refused'), qr/^failed .*relation "public.none" does not exist/, 'and why it failed');
like(outcome('other'), qr/^succeeded /, 'another database\'s too');
is($node->safe_psql('shop', 'SELECT state, owner FROM outflow.jobs ORDER BY job LIMIT 1'), 'done|exporter', 'where it is done');
is( sql("SELECT state, parts_carried FROM outflow.jobs WHERE destination LIKE '%night-%' AND job > $nights[2] ORDER BY job LIMIT 1"),
	'done|1', 'each night carries over what the last one has');
like(outcome('old'), qr/^succeeded /, 'old ones are pruned');
cmp_ok(scalar(() = glob("$export/night-[123]")), '<', 3, 'and gone');
is(sql("SELECT count(*) FROM outflow.jobs WHERE job = $nights[0]"), '0', 'with their records');

my $directory = substr(sql("SELECT destination FROM outflow.jobs WHERE destination LIKE '%night-%' ORDER BY job DESC LIMIT 1"), 7);
sql("COPY t TO '$export/copy' CSV");
is(slurp_file("$directory/part-000000.csv"), slurp_file("$export/copy"), 'the export is the table');
ok(-e "$directory/_SUCCESS", 'and says that it is complete');

done_testing();
