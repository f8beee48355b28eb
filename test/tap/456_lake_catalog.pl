# Promise: versions of Iceberg tables go to a REST catalog once, whatever it answers;
# nothing that it says leads requests elsewhere, and what it can't mean is an error.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use CatalogTest;
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $catalog = start_catalog();
my $node = new_outflow_node('catalog', conf => "autovacuum = off\noutflow.retries = 0\n");
my $dir = new_export_dir();
my $lake = "$dir/t";
my ($oldest, $version) = (0, -1);

$ENV{LAKE_CATALOG} = "http://127.0.0.1:$catalog->{upstream} shop t";
$catalog->make_namespace('shop');
$node->safe_psql('postgres', $catalog->server_sql('cat', q{client_id 'outflow', client_secret 'CANARY'}, retries => 1)
	  . "CREATE TABLE t AS SELECT i AS id, (i / 8.0)::numeric(9,3) AS n, repeat('n', 90) AS note FROM generate_series(1, 3000) i");

# export(DIRECTORY, NAME, ARGUMENTS): status, and what it says
sub export
{
	my ($directory, $name, $arguments) = @_;
	my ($out, $err);
	my $status = $node->psql('postgres',
		"CALL outflow.export('t', 'file://$directory', format => 'iceberg', part_size => '64kB',"
		  . qq( options => '{"catalog": "$name"}') . ($arguments ? ", $arguments" : '') . ')',
		stdout => \$out, stderr => \$err);

	return ($status, "$out$err");
}

# next_version(NAME, ARGUMENTS)
sub next_version
{
	my ($name, $arguments) = @_;

	$node->safe_psql('postgres', "UPDATE t SET note = '$name' WHERE id = 1");
	$version++;
	keep_rows($node, 'id, n::text, note) FROM t', "$dir/$version");
	my ($status, $said) = export($lake, 'cat:shop.t', $arguments);
	is($status, 0, "$name: exported") or diag($said);
	versions_are('plain', $lake, $dir, [ $oldest .. $version ], "$name: all versions are what they were");
	return;
}

# lie(JSON, PATTERN, NAME): what an export says to that, at the call
sub lie
{
	my ($json, $pattern, $name) = @_;
	my $jobs = $node->safe_psql('postgres', 'SELECT count(*) FROM outflow.jobs');

	$catalog->set('lies', $json);
	like((export($lake, 'cat:shop.t'))[1], $pattern, $name);
	$catalog->set('lies');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM outflow.jobs'), $jobs, "$name: no job is left");
	return;
}

# the first version
$catalog->set('lies', qq({"location": "file://$dir/other"}));
like((export($lake, 'cat:shop.t'))[1], qr/the catalog would have table "shop\.t" in another place.*"file:.*other"/s, 'a catalog that insists on its own place');
$catalog->set('lies');
$node->safe_psql('postgres', 'SELECT outflow.forget(job) FROM outflow.jobs');
is_deeply([ grep { /parquet|avro/ } files_below($dir) ], [], 'and nothing is left');
$catalog->faults('POST /tables/t$ lost');
next_version('a first version whose answer was lost');
$catalog->faults('POST /tables/t$ late-500');
next_version('late 500');
foreach my $fault (qw(lost late-500 503 409 429 401))
{
	$catalog->faults("POST /tables/t\$ $fault");
	next_version($fault);
}
is(scalar(() = $catalog->snapshots('shop', 't')), $version + 1, 'each version is there once');

# what is unknown stays so, and stays there
$catalog->faults('POST /tables/t$ silent');
$node->safe_psql('postgres', q(UPDATE t SET note = 'silence'));
like((export($lake, 'cat:shop.t'))[1], qr/could not learn whether table "shop\.t" was changed.*Resume the job/s, 'silence');
like(($node->psql('postgres', 'SELECT outflow.forget(max(job)) FROM outflow.jobs'))[2], qr/could not/, '... which is not forgotten');
$catalog->faults();
$version++;
keep_rows($node, 'id, n::text, note) FROM t', "$dir/$version");
my $job = $node->safe_psql('postgres', 'SELECT max(job) FROM outflow.jobs');
$node->safe_psql('postgres', "CALL outflow.resume($job)");
versions_are('plain', $lake, $dir, [ 0 .. $version ], '... and is there once when it is known');
is($node->safe_psql('postgres', "SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job)"), 'ok', '... which stands verification');

