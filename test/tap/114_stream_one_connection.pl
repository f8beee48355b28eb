# Promise: what else a session does with SQL, before it streams on the same connection
# and after that, changes nothing of the records; nor does what was streamed change
# what SQL sees and may do then.
use strict;
use warnings;

use FindBin;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('one');
my $client = "$FindBin::RealBin/../lib/one_connection.py";

sub sql { return $node->safe_psql('postgres', $_[0]) }

# on_one(STEP...): what one_connection.py says of them
sub on_one
{
	my ($out, $err) = ('', '');

	IPC::Run::run([ $ENV{OUTFLOW_PYTHON}, $client, $node->connstr('postgres') . " user=$_[0]", @_[ 1 .. $#_ ] ],
		'>', \$out, '2>', \$err, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	is($err, '', "the client works: $_[-1]");
	return $out =~ s/x{9,}//gr;
}

sub make_slot
{
	sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots; SELECT pg_create_logical_replication_slot('s', 'outflow')");
	return;
}

sql('CREATE ROLE reader LOGIN REPLICATION; CREATE TABLE t (a int PRIMARY KEY, v text); CREATE PUBLICATION p FOR TABLE t (a)');

# a list of columns that has ended since
make_slot();
sql(q{INSERT INTO t VALUES (1, 'secret')});
sql('ALTER PUBLICATION p SET TABLE t');
sql(q{INSERT INTO t VALUES (2, 'public')});
my $records = on_one('postgres', "SELECT FROM t", "SELECT FROM pg_get_publication_tables('p')", "stream s 2 (publication_names 'p')");
like($records, qr/^.*"new":\{"a":1\}\}\n.*"new":\{"a":2,"v":"public"\}\}\n$/, 'columns of then are left out');
is($records, on_one('postgres', "stream s 2 (publication_names 'p')"), '... as without SQL before it');

# a column that has had another type since: its value would be taken for an address
sql('CREATE TABLE u (a int PRIMARY KEY, b int)');
make_slot();
sql('INSERT INTO u VALUES (1, 1000000000)');
sql('ALTER TABLE u ALTER b TYPE text');
like(on_one('postgres', 'SELECT FROM u', 'stream s 1'), qr/"new":\{"a":1,"b":1000000000\}/, 'values are read by the types of then');

# SQL after a stream that ends before what changed is decoded, well or by an error
foreach my $options ('', " (oversize 'error', max_value_bytes '1kB')")
{
	sql(q{CREATE TABLE m (a int PRIMARY KEY, b text); GRANT SELECT ON m TO reader, postgres});
	make_slot();
	sql(q{INSERT INTO m SELECT i, repeat('x', CASE i WHEN 2 THEN 2000 ELSE 1000 END) FROM generate_series(1, 5000) i});
	sql('REVOKE SELECT ON m FROM reader; ALTER TABLE m DROP b; ALTER TABLE m ADD c int DEFAULT 7');
	my $how = $options ? 'failed' : 'ended';
	my $stream = "stream s 1$options";

	like(on_one('reader', $stream, 'SELECT c FROM m LIMIT 1'), qr/^error: .*permission denied for table m$/m,
		"a stream $how: rights of now");
	like(on_one('postgres', $stream, 'SELECT c FROM m LIMIT 1'), qr/^7$/m, '... and columns');
	sql('DROP TABLE m');
}
$node->stop;
done_testing();
