# Promise: an upload to an S3 store that breaks off goes on where it was: what is
# there is not sent again, and what is no more the same is; whatever the store
# says of it, the export is whole in the end, and no upload is left.
use strict;
use warnings;

use FakeS3;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('main', conf => "restart_after_crash = on\noutflow.retries = 0\nautovacuum = off\n");
my $store = start_fake_s3();

sub sql { return $node->safe_psql('postgres', $_[0]); }

sql(<<'EOS');
CREATE TABLE large (id int, payload text);
ALTER TABLE large ALTER payload SET STORAGE EXTERNAL;
INSERT INTO large SELECT g, string_agg(md5(g || '/' || i), '') FROM generate_series(1, 400) g, generate_series(1, 2000) i GROUP BY g ORDER BY g;
EOS
my $chunks = int((sql('SELECT sum(length(id::text) + length(payload) + 2) FROM large') + 5 * 1024 * 1024 - 1) / (5 * 1024 * 1024));
cmp_ok($chunks, '>', 4, 'several chunks');

sub rate
{
	sql("LOAD 'outflow'; ALTER SYSTEM SET outflow.rate_limit = '$_[0]'");
	$node->reload;
	return;
}

sub state { return sql("SELECT state FROM outflow.jobs WHERE job = $_[0]"); }

