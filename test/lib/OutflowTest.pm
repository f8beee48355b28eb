# OutflowTest.pm: what our TAP tests share.
#
# A node made here has wal_level = logical, enough slots and workers, knows
# whether the server wants output_plugin_libraries (test/run puts all that
# into TEMP_CONFIG, which PostgreSQL::Test::Cluster appends), and has the
# extension in its database postgres.
package OutflowTest;

use strict;
use warnings;

use Exporter qw(import);
use File::Temp ();
use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket ();
use Test::More;
use Time::HiRes ();

our @EXPORT = qw(
  new_outflow_node
  need_library
  need_version
  server_major
  new_export_dir
  create_slot
  pass_over
  slot_records
  files_below
  replace_file
  table_as_csv
  exported_parts
  hold_exports
  hold_publications
  hang_at
  kill_recording
  release_exports
  start_psql
  wait_until
  wait_for_line
);

# A server that recovers from a crash refuses psql, which may then be gone before
# it has been handed its query.  That is no answer yet.
my $poll = \&PostgreSQL::Test::Cluster::poll_query_until;

sub poll_query_until
{
	my @arguments = @_;
	my $answer;

	foreach my $try (1 .. 100)
	{
		$answer = eval { $poll->(@arguments) };
		return $answer unless $@;
		die $@ unless $@ =~ /Broken pipe/;
		Time::HiRes::sleep(0.1);
	}
	die $@;
}

{
	no warnings 'redefine';
	*PostgreSQL::Test::Cluster::poll_query_until = \&poll_query_until;
}

# new_outflow_node(NAME, init => [...], conf => TEXT): a running node
sub new_outflow_node
{
	my ($name, %params) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(allows_streaming => 'logical', @{ $params{init} || [] });
	$node->append_conf('postgresql.conf', $params{conf})
	  if defined $params{conf};
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION outflow');
	return $node;
}

# server_major(NODE): 19 for its release candidates, too
sub server_major
{
	my ($node) = @_;

	return $node->pg_version =~ s/\D.*//r;
}

# need_library(NODE, NAME): another one's, by name or path without .so, for the whole file.  A server for which
# it isn't packaged yet, which is a new one, can't be tested with it.
sub need_library
{
	my ($node, $name) = @_;

	my $library = $name =~ m{/} ? $name : $node->config_data('--pkglibdir') . "/$name";

	return if -e "$library.so";
	BAIL_OUT("$name is not installed: run 'make test-deps'")
	  if server_major($node) < 19;
  SKIP:
	{
		skip("$name is not packaged for this server", 1);
	}
	done_testing();
	exit 0;
}

# need_version(NODE, MAJOR, WHAT): else there is nothing to test in this file
sub need_version
{
	my ($node, $major, $what) = @_;

	return if server_major($node) >= $major;
  SKIP:
	{
		skip("PostgreSQL $major brought $what", 1);
	}
	done_testing();
	exit 0;
}

# start_psql(NODE, SQL, DATABASE): a session that runs it, and what it says
sub start_psql
{
	my ($node, $command, $database) = @_;
	my $said = '';
	my $session = IPC::Run::start(
		[ 'psql', '-X', '-d', $node->connstr($database || 'postgres'), '-c', $command ],
		'<', \undef, '>', \$said, '2>', \$said);

	return ($session, \$said);
}

