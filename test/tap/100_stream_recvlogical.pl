# Promise: a client that speaks the streaming replication protocol gets every
# record once per delivery, with the same ids on a second delivery, also after
# a crash, in batches or one by one; what fails names table, column and change.
use strict;
use warnings;

use JSON::PP ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('main', conf => 'wal_sender_timeout = 3s');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE copy (LIKE t);
CREATE TABLE noise (id int, v text);
CREATE ROLE reader LOGIN REPLICATION;
SQL
create_slot($node, 'feed');

# receive(END_LSN, OPTION => VALUE...): the lines that pg_recvlogical writes
sub receive
{
	my ($end, %options) = @_;
	my $user = delete $options{user};
	my $slot = delete $options{slot} || 'feed';
	my @command = (
		'pg_recvlogical', '--start', '--no-loop', '--file=-',
		"--slot=$slot", "--endpos=$end", '--dbname=postgres',
		'--host=' . $node->host, '--port=' . $node->port);

	push @command, "--username=$user" if defined $user;
	push @command, map { ('-o', "$_=$options{$_}") } sort keys %options;
	my ($out, $err) = ('', '');
	my $ok = IPC::Run::run(\@command, '>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	diag($err) if !$ok;
	return ($ok, $err, grep { $_ ne '' } split(/\n/, $out));
}

# ids(LINE...): those of the records that have one
sub ids
{
	return map { /"id":"([0-9A-F-]{16}\/[^"]+)"/ ? $1 : () } @_;
}

sub here
{
	return $node->safe_psql('postgres',
		'SELECT pg_current_wal_flush_lsn()');
}

$node->safe_psql('postgres', <<'SQL');
INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 500) AS g;
UPDATE t SET v = v || '!' WHERE id % 7 = 0;
DELETE FROM t WHERE id % 11 = 0;
SQL
my $first_end = here();
my @peeked = split /\n/, $node->safe_psql('postgres',
	q{SELECT data FROM pg_logical_slot_peek_changes('feed', NULL, NULL)});

# without a confirmation the same comes again
my ($ok, $err, @first) = receive($first_end, slot => 'feed');
ok($ok, 'pg_recvlogical ends well');
is_deeply(\@first, \@peeked, 'the protocol and SQL give the same records');

# pg_recvlogical confirmed all of that
$node->safe_psql('postgres', q{INSERT INTO t VALUES (1001, 'next')});
($ok, $err, my @second) = receive(here());
is(scalar(ids(@second)), 1, 'what was confirmed does not come again');

# batches hold the same records
create_slot($node, 'batched');
create_slot($node, 'single');
$node->safe_psql('postgres', <<'SQL');
INSERT INTO t SELECT g, repeat('x', g % 300) FROM generate_series(2000, 4000) AS g;
INSERT INTO t VALUES (5000, 'alone');
SQL
my $end = here();
($ok, $err, my @batched) = receive($end, slot => 'batched',
	batch_bytes => '64kB');
($ok, $err, my @single) = receive($end, slot => 'single');
is_deeply(\@batched, \@single, 'batched and single records are the same');
is(scalar(ids(@single)), 2002, 'all of them are there');

# a role without any right but REPLICATION
create_slot($node, 'roles');
$node->safe_psql('postgres', q{INSERT INTO t VALUES (5001, 'for the reader')});
($ok, $err, my @read) = receive(here(), slot => 'roles', user => 'reader');
is(scalar(ids(@read)), 1, 'a replication role that is no superuser reads');

# a crash between delivery and confirmation
$node->safe_psql('postgres', <<'SQL');
INSERT INTO t SELECT g, 'crash' FROM generate_series(6000, 6100) AS g;
UPDATE t SET v = 'crashed' WHERE id > 6050;
SQL
my @before = split /\n/, $node->safe_psql('postgres',
	q{SELECT data FROM pg_logical_slot_peek_changes('feed', NULL, NULL)});
