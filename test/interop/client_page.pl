# Promise: in a real browser the page shows changes as they come, can be searched and
# paused by keyboard, keeps still while somebody reads, goes on after a reload, a kill of
# pg_outflow, a lost network and minutes of sleep without a gap, takes values for text
# only, and a slow tab holds up nobody.  Pictures of it are kept beside the log.
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

die "NODE_PATH is not set: run this test by test/run\n" unless $ENV{NODE_PATH};
die "CHROMIUM is not set: run this test by test/run\n" unless $ENV{CHROMIUM};

my $node = new_outflow_node('main');
my $log = "${PostgreSQL::Test::Utils::tmp_check}/client_page";
my $place = new_export_dir();
my $pictures = "${PostgreSQL::Test::Utils::tmp_check}/log";
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $other_port = PostgreSQL::Test::Cluster::get_free_port();

$node->safe_psql('postgres', 'CREATE TABLE notes (id serial PRIMARY KEY, body text); CREATE TABLE keyless (a int);
	CREATE TABLE numbers (n numeric PRIMARY KEY, big bigint, doc jsonb); CREATE TABLE many (id int PRIMARY KEY)');
create_slot($node, 'page');
mkdir "$place/spool";

sub start_page
{
	my $client = start_client($node, 'page', $log, "--to=ws://127.0.0.1:$port", "--ws-spool=$place/spool",
		"--ws-origin=http://127.0.0.1:$other_port");

	foreach (1 .. 300)
	{
		return $client if IO::Socket::INET->new("127.0.0.1:$port");
		Time::HiRes::sleep(0.1);
	}
	die 'nobody listens';
}

my $client = start_page();
# the example of README.md, as the page of another server
append_to_file("$place/example.html",
	readme_block('html', 'outflow.js', '127.0.0.1:8088', "127.0.0.1:$port", 'public.orders', 'public.many'));
my ($in, $out, $err) = ('', '', '');
my $browser = IPC::Run::start(
	[ 'node', "$FindBin::RealBin/client_page/look.js", $ENV{CHROMIUM}, "http://127.0.0.1:$port/", $pictures,
		"$place/example.html", $other_port ],
	'<', \$in, '>', \$out, '2>', \$err, IPC::Run::timeout(600));

while (1)
{
	my $running = eval { $browser->pump; 1; };

	while ($out =~ s/^(.*)\n//)
	{
		my $line = $1;

		if ($line =~ /^(not )?ok (.*)/) { ok(!$1, $2); }
		elsif ($line =~ /^do insert (.*)/)
		{
			$node->safe_psql('postgres', "INSERT INTO notes (body) VALUES (\$\$$1\$\$)");
			$in .= "\n";
		}
		elsif ($line =~ /^do sql (.*)/)
		{
			$node->safe_psql('postgres', $1);
			$in .= "\n";
		}
		# the server has waited a minute for the tab
		elsif ($line eq 'do wait frozen')
		{
			Time::HiRes::sleep(75);
			$in .= "\n";
		}
		elsif ($line eq 'do restart')
		{
			kill_client($client);
			$client = start_page();
			$in .= "\n";
		}
		else { note($line); }
	}
	last unless $running;
}
eval { $browser->finish; };
is($err, '', 'the browser says nothing else');
ok(-s "$pictures/$_.png", "a picture: $_") foreach qw(phone phone-light desk desk-dark);
is(stop_client($client), 0, 'a clean stop');

done_testing();
