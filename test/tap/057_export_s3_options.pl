# Promise: each option of an S3 server does to the requests what it says, and each
# way in which stores differ has one: conditions, copies of parts, removals, what
# objects are stored as, and how a bucket and its address are found.
use strict;
use warnings;

use FakeS3;
use FindBin;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $machine = PostgreSQL::Test::Utils::tempdir();
my $names = "$machine/names";
my $store = start_fake_s3();
my $node;
{
	local $ENV{LD_PRELOAD} = "$FindBin::RealBin/../modules/machine/machine_preload.so";
	local $ENV{MACHINE} = $machine;

	$node = new_outflow_node('main', conf => "restart_after_crash = on\noutflow.retries = 0\nautovacuum = off\n");
}

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub error_of
{
	my ($code, $out, $err) = $node->psql('postgres', $_[0]);

	return $code == 0 ? "no error: $out" : $err;
}

sql(<<'EOS');
CREATE TABLE orders (id int, note text);
INSERT INTO orders SELECT g, repeat(md5(g::text), 10) FROM generate_series(1, 12000) g;
CREATE TABLE large (id int, payload text);
ALTER TABLE large ALTER payload SET STORAGE EXTERNAL;
INSERT INTO large SELECT g, string_agg(md5(g || '/' || i), '') FROM generate_series(1, 200) g, generate_series(1, 2000) i GROUP BY g ORDER BY g;
EOS

sub server
{
	my ($name, %options) = @_;

	# as slow as the machine may be
	sql($store->server_sql($name, stall_timeout => 120, %options));
	return;
}

sub is_whole
{
	my ($table, $prefix, $title) = @_;

	ok($store->content("$prefix/") eq sql("COPY $table TO STDOUT (FORMAT csv)") . "\n", "$title: whole");
	is($store->keys("$prefix/.outflow"), '', "$title: nothing is staged any more");
	is($store->uploads, '', "$title: no upload is left");
	return;
}