$node->stop('immediate');
$node->start;
($ok, $err, my @after) = receive(here());
is_deeply(\@after, \@before, 'the same records and ids after a crash');
my @ids = ids(@peeked, @second, @before);
my %seen;
is(scalar(grep { $seen{$_}++ } @ids), 0, 'no id is given twice');
is_deeply([ sort @ids ], \@ids, 'ids sort as they were delivered');

# A long transaction that is filtered away keeps the connection alive.  A row
# filter makes it last for twice the timeout: a hundred rows, after which progress
# is due, take a small part of that on this machine.
create_slot($node, 'quiet');
my $hundred = $node->safe_psql('postgres', <<'SQL');
CREATE PUBLICATION quiet FOR TABLE t, noise WHERE (length(repeat(v, 50000)) = 0);
EXPLAIN (ANALYZE, TIMING OFF, FORMAT json)
SELECT FROM (SELECT repeat('n', 20) AS v FROM generate_series(1, 100) OFFSET 0) AS noise WHERE length(repeat(v, 50000)) = 0;
SQL
my $milliseconds = JSON::PP->new->decode($hundred)->[0]{'Execution Time'};
my $rows = 100 * int(4000 / $milliseconds + 1);
$node->safe_psql('postgres', <<"SQL");
INSERT INTO noise SELECT g, repeat('n', 20) FROM generate_series(1, $rows) AS g;
INSERT INTO t VALUES (7000, 'after the noise');
SQL
my $start = time;
{
	local $ENV{PGOPTIONS} = '-c wal_sender_timeout=2s';

	($ok, $err, my @quiet) = receive(here(), slot => 'quiet',
		publication_names => 'quiet');
	ok($ok, "no timeout while $rows changes are passed over");
	is(scalar(ids(@quiet)), 1, 'the change after them arrives');
}
note("in " . (time - $start) . ' seconds');

# an error says where it was
create_slot($node, 'errors');
$node->safe_psql('postgres', <<'SQL');
CREATE TYPE broken;
CREATE FUNCTION broken_in(cstring) RETURNS broken LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION broken_out(broken) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'pg_ndistinct_out';
CREATE TYPE broken (INPUT = broken_in, OUTPUT = broken_out, LIKE = text);
CREATE TABLE fragile (id int PRIMARY KEY, bad broken);
INSERT INTO fragile VALUES (1, NULL);
INSERT INTO fragile VALUES (2, 'broken');
INSERT INTO fragile VALUES (3, NULL);
SQL
my $log_start = -s $node->logfile;
my ($status, $out, $error) = $node->psql('postgres',
	q{SELECT data FROM pg_logical_slot_peek_changes('errors', NULL, NULL)});
isnt($status, 0, 'an output function that fails stops the stream');
like($error,
	qr{writing column "bad" of table "public\.fragile", change [0-9A-F]+/[0-9A-F]+/0000},
	'the error names column, table and change');
my ($change) = $error =~ m{change ([0-9A-F]+/[0-9A-F]+/[0-9A-F]+)};
($ok, $err, my @passed) = receive(here(), slot => 'errors',
	skip_changes => $change);
is(scalar(ids(@passed)), 2, 'skip_changes passes over the change it named');
like($err, qr{passing over change \Q$change\E}, 'and says so');

# wrong options are refused before anything is sent, and harm nothing
create_slot($node, 'options');
$node->safe_psql('postgres', q{INSERT INTO t VALUES (8000, 'later')});
my $now = here();
($status, $out, $error) = ('', '', '');
$status = IPC::Run::run(
	[
		'pg_recvlogical', '--start', '--no-loop', '--file=-',
		'--slot=options', "--endpos=$now", '--dbname=postgres',
		'--host=' . $node->host, '--port=' . $node->port,
		'-o', 'no_such=1'
	], '>', \$out, '2>', \$error);
ok(!$status, 'an unknown option is refused');
like($error, qr/unknown output plugin option "no_such"/, 'by its name');
is($out, '', 'nothing was sent');
($ok, $err, my @later) = receive($now, slot => 'options');
is(scalar(ids(@later)), 1, 'the slot still has everything');

$node->stop;
done_testing();
