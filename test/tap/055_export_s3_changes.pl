# Promise: a job goes on only where it was allowed to go, whatever happens to its
# server, its mapping and its rights meanwhile; it ends when it is told to, also
# while the store says nothing; and nobody reads a secret anywhere.
use strict;
use warnings;

use FakeS3;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('main', init => [ auth_extra => [ '--create-role', 'worker' ] ],
	conf => "max_prepared_transactions = 2\noutflow.retries = 0\nlog_statement = all\n");
my $store = start_fake_s3();
my $other = start_fake_s3();

sub sql { return $node->safe_psql('postgres', $_[0]); }

sql(<<'EOS');
CREATE ROLE worker LOGIN;
CREATE TABLE orders (id int, note text);
INSERT INTO orders SELECT g, repeat(md5(g::text), 10) FROM generate_series(1, 12000) g;
GRANT SELECT ON orders TO worker;
EOS
sql($store->server_sql('lake') . 'GRANT USAGE ON FOREIGN SERVER lake TO worker');
my $rows = sql('SELECT count(*) FROM orders');

# job_between(PREFIX, SQL): a job that is held in its second part while that is
# done; its number
sub job_between
{
	my ($prefix, $change) = @_;

	hold_exports($node, 1);
	my $job = $node->safe_psql('postgres',
		"SELECT outflow.export_start('orders', 'lake:$prefix', part_size => '1MB', workers => 1)",
		connstr => $node->connstr('postgres') . ' user=worker');
	wait_until($node, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted)",
		'the part that is held');
	sql($change);
	release_exports($node);
	wait_until($node, "SELECT state NOT IN ('queued', 'running') FROM outflow.jobs WHERE job = $job", 'the end of a job');
	return $job;
}

sub outcome { return sql("SELECT state || ' ' || coalesce(error, '') FROM outflow.jobs WHERE job = $_[0]"); }

sub resume_as_worker
{
	my ($job) = @_;
	my ($code, $out, $err) = $node->psql('postgres', "CALL outflow.resume($job)",
		connstr => $node->connstr('postgres') . ' user=worker');

	return $code == 0 ? 'done' : $err;
}

# stops(TITLE, CHANGE, PATTERN, BACK, REFUSED): that ends the job, and it goes on
# later; before that, resume is refused so, or isn't tried
sub stops
{
	my ($title, $change, $pattern, $back, $refused) = @_;
	my $prefix = $title =~ s/\W/-/gr;
	my $job = job_between($prefix, $change);

	like(outcome($job), $pattern, "$title: the job fails");
	is($store->keys("$prefix/part"), '', "$title: nothing is published");
	like(resume_as_worker($job), $refused, "$title: it does not go on there") if $refused;
	sql($back);
	is(resume_as_worker($job), 'done', "$title: it goes on later");
	is(() = $store->content("$prefix/") =~ /\n/g, $rows, "$title: and is whole");
	is($store->keys("$prefix/.outflow"), '', "$title: and nothing is left");
	return;
}

stops('no usage', 'REVOKE USAGE ON FOREIGN SERVER lake FROM worker',
	qr/^failed .*permission denied for foreign server lake/, 'GRANT USAGE ON FOREIGN SERVER lake TO worker');

# nobody has looked whether its files are there
{
	my $connstr = $node->connstr('postgres') . ' user=worker';
	my $job = sql('SELECT max(job) FROM outflow.jobs');
	my $found = "SELECT DISTINCT status, detail FROM outflow.verify($job)";

	is($node->safe_psql('postgres', $found, connstr => $connstr), 'ok|', 'verify finds what is there');
	sql('REVOKE USAGE ON FOREIGN SERVER lake FROM worker');
	is($node->safe_psql('postgres', $found, connstr => $connstr),
		'unreadable|No server that this role may use leads there.', 'verify without USAGE does not call it missing');
	sql('GRANT USAGE ON FOREIGN SERVER lake TO worker');
}

my ($mapping) = $store->server_sql('lake') =~ /(CREATE USER MAPPING.*)/;
stops('no mapping', 'DROP USER MAPPING FOR PUBLIC SERVER lake',
	qr/^failed .*role "worker" has no user mapping for server "lake"/, $mapping);
stops('renamed', 'ALTER SERVER lake RENAME TO sea',
	qr/^failed server "lake" does not exist/, 'ALTER SERVER sea RENAME TO lake');
