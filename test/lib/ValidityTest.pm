# ValidityTest.pm: what the tests of the validity rules share.
#
# A node made here has the functions of test/modules/validity in schema
# validity: the rules that the extension uses, one by one and with rules
# switched off.  validity.stamp(table) makes a table one part.
package ValidityTest;

use strict;
use warnings;

use Exporter qw(import);
use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(
  new_validity_node
  load_validity
  take_stamp
  begin_part
  finish_part
  check_stamp
  is_untouched
  is_same_rows
  is_invalid
);

my $module = dirname(__FILE__) . '/../modules/validity';

# new_validity_node(NAME, checksums => 1, conf => TEXT): a running node.  From 18
# on a cluster has page checksums unless told otherwise.
sub new_validity_node
{
	my ($name, %params) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	my $initdb = $params{checksums} ? '--data-checksums'
	  : $node->pg_version >= 18 ? '--no-data-checksums' : '';

	$node->init(extra => [ $initdb || () ]);
	$node->append_conf('postgresql.conf', "autovacuum = off\n");
	$node->append_conf('postgresql.conf', $params{conf})
	  if defined $params{conf};
	$node->start;
	load_validity($node);
	return $node;
}

sub load_validity
{
	my ($node) = @_;

	$node->command_ok(
		[
			'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1',
			'-v', "library=$module/outflow_validity.so",
			'-d', $node->connstr('postgres'),
			'-f', "$module/validity.sql"
		],
		'the rules can be called');
	return;
}

# take_stamp(NODE, TABLE): stamps the table as one part
sub take_stamp
{
	my ($node, $table) = @_;

	return $node->safe_psql('postgres',
		'BEGIN ISOLATION LEVEL REPEATABLE READ; '
		  . "SELECT validity.stamp('$table'); COMMIT");
}

# begin_part(NODE, TABLE): takes the snapshot and scans the table in a session
# that holds it; finish_part() reads the LSN, releases the snapshot and returns
# the stamp.  What happens in between happens to an unfinished part.
sub begin_part
{
	my ($node, $table) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 1);

	$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
	return {
		session => $session,
		scanned => $session->query_safe(
			"SELECT validity.scan('$table', 0, pg_relation_size('$table') / 8192)")
	};
}

sub finish_part
{
	my ($part) = @_;
	my $stamp = $part->{session}
	  ->query_safe("SELECT validity.finish('$part->{scanned}')");

	$part->{session}->query_safe('COMMIT');
	$part->{session}->quit;
	return $stamp;
}

# check_stamp(NODE, STAMP): what the check says under a new snapshot, as
# "valid|reason|rule"
sub check_stamp
{
	my ($node, $stamp) = @_;

	return $node->safe_psql('postgres',
		'BEGIN ISOLATION LEVEL REPEATABLE READ; '
		  . "SELECT valid, reason, rule FROM validity.check_stamp('$stamp'); COMMIT"
	);
}

sub is_untouched
{
	my ($node, $stamp, $name) = @_;

	is(check_stamp($node, $stamp), 't|no page was changed|', $name);
	return;
}

sub is_same_rows
{
	my ($node, $stamp, $name) = @_;

	like(check_stamp($node, $stamp), qr/^t\|the rows are the same\|/, $name);
	return;
}

sub is_invalid
{
	my ($node, $stamp, $pattern, $name) = @_;

	like(check_stamp($node, $stamp), qr/^f\|$pattern/, $name);
	return;
}

1;
