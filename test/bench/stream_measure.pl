# stream_measure.pl: the measurements of bench-stream, in the server that
# "stream" has made.  Its parameters come in the environment.
use strict;
use warnings;

use POSIX qw(:sys_wait_h);
use Time::HiRes qw(time sleep);

$| = 1;

# name, plugin, options
my @ways = (
	[ 'writes nothing', 'null_plugin' ],
	[ 'pgoutput text', 'pgoutput', 'proto_version=1', 'publication_names=bench' ],
	[ 'pgoutput binary', 'pgoutput', 'proto_version=1',
		'publication_names=bench', 'binary=true' ],
	[ 'test_decoding', 'test_decoding' ],
	[ 'decoderbufs', 'decoderbufs' ],
	[ 'wal2json v1', 'wal2json', 'format-version=1' ],
	[ 'wal2json v2', 'wal2json', 'format-version=2' ],
	[ 'outflow wal2json v1', 'outflow', 'format=wal2json', 'format-version=1' ],
	[ 'outflow wal2json v2', 'outflow', 'format=wal2json', 'format-version=2' ],
	[ 'outflow json', 'outflow' ],
	[ 'outflow json, 64 kB', 'outflow', 'batch_bytes=65536' ],
	[ 'outflow debezium', 'outflow', 'format=debezium' ],
	[ 'outflow debezium, 64 kB', 'outflow', 'format=debezium',
		'batch_bytes=65536' ]);
@ways = grep { $_->[0] =~ /$ENV{ONLY}/ } @ways;