stops('altered', "ALTER SERVER lake OPTIONS (SET bucket 'others')",
	qr/^failed .*server "lake" leads to another place by now/, "ALTER SERVER lake OPTIONS (SET bucket 'lake')");
stops('elsewhere', "ALTER SERVER lake OPTIONS (SET endpoint 'http://127.0.0.1:$other->{port}')",
	qr/^failed .*server "lake" leads to another place by now/,
	"ALTER SERVER lake OPTIONS (SET endpoint 'http://127.0.0.1:$store->{port}')",
	qr/server "lake" leads to another place by now.*DETAIL: .*\b$store->{port}\b.*HINT: .*back.*forget/s);
is($other->keys(''), '', 'elsewhere: nothing was written there');
stops('dropped', 'DROP SERVER lake CASCADE',
	qr/^failed server "lake" does not exist/,
	$store->server_sql('lake') . 'GRANT USAGE ON FOREIGN SERVER lake TO worker');

# The same store by another name has what the job has left
my $named = job_between('name', 'DROP USER MAPPING FOR PUBLIC SERVER lake');
sql("$mapping; ALTER SERVER lake OPTIONS (SET endpoint 'http://localhost:$store->{port}')");
is(resume_as_worker($named), 'done', 'another name of the same store: the job goes on');
is(() = $store->content('name/') =~ /\n/g, $rows, 'and is whole');
is($store->keys('name/.outflow'), '', 'and nothing is left');
sql("ALTER SERVER lake OPTIONS (SET endpoint 'http://127.0.0.1:$store->{port}')");

# Between two chunks of one part
sub held_upload
{
	my ($prefix) = @_;

	$node->append_conf('postgresql.conf', "outflow.rate_limit = '3MB'");
	$node->reload;
	sql('CREATE TABLE large (payload text); ALTER TABLE large ALTER payload SET STORAGE EXTERNAL; GRANT SELECT ON large TO worker');
	sql("INSERT INTO large SELECT repeat(md5(g::text), 30000) FROM generate_series(1, 30) g");
	my $job = $node->safe_psql('postgres',
		"SELECT outflow.export_start('large', 'lake:$prefix', part_size => '1GB', workers => 1)",
		connstr => $node->connstr('postgres') . ' user=worker');
	wait_for_line("$store->{dir}/log", qr{^PUT /lake/$prefix/\S*partNumber=1}m);
	return $job;
}
my $job = held_upload('chunks');
sql('DROP SERVER lake CASCADE');
wait_until($node, "SELECT state NOT IN ('queued', 'running') FROM outflow.jobs WHERE job = $job", 'the end of a job');
like(outcome($job), qr/^failed server "lake" does not exist/, 'a server that is dropped between two chunks');
$node->append_conf('postgresql.conf', "outflow.rate_limit = '0'");
$node->reload;
sql($store->server_sql('lake', stall_timeout => 3600) . 'GRANT USAGE ON FOREIGN SERVER lake TO worker');
is(resume_as_worker($job), 'done', 'the job goes on later');
is($store->uploads, '', 'and leaves no upload');

# A store that says nothing, and one that says next to nothing: told to end, it ends
foreach my $fault ('hang', 'trickle')
{
	$store->faults($fault);
	my ($code, $out, $err) = $node->psql('postgres', "SET statement_timeout = '1s'; CALL outflow.export('orders', 'lake:$fault')",
		connstr => $node->connstr('postgres') . ' user=worker');
	like($err, qr/canceling statement due to statement timeout/, "$fault: a call ends");
	$store->faults();

	hold_exports($node, 1);
	$job = $node->safe_psql('postgres',
		"SELECT outflow.export_start('orders', 'lake:$fault', part_size => '1MB', workers => 1)",
		connstr => $node->connstr('postgres') . ' user=worker');
	wait_until($node, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted)",
		'the part that is held');
	$store->faults($fault);
	my $asked = () = $store->requests =~ /\n/g;
	release_exports($node);
	wait_for_line("$store->{dir}/log", qr/^(?:.*\n){@{[$asked + 1]}}/);
	is(sql("SELECT outflow.cancel($job)"), 't', "$fault: a job is told to end");
	wait_until($node, "SELECT state = 'interrupted' FROM outflow.jobs WHERE job = $job", "$fault: it ends");
	$store->faults();
	is(resume_as_worker($job), 'done', "$fault: it goes on later");
	is(() = $store->content("$fault/") =~ /\n/g, $rows, "$fault: and is whole");
}

