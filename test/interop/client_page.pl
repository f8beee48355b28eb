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
	CREATE TABLE numbers (n numeric PRIMARY KEY, big bigint, doc jsonb); CREATE TABLE many (id int PRIMARY KEY);
	CREATE TABLE exported AS SELECT generate_series(1, 100000) AS id');
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

sub show_scene
{
	$node->safe_psql('postgres', <<'EOC');
CREATE TABLE customers (id int PRIMARY KEY, name text, city text, since date);
CREATE TABLE orders (id serial PRIMARY KEY, customer int, amount numeric(10,2), state text, tags text[], doc jsonb, placed timestamptz);
ALTER TABLE orders REPLICA IDENTITY FULL;
INSERT INTO customers SELECT n, (ARRAY['Åsa Lind', 'Noor Ali', 'Jo Park'])[n], (ARRAY['Umeå', 'Delft', 'Busan'])[n], date '2025-01-01' + n
	FROM generate_series(1, 3) AS n;
INSERT INTO orders (customer, amount, state, tags, doc, placed) SELECT 1 + n % 3, n * 12.5, 'new', ARRAY['web', 'gift'],
	jsonb_build_object('lines', n, 'note', 'Please ring twice, the bell of the back door is quiet'), '2026-11-28 10:00Z' FROM generate_series(1, 14) AS n;
UPDATE orders SET state = 'paid', doc = NULL WHERE id % 4 = 0;
DELETE FROM orders WHERE id % 6 = 1;
SELECT pg_logical_emit_message(true, 'audit', 'orders were checked');
TRUNCATE numbers;
EOC
	return;
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
		elsif ($line eq 'do export')
		{
			hold_exports($node, 3);
			$node->safe_psql('postgres',
				"SELECT outflow.export_start('exported', 'file://$place/export', part_size => '256kB', workers => 1)");
			$in .= "\n";
		}
		elsif ($line eq 'do release')
		{
			release_exports($node);
			$in .= "\n";
		}
		# something to look at
		elsif ($line eq 'do scene')
		{
			show_scene();
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
ok(-s "$pictures/$_.png", "a picture: $_") foreach qw(phone phone-light desk desk-dark export);
is(stop_client($client), 0, 'a clean stop');

done_testing();
