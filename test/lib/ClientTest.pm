# ClientTest.pm: what the tests of pg_outflow share.
#
# The workload's changes are counted by the database itself: whatever happens to
# the client, its targets and the server, what was delivered is compared with
# the table.
package ClientTest;

use strict;
use warnings;

use Exporter qw(import);
use File::Basename qw(dirname);
use FindBin;
use IPC::Run ();
use JSON::PP ();
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

our @EXPORT = qw(
  client_setup
  start_client
  start_proxied_client
  kill_client
  stop_client
  run_client
  start_writer
  current_lsn
  confirmed_lsn
  make_twin
  wait_confirmed
  lsn_number
  replay_records
  check_once
  delivered_lines
  table_rows
  write_to
  watch_calls
  start_peer
  check_stored
  readme_command
  start_readme_command
  readme_block
);

my $json = JSON::PP->new->utf8;

# client_setup(NODE): a table t, and a procedure that changes it in transactions of
# all sizes, some of which roll back
sub client_setup
{
	my ($node) = @_;

	$node->safe_psql('postgres', <<'EOC');
CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL, filler text);
CREATE SEQUENCE tick;
CREATE PROCEDURE work(transactions int) LANGUAGE plpgsql AS $$
DECLARE
	size int;
BEGIN
	FOR i IN 1 .. transactions LOOP
		-- one writer at a time: two would meet at the same rows and deadlock
		PERFORM pg_advisory_xact_lock(5000);
		size := CASE WHEN random() < 0.9 THEN 1 + random() * 5 ELSE 1 + random() * 2000 END;
		INSERT INTO t SELECT id, nextval('tick'), repeat('x', 40)
			FROM (SELECT DISTINCT (1 + random() * 5000)::int AS id FROM generate_series(1, size)) AS s
			ON CONFLICT (id) DO UPDATE SET n = excluded.n;
		IF random() < 0.2 THEN
			DELETE FROM t WHERE id BETWEEN 100 AND 100 + random() * 10;
		END IF;
		IF random() < 0.1 THEN
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
	END LOOP;
END $$;
EOC
	return;
}

sub arguments
{
	my ($node, $slot, @more) = @_;

	return ('pg_outflow', 'stream', '-d', $node->connstr('postgres'), '-S', $slot, @more);
}

# start_client(NODE, SLOT, LOG, ARGUMENT...)
sub start_client
{
	my ($node, $slot, $log, @more) = @_;

	return IPC::Run::start([ arguments($node, $slot, @more) ], '<', \undef, '>>', "$log.out", '2>>', $log);
}

# start_proxied_client(PLACE, SLOT, LOG, ARGUMENT...): through the proxy before PostgreSQL
# that is at PLACE
sub start_proxied_client
{
	my ($place, $slot, $log, @more) = @_;

	return IPC::Run::start(
		[ 'pg_outflow', 'stream', '-d',
			'host=127.0.0.1 port=' . slurp_file("$place/server_port") . ' dbname=postgres sslmode=disable gssencmode=disable',
			'-S', $slot, @more ],
		'<', \undef, '>>', "$log.out", '2>>', $log);
}

sub kill_client
{
	my ($client) = @_;

	$client->signal('KILL');
	$client->finish;
	return;
}

# stop_client(CLIENT): its exit code, when told to stop
sub stop_client
{
	my ($client) = @_;

	$client->signal('TERM');
	$client->finish;
	return $client->result(0);
}

# run_client(NODE, SLOT, ARGUMENT...): exit code, stdout, stderr
sub run_client
{
	my ($node, $slot, @more) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ arguments($node, $slot, @more) ],
		'<', \undef, '>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return ($? >> 8, $out, $err);
}

# start_writer(NODE, TRANSACTIONS): a session that may be cut off
sub start_writer
{
	my ($node, $transactions) = @_;

	my ($session) = start_psql($node, "CALL work($transactions)");
	return $session;
}

sub current_lsn
{
	my ($node) = @_;

	return $node->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()');
}

sub confirmed_lsn
{
	my ($node, $slot) = @_;

	return $node->safe_psql('postgres',
		"SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '$slot'");
}

# wait_confirmed(NODE, SLOT, LSN)
sub wait_confirmed
{
	my ($node, $slot, $lsn) = @_;

	return wait_until($node, "SELECT confirmed_flush_lsn >= '$lsn' FROM pg_replication_slots WHERE slot_name = '$slot'",
		"slot $slot is confirmed to $lsn");
}

sub lsn_number
{
	my ($lsn) = @_;
	my ($high, $low) = split m{/}, $lsn;

	return hex($high) * 2**32 + hex($low);
}

# replay_records(LINES...): what a table t is after them, as table_rows() has it
sub replay_records
{
	my (@lines) = @_;
	my %rows;

	foreach my $line (@lines)
	{
		my $record = $json->decode($line);

		next if !defined $record->{table} || $record->{op} eq 'schema';
		if ($record->{op} eq 'delete') { delete $rows{ $record->{key}{id} }; }
		elsif ($record->{op} eq 'truncate') { %rows = (); }
		else { $rows{ $record->{new}{id} } = $record->{new}{n}; }
	}
	return join("\n", map { "$_|$rows{$_}" } sort { $a <=> $b } keys %rows);
}

sub table_rows
{
	my ($node) = @_;

	return $node->safe_psql('postgres', 'SELECT id, n FROM t ORDER BY id');
}

