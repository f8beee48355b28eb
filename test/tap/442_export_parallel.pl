# Promise: an export gives back all the processes that it has taken, also when
# functions that it calls, as in policies, ask big tables: their queries run
# without parallel workers, for a lock group can't be within another one.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('parallel', conf => <<'EOC');
max_worker_processes = 8
parallel_setup_cost = 0
parallel_tuple_cost = 0
min_parallel_table_scan_size = 0
EOC
my $dir = new_export_dir();

sub sql { return $node->safe_psql('postgres', $_[0]); }

sql(<<'EOS');
CREATE TABLE big AS SELECT g AS i, repeat('x', 100) AS x FROM generate_series(1, 20000) AS g;
ANALYZE big;
CREATE FUNCTION asks(int) RETURNS boolean LANGUAGE plpgsql STABLE AS
'BEGIN RETURN (SELECT count(*) FROM public.big) >= $1; END';
CREATE FUNCTION insists(int) RETURNS boolean LANGUAGE plpgsql STABLE SET max_parallel_workers_per_gather = 4 AS
'BEGIN RETURN (SELECT count(*) FROM public.big) >= $1; END';
CREATE TABLE policed AS SELECT g AS i FROM generate_series(1, 100) AS g;
ALTER TABLE policed ENABLE ROW LEVEL SECURITY;
CREATE ROLE alice LOGIN IN ROLE pg_write_server_files;
CREATE POLICY own ON policed USING (i > 98 AND asks(i) AND insists(i));
GRANT SELECT ON policed, big TO alice;
EOS
like(sql('EXPLAIN SELECT count(*) FROM big'), qr/Workers Planned/, 'elsewhere such a query has parallel workers');

is(sql('SELECT count(*) > 5, max(b.n) FROM outflow.preflight(), (SELECT count(*) AS n FROM big) AS b'), 't|20000',
	'preflight() beside it');

my @ends;
foreach my $i (1 .. 12)
{
	my ($status, $out, $err) = $node->psql('postgres', "SET SESSION AUTHORIZATION alice;"
		  . " CALL outflow.export('policed', 'file://$dir/$i', part_size => '1MB', options => '{\"row_security\": true}')");
	push @ends, $err =~ /ERROR: .*/ ? $& : slurp_file("$dir/$i/part-000000.csv");
}
is_deeply(\@ends, [ ("99\n100\n") x 12 ], 'twelve exports on a server with eight worker processes');
like(sql('EXPLAIN (ANALYZE) SELECT count(*) FROM big'), qr/Workers Launched: [1-9]/, 'others still have parallel workers');

done_testing();
