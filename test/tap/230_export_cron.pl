# Promise: pg_cron can start exports: the job runs under its owner's rights
# after the cron job's transaction, and run_queue() starts what stayed queued.
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

sql('CREATE EXTENSION outflow; CREATE EXTENSION pg_cron;'
	  . 'CREATE ROLE exporter LOGIN IN ROLE pg_write_server_files;'
	  . 'CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 1000) AS g;'
	  . 'GRANT SELECT ON t TO exporter; GRANT USAGE ON SCHEMA cron TO exporter');

# one job queued before, which nobody but cron starts
sql("SELECT outflow.cancel(outflow.export_start('t', 'file://$export/queued'))");
sql("UPDATE outflow.job SET state = 'queued'");

$node->safe_psql('postgres', <<"EOC", extra_params => [ '-U', 'exporter' ]);
SELECT cron.schedule('export', '* * * * *',
	\$\$SELECT outflow.export_start('public.t', 'file://$export/' || to_char(now(), 'HH24MI'))\$\$);
EOC
sql(q{SELECT cron.schedule('queue', '* * * * *', 'SELECT outflow.run_queue()')});

# cron's clock ticks once a minute
ok( $node->poll_query_until('postgres',
		"SELECT count(*) > 0 FROM outflow.jobs WHERE owner = 'exporter' AND state = 'done'"),
	'cron starts an export, which ends');
ok( $node->poll_query_until('postgres', "SELECT state = 'done' FROM outflow.jobs WHERE job = 1"),
	'and one that was queued');
is( sql("SELECT DISTINCT r.status, r.username FROM cron.job_run_details AS r"
		  . " JOIN cron.job USING (jobid) WHERE jobname = 'export'"),
	'succeeded|exporter', 'cron saw it succeed');

my $directory = substr(sql("SELECT destination FROM outflow.jobs WHERE owner = 'exporter' LIMIT 1"), 7);
sql("COPY t TO '$export/copy' CSV");
is(slurp_file("$directory/part-000000.csv"), slurp_file("$export/copy"), 'the export is the table');
ok(-e "$directory/_SUCCESS", 'and says that it is complete');

done_testing();