# what was called an error, and is done late: after another try, or before it
foreach my $second ('', 'overtaken')
{
	my $name = $second ? 'a late commit before its second try' : 'a late commit after its second try';

	$catalog->set('go');
	$catalog->faults('POST /tables/t$ late', $second ? 'POST /tables/t$ overtaken' : ());
	next_version($name);
	$catalog->set('go', '');
	wait_for_line("$catalog->{dir}/log", qr/ late /);
	like(join(' ', $catalog->requests(qr/late|POST .*tables.t 409/)), $second ? qr/late 200.*409/ : qr/late 409/, "$name: the other was refused");
	is(scalar(() = $catalog->snapshots('shop', 't')), $version + 1, "$name: one snapshot");
}

# a tag that is set while a version is on its way
$catalog->set('go');
$catalog->set('held');
my @before = $catalog->snapshots('shop', 't');
$catalog->faults('POST /tables/t$ hold');
$node->safe_psql('postgres', q(UPDATE t SET note = 'tagged' WHERE id = 1));
$version++;
keep_rows($node, 'id, n::text, note) FROM t', "$dir/$version");
my ($session, $told) = start_psql($node,
	"CALL outflow.export('t', 'file://$lake', format => 'iceberg', part_size => '64kB', options => '{\"catalog\": \"cat:shop.t\"}')");
wait_for_line("$catalog->{dir}/held", qr/./);
$catalog->set_ref('shop', 't', 'kept', $before[2]{'snapshot-id'});
$catalog->set('go', '');
$session->finish;
unlike($$told, qr/ERROR/, 'a tag that is set while a version is on its way') or diag($$told);
is($catalog->ask('GET', 'namespaces/shop/tables/t')->{metadata}{refs}{kept}{'snapshot-id'}, $before[2]{'snapshot-id'}, 'stays');
versions_are('plain', $lake, $dir, [ 0 .. $version ], 'with all versions');

# what others have set for the branch
@before = $catalog->snapshots('shop', 't');
$catalog->ask('POST', 'namespaces/shop/tables/t', { requirements => [], updates => [ { action => 'set-snapshot-ref', 'ref-name' => 'main',
	type => 'branch', 'snapshot-id' => $before[-1]{'snapshot-id'}, 'min-snapshots-to-keep' => 5, 'max-ref-age-ms' => 7 } ] });
