# Promise: preflight() names what a plain server lacks, and what it says to do
# makes the server ready: afterwards the plugin may be used.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# a server as it comes, without the settings of the other tests
delete $ENV{TEMP_CONFIG};
my $node = PostgreSQL::Test::Cluster->new('plain');
$node->init;
$node->append_conf('postgresql.conf', <<'EOC');
wal_level = replica
max_replication_slots = 0
max_wal_senders = 0
max_worker_processes = 2
EOC
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION outflow');

# not_ok(): the items that are not in order
sub not_ok
{
	return $node->safe_psql('postgres',
		q{SELECT item FROM outflow.preflight() WHERE NOT ok AND item !~ '^disk'});
}

my $listed = $node->safe_psql('postgres',
	"SELECT count(*) FROM pg_settings WHERE name = 'output_plugin_libraries'");
my $expected = "wal_level\nmax_replication_slots\nmax_wal_senders\n"
  . 'max_worker_processes';
$expected = "output_plugin_libraries\n$expected" if $listed;
is(not_ok(), $expected, 'a plain server lacks what it lacks');

# do what it says, one statement at a time
my $fixes = $node->safe_psql('postgres',
	q{SELECT fix FROM outflow.preflight() WHERE NOT ok AND item !~ '^disk'});
foreach my $statement (split(/;/, $fixes =~ s/--[^\n]*//gr))
{
	$node->safe_psql('postgres', $statement) if $statement =~ /\S/;
}
$node->restart;
is(not_ok(), '', 'after its own fixes nothing is missing');

# the longest list that the fix had to keep whole
if ($listed)
{
	$node->safe_psql('postgres',
		q{ALTER SYSTEM SET output_plugin_libraries = pgoutput, '$libdir/a b'});
	$node->reload;
	$node->poll_query_until('postgres',
		q{SELECT current_setting('output_plugin_libraries') ~ 'a b'});
	like(
		$node->safe_psql('postgres',
			q{SELECT fix FROM outflow.preflight() WHERE NOT ok}),
		qr{= pgoutput, "\$libdir/a b", outflow;},
		'the fix keeps the libraries that were listed');

	# under its other name alone
	$node->safe_psql('postgres',
		'ALTER SYSTEM SET output_plugin_libraries = outflow_wal2json');
	$node->reload;
	$node->poll_query_until('postgres',
		q{SELECT current_setting('output_plugin_libraries') = 'outflow_wal2json'});
	is(not_ok(), '', 'the name for consumers of wal2json is enough');
}

$node->stop;
done_testing();