$store->faults('hang PUT');
like(
	($node->psql('postgres', "SET statement_timeout = '1s'; CALL outflow.export('orders', 'lake:inline', workers => 0)"))[2],
	qr/canceling statement due to statement timeout/, 'a call without workers ends, too');
$store->faults();
is($store->keys('inline'), '', 'and leaves nothing');

# However an address is written, it is the address that counts
foreach my $host (qw([::1] [::ffff:127.0.0.1] [::ffff:7f00:1] localhost 127.0.0.1 2130706433 0x7f000001 0177.0.0.1 127.1 127.0.0.1.))
{
	my $sql = $store->server_sql('inward', endpoint => "https://$host:$store->{port}", allow_private => 'off', path_style => 'on');
	my ($code, $out, $err) = $node->psql('postgres', "$sql CALL outflow.export('orders', 'inward:x')");

	like($err, qr/There was no answer: .*loopback address.* must not be connected to|could not look up host/, "$host is loopback");
	$node->psql('postgres', 'DROP SERVER inward CASCADE');
}
like(
	($node->psql('postgres', $store->server_sql('inward', endpoint => 'https://[fe80::1]:9') . "CALL outflow.export('orders', 'inward:x')"))[2],
	qr/There was no answer: a link-local address must not be connected to/, 'not even with allow_private');

# Answers that are no use
sql('DROP SERVER inward CASCADE');
sql($store->server_sql('brief', retries => 0));
my %answers = (
	'200 ' => qr/could not list .*is no list/s,
	'200 <ListBucketResult><Contents><Key>' => qr/could not list .*is no list/s,
	'301 ' => qr/PermanentRedirect.*Set the server's options region/s,
	'307 ' => qr/TemporaryRedirect/,
	'200 <ListBucketResult>' . '<Contents>' x 1000 => qr/is no list/,
	'200 <ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>' => qr/does not go on/,
	'403 <Error><Code>secret</Code><Message>' . 'x' x 5000 . '</Message></Error>' => qr/The store answered 403 secret: x{200}\./,
	'403 <Error><Code>InvalidToken</Code><Message>Is token-CANARY or secret-CANARY right?</Message></Error>' =>
	  qr/answered 403 InvalidToken: Is \*{12} or \*{13} right\?/,
	'500 <!DOCTYPE l [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><Error><Code>&b;</Code></Error>' => qr/answered 500 &b;/,
	'999 ' => qr/could not/);
my $i = 0;
foreach my $answer (sort keys %answers)
{
	$store->faults("answer $answer");
	my ($code, $out, $err) = $node->psql('postgres', "SET statement_timeout = '100s'; CALL outflow.export('orders', 'brief:useless/" . ++$i . "')");
	isnt($code, 0, 'not done: ' . substr($answer, 0, 40));
	like($err, $answers{$answer}, 'answered by ' . substr($answer, 0, 40));
}
$store->faults('endless');
$node->psql('postgres', "SET statement_timeout = '100s'; CALL outflow.export('orders', 'brief:endless')", stderr => \my $endless);
like($endless, qr/There was no answer: .*/, 'an answer without an end');
$store->faults('etag <Part>&');
isnt(($node->psql('postgres', "CALL outflow.export('large', 'brief:etag', part_size => '1GB')"))[0], 0, 'an ETag that is XML');
$store->faults();

# Two servers that come to one place at the same time, each before it sees the other
$store->s3('PUT', 'both/.outflow-theirs/_owner', 'theirs');
$store->faults('hide .outflow-theirs');
like(
	($node->psql('postgres', "CALL outflow.export('orders', 'brief:both')"))[2],
	qr/another export is writing to destination "brief:both"/, 'what comes between a look and a claim is seen');
$store->faults();
is($store->keys('both/_'), '', 'nothing is published there');

# Nobody was told a secret
my $told = join("\n", slurp_file($node->logfile), sql('SELECT j::text FROM outflow.jobs j UNION ALL SELECT p::text FROM outflow.parts p UNION ALL SELECT a::text FROM pg_stat_activity a'),
	$store->content('no-usage/'), $store->s3('GET', 'no-usage/_manifest.json'), $store->requests);
# what a person typed themselves is in their own statement
is(join("\n", grep { !/USER MAPPING/ } $told =~ /^(.*CANARY.*)$/mg), '', 'no secret is told');

$node->stop;
done_testing();
