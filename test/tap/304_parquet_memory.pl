# Promise: what a Parquet export holds in memory is bounded by
# outflow.part_memory, with 1,600 columns as with few; a value larger than that
# needs room for itself twice, not for its whole row group.
use strict;
use warnings;

use OutflowTest;
use ParquetTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = new_outflow_node('memory', conf => 'shared_buffers = 16MB');

# private_kb(PID): memory that belongs to the process alone
sub private_kb
{
	my ($pid) = @_;

	open(my $status, '<', "/proc/$pid/status") or return 0;
	while (my $line = <$status>)
	{
		return $1 if $line =~ /^RssAnon:\s+(\d+) kB/;
	}
	return 0;
}

# growth(TABLE, MEMORY, COMPRESSION): the directory, and by how many megabytes
# the exporting backend grew at most
sub growth
{
	my ($table, $memory, $compression) = @_;
	my $directory = new_export_dir() . '/out';
	my $session = $node->background_psql('postgres');
	my ($peak, $base) = (0);

	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	$session->query_safe("SET outflow.part_memory = '$memory'");
	$base = private_kb($pid);
	$session->query_until(qr/started/,
		"\\echo started\nCALL outflow.export('$table', 'file://$directory', "
		  . "format => 'parquet', compression => '$compression', workers => 0);\n"
		  . "\\echo finished\n");
	while ($node->safe_psql('postgres',
			"SELECT state FROM pg_stat_activity WHERE pid = $pid") eq 'active')
	{
		foreach (1 .. 20)
		{
			my $now = private_kb($pid);

			$peak = $now if $now > $peak;
			usleep(2000);
		}
	}
	$session->quit;
	return ($directory, ($peak - $base) / 1024);
}

$node->safe_psql('postgres', <<'EOS');
DO $$ DECLARE names text; makers text; BEGIN
SELECT string_agg(format('c%s %s', i, (ARRAY['int2', 'text', 'bool',
		'numeric(6,2)', 'date'])[1 + i % 5]), ',' ORDER BY i),
	string_agg(CASE i % 5 WHEN 0 THEN format('(g * %s %% 30000)::int2', i)
		WHEN 1 THEN format('CASE WHEN g %% 4 = 0 THEN ''t'' || g %% %s END', i)
		WHEN 2 THEN 'g % 3 = 0' WHEN 3 THEN '(g % 4000) * 0.25'
		ELSE 'date ''2020-01-01'' + g::int % 1000' END, ',' ORDER BY i)
	INTO names, makers FROM generate_series(1, 1599) i;
EXECUTE format('CREATE TABLE widest (id bigint, %s)', names);
EXECUTE format('INSERT INTO widest SELECT g, %s FROM generate_series(1, 4000) g',
	makers);
END $$;
CREATE TABLE huge (id bigint, t text);
ALTER TABLE huge ALTER t SET STORAGE EXTERNAL;
INSERT INTO huge SELECT g, repeat(md5(g::text), 3276800)
	FROM generate_series(1, 4) g;
INSERT INTO huge SELECT g, md5(g::text) FROM generate_series(5, 1000) g;
EOS

my ($directory, $megabytes) = growth('widest', '32MB', 'zstd');
# the catalog's caches come on top
cmp_ok($megabytes, '<', 32 + 8, "1,600 columns grew by $megabytes MB");
cmp_ok($megabytes, '>', 4, 'and did grow, so that it was measured');
my $facts = parquet_facts($node, "$directory/part-000000.parquet");
is($facts->{rows}, 4000, 'all rows are there');
cmp_ok($facts->{groups}, '>', 1, 'in several row groups');

foreach my $compression ('snappy', 'none')
{
	($directory, $megabytes) = growth('huge', '16MB', $compression);
	cmp_ok($megabytes, '<', 3 * 100 + 32,
		"values of 100 MB, $compression: grew by $megabytes MB");
	check_parquet($node, 'postgres', 'digests', 'huge', 't', $directory);
}

$node->stop;
done_testing();
