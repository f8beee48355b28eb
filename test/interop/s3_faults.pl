# Promise: whatever happens between a server and its S3 store, and whichever of
# them is killed, an export ends complete, or failed with the reason and its fix
# and can be resumed to completion; nothing is left at the store; no secret is
# told to anybody; no thread is started.
use strict;
use warnings;

use FindBin;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use S3Test;
use Test::More;
use TlsTest;
use Time::HiRes qw(sleep);

my $machine = PostgreSQL::Test::Utils::tempdir();
my $node;
{
	local $ENV{LD_PRELOAD} = "$FindBin::RealBin/../modules/machine/machine_preload.so";
	local $ENV{MACHINE} = $machine;

	$node = new_outflow_node('s3', conf => "restart_after_crash = on\noutflow.retries = 2\n");
}
my $store = start_s3('versitygw');
my $proxy = start_proxy($store);
my $rounds = $ENV{OUTFLOW_ROUNDS} // 6;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# bytes a second
sub limit
{
	$node->append_conf('postgresql.conf', "outflow.rate_limit = '$_[0]'");
	$node->reload;
	return;
}

sub error_of
{
	my ($statement) = @_;
	my ($code, $out, $err) = $node->psql('postgres', $statement);

	return $code == 0 ? "no error: $out" : $err;
}

sql(<<'EOS');
CREATE TABLE orders (id int PRIMARY KEY, note text);
INSERT INTO orders SELECT g, repeat(md5(g::text), 4) FROM generate_series(1, 20000) g;
CREATE TABLE large (id int, payload text);
ALTER TABLE large ALTER payload SET STORAGE EXTERNAL;
INSERT INTO large SELECT g, string_agg(md5(g || '/' || i), '') FROM generate_series(1, 900) g, generate_series(1, 1000) i GROUP BY g;
EOS
sql(s3_server_sql('lake', $proxy, retries => 3, stall_timeout => 5, chunk_size => '5MB'));

sub lines_of
{
	return join("\n", sort split(/\n/, s3_client($store, 'parts', $_[0])));
}
my %lines = map { $_ => join("\n", sort split(/\n/, sql("COPY $_ TO STDOUT (FORMAT csv)"))) } qw(orders large);

# is_whole(TABLE, PREFIX, TITLE): complete, and nothing beside it
sub is_whole
{
	my ($table, $prefix, $title) = @_;

	ok(lines_of("$prefix/") eq $lines{$table}, "$title: complete");
	unlike(s3_client($store, 'list', "$prefix/"), qr/\.outflow-/, "$title: nothing is staged any more");
	unlike(s3_client($store, 'uploads'), qr{^$prefix/}m, "$title: no upload is left");
	return;
}

# until_done(JOB): resumes it until it is done; how often
sub until_done
{
	my ($job) = @_;

	foreach my $try (0 .. 20)
	{
		$node->poll_query_until('postgres', "SELECT state NOT IN ('queued', 'running') FROM outflow.jobs WHERE job = $job")
		  or die 'the job does not end';
		return $try if sql("SELECT state FROM outflow.jobs WHERE job = $job") eq 'done';
		$node->psql('postgres', "CALL outflow.resume($job)");
	}
	return 'never';
}

# Faults of all kinds, at random places
foreach my $seed (1 .. $rounds)
{
	my $table = $seed % 2 ? 'large' : 'orders';
	my $size = $seed % 2 ? '1GB' : '1MB';

	set_faults($proxy, "$seed 0.12");
	my (undef, $job) = $node->psql('postgres',
		"SELECT outflow.export_start('$table', 'lake:faults/$seed', part_size => '$size')");
	if (!$job)
	{
		# it failed before there was a job
		set_faults($proxy, '');
		$job = sql("SELECT outflow.export_start('$table', 'lake:faults/$seed', part_size => '$size')");
		set_faults($proxy, "$seed 0.12");
	}
	isnt(until_done($job), 'never', "seed $seed: done in the end");
	set_faults($proxy, '');
	is_whole($table, "faults/$seed", "seed $seed");
}
like(slurp_file("$proxy->{dir}/log"), qr/^drop /m, 'answers were lost');

# The one answer that matters most, each time it is asked for
set_faults($proxy, '');
my $reference = sql("CALL outflow.export('large', 'lake:base', part_size => '1GB')");
is_whole('large', 'base', 'without faults');