# broken_off(PREFIX, SERVER, HOW, OPTIONS): a job that ended in the middle of its
# upload, when its third chunk had been sent at least
sub broken_off
{
	my ($prefix, $server, $how, $options) = @_;

	$store->forget_requests;
	rate('8MB');
	my $job = sql("SELECT outflow.export_start('large', '$server:$prefix', part_size => '1GB', workers => 1" . ($options // '') . ')');
	wait_for_line("$store->{dir}/log", qr{^PUT \S*/$prefix/\S*partNumber=3}m);
	if ($how eq 'kill')
	{
		kill 'KILL', sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'outflow worker'") || die 'no worker';
		$node->poll_query_until('postgres', 'SELECT true') or die;
	}
	else
	{
		sql("SELECT outflow.cancel($job)");
	}
	wait_until($node, "SELECT state = 'interrupted' FROM outflow.jobs WHERE job = $job", 'the end of a job');
	rate('0');
	return $job;
}

# sent(PREFIX, NUMBER): how often
sub sent { return $store->asked(qr{^PUT \S*/$_[0]/\S*partNumber=$_[1]&}); }

sub is_whole
{
	my ($job, $prefix, $title) = @_;

	is(state($job), 'done', "$title: done");
	ok($store->content("$prefix/") eq sql('COPY large TO STDOUT (FORMAT csv)') . "\n", "$title: whole");
	is($store->keys("$prefix/.outflow"), '', "$title: nothing is staged any more");
	is($store->uploads, '', "$title: no upload is left");
	is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job, 'full')"), 'ok', "$title: verified");
	return;
}

# resumed(PREFIX, JOB, TITLE, FIRST, LAST): how often the first and the third
# chunk were sent then in all
sub resumed
{
	my ($prefix, $job, $title, $first, $third) = @_;

	sql("CALL outflow.resume($job)");
	is(sent($prefix, 1), $first, "$title: the first chunk");
	is(sent($prefix, 3), $third, "$title: the third chunk") if defined $third;
	is_whole($job, $prefix, $title);
	return;
}

foreach my $checksum ('crc32c', 'crc64nvme', 'sha256')
{
	# as slow as the machine may be
	sql($store->server_sql($checksum, checksum => $checksum, stall_timeout => 120));
	resumed("kill-$checksum", broken_off("kill-$checksum", $checksum, 'kill'), "killed, $checksum", 1);
	is(sent("kill-$checksum", $chunks), 1, 'and so the last one');
	is($store->asked(qr{^POST .*\?uploads}), 1, 'by one upload');
}
my $job = broken_off('cancelled', 'crc32c', 'cancel');
isnt($store->uploads, '', 'a cancelled job leaves its upload');
resumed('cancelled', $job, 'cancelled', 1);

# Rows that change meanwhile
$job = broken_off('behind', 'crc32c', 'kill');
sql('UPDATE large SET payload = reverse(payload) WHERE id = 390');
resumed('behind', $job, 'changed behind', 1);
$job = broken_off('before', 'crc32c', 'kill');
sql("UPDATE large SET payload = 'short' WHERE id = 1");
resumed('before', $job, 'changed before', 2, 2);
is($store->asked(qr{^POST .*\?uploads}), 1, 'by one upload all the same');

# A table that has become shorter than what was sent
$job = broken_off('shorter', 'crc32c', 'kill');
sql('CREATE TABLE rest AS SELECT * FROM large WHERE id > 200; DELETE FROM large WHERE id > 200');
resumed('shorter', $job, 'shorter', 1);
sql('INSERT INTO large SELECT * FROM rest ORDER BY id');

# Stores that say little
$store->faults('plain-parts');
$job = broken_off('plain', 'crc32c', 'kill');
resumed('plain', $job, 'no checksums', 2);
$store->faults('no-parts');
$job = broken_off('silent', 'crc32c', 'kill');
resumed('silent', $job, 'no list of parts', 2);
$store->faults();
sql($store->server_sql('unchecked', checksum => 'none', stall_timeout => 120));
resumed('unchecked', broken_off('unchecked', 'unchecked', 'kill'), 'checked by nothing', 2);

# The checksum is another one by now
$job = broken_off('exchanged', 'crc32c', 'kill');
sql("ALTER SERVER crc32c OPTIONS (SET checksum 'sha256')");
resumed('exchanged', $job, 'another checksum', 2);
sql("ALTER SERVER crc32c OPTIONS (SET checksum 'crc32c')");

# The end of an upload whose answer is another one's
$job = broken_off('late', 'crc32c', 'kill');
$store->faults('late-end');
resumed('late', $job, 'ended before', 1);
$job = broken_off('doubtful', 'crc32c', 'kill');
sql("UPDATE large SET payload = reverse(payload) WHERE id = 3");
my ($code, $out, $err) = $node->psql('postgres', "CALL outflow.resume($job)");
like($err, qr/could not complete the upload of .*The store does not know the upload any more/s, 'what another attempt may have ended is not trusted');
$store->faults();
resumed('doubtful', $job, 'doubtful', 3);

# A chunk that the store has lost
$store->faults('skip-part 2');
$job = broken_off('lost', 'crc32c', 'kill');
($code, $out, $err) = $node->psql('postgres', "CALL outflow.resume($job)");
$store->faults();
resumed('lost', $job, 'a lost chunk', 1);
is(sent('lost', 2), 3, 'it is sent until it is there');
sql("LOAD 'outflow'; ALTER SYSTEM SET outflow.retries = 3");
$node->reload;
$store->faults('skip-part 2');
$job = sql("SELECT outflow.export_start('large', 'crc32c:retried', part_size => '1GB', workers => 1)");
wait_for_line("$store->{dir}/log", qr{^POST /lake/retried/\S*uploadId=}m);
$store->faults();
wait_until($node, "SELECT state NOT IN ('queued', 'running') FROM outflow.jobs WHERE job = $job", 'the end of a job');
is_whole($job, 'retried', 'the next try of a part');
is($store->asked(qr{^POST \S*/retried/\S*\?uploads}), 1, 'goes on with the same upload');
cmp_ok($store->asked(qr{^POST \S*/retried/\S*uploadId=}), '>', 1, 'whose end had failed');

# An upload that a rule of the bucket ends
$store->faults('hold PUT partNumber=4');
$job = sql("SELECT outflow.export_start('large', 'crc32c:swept', part_size => '1GB', workers => 1)");
wait_for_line("$store->{dir}/log", qr{^PUT \S*/swept/\S*partNumber=4}m);
$store->s3('DELETE', $store->requests =~ m{^PUT /lake/(\S*swept/\S*?)\?partNumber=4&(uploadId=\d+)}m ? "$1?$2" : die);
$store->faults();
wait_until($node, "SELECT state NOT IN ('queued', 'running') FROM outflow.jobs WHERE job = $job", 'the end of a job');
is_whole($job, 'swept', 'an upload that was ended by others');
is($store->asked(qr{^POST \S*/swept/\S*\?uploads}), 2, 'is begun anew');

# Encrypted, no byte is what it was before
$job = broken_off('encrypted', 'crc32c', 'kill', q{, encrypt_to => '{age12pvz65k2e34qvxrtsqqg0drk7jr458uwg5jejdt6v0lynj7mwyqsf32xls}'});
sql("CALL outflow.resume($job)");
is(sent('encrypted', 1) . sent('encrypted', 3), '22', 'encrypted: all chunks are sent again');
is(state($job) . $store->uploads, 'done', 'encrypted: done, and no upload is left');
is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job, 'full')"), 'ok', 'encrypted: verified');

# Forgotten instead
$job = broken_off('forgotten', 'crc32c', 'cancel');
sql("SELECT outflow.forget($job)");
is($store->keys('forgotten') . $store->uploads, '', 'nothing of a forgotten job stays');

$node->stop;
done_testing();