# check_once(WHAT, LINES...): each id once, and in order
sub check_once
{
	my ($what, @lines) = @_;
	my ($last, $again, $back) = ('', 0, 0);

	foreach my $line (@lines)
	{
		my ($id) = $line =~ /^\{(?:"op":"\w+",)?"id":"([^"]*)"/ or next;

		$again++ if $id eq $last;
		$back++ if $id lt $last;
		$last = $id;
	}
	is("$again again, $back back", '0 again, 0 back', "$what: each record once, in order");
	return;
}

# delivered_lines(DIRECTORY): of the files that have their names, in the order of those
sub delivered_lines
{
	my ($directory) = @_;
	my @files = grep { !m{/\.} && !/^\./ } files_below($directory);
	my @lines;

	foreach my $file (@files)
	{
		my $text = '';

		IPC::Run::run([ $file =~ /zst$/ ? ('zstd', '-dcq') : 'cat', "$directory/$file" ], '>', \$text)
		  or die "could not read $file";
		die "$file ends within a line" if $text ne '' && $text !~ /\n\z/;
		die "$file ends within a transaction" if $text !~ /^\{"op":"commit"[^\n]*\n\z/m;
		push @lines, split(/\n/, $text);
	}
	return @lines;
}

sub readme
{
	return slurp_file(dirname(__FILE__) . '/../../README.md');
}

# replaced(TEXT, WHAT, BY...): each of them must be there
sub replaced
{
	my ($text, @replace) = @_;

	while (my ($what, $by) = splice(@replace, 0, 2))
	{
		$text =~ s/\Q$what\E/$by/g or die "README.md's example has no \"$what\": $text";
	}
	return $text;
}

# readme_command(START, WHAT, BY...): the command of README.md that begins so, with
# addresses of this test
sub readme_command
{
	my ($start, @replace) = @_;

	readme() =~ /^\$ (\Q$start\E.*)$/m or die "README.md has no command \"$start\"";
	return replaced($1, @replace);
}

# start_readme_command(NODE, LOG, START, WHAT, BY...): one that streams from dbname=shop
sub start_readme_command
{
	my ($node, $log, $start, @replace) = @_;
	my $command = readme_command($start, 'dbname=shop', "'" . $node->connstr('postgres') . "'", @replace);

	return IPC::Run::start([ 'bash', '-c', "exec $command" ], '<', \undef, '>>', $log, '2>&1');
}

# readme_block(LANGUAGE, WORD, WHAT, BY...): its block of code with that word
sub readme_block
{
	my ($language, $word, @replace) = @_;
	my ($block) = grep { /\Q$word\E/ } readme() =~ /^```$language\n(.*?)^```/msg;

	return replaced($block // die("README.md has no such block"), @replace);
}

# write_to(PLACE, NAME, TEXT): whole, for a peer that may be reading it
sub write_to
{
	my ($place, $name, $text) = @_;

	open(my $file, '>', "$place/$name.new") or die;
	print $file $text;
	close($file);
	rename("$place/$name.new", "$place/$name") or die;
	return;
}

# watch_calls(LOG, FILE): the environment in which a program's calls are told in the log
# (test/modules/calls), those for that file among them
sub watch_calls
{
	my ($log, $file) = @_;
	my $module = "$FindBin::RealBin/../modules/calls/calls_preload.so";

	-f $module or die "$module is not built";
	return (LD_PRELOAD => $module, CALLS => $log, CALLS_FILE => $file // '');
}

# start_peer(PROGRAM, PLACE, LOG, ARGUMENT...): a program of test/lib, once it is
# ready
sub start_peer
{
	my ($program, $place, $log, @more) = @_;

	unlink "$place/ready";
	my $peer = IPC::Run::start([ 'python3', dirname(__FILE__) . "/$program", $place, @more ],
		'<', \undef, '>>', $log, '2>>', $log);

	wait_for_line("$place/ready", qr/yes/);
	return $peer;
}

# check_stored(NODE, GROUP, STORED...): what a stream has stored of the table t, in
# its order, each with data, a record, and with what all of a row's must share
sub check_stored
{
	my ($node, $group, @stored) = @_;
	my (%seen, %last, %group_of, %rows, $differ, $back, $elsewhere);
	my $again = 0;

	foreach my $stored (@stored)
	{
		my $record = JSON::PP->new->decode($stored->{data});

		next if $record->{op} !~ /^(insert|update|delete)$/;
		my $id = $record->{key}{id} // $record->{new}{id};
		$elsewhere++ if ($group_of{$id} //= $stored->{$group}) ne $stored->{$group};
		if (defined $seen{ $record->{id} })
		{
			$again++;
			$differ++ if $seen{ $record->{id} } ne $stored->{data};
			next;
		}
		$seen{ $record->{id} } = $stored->{data};
		$back++ if $record->{id} lt ($last{$id} // '');
		$last{$id} = $record->{id};
		if ($record->{op} eq 'delete') { delete $rows{$id}; }
		else { $rows{$id} = $record->{new}{n}; }
	}
	cmp_ok(scalar(keys %seen), '>', 100, scalar(keys %seen) . " records, $again again");
	is($differ, undef, 'what comes again is the same');
	is($back, undef, 'the changes of a row come in order');
	is($elsewhere, undef, "and all of them with one $group");
	is(join("\n", map { "$_|$rows{$_}" } sort { $a <=> $b } keys %rows), table_rows($node), 'they give the table');
	return;
}

# make_twin(NODE, TWIN): a standby, started, that has all of it, its slots included,
# and gets nothing more; the node is stopped
sub make_twin
{
	my ($node, $twin) = @_;

	$node->stop;
	$node->backup_fs_cold($twin->name);
	$twin->init_from_backup($node, $twin->name);
	$twin->set_standby_mode;
	$twin->start;
	return;
}

1;
