# Promise: what a transaction in progress loses to a subtransaction that is
# undone while its pieces are sent is what the server doesn't hand to any plugin:
# test_decoding gets the same messages from the same WAL.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('main');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (id int);
CREATE TABLE undone (id int);
INSERT INTO undone VALUES (0);
SQL
create_slot($node, 'feed');
$node->safe_psql('postgres',
	"SELECT pg_create_logical_replication_slot('oracle', 'test_decoding')");

# A message ends where the next record begins, and the server takes the two as
# equally old.  The row of the subtransaction comes first here, is found undone,
# and the server lets the rest of the piece go.
$node->safe_psql('postgres', <<'SQL');
BEGIN;
INSERT INTO t VALUES (1);
SELECT pg_logical_emit_message(true, 'message of the top', '');
SAVEPOINT s;
SELECT pg_logical_emit_message(true, 'message beside', '');
RELEASE s;
SAVEPOINT s;
INSERT INTO undone SELECT generate_series(1, 5000);
ROLLBACK TO s;
SELECT pg_logical_emit_message(true, 'message after', '');
INSERT INTO t SELECT generate_series(1, 5000);
COMMIT;
SQL

# messages(SLOT, OPTION...): the prefixes, in order, in small pieces; test_decoding
# tells no content
sub messages
{
	my ($slot, @options) = @_;
	my $options = join('', map { ", '$_'" } @options);
	my $data = $node->safe_psql('postgres', <<"SQL");
SET logical_decoding_work_mem = '64kB';
SELECT data FROM pg_logical_slot_peek_changes('$slot', NULL, NULL$options)
SQL

	return [ $data =~ /"?prefix"?: ?"?(message \w+(?: \w+)*)/g ];
}

my @all = ('message of the top', 'message beside', 'message after');
is_deeply(messages('feed'), \@all, 'as a whole: all messages');
my $streamed = messages('feed', 'streaming', 'on');
my $theirs = messages('oracle', 'stream-changes', '1');
note("streamed: @$streamed; test_decoding: @$theirs");
cmp_ok(scalar @$theirs, '>=', 2, 'test_decoding gets what is not beside');
is_deeply($streamed, $theirs, 'in pieces: the messages that test_decoding gets');

# A command's record is a message as well, but its end is not the next
# subtransaction's begin: none is lost.
$node->safe_psql('postgres', 'SELECT outflow.capture_ddl(true)');
foreach my $command (
	'CREATE TABLE beside (id int)',
	'CREATE VIEW beside_view AS SELECT * FROM t',
	"COMMENT ON TABLE t IS 'beside'",
	'GRANT SELECT ON t TO PUBLIC',
	'ALTER TABLE t ADD c int',
	'DROP TABLE beside')
{
	$node->safe_psql('postgres', <<"SQL");
SELECT count(*) FROM pg_logical_slot_get_changes('feed', NULL, NULL);
BEGIN;
INSERT INTO t VALUES (1);
SAVEPOINT s;
$command;
RELEASE s;
SAVEPOINT s;
INSERT INTO undone SELECT generate_series(1, 5000);
ROLLBACK TO s;
INSERT INTO t (id) SELECT generate_series(1, 5000);
COMMIT;
SQL
	my @counts = map {
		$node->safe_psql('postgres', <<"SQL") } 'off', 'on';
SET logical_decoding_work_mem = '64kB';
SELECT count(*) FROM pg_logical_slot_peek_changes('feed', NULL, NULL, 'streaming', '$_')
WHERE data LIKE '{"op":"ddl"%'
SQL
	is("@counts", '1 1', "$command: its record comes whole and in pieces");
}

$node->stop;
done_testing();