sub export { return sql("CALL outflow.export('$_[0]', '$_[1]'" . ($_[2] // ", part_size => '1GB'") . ')'); }

sub resume_last { return sql('CALL outflow.resume(' . sql('SELECT max(job) FROM outflow.jobs') . ')'); }

# What objects are stored as: all of them, however they come there
my %wanted = (
	'x-amz-storage-class' => 'STANDARD_IA', 'x-amz-server-side-encryption' => 'aws:kms',
	'x-amz-server-side-encryption-aws-kms-key-id' => 'arn:aws:kms:eu-central-1:111122223333:key/1',
	'x-amz-tagging' => 'team=data&keep=90d');
server('stored', storage_class => 'STANDARD_IA', encryption => 'kms', kms_key_id => $wanted{'x-amz-server-side-encryption-aws-kms-key-id'},
	tags => $wanted{'x-amz-tagging'}, content_type => 'text/csv', max_copy_size => '6MB');
my $job = export('large', 'stored:options/large');
export('orders', 'stored:options/orders');
sql("CALL outflow.export('large', 'stored:options/again', part_size => '1GB', base => $job)");
my @headers = $store->headers(qr{^options/});
cmp_ok(scalar(@headers), '>', 15, 'objects were written');
foreach my $name (sort keys %wanted)
{
	is(scalar(grep { ($_->{$name} // '') ne $wanted{$name} } @headers), 0, "$name goes with each of them");
}
my @copies = grep { $_->{'x-amz-copy-source'} } @headers;
cmp_ok(scalar(@copies), '>', 0, 'some are copies');
is(scalar(grep { $_->{'x-amz-tagging-directive'} ne 'REPLACE' } @copies), 0, 'which get tags of their own');
is(scalar(grep { !$_->{'x-amz-copy-source'} && $_->{'content-type'} ne 'text/csv' } @headers), 0, 'and the others their type');
is_whole('large', 'options/again', 'carried');
is(scalar(grep { $_->{'x-amz-security-token'} ne 'token-CANARY' } @headers), 0, 'the token of temporary credentials goes with all');
server('sse', encryption => 's3');
export('orders', 'sse:sse');
is(scalar(grep { $_->{'x-amz-server-side-encryption'} ne 'AES256' || $_->{'x-amz-server-side-encryption-aws-kms-key-id'} } $store->headers(qr{^sse/})),
	0, 'encryption by the store');
like(error_of($store->server_sql('wrong', kms_key_id => 'x')), qr/It goes with encryption 'kms'/, 'a key id alone is refused');

# Copies of what is larger than one request copies
server('ranges', max_copy_size => '6MB');
$store->forget_requests;
$job = export('large', 'ranges:ranges');
is_whole('large', 'ranges', 'published by ranges');
is($store->asked(qr{^PUT \S*/ranges/part-\S+partNumber=\S+ copy$}), 3, 'three ranges of one part');
is($store->asked(qr{^PUT \S*/ranges/part-[^?]* copy$}), 0, 'and no copy of the whole');
$store->forget_requests;
sql("CALL outflow.export('large', 'ranges:ranges2', part_size => '1GB', base => $job)");
is_whole('large', 'ranges2', 'carried by ranges');
is($store->asked(qr{^PUT \S*partNumber=\d+&\S*$}), 0, 'no bytes of it pass through here');
is($store->asked(qr{^PUT \S*partNumber=\S+ copy$}), 6, 'but twice three ranges, within the store');

# A process that is killed between two of them
$store->faults('hang copy');
$job = sql("SELECT outflow.export_start('large', 'ranges:killed', part_size => '1GB', workers => 1)");
wait_for_line("$store->{dir}/log", qr{^PUT \S*/killed/part-\S+ copy$}m);
kill 'KILL', sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'outflow coordinator'") || die 'no coordinator';
$node->poll_query_until('postgres', 'SELECT true') or die;
wait_until($node, "SELECT state = 'interrupted' FROM outflow.jobs WHERE job = $job", 'the end of a job');
$store->faults();
like($store->uploads, qr{^killed/part-\S+$}, 'leaves an upload of the part itself');
my ($stranger) = $store->s3('POST', 'killed/part-000000.csv?uploads') =~ /<UploadId>(\d+)</;
sql("SELECT outflow.forget($job)");
like($store->uploads, qr{^killed/part-\S+$}, 'which is ended by forget, and nobody else\'s');
is($store->keys('killed'), '', 'and nothing stays');
$store->s3('DELETE', "killed/part-000000.csv?uploadId=$stranger");

# The beginning of such an upload has no answer: its id is never told
sub begin_stranger { return ($store->s3('POST', "$_[0]?uploads") =~ /<UploadId>(\d+)</)[0]; }
sub upload_ids { return join(' ', $store->s3('GET', '?uploads&prefix=') =~ m{<UploadId>(.*?)</UploadId>}g); }
sub end_upload { return $store->s3('DELETE', "$_[0]?uploadId=$_[1]"); }
$stranger = begin_stranger('lost/part-000000.csv');
sleep(2);
$store->forget_requests;
$store->faults('lose POST lost/part-000000.csv?uploads');
export('large', 'ranges:lost');
$store->faults();
is($store->asked(qr{^POST \S*/lost/part-000000\.csv\?uploads}), 2, 'no answer: it is begun once more');
ok($store->content('lost/') eq sql('COPY large TO STDOUT (FORMAT csv)') . "\n", 'no answer: whole');
is(upload_ids(), $stranger, 'no answer: the first one is ended, and nobody else\'s');
end_upload('lost/part-000000.csv', $stranger);

# nor to a process that is killed meanwhile
$store->faults('hold POST unknown/part-000000.csv?uploads');
$job = sql("SELECT outflow.export_start('large', 'ranges:unknown', part_size => '1GB', workers => 1)");
wait_for_line("$store->{dir}/log", qr{^POST \S*/unknown/part-000000\.csv\?uploads}m);
kill 'KILL', sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'outflow coordinator'") || die 'no coordinator';
$node->poll_query_until('postgres', 'SELECT true') or die;
wait_until($node, "SELECT state = 'interrupted' FROM outflow.jobs WHERE job = $job", 'the end of a job');
$store->faults();
wait_for_line("$store->{dir}/log", qr{^begun unknown/part-000000\.csv$}m);
my $used = begin_stranger('unknown/part-000000.csv');
$store->s3('PUT', "unknown/part-000000.csv?partNumber=1&uploadId=$used", 'theirs');
$store->faults('clock 1000');
$stranger = begin_stranger('unknown/part-000000.csv');
$store->faults();
sql("SELECT outflow.forget($job)");
is(upload_ids(), "$used $stranger", 'killed: what it had begun is ended by forget, but what has a part, or was begun later');
is($store->keys('unknown'), '', 'and nothing stays');
end_upload('unknown/part-000000.csv', $_) foreach ($used, $stranger);

# Of a host's two addresses, the first says nothing: some of the time is the other's
my $silent = hang_at('127.0.0.2', $store->{port});
append_to_file($names, "two.test 127.0.0.2\ntwo.test 127.0.0.1\n");
server('two', endpoint => "http://two.test:$store->{port}", path_style => 'on', connect_timeout => 6, retries => 0);
export('orders', 'two:two');
is_whole('orders', 'two', 'by the second address');
unlink $names;
undef $silent;

# Buckets that insist on conditions, for all that is written
server('strict', conditional => 'all');
$store->faults('insist');
like(error_of($store->server_sql('lax') . "CALL outflow.export('orders', 'lax:lax')"), qr/AccessDenied/, 'the fake insists');
foreach my $table ('orders', 'large')
{
	$job = export($table, "strict:insist/$table");
	is_whole($table, "insist/$table", "$table where conditions are a must");
	sql("CALL outflow.export('$table', 'strict:insist/$table', part_size => '1MB', options => '{\"overwrite\": true}')");
	is_whole($table, "insist/$table", "$table overwritten");
	$job = sql('SELECT max(job) FROM outflow.jobs');
	like(error_of("CALL outflow.export('$table', 'strict:insist', options => '{\"overwrite\": true}')"),
		qr/ERROR:  directory ".*" holds other directories, but no export.*\nDETAIL:  It holds "/, '... but not what it lies in');
	sql("CALL outflow.export('$table', 'strict:insist/$table-again', part_size => '1MB', base => $job)");
	is_whole($table, "insist/$table-again", "$table carried");
}
unlike(sql("SELECT ok FROM outflow.check_destination('strict:insist/check')"), qr/f/, 'all is well there');
$store->faults();

# 409: somebody else writes at the same time, or an upload is gone
server('patient', retries => 3);
$store->faults('racing 2');
export('orders', 'patient:racing');
is_whole('orders', 'racing', 'two writers at once');
$store->faults('racing 9');
like(error_of("CALL outflow.export('orders', 'patient:raced')"), qr/could not write .*409 ConditionalRequestConflict/s, 'again and again');
is(sql('SELECT state FROM outflow.jobs ORDER BY job DESC LIMIT 1'), 'failed', 'a failure');
$store->faults();
resume_last();
is_whole('orders', 'raced', 'that can be resumed');
# and an upload that copies to a part's key is begun again; nothing exists there
$store->faults('racing 10 /clash/part-');
like(error_of("CALL outflow.export('large', 'ranges:clash', part_size => '1GB')"),
	qr/could not complete the upload of object "clash\/part-\S+" .*409 ConditionalRequestConflict/s, 'a conflict at the end of a copy');
$store->faults();
resume_last();
is_whole('large', 'clash', 'it is copied once more');

# What is larger than the store takes
server('small', max_object_size => '6MB', chunk_size => '5MB');
like(error_of("CALL outflow.export('large', 'small:limited', part_size => '1GB')"), qr/becomes too large.*Use a smaller part_size/s, 'a part that is too large');
sql('SELECT outflow.forget(' . sql('SELECT max(job) FROM outflow.jobs') . ')');
is($store->keys('limited') . $store->uploads, '', 'nothing of it stays');
export('orders', 'small:limited');
is_whole('orders', 'limited', 'a smaller one');

# Removals: many at once, where the store knows how
$store->forget_requests;
export('orders', 'patient:many', ", part_size => '200kB'");
my $parts = sql('SELECT parts_total FROM outflow.jobs ORDER BY job DESC LIMIT 1');
cmp_ok($parts, '>', 10, 'many parts');
is($store->asked(qr{^POST \S*\?delete=}), 1, 'are removed by one request');
is($store->asked(qr{^DELETE }), 1, 'and the claim by another');
foreach my $checksum ('md5', 'none', 'crc64nvme')
{
	server("bulk$checksum", checksum => $checksum);
	export('orders', "bulk$checksum:bulk/$checksum", ", part_size => '200kB'");
	is($store->keys("bulk/$checksum/.outflow"), '', "with checksum $checksum, too");
}
$store->faults('no-bulk');
export('orders', 'patient:single', ", part_size => '200kB'");
is($store->keys('single/.outflow'), '', 'one by one where it does not know how');
$store->faults('keep part-000003');
like(error_of("CALL outflow.export('orders', 'patient:kept', part_size => '200kB')"), qr/could not remove object "\S*part-000003\S*" .*AccessDenied/s, 'what stays is named');
$store->faults();
resume_last();
is_whole('orders', 'kept', 'and goes later');

# A list that can't be had: whether something is left over is not known
$job = sql('SELECT max(job) FROM outflow.jobs');
$store->faults('deny GET delimiter=');
is(sql("SELECT part, status FROM outflow.verify($job) WHERE status <> 'ok'"), '|unreadable', 'verify tells what it could not list');
$store->faults();
is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job)"), 'ok', 'and is content when it can');

# The bucket in the host's name, and whose addresses count
server('host', endpoint => "http://localhost:$store->{port}", path_style => 'off');
$store->forget_requests;
export('large', 'host:hosted');
cmp_ok($store->asked(qr{^\w+ /hosted/}), '>', 5, 'the bucket in the host\'s name');
is($store->asked(qr{ /lake}), 0, 'is not in the path of any request');
is_whole('large', 'hosted', 'a bucket in the host\'s name');

sub set_names
{
	append_to_file("$names.new", join('', map { "$_\n" } @_));
	rename "$names.new", $names or die $!;
	return;
}
set_names('store.test 127.0.0.1');
server('named', endpoint => "http://store.test:$store->{port}");
export('orders', 'named:named');
is_whole('orders', 'named', 'a name that is looked up');
my $looked = () = slurp_file("$names.log") =~ /\n/g;
my $asked = $store->asked(qr{ /lake/named});
cmp_ok($looked, '<', $asked, 'once for many requests');
foreach my $address ('169.254.169.254', '224.0.0.1')
{
	hold_exports($node, 1);
	$job = sql("SELECT outflow.export_start('orders', 'named:rebound/$address', part_size => '1MB', workers => 1)");
	wait_until($node, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted)", 'the part that is held');
	set_names("store.test $address");
	sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'outflow worker'");
	release_exports($node);
	wait_until($node, "SELECT state NOT IN ('queued', 'running') FROM outflow.jobs WHERE job = $job", 'the end of a job');
	like(error_of("CALL outflow.resume($job)"), qr/host "store.test" has a (cloud's metadata|reserved) address, which must not be connected to/, "a name that leads to $address by now");
	set_names('store.test 127.0.0.1');
	sql("CALL outflow.resume($job)");
	is_whole('orders', "rebound/$address", 'led back, the job goes on');
}

$node->stop;
done_testing();
