# FailpointTest.pm: what the tests that kill at failpoints share.  They run by
# make test-fault, whose library has failpoints.
package FailpointTest;

use strict;
use warnings;

use Exporter qw(import);
use IPC::Run ();
use Test::More;

our @EXPORT = qw(need_failpoints arm call revive);

sub need_failpoints
{
	my ($node) = @_;

	BAIL_OUT('the library has no failpoints: use make test-fault')
	  unless $node->safe_psql('postgres', q{LOAD 'outflow'; SELECT count(*) FROM pg_settings WHERE name = 'outflow.failpoint'});
	return;
}

# arm(NODE, POINT, ACTION): in the middle of the point may be ":N"; '' disarms
sub arm
{
	my ($node, $point, $action) = @_;
	my ($name, $count) = split(/:/, $point);
	my $value = ($name // '') eq '' ? '' : join(':', $name, $action, $count || 1);

	$node->safe_psql('postgres', "LOAD 'outflow'; ALTER SYSTEM SET outflow.failpoint = '$value'");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('outflow.failpoint', true) = '$value'");
	return;
}

# call(NODE, SQL): what it says, whether the server survives it or not
sub call
{
	my ($node, $sql) = @_;
	my ($out, $err) = ('', '');

	local $ENV{PGOPTIONS} = '-c client_min_messages=warning';
	IPC::Run::run([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', $sql ],
		'<', \undef, '>', \$out, '2>', \$err);
	return $err;
}

# revive(NODE): the server runs again, with no failpoint armed
sub revive
{
	my ($node) = @_;

	$node->stop('immediate', fail_ok => 1);
	$node->adjust_conf('postgresql.auto.conf', 'outflow.failpoint', "''");
	$node->start;
	return;
}

1;