# Errors say what is wrong, and what would mend it
set_faults($proxy, 'always skewed');
my $error = error_of("CALL outflow.export('orders', 'lake:x')");
like($error, qr/RequestTimeTooSkewed.*Its time is .*HINT:  Set this machine's clock/s, 'a wrong clock');
set_faults($proxy, 'always bucket');
like(error_of("CALL outflow.export('orders', 'lake:x')"), qr/NoSuchBucket.*HINT:  Make the bucket/s, 'a bucket that vanished');
set_faults($proxy, 'always 503');
like(error_of("CALL outflow.export('orders', 'lake:x')"), qr/503 SlowDown.*HINT:  The store asks for fewer/s, 'a storm of 503');
set_faults($proxy, '');

append_to_file("$machine/clock", 86400);
like(error_of("CALL outflow.export('orders', 'lake:x')"), qr/RequestTimeTooSkewed.*HINT:  Set this machine's clock/s, 'a clock that is a day fast');
unlink "$machine/clock";

# between(PREFIX, DO, PATTERN, UNDO): that fails the job in its middle, and it goes
# on later
sub between
{
	my ($prefix, $do, $pattern, $undo) = @_;

	hold_exports($node, 1);
	my ($session, $said) = start_psql($node, "CALL outflow.export('orders', 'lake:$prefix', part_size => '1MB', workers => 1)");
	wait_until($node, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted)", 'the part that is held');
	$do->();
	release_exports($node);
	$session->finish;
	like($$said, $pattern, "$prefix: the job fails");
	$undo->();
	is(sql('SELECT state FROM outflow.jobs ORDER BY job DESC LIMIT 1'), 'failed', "$prefix: and says so");
	sql('CALL outflow.resume(' . sql('SELECT max(job) FROM outflow.jobs') . ')');
	is_whole('orders', $prefix, "$prefix: resumed");
	return;
}
between('storm', sub { set_faults($proxy, 'always 503') }, qr/failed: could not .*503 SlowDown/s, sub { set_faults($proxy, '') });
between('skew', sub { append_to_file("$machine/clock", -86400) }, qr/failed: could not .*RequestTimeTooSkewed.*Set this machine's clock/s, sub { unlink "$machine/clock" });
between('vanished', sub { rename "$store->{dir}/data/lake", "$store->{dir}/lake" or die $! },
	qr/failed: could not .*NoSuchBucket.*Make the bucket/s, sub { rename "$store->{dir}/lake", "$store->{dir}/data/lake" or die $! });
between('stopped', sub { kill_s3($store) }, qr/failed: could not .*There was no answer/s, sub { restart_s3($store) });

# A kilobyte a second: a stall ends, and what goes on can be told to end
set_faults($proxy, 'always slow');
my $slow = sql("SELECT outflow.export_start('large', 'lake:slow', part_size => '1GB', workers => 1)");
wait_for_line("$proxy->{dir}/log", qr{^slow PUT /lake/slow/}m);
sql("SELECT outflow.cancel($slow)");
wait_until($node, "SELECT state = 'interrupted' FROM outflow.jobs WHERE job = $slow", 'the end of a slow job');
set_faults($proxy, '');
sql("CALL outflow.resume($slow)");
is_whole('large', 'slow', 'a slow store that became faster');

sub try_server
{
	my ($name, %options) = @_;

	sql(s3_server_sql($name, { %$store, %options }, retries => 0, connect_timeout => 2,
			map { $_ => $options{$_} } grep { !/^(key|secret|bucket|endpoint)$/ } keys %options));
	my $text = error_of("CALL outflow.export('orders', '$name:x')");
	sql("DROP SERVER $name CASCADE");
	return $text;
}
like(try_server('a', secret => 'wrong-CANARY'), qr/SignatureDoesNotMatch.*ALTER USER MAPPING/s, 'a wrong secret');
like(try_server('a', key => 'nobody'), qr/XAdminUserNotFound.*ALTER USER MAPPING/s, 'an unknown key');
like(try_server('a', bucket => 'nowhere'), qr/NoSuchBucket.*Make the bucket, or correct/s, 'an unknown bucket');
like(try_server('a', region => 'eu-west-9'), qr/could not list bucket.*HINT:  (Set the server's options region|Correct the keys)/s, 'a wrong region');
like(try_server('a', endpoint => 'http://127.0.0.1:1'), qr/There was no answer: .*onnect/s, 'nobody listens');
like(try_server('a', endpoint => 'https://does-not-exist.invalid'), qr/could not look up host "does-not-exist.invalid"/, 'an unknown host');
like(try_server('a', endpoint => 'http://169.254.169.254'), qr/has a cloud's metadata address, which must not be connected to/, 'never the metadata service');
like(try_server('a', endpoint => $store->{endpoint} =~ s/^http:/https:/r), qr/There was no answer: /, 'a store without TLS');
like(
	try_server('a', endpoint => 'https://localhost:9', allow_private => 'off'),
	qr/has a loopback address, which must not be connected to.*allow_private, which only a superuser/s,
	'no address of the machine itself, unless allowed');

# Over TLS: only with a certificate for the host, of a known authority, in time
my $tls = PostgreSQL::Test::Utils::tempdir();
sub openssl { system_or_bail('openssl', @_); return; }
openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', 2, '-subj', '/CN=authority',
	'-keyout', "$tls/ca.key", '-out', "$tls/ca.pem");
append_to_file("$tls/ext", 'subjectAltName=DNS:localhost');
openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=store', '-keyout', "$tls/store.key", '-out', "$tls/store.csr");
openssl('x509', '-req', '-in', "$tls/store.csr", '-CA', "$tls/ca.pem", '-CAkey', "$tls/ca.key", '-CAcreateserial',
	'-days', 1, '-extfile', "$tls/ext", '-out', "$tls/store.pem");
my $secure = start_s3('versitygw', tls => [ "$tls/store.pem", "$tls/store.key" ], ca => "$tls/ca.pem");
sql(s3_server_sql('secure', $secure, ca_file => "$tls/ca.pem", chunk_size => '5MB'));
sql("CALL outflow.export('large', 'secure:large', part_size => '1GB')");
ok(join("\n", sort split(/\n/, s3_client($secure, 'parts', 'large/'))) eq $lines{large}, 'an export over TLS');
unlike(sql("SELECT step, ok, detail FROM outflow.check_destination('secure:x')"), qr/\|f\|/, 'all is well over TLS');
sub tls_error
{
	my ($store, %options) = @_;

	sql(s3_server_sql('untrusted', $store, retries => 0, %options));
	my $text = error_of("CALL outflow.export('orders', 'untrusted:x')");
	sql('DROP SERVER untrusted CASCADE');
	return $text;
}
like(tls_error($secure), qr/There was no answer: .*certificate.*HINT:  Check the server's options endpoint and ca_file/s, 'an unknown authority');

# Without ca_file those of the system.  Its file is long, and read only where its directory has not been enough
my ($certs, $hash) = ("$machine/certs", `openssl x509 -subject_hash -noout -in $tls/ca.pem` =~ s/\s//r);
mkdir $certs;
system_or_bail('cp', "$tls/ca.pem", "$certs/$_") foreach 'ca-certificates.crt', "$hash.0";
sql(s3_server_sql('system', $secure, chunk_size => '5MB'));
foreach my $has (qw(directory file))
{
	sql("CALL outflow.export('large', 'system:$has', part_size => '1GB')");
	ok(join("\n", sort split(/\n/, s3_client($secure, 'parts', "$has/"))) eq $lines{large}, "an export by the system's $has");
	is((slurp_file("$machine/certs.log") =~ /ca-certificates/) ? 'file' : 'directory', $has, 'by that alone');
	unlink "$certs/$hash.0", "$machine/certs.log";
}
unlink "$certs/ca-certificates.crt";
like(tls_error($secure), qr/There was no answer: .*certificate.*HINT:  Check the server's options/s, 'neither knows the authority');
system_or_bail('rm', '-r', $certs);
my $elsewhere = { %$secure, endpoint => $secure->{endpoint} =~ s/localhost/127.0.0.1/r };
like(tls_error($elsewhere, ca_file => "$tls/ca.pem"), qr/There was no answer: SSL.*127\.0\.0\.1/s, 'a certificate of another host');

openssl('x509', '-req', '-in', "$tls/store.csr", '-CA', "$tls/ca.pem", '-CAkey', "$tls/ca.key", '-CAcreateserial',
	expired(), '-extfile', "$tls/ext", '-out', "$tls/expired.pem");
my $expired = start_s3('versitygw', bare => 1, tls => [ "$tls/expired.pem", "$tls/store.key" ]);
like(tls_error($expired, ca_file => "$tls/ca.pem"), qr/There was no answer: .*certificate has expired.*HINT:  Check/s, 'a certificate that has expired');
sql(s3_server_sql('lapsed', $expired, ca_file => "$tls/ca.pem", retries => 0));
is(sql("SELECT ok || detail FROM outflow.check_destination('lapsed:x') WHERE NOT ok") =~ /certificate has expired/, 1, 'the check says so, too');
stop_s3($expired);

# Rights
sql("CREATE ROLE someone LOGIN; GRANT SELECT ON orders TO someone; GRANT USAGE ON SCHEMA outflow TO someone");
like(error_of("SET ROLE someone; SELECT outflow.export_start('orders', 'lake:x')"),
	qr/permission denied for foreign server lake/, 'a server needs USAGE');
sql("CREATE SERVER mine FOREIGN DATA WRAPPER outflow_s3 OPTIONS (bucket 'lake'); GRANT USAGE ON FOREIGN SERVER mine TO someone");
like(error_of("SET ROLE someone; SELECT outflow.export_start('orders', 'mine:x')"),
	qr/role "someone" has no user mapping for server "mine"/, 'and a mapping');
like(error_of("SELECT outflow.export_start('orders', 'lake:a/../b')"), qr/invalid prefix in destination/, 'no way out of a prefix');

# Secrets that expire in the middle: the job goes on with new ones
sql("ALTER USER MAPPING FOR PUBLIC SERVER lake OPTIONS (SET secret_access_key 'expired-CANARY')");
like(error_of("CALL outflow.export('orders', 'lake:rotated')"), qr/SignatureDoesNotMatch/, 'expired');
sql("ALTER USER MAPPING FOR PUBLIC SERVER lake OPTIONS (SET secret_access_key '$store->{secret}')");
sql("CALL outflow.export('orders', 'lake:rotated')");
is_whole('orders', 'rotated', 'with the new secret');

# Killed in the middle of an upload, and resumed
sub wait_for_upload
{
	my ($prefix) = @_;

	foreach my $try (1 .. 60)
	{
		return 1 if s3_client($store, 'uploads') =~ m{^$prefix/\.outflow-}m;
		sleep(0.1);
	}
	return 0;
}

sub worker_pid
{
	return sql("SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'outflow%worker%' LIMIT 1");
}

limit('4MB');
my $job = sql("SELECT outflow.export_start('large', 'lake:killed', part_size => '1GB', workers => 1)");
ok(wait_for_upload('killed'), 'an upload is on its way');
my $pid = worker_pid();
SKIP:
{
	skip('the worker is gone already', 2) unless $pid;
	my @threads = glob "/proc/$pid/task/*";

	is(@threads, 1, 'a worker that uploads has one thread');
	like(slurp_file("/proc/$pid/maps"), qr/libcurl/, 'and libcurl');
}
$pid = sql('SELECT pg_backend_pid()');
kill 'KILL', worker_pid() || die 'no worker';
$node->poll_query_until('postgres', 'SELECT true') or die;
isnt(s3_client($store, 'uploads'), '', 'the killed one leaves an upload');
my ($upload) = s3_client($store, 'upload-ids') =~ m{^killed/\S+ (\S+)}m;
limit('0');
set_faults($proxy, 'always note');
isnt(until_done($job), 'never', 'a killed export is resumed');
set_faults($proxy, '');
my $noted = slurp_file("$proxy->{dir}/log");
unlike($noted, qr{^note POST /lake/killed/\S+\?uploads}m, 'it begins no other upload');
like($noted, qr{^note POST /lake/killed/\S+uploadId=\Q$upload\E}m, 'but ends the one that was left');
unlike($noted, qr{^note PUT /lake/killed/\S+partNumber=1&}m, 'and sends nothing that is there');
is_whole('large', 'killed', 'killed');

# Cancelled, and forgotten: neither objects nor uploads stay, a stranger's do
limit('4MB');
s3_client($store, 'begin', 'forgotten/stranger');
$job = sql("SELECT outflow.export_start('large', 'lake:forgotten', part_size => '1GB', workers => 1)");
ok(wait_for_upload('forgotten'), 'an upload is on its way');
sql("SELECT outflow.cancel($job)");
$node->poll_query_until('postgres', "SELECT state = 'interrupted' FROM outflow.jobs WHERE job = $job") or die;
sql("SELECT outflow.forget($job)");
is(s3_client($store, 'list', 'forgotten/'), '', 'no object of a forgotten export stays');
is(s3_client($store, 'uploads'), 'forgotten/stranger', 'and no upload but a stranger\'s');
limit('0');

# Killed at any place by the store's own end
$job = sql("SELECT outflow.export_start('large', 'lake:gone', part_size => '1GB', workers => 1)");
set_faults($proxy, 'always drop');
$node->poll_query_until('postgres', "SELECT state NOT IN ('queued', 'running') FROM outflow.jobs WHERE job = $job") or die;
set_faults($proxy, '');
isnt(until_done($job), 'never', 'a store that was gone for a while');
is_whole('large', 'gone', 'a store that was gone');

# Nobody was told a secret
my $told = join("\n", slurp_file($node->logfile),
	sql('SELECT j::text FROM outflow.jobs j UNION ALL SELECT p::text FROM outflow.parts p UNION ALL SELECT a::text FROM pg_stat_activity a'),
	s3_client($store, 'cat', 'base/_manifest.json'));
my @leaks = $told =~ /^(.*CANARY.*)$/mg;
# what a person typed themselves is in their own statement
is(join("\n", grep { !/USER MAPPING/ } @leaks), '', 'no secret is told');

# A session that uses no store has no libcurl
my $session = $node->background_psql('postgres');
$session->query_safe("SELECT count(*) FROM outflow.preflight()");
my $backend = $session->query_safe('SELECT pg_backend_pid()');
unlike(slurp_file("/proc/$backend/maps"), qr/libcurl/, 'libcurl is loaded when it is needed');
$session->quit;

$node->stop;
done_testing();
