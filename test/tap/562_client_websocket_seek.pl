# Promise: where clients of ws:// want to go on is found without reading the same long
# way for each of them, and found right.
use strict;
use warnings;

use ClientTest;
use FindBin;
use IO::Socket::INET;
use IPC::Run ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

die "OUTFLOW_PYTHON is not set: run this test by test/run\n" unless $ENV{OUTFLOW_PYTHON};

my $tmp = PostgreSQL::Test::Utils::tempdir();
my $node = new_outflow_node('main');
my $place = new_export_dir();
my $port = PostgreSQL::Test::Cluster::get_free_port();

client_setup($node);
create_slot($node, 'ws');
delete @ENV{qw(TOKEN ORIGIN)};

sub start_ws
{
	my $client = start_client($node, 'ws', "$tmp/562_client", "--to=ws://127.0.0.1:$port", "--ws-spool=$place",
		'-o', 'include_transactions=off');

	foreach (1 .. 1800)
	{
		return $client if IO::Socket::INET->new("127.0.0.1:$port");
		Time::HiRes::sleep(0.1);
	}
	die 'nobody listens';
}

# subscribe(MEMBERS): what comes
sub subscribe
{
	my ($out, $err) = ('', '');

	IPC::Run::run([ $ENV{OUTFLOW_PYTHON}, "$FindBin::RealBin/../lib/ws_client.py", "ws://127.0.0.1:$port", 'read', 1,
			"{\"type\":\"subscribe\",\"window\":1$_[0]}" ], '<', \undef, '>', \$out, '2>', \$err);
	diag($err) if $err;
	return $out;
}

# insert(FROM, TO): in one transaction; the position after it
sub insert
{
	my ($from, $to) = @_;

	$node->safe_psql('postgres', "INSERT INTO t SELECT g, 1, repeat('x', 900) FROM generate_series($from, $to) AS g");
	wait_confirmed($node, 'ws', current_lsn($node));
	my ($position) = subscribe('') =~ /"position":"([^"]*)"/;
	return $position;
}

# small and large transactions in one segment, and one after it
my $client = start_ws();
my @next = (1, 2, 3, 12000, 12001, 24000);
my @positions = map { insert($next[$_], $next[ $_ + 1 ] - 1) } 0 .. $#next - 1;
is(stop_client($client), 0, 'spooled');
my ($segment) = sort glob("$place/*.spool");
ok(-s $segment > 10_000_000, 'a large segment');

my %calls = watch_calls("$tmp/562_calls", $segment);
{
	local @ENV{ keys %calls } = values %calls;
	$client = start_ws();
}

# reads(): of the segment, since the last time
my $seen = 0;

sub reads
{
	my $reads = -e "$tmp/562_calls" ? () = slurp_file("$tmp/562_calls") =~ /^read$/mg : 0;
	my $new = $reads - $seen;

	$seen = $reads;
	return $new;
}

sub goes_on
{
	my ($what) = @_;

	foreach my $i (reverse 0 .. $#positions - 1)
	{
		my $answer = subscribe(",\"after\":\"$positions[$i]\"");

		like($answer, qr/"recovered":true/, "$what: after transaction $i");
		my ($id) = $answer =~ /"new":\{"id":(\d+)/;
		is($id, $next[ $i + 1 ], '... comes the next one');
	}
	return reads();
}

my $first = goes_on('the first');
my $later = goes_on('later ones');
cmp_ok($later, '<', 50, "the first ones read $first times, later ones $later times");
is(stop_client($client), 0, 'it ends');
done_testing();
