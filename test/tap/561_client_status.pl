# Promise: who watches a WebSocket is told how the stream, its slot, running
# exports and the server are, and less where the database says less.
use strict;
use warnings;

use ClientTest;
use FindBin;
use IPC::Run ();
use JSON::PP ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

die "OUTFLOW_PYTHON is not set: run this test by test/run\n" unless $ENV{OUTFLOW_PYTHON};

my $node = new_outflow_node('main', conf => "wal_sender_timeout = 5s\n");
my $log = "${PostgreSQL::Test::Utils::tmp_check}/client_status";
my $place = new_export_dir();
my $port = PostgreSQL::Test::Cluster::get_free_port();

client_setup($node);
$node->safe_psql('postgres', "CALL outflow.export('t', 'file://$place/export')");

# status_of(SUB): of those that come to who watches, the first that SUB likes
sub status_of
{
	my ($likes) = @_;

	foreach my $try (1 .. 60)
	{
		my ($out, $err) = ('', '');

		IPC::Run::run(
			[ $ENV{OUTFLOW_PYTHON}, "$FindBin::RealBin/../lib/ws_client.py", "ws://127.0.0.1:$port", 'raw', 'subscribe', '{"type":"watch"}' ],
			'<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
		foreach my $line (grep { /^\{"type":"status"/ } split(/\n/, $out))
		{
			my $status = JSON::PP->new->decode($line);

			return $status if $likes->($status);
		}
	}
	return {};
}

sub start_ws
{
	my ($slot, @more) = @_;

	mkdir "$place/$slot";
	return start_client($node, $slot, $log, "--to=ws://127.0.0.1:$port", "--ws-spool=$place/$slot", @more);
}

create_slot($node, 'feed');
$node->safe_psql('postgres', 'CALL work(5)');
my $client = start_ws('feed');
my $status = status_of(sub { $_[0]{server} && $_[0]{server}{jobs} });
is($status->{slot}, 'feed', 'which slot');
like($status->{server}{slot_lag}, qr/^\d+$/, "the slot's lag, in bytes");
is($status->{server}{jobs}[0]{state}, 'done', 'exports that run, or did a moment ago');
is(ref $status->{preflight}, 'ARRAY', 'and what preflight would mend');

# an answer that never comes, and a server that goes away, cost the page that alone
$node->stop('immediate');
$status = status_of(sub { !$_[0]{server} });
is($status->{slot}, 'feed', 'without a server, still the slot');
$node->start;
$status = status_of(sub { $_[0]{server} });
ok($status->{server}, 'and with it, more again');
is(stop_client($client), 0, 'a clean stop');

# without the extension there is the lag alone
$node->safe_psql('postgres', 'DROP EXTENSION outflow');
$client = start_ws('feed');
$status = status_of(sub { $_[0]{server} });
is_deeply([ keys %{ $status->{server} } ], ['slot_lag'], 'without the extension, the lag');
is(stop_client($client), 0, 'a clean stop');

done_testing();