sub sql
{
	my ($query) = @_;
	open(my $out, '-|', 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-c', $query)
	  or die "could not run psql: $!";
	my $text = join('', <$out>);

	close($out) or die "failed: $query";
	chomp $text;
	return $text;
}

sub read_file
{
	my ($path) = @_;
	open(my $in, '<', $path) or return '';
	local $/;
	return <$in> // '';
}

# the walsender's process id, once there is one
sub find_walsender
{
	foreach my $directory (glob '/proc/[0-9]*')
	{
		my $stat = read_file("$directory/stat");

		next unless $stat =~ /^(\d+) \(.*\) \S (\d+) /s && $2 == $ENV{POSTMASTER};
		my $pid = $1;
		return $pid if read_file("$directory/cmdline") =~ /walsender/;
	}
	return undef;
}

sub start_client
{
	my ($slot, $options, @more) = @_;
	my @command = (
		'pg_recvlogical', '--dbname', 'postgres', '--slot', $slot, '--start', '--no-loop',
		(map { ('--option', $_) } @$options), @more);
	my $pid = fork() // die "could not fork: $!";

	if ($pid == 0)
	{
		exec @command or die "could not run pg_recvlogical: $!";
	}
	return $pid;
}

sub median
{
	my @sorted = sort { $a <=> $b } @_;
	return $sorted[ int($#sorted / 2) ];
}

# one run: seconds, the walsender's CPU seconds, its private memory's peak in kB
sub measure
{
	my ($way) = @_;
	my ($name, $plugin, @options) = @$way;
	my ($sender, $memory, $ticks) = (undef, 0, 0);

	sql("SELECT pg_copy_logical_replication_slot('bench', 'run', false, '$plugin')");
	my $start = time;
	my $client = start_client('run', \@options, '--endpos', $ENV{ENDPOS},
		'--file', '/dev/null');
	while (waitpid($client, WNOHANG) == 0)
	{
		$sender //= find_walsender();
		if ($sender)
		{
			my $status = read_file("/proc/$sender/status");
			my @stat = split(/ /, read_file("/proc/$sender/stat") =~ s/.*\) //sr);

			$memory = $1
			  if $status =~ /^RssAnon:\s+(\d+)/m && $1 > $memory;
			$ticks = $stat[11] + $stat[12] if @stat > 12;
		}
		sleep(0.01);
	}
	die "$name: pg_recvlogical failed" if $?;
	my $seconds = time - $start;
	sql("SELECT pg_drop_replication_slot('run')")
	  while sql("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'run'
		AND active_pid IS NULL");
	return { seconds => $seconds, cpu => $ticks / 100, memory => $memory };
}

# the bytes that a client gets, counted apart from the timing
sub count_bytes
{
	my ($way) = @_;
	my ($name, $plugin, @options) = @$way;
	my $bytes = 0;

	sql("SELECT pg_copy_logical_replication_slot('bench', 'run', false, '$plugin')");
	open(my $out, '-|', 'pg_recvlogical', '--dbname', 'postgres', '--slot', 'run', '--start', '--no-loop',
		'--endpos', $ENV{ENDPOS}, '--file', '-', map { ('--option', $_) } @options)
	  or die "could not run pg_recvlogical: $!";
	while (my $read = sysread($out, my $buffer, 1 << 20))
	{
		$bytes += $read;
	}
	close($out);
	sleep(0.05) while sql("SELECT active FROM pg_replication_slots WHERE slot_name = 'run'") eq 't';
	sql("SELECT pg_drop_replication_slot('run')");
	return $bytes;
}

# Milliseconds from a statement's start to the arrival of its row at the client,
# for commits at a steady rate.
sub latencies
{
	my ($way) = @_;
	my ($name, $plugin, @options) = @$way;
	my @late;
	my $script = "/tmp/outflow_bench_latency.$$";
	my $rest = '';

	open(my $file, '>', $script) or die "could not write \"$script\": $!";
	print $file "INSERT INTO late VALUES ('mark:' ||"
	  . " (extract(epoch FROM clock_timestamp()) * 1000000)::bigint || ';');\n";
	close($file);
	sql("SELECT pg_create_logical_replication_slot('run', '$plugin')");
	# it complains when it is stopped
	open(my $stderr, '>&', \*STDERR) or die "could not keep stderr: $!";
	open(STDERR, '>', '/dev/null') or die "could not open /dev/null: $!";
	my $client = open(my $out, '-|', 'pg_recvlogical', '--dbname', 'postgres', '--slot', 'run', '--start',
		'--no-loop', '--fsync-interval=0', '--file', '-',
		map { ('--option', $_) } @options)
	  or die "could not run pg_recvlogical: $!";
	open(STDERR, '>&', $stderr) or die "could not restore stderr: $!";
	sleep(0.5);
	my $writer = fork() // die "could not fork: $!";
	if ($writer == 0)
	{
		open(STDOUT, '>', '/dev/null');
		exec 'pgbench', '--no-vacuum', '--rate=200', "--time=$ENV{LATENCY}",
		  "--file=$script";
	}
	vec(my $wanted = '', fileno($out), 1) = 1;
	for (;;)
	{
		my $ready = select(my $is_ready = $wanted, undef, undef, 0.5);
		my $now = time * 1000000;

		if ($ready <= 0)
		{
			last if waitpid($writer, WNOHANG) != 0;
			next;
		}
		sysread($out, my $buffer, 1 << 16) or last;
		$rest .= $buffer;
		push @late, ($now - $1) / 1000 while $rest =~ /mark:(\d+);/g;
		$rest = substr($rest, -24) =~ s/.*mark:\d+;//rs;
	}
	kill 'INT', $client;
	close($out);
	unlink $script;
	sleep(0.05) while sql("SELECT active FROM pg_replication_slots WHERE slot_name = 'run'") eq 't';
	sql("SELECT pg_drop_replication_slot('run')");
	return sort { $a <=> $b } @late;
}

my %runs;
foreach my $round (1 .. $ENV{TIMES})
{
	print STDERR "round $round of $ENV{TIMES}\n";
	push @{ $runs{ $_->[0] } }, measure($_) foreach @ways;
}
my %result;
foreach my $way (@ways)
{
	my $runs = $runs{ $way->[0] };

	foreach my $what (qw(seconds cpu memory))
	{
		$result{ $way->[0] }{$what} = median(map { $_->{$what} } @$runs);
	}
	$result{ $way->[0] }{bytes} = count_bytes($way);
}

# each ratio says how many times the peer takes of our time
sub ratio
{
	my ($of, $to) = @_;
	return '-' unless $result{$to};
	return sprintf '%.2f', $result{$of}{seconds} / $result{$to}{seconds};
}

printf "%-26s %8s %8s %9s %8s %10s %10s %10s %10s\n", 'plugin', 'seconds',
  'CPU', 'MB out', 'peak MB', '/ nothing', '/ pgoutput', '/ w2j v2', '/ w2j v1';
foreach my $way (@ways)
{
	my $name = $way->[0];
	my $r = $result{$name};

	printf "%-26s %8.2f %8.2f %9.1f %8.1f %10s %10s %10s %10s\n", $name,
	  $r->{seconds}, $r->{cpu}, $r->{bytes} / 1e6, $r->{memory} / 1024,
	  ratio($name, 'writes nothing'), ratio($name, 'pgoutput text'),
	  ratio($name, 'wal2json v2'), ratio($name, 'wal2json v1');
}

exit 0 unless $ENV{LATENCY} > 0;
sql('CREATE TABLE late (mark text)');
printf "\n%-26s %8s %8s %8s   milliseconds from commit to client\n", 'plugin',
  'p50', 'p99', 'commits';
foreach my $way (grep { $_->[0] =~ /pgoutput text|json|debezium/ } @ways)
{
	my @late = latencies($way);

	printf "%-26s %8.2f %8.2f %8d\n", $way->[0], $late[ $#late * 0.5 ],
	  $late[ $#late * 0.99 ], scalar @late;
}
