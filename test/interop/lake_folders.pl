# Promise: whatever tables are called, the folders that they have in an export of many
# have names that every reader takes as they are, in files and in a store, and every
# shell in double quotes.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use IPC::Run ();
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use S3Test;
use Test::More;

my $python = $ENV{OUTFLOW_LAKE} // die "OUTFLOW_LAKE is not set: run this test by test/run\n";
my $node = new_outflow_node('folders', init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);
my $dir = new_export_dir();
my @names = ('A', 'Ä b', 'x!y', 'x%y', 'x@41');
my %readers = (delta => [qw(deltalake polars duckdb)], iceberg => [qw(pyiceberg polars duckdb)]);
my $rows = 'FROM generate_series(1, 10) AS i';

# done(INPUT, COMMAND...): what it says
sub done
{
	my ($in, @command) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run(\@command, '<', \$in, '>', \$out, '2>', \$err);
	return "$out$err";
}

# escaped(PATH): as a URL of it
sub escaped { return 'file://' . $_[0] =~ s{([^\w./~-])}{sprintf('%%%02X', ord($1))}ger; }

my @tables = map { qq("odd name"."$_") } @names;
$node->safe_psql('postgres', join(";\n", 'CREATE SCHEMA "odd name"', map { "CREATE TABLE $_ AS SELECT i AS id, true AS yes $rows" } @tables));
mkdir "$dir/kept";
keep_rows($node, "id, yes) FROM (SELECT i AS id, true AS yes $rows) AS r", "$dir/kept/$_") foreach 0, 1;

foreach my $format (qw(delta iceberg csv))
{
	my $call = qq(CALL outflow.export_schema('"odd name"', 'file://$dir/$format', format => '$format'));

	$node->safe_psql('postgres', $call) foreach 0 .. ($format ne 'csv');
	my @places = grep { -d } glob("$dir/$format/*");
	is(scalar(@places), scalar(@names), "$format: each table has a folder");
	foreach my $place (@places)
	{
		my ($folder) = $place =~ m{([^/]+)$};

		versions_are($_, $place, "$dir/kept", [ 0, 1 ], "$format, $folder: $_ reads its folder", $python) foreach @{ $readers{$format} };
		is(done($place, $python, '-c', <<'EOP'), "10\n" x 3, "$format, $folder: so do readers of files") if $format eq 'csv';
import duckdb, polars, pyarrow.dataset, sys
folder = sys.stdin.read()
print(duckdb.sql(f"SELECT count(*) FROM read_csv('{folder}/*.csv', columns = {{'id': 'int', 'yes': 'boolean'}})").fetchone()[0])
print(polars.read_csv(f'{folder}/*.csv', has_header=False).height)
# it has no option for files without a header
print(pyarrow.dataset.dataset(folder, format='csv', exclude_invalid_files=False, ignore_prefixes=['_']).count_rows() + 1)
EOP
		# at its prompt it puts older commands in place of some
		like(done(qq(cd "$place" && pwd\n), 'bash', '--norc', '-i'), qr/^\Q$place\E$/m, "$format, $folder: and a shell");
	}
	is(done(escaped($places[0]), $python, '-c', <<'EOP'), "10 10 10 10\n", "$format: an escaped URL is read as well, and a boolean looked for") if $format eq 'delta';
import deltalake, duckdb, duckdb_extension_delta, os, polars, sys
from pyarrow.dataset import field
url = sys.stdin.read()
folder = os.path.dirname(duckdb_extension_delta.__file__) + f'/extensions/v{duckdb.__version__}'
db = duckdb.connect(config={'allow_unsigned_extensions': True})
db.execute(f"LOAD '{folder}/delta.duckdb_extension'")
print(deltalake.DeltaTable(url).to_pyarrow_table().num_rows, polars.read_delta(url).height,
      db.sql(f"SELECT count(*) FROM delta_scan('{url}')").fetchone()[0],
      deltalake.DeltaTable(url).to_pyarrow_table(filters=field('yes') == True).num_rows)
EOP
}

# in a store, which has keys, and in whose requests they are escaped
my $store = start_s3('seaweedfs');
$node->safe_psql('postgres', s3_server_sql('lake', $store));
$node->safe_psql('postgres', q(CALL outflow.export_schema('"odd name"', 'lake:odd', format => 'delta'))) foreach 0, 1;
is($node->safe_psql('postgres', 'SELECT DISTINCT status FROM outflow.verify((SELECT max(job) FROM outflow.jobs))'), 'ok', 'store: verified');
foreach my $folder (map { m{([^/]+)$} } grep { -d } glob("$dir/delta/*"))
{
	is(done("s3://$store->{bucket}/odd/$folder", $python, '-c', <<'EOP', @$store{qw(endpoint key secret)}), "10 10 10\n", "store, $folder: readers take the key as it is");
import deltalake, duckdb, duckdb_extension_delta, duckdb_extension_httpfs, os, polars, sys
url = sys.stdin.read()
endpoint, key, secret = sys.argv[1:]
options = {'AWS_ENDPOINT_URL': endpoint, 'AWS_ACCESS_KEY_ID': key, 'AWS_SECRET_ACCESS_KEY': secret,
           'AWS_REGION': 'us-east-1', 'AWS_ALLOW_HTTP': 'true'}
db = duckdb.connect(config={'allow_unsigned_extensions': True})
for module, name in ((duckdb_extension_httpfs, 'httpfs'), (duckdb_extension_delta, 'delta')):
    db.execute(f"LOAD '{os.path.dirname(module.__file__)}/extensions/v{duckdb.__version__}/{name}.duckdb_extension'")
db.execute(f"CREATE SECRET (TYPE s3, KEY_ID '{key}', SECRET '{secret}', ENDPOINT '{endpoint.split('//')[1]}',"
           " URL_STYLE 'path', USE_SSL false, REGION 'us-east-1')")
print(deltalake.DeltaTable(url, storage_options=options).to_pyarrow_table().num_rows,
      polars.read_delta(url, storage_options=options).height,
      db.sql(f"SELECT count(*) FROM delta_scan('{url}')").fetchone()[0])
EOP
}
stop_s3($store);

$node->stop;
done_testing();