next_version('a branch with settings');
my $main = $catalog->ask('GET', 'namespaces/shop/tables/t')->{metadata}{refs}{main};
is(join(' ', map { $main->{$_} // '' } qw(min-snapshots-to-keep max-snapshot-age-ms max-ref-age-ms)), '5  7', 'keeps them');

# partitions that others have tried, and whose name a column has by now
$catalog->ask('POST', 'namespaces/shop/tables/t', { requirements => [], updates => [ { action => 'add-spec', spec => { 'spec-id' => 1,
	fields => [ { name => 'id_bucket', transform => 'bucket[4]', 'source-id' => 1, 'field-id' => 1000 } ] } } ] });
sub specs { return join(' ', map { $_->{'spec-id'} } @{ $catalog->ask('GET', 'namespaces/shop/tables/t')->{metadata}{'partition-specs'} }) }
next_version('a past partition spec');
is(specs(), '0 1', 'stays');
$node->safe_psql('postgres', 'ALTER TABLE t RENAME note TO id_bucket');
$version++;
keep_rows($node, 'id, n::text, id_bucket) FROM t', "$dir/$version");
is((export($lake, 'cat:shop.t'))[0], 0, 'a column of its name');
is(specs(), '0', 'takes its place');
$node->safe_psql('postgres', 'ALTER TABLE t RENAME id_bucket TO note');

# what a catalog can't mean, or leads elsewhere
lie('{"config": {"overrides": {"prefix": "../../admin"}}}', qr/has a prefix that cannot be used/, 'a prefix that leads elsewhere');
lie('{"config": {"overrides": {"uri": "http://127.0.0.1:1/", "prefix": "a b?c"}}, "answer": ["^/v1/a%20b%3Fc/", "{}"]}',
	qr/told nothing of table "shop\.t"/, 'another uri is not asked, and a prefix is encoded');
lie('{"answer": ["/config", "<html>"]}', qr/gave an answer that cannot be used.*It is not JSON/s, 'no JSON');
lie('{"answer": ["/oauth/tokens", "{\"access_token\": \"a\\\\r\\\\nX: y\"}"]}', qr/gave no token that can be used/, 'a token that is none');
lie('{"moved": ["/tables/t$", "http://127.0.0.1:1/"]}', qr/could not load table "shop\.t".*answered 307/s, 'a redirection');
lie('{"answer": ["/tables/t$", "{\"metadata\": {\"format-version\": 3, \"location\": \"file://' . $lake . '\", \"current-snapshot-id\": -1}}"]}',
	qr/has features that exports do not write/, 'another format version');
lie('{"answer": ["/tables/t$", "{\"metadata\": {\"format-version\": 2, \"location\": \"file:///elsewhere\"}}"]}',
	qr/table "shop\.t" of the catalog is in another place/, 'a table elsewhere');
foreach my $uri ('http://169.254.169.254', 'http://metadata.google.internal')
{
	$node->safe_psql('postgres', "ALTER SERVER cat OPTIONS (SET uri '$uri', SET retries '0', ADD connect_timeout '1')");
	like((export($lake, 'cat:shop.t'))[1], qr/could not get a token.*(must not be connected to|could not look up host)/s, "$uri is never connected to");
	$node->safe_psql('postgres', "ALTER SERVER cat OPTIONS (SET uri 'http://127.0.0.1:$catalog->{port}', SET retries '1', DROP connect_timeout)");
}
$node->safe_psql('postgres', 'ALTER SERVER cat OPTIONS (DROP allow_private, SET uri \'https://127.0.0.1:1\')');
like((export($lake, 'cat:shop.t'))[1], qr/loopback address.*must not be connected to|a loopback address must not/s, 'nor without allow_private a loopback address');
$node->safe_psql('postgres', "ALTER SERVER cat OPTIONS (ADD allow_private 'on', SET uri 'http://127.0.0.1:$catalog->{port}')");

# room
my $files = lake_files($lake);
$node->safe_psql('postgres', "SELECT * FROM outflow.lake_vacuum('file://$lake', interval '0', 'cat:shop.t')");
cmp_ok(scalar(() = lake_files($lake)), '<', $files, 'a vacuum removes files');
is($node->safe_psql('postgres', "SELECT count(*) FROM outflow.lake_versions('file://$lake', 'cat:shop.t')"), 6, 'and leaves as many versions as the branch is to keep, and the one with a tag');
versions_are('plain', $lake, $dir, [2], 'which is what it was');
$catalog->ask('POST', 'namespaces/shop/tables/t', { requirements => [], updates => [ { action => 'remove-snapshot-ref', 'ref-name' => 'kept' } ] });
$node->safe_psql('postgres', "SELECT * FROM outflow.lake_vacuum('file://$lake', interval '0', 'cat:shop.t')");
versions_are('plain', $lake, $dir, [$version], 'which needs nothing of the others');
$oldest = $version;
next_version('the next one');

# a commit whose answer was lost, onto which others have gone on before anybody asked
$catalog->faults('POST /tables/t$ silent');
$node->safe_psql('postgres', q(UPDATE t SET note = 'beneath'));
like((export($lake, 'cat:shop.t'))[1], qr/could not learn whether/, 'another answer that was lost');
$catalog->faults();
@before = $catalog->snapshots('shop', 't');
$catalog->set_ref('shop', 't', undef, 77, { action => 'add-snapshot', snapshot => {
	'snapshot-id' => 77, 'parent-snapshot-id' => $before[-1]{'snapshot-id'}, 'sequence-number' => @before + 100, 'timestamp-ms' => time() * 1000,
	'manifest-list' => 'file:///elsewhere', summary => { operation => 'append', 'engine-name' => 'Other' } } });
$job = $node->safe_psql('postgres', 'SELECT max(job) FROM outflow.jobs');
my @files = files_below($lake);
$node->safe_psql('postgres', "CALL outflow.resume($job)");
is($node->safe_psql('postgres', "SELECT state FROM outflow.jobs WHERE job = $job"), 'done', 'resumed: its version is found beneath another');
is_deeply([ map { $_->{'snapshot-id'} } $catalog->snapshots('shop', 't') ], [ (map { $_->{'snapshot-id'} } @before), 77 ], 'and is there once');
is_deeply([ grep { !m{_outflow_sent|^\.outflow} } @files ], [ files_below($lake) ], 'with all files');
like((export($lake, 'cat:shop.t'))[1], qr/version 77 of the Iceberg table in .* is not of an export/, 'the next one is refused');
unlike(slurp_file($node->logfile) =~ s/.*(USER MAPPING|CREATE SERVER).*//gr, qr/CANARY/, 'no secret is in the log');

$node->stop;
done_testing();
