# Promise: what ends an export says what is to be done: to resume it only where
# that can help, and else to forget it and what to change.  It shows no SQL of
# our own.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('errors');
my $dir = new_export_dir();

sub sql { return $node->safe_psql('postgres', $_[0]); }

# error_of(SQL, SETTINGS): what psql says
sub error_of
{
	my ($sql, %params) = @_;
	my (undef, undef, $err) = $node->psql('postgres', $sql, %params);

	return $err;
}

sql(<<'EOS');
CREATE TABLE lossy (k int, n numeric(5,2));
INSERT INTO lossy VALUES (1, 1), (2, 'NaN');
CREATE TABLE large (k int, t text);
CREATE FUNCTION fails(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
'BEGIN RAISE insufficient_resources; END';
EOS

# ---- hints

my $err = error_of("CALL outflow.export('lossy', 'file://$dir/lossy', format => 'parquet')");
like($err, qr/ERROR: .*a value that Parquet can't hold/, 'a value that the format can\'t hold');
like($err, qr/HINT:  Set the option "lossy" to .*SELECT outflow\.forget\(\d+\)/, '... says what to change, and forget');
unlike($err, qr/resume/, '... and not resume');
like($err, qr/DETAIL:  The row with ctid \(0,2\)/, '... and where the row is');

$err = error_of("CALL outflow.export('lossy', 'file://$dir/divided', filter => '1 / (k - 2) > 0')");
like($err, qr/division by zero.*HINT:  SELECT outflow\.forget\(\d+\).*change what the error names/s,
	'a filter that fails: forget');
unlike($err, qr/resume/, '... and not resume');

$node->append_conf('postgresql.conf', 'outflow.retries = 0');
sql('SELECT pg_reload_conf()');
sql('SELECT outflow.forget(job) FROM outflow.jobs');
rmdir "$dir/lossy";
$err = error_of("CALL outflow.export('lossy', 'file://$dir/passing', filter => 'public.fails(k)')");
like($err, qr/insufficient_resources.*CALL outflow\.resume\(\d+\) continues it/s, 'what may pass: resume');
sql('SELECT outflow.forget(job) FROM outflow.jobs');

done_testing();
