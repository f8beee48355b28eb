# Promise: tables whose rows have several keys, and tables whose names read alike,
# are delivered by the key of each row: another PostgreSQL is asked about a table
# when it may have changed and not for each row, and a record is filed by the key of
# its own table.
use strict;
use warnings;

use ClientTest;
use JSON::PP ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use ReplicaTest;
use Test::More;

my $source = new_outflow_node('source');
my $target = new_target();
my $tmp = PostgreSQL::Test::Utils::tempdir();

sub here { return $source->safe_psql('postgres', $_[0]); }
sub there { return $target->safe_psql('postgres', $_[0]); }
sub both { here($_[0]); there($_[0]); return; }

# deliver(SLOT, ARGUMENT...): what it said
sub deliver
{
	my ($slot, @more) = @_;
	my ($code, undef, $err) = run_client($source, $slot, '--to', target_url($target), '--endpos=' . current_lsn($source),
		'--log-level=debug', @more);

	is($code, 0, "$slot: it ends") or diag(substr($err, -2000));
	return $err;
}

sub count_of { my ($pattern, $text) = @_; return scalar(() = $text =~ /$pattern/g); }

# ---- partitions with keys of their own, whose rows come in turn
my $columns = '(id int, k int, u int NOT NULL, v text, PRIMARY KEY (id, k))';

here("CREATE TABLE parted $columns PARTITION BY LIST (k); CREATE TABLE parted1 PARTITION OF parted FOR VALUES IN (1);"
	  . ' CREATE TABLE parted2 PARTITION OF parted FOR VALUES IN (2); CREATE UNIQUE INDEX parted2_index ON parted2 (k, u);'
	  . ' ALTER TABLE parted2 REPLICA IDENTITY USING INDEX parted2_index;'
	  . ' CREATE PUBLICATION whole FOR TABLE parted WITH (publish_via_partition_root)');
there("CREATE TABLE parted $columns; CREATE UNIQUE INDEX ON parted (k, u)");
create_slot($source, 'turns');
here(q{INSERT INTO parted SELECT g, 1 + g % 2, g, 'new' FROM generate_series(1, 300) g; UPDATE parted SET v = 'changed'});
my $said = deliver('turns', '-o', 'publication_names=whole');

is(there('SELECT count(*), min(v), sum(u) FROM parted'), '300|changed|45150', 'rows of both keys are there');
cmp_ok(count_of(qr/preparing INSERT/, $said), '<=', 2, 'a statement that is known is not prepared for each row of another key');
cmp_ok(count_of(qr/preparing UPDATE/, $said), '<=', 3, 'nor is that of an update');

# ---- a key that is new, and the index for it
both('CREATE TABLE later (id int PRIMARY KEY, u int NOT NULL, w int NOT NULL, v text)');
create_slot($source, 'later');
my $client = start_client($source, 'later', "$tmp/later", '--to', target_url($target), '--log-level=debug');

foreach my $key (qw(id u w))
{
	there('CREATE UNIQUE INDEX ON later (w)') if $key eq 'w';
	here("CREATE UNIQUE INDEX later_$key ON later ($key); ALTER TABLE later REPLICA IDENTITY USING INDEX later_$key");
	here(q{INSERT INTO later VALUES (1, 1, 1, 'id') ON CONFLICT (id) DO NOTHING}) if $key eq 'id';
	here("UPDATE later SET v = '$key.'");
	wait_confirmed($source, 'later', current_lsn($source));
	is(there('SELECT v FROM later'), "$key.", "a row is found by the key $key");
}
is(stop_client($client), 0, 'it ends');
my $log = slurp_file("$tmp/later");
is(count_of(qr/no unique index/, $log), 1, 'a key without an index there is told of once');
like($log, qr/WHERE "w" OPERATOR/, 'an index that was made for a new key is used');

# ---- a table that is made anew, like before at the source alone
here('CREATE TABLE anew (id int PRIMARY KEY, v int)');
there('CREATE TABLE anew (id int PRIMARY KEY, v int GENERATED ALWAYS AS (id * 2) STORED)');
create_slot($source, 'anew');
$client = start_client($source, 'anew', "$tmp/anew", '--to', target_url($target));
here('INSERT INTO anew VALUES (1, 1)');
wait_confirmed($source, 'anew', current_lsn($source));
both('DROP TABLE anew; CREATE TABLE anew (id int PRIMARY KEY, v int)');
here('INSERT INTO anew VALUES (2, 99)');
wait_confirmed($source, 'anew', current_lsn($source));
is(there('SELECT * FROM anew'), '2|99', 'what a table was like before does not count when it is made anew');
is(stop_client($client), 0, 'it ends');

# ---- names that read alike
foreach my $node ($source, $target)
{
	$node->safe_psql('postgres', 'CREATE SCHEMA a; CREATE SCHEMA "a.b"; CREATE TABLE a."b.c" (id int PRIMARY KEY, x int);'
		  . ' CREATE TABLE "a.b".c (x int PRIMARY KEY, id int)');
}
there('INSERT INTO a."b.c" VALUES (2, 2), (3, 3); INSERT INTO "a.b".c VALUES (30, 3)');
create_slot($source, 'alike');
here('INSERT INTO a."b.c" VALUES (1, 10); INSERT INTO "a.b".c VALUES (10, 1); INSERT INTO a."b.c" VALUES (2, 20); INSERT INTO "a.b".c VALUES (30, 0)');
deliver('alike', '--on-reject=dead-letter', "--dead-letter=$tmp/dead");
my @letters = map { JSON::PP::decode_json($_) } split(/\n/, slurp_file("$tmp/dead"));
is(join(' ', map { "$_->{record}{schema}/$_->{record}{table}:@{$_->{key_columns}}" } @letters), 'a/b.c:id a.b/c:x',
	'a dead letter has the key columns of its own table');

# ---- a key of which the stream leaves out a column
both('CREATE TABLE half (a int, b int, v text, PRIMARY KEY (a, b))');
create_slot($source, 'half');
there(q{INSERT INTO half VALUES (1, 1, 'x')});
here(q{INSERT INTO half VALUES (1, 1, 'x'); DELETE FROM half});
$said = deliver('half', '-o', 'exclude_columns=*.half.b', '--on-reject=dead-letter', "--dead-letter=$tmp/half");
my ($reason) = map { $_->{reason} } grep { $_->{record}{op} eq 'delete' } map { JSON::PP::decode_json($_) } split(/\n/, slurp_file("$tmp/half"));
like($reason, qr/or the stream leaves out or masks columns of it/, 'the reason does not say that the table has no replica identity');

done_testing();