# kill_recording(NODE, TABLE, WHEN, CALL): the call's session is killed, and with it
# the server, when it is to record that in outflow.TABLE
sub kill_recording
{
	my ($node, $table, $when, $call) = @_;

	$node->safe_psql('postgres', <<"EOS");
CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(10000); RETURN NEW; END';
CREATE TRIGGER hang BEFORE UPDATE ON outflow.$table FOR EACH ROW WHEN ($when) EXECUTE FUNCTION hang();
EOS
	my ($session) = start_psql($node, $call);
	wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')", 'the export has come there');
	kill('KILL', $node->safe_psql('postgres', q(SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep')));
	$session->finish;
	$node->stop('immediate', fail_ok => 1);
	$node->start;
	$node->safe_psql('postgres', 'DROP FUNCTION hang CASCADE');
	return;
}

# wait_until(NODE, QUERY, WHAT, DATABASE): until the query says true
sub wait_until
{
	my ($node, $query, $what, $database) = @_;

	$node->poll_query_until($database || 'postgres', $query) or die "not seen: $what";
	return;
}

# wait_for_line(FILE, PATTERN): until a program has written it
sub wait_for_line
{
	my ($file, $pattern) = @_;

	foreach my $try (1 .. 1800)
	{
		return if -e $file && slurp_file($file) =~ $pattern;
		Time::HiRes::sleep(0.1);
	}
	die "not seen in $file: $pattern";
}

# new_export_dir(): a directory that goes away with the test
sub new_export_dir
{
	return File::Temp::tempdir('outflow_export_XXXXXX', TMPDIR => 1,
		CLEANUP => 1);
}

# create_slot(NODE, NAME, DATABASE)
sub create_slot
{
	my ($node, $slot, $database) = @_;

	$node->safe_psql($database || 'postgres',
		"SELECT FROM pg_create_logical_replication_slot('$slot', 'outflow')");
	return;
}

# pass_over(NODE, SLOT): all that is there, when the server has noticed that the last
# client is gone
sub pass_over
{
	my ($node, $slot) = @_;

	wait_until($node, "SELECT NOT active FROM pg_replication_slots WHERE slot_name = '$slot'", "a free slot $slot");
	$node->safe_psql('postgres', "SELECT pg_replication_slot_advance('$slot', pg_current_wal_flush_lsn())");
	return;
}

# slot_records(NODE, SLOT, {OPTION => VALUE}, DATABASE): consumes the slot and
# returns its records, decoded
sub slot_records
{
	my ($node, $slot, $options, $database) = @_;
	my $json = JSON::PP->new->utf8->allow_bignum;
	my $arguments = '';

	foreach my $option (sort keys %{ $options || {} })
	{
		my $value = $options->{$option};

		$value =~ s/'/''/g;
		$arguments .= ", '$option', '$value'";
	}
	my $lines = $node->safe_psql($database || 'postgres',
		"SELECT data FROM pg_logical_slot_get_changes('$slot', NULL, NULL"
		  . "$arguments)");
	return map { $json->decode($_) } grep { $_ ne '' } split(/\n/, $lines);
}

# replace_file(FILE, TEXT): another file in the place of what is there
sub replace_file
{
	my ($file, $text) = @_;

	unlink $file;
	append_to_file($file, $text);
	return;
}

# files_below(DIRECTORY): the paths of all files there, hidden ones too,
# relative and sorted; none where no directory is
sub files_below
{
	my ($directory) = @_;
	my @queue = -e $directory ? ('') : ();
	my @files;

	while (defined(my $path = shift @queue))
	{
		opendir(my $handle, "$directory/$path")
		  or die "could not open directory \"$directory/$path\": $!";
		foreach my $entry (grep { !/^\.\.?$/ } readdir($handle))
		{
			my $child = $path eq '' ? $entry : "$path/$entry";

			if (-d "$directory/$child" && !-l "$directory/$child")
			{
				push @queue, $child;
			}
			else
			{
				push @files, $child;
			}
		}
		closedir($handle);
	}
	return sort @files;
}

# table_as_csv(NODE, TABLE, DIRECTORY): what COPY writes, in the order of its blocks
sub table_as_csv
{
	my ($node, $table, $directory) = @_;
	my $file = "$directory/copy";

	$node->safe_psql('postgres',
		"SET synchronize_seqscans = off; COPY $table TO '$file' (FORMAT csv)");
	my $content = slurp_file($file);
	unlink $file;
	return $content;
}

# exported_parts(DIRECTORY): the content of an export's parts, in order
sub exported_parts
{
	my ($directory) = @_;

	return join('',
		map { slurp_file("$directory/$_") } grep { /^part-/ } files_below($directory));
}

# hold(NODE, DATABASE, LOCK, TRIGGER): updates that the trigger is for wait until
# release_exports().  A prepared transaction has the lock that they wait for, so
# that it outlives the server.
sub hold
{
	my ($node, $database, $lock, $trigger) = @_;

	$node->safe_psql($database || 'postgres', <<EOC);
CREATE OR REPLACE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS \$\$
BEGIN
	PERFORM pg_advisory_xact_lock_shared(TG_ARGV[0]::int);
	RETURN NEW;
END \$\$;
CREATE OR REPLACE TRIGGER hold BEFORE UPDATE ON $trigger EXECUTE FUNCTION hold($lock);
BEGIN;
SELECT pg_advisory_xact_lock($lock);
PREPARE TRANSACTION 'hold';
EOC
	return;
}

# hold_exports(NODE, PART, DATABASE): no job finishes that part or a later one
sub hold_exports
{
	my ($node, $part, $database) = @_;

	hold($node, $database, 4711, "outflow.part FOR EACH ROW WHEN (NEW.state = 'done' AND NEW.part >= $part)");
	return;
}

# hold_publications(NODE, DATABASE): all parts are finished, none is published
sub hold_publications
{
	my ($node, $database) = @_;

	hold($node, $database, 4712, 'outflow.job FOR EACH ROW WHEN (NEW.publishing AND NOT OLD.publishing)');
	return;
}

# hang_at(ADDRESS, PORT): who connects there gets no answer at all, as long as what
# this returns is kept: a queue that is full, since nobody takes anything from it
sub hang_at
{
	my ($address, $port) = @_;
	my $there = Socket::pack_sockaddr_in($port, Socket::inet_aton($address));
	my @sockets;

	foreach my $number (0 .. 4)
	{
		socket($sockets[$number], Socket::PF_INET(), Socket::SOCK_STREAM() | Socket::SOCK_NONBLOCK(), 0) or die $!;
		if ($number == 0)
		{
			bind($sockets[0], $there) or die $!;
			listen($sockets[0], 0) or die $!;
		}
		else
		{
			# may be done, or under way for ever
			connect($sockets[$number], $there);
		}
	}
	return \@sockets;
}

sub release_exports
{
	my ($node, $database) = @_;

	$node->safe_psql($database || 'postgres', "ROLLBACK PREPARED 'hold'");
	return;
}

1;
