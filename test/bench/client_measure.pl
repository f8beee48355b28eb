# client_measure.pl: the measurements of bench-client, in the server that "client"
# has made.  Its parameters come in the environment.
use strict;
use warnings;

use File::Path qw(remove_tree);
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(time sleep);

$| = 1;
# as no test: what it would do to the environment and to stdout is not wanted
{
	my %environment = %ENV;
	local $SIG{__WARN__} = sub { };

	require KafkaTest;
	%ENV = %environment;
}

my $out = $ENV{OUT};
my $broker = KafkaTest->new(auto_create => 1)->start;
my $kafka = $broker->address;
# what pg_outflow asks the plugin for; and what pg_recvlogical gets without it
my @batched = ('-o', 'batch_bytes=65536');
my @recvlogical = qw(pg_recvlogical --dbname=postgres --start --no-loop --slot=run);
my @outflow = qw(pg_outflow stream -d dbname=postgres -S run --log-level=warning);

# name, command, where a shell takes it; of a topic if it is named like that; the slot
# whose copy it reads, if it isn't outflow's
my @ways = (
	[ 'file: pg_recvlogical', "@recvlogical --endpos=$ENV{ENDPOS} --file=$out/file" ],
	[ 'file: pg_recvlogical, 64 kB', "@recvlogical @batched --endpos=$ENV{ENDPOS} --file=$out/file" ],
	[ 'file: pg_outflow stdout:', "@outflow --endpos=$ENV{ENDPOS} --to=stdout: >$out/file" ],
	[ 'file: pg_outflow file:', "mkdir $out/file && exec @outflow --endpos=$ENV{ENDPOS} --to=file://$out/file --file-rotate-bytes=1GB" ],
	[ 'kafka: pg_recvlogical | kcat', "@recvlogical -o format=debezium @batched --endpos=$ENV{ENDPOS} --file=- | kcat -b $kafka -P -t TOPIC -X acks=all -z lz4" ],
	[ 'kafka: pg_outflow', "@outflow --endpos=$ENV{ENDPOS} --to=kafka://$kafka/TOPIC --kafka-topic=TOPIC --kafka-partitions=1" ],
	[ 'kafka: pg_outflow, exactly once', "@outflow --endpos=$ENV{ENDPOS} --to=kafka://$kafka/TOPIC --kafka-topic=TOPIC --kafka-partitions=1 --exactly-once" ],
	[ 'kafka: Debezium\'s engine', "java -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp '$ENV{ENGINE}' Engine $ENV{PGPORT} run $kafka TOPIC $ENV{ROWS}", 'bench_pgoutput' ]);
@ways = grep { $_->[0] =~ /$ENV{ONLY}/ } @ways;

sub sql
{
	my ($query) = @_;
	open(my $in, '-|', 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-c', $query) or die "could not run psql: $!";
	my $text = join('', <$in>);

	close($in) or die "failed: $query";
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

# the most memory in kB of the processes of a group
sub memory
{
	my ($group) = @_;
	my $sum = 0;

	foreach my $stat (glob '/proc/[0-9]*/stat')
	{
		next unless read_file($stat) =~ /^(\d+) \(.*\) \S \d+ (\d+) /s && $2 == $group;
		$sum += $1 if read_file("/proc/$1/status") =~ /^VmHWM:\s+(\d+)/m;
	}
	return $sum;
}

my $topics = 0;

# one run: seconds, CPU seconds and memory of the client
sub measure
{
	my ($name, $command, $slot) = @{ $_[0] };
	my $topic = 'bench' . ++$topics;
	my $memory = 0;

	remove_tree("$out/file");
	unlink("$out/file");
	$command =~ s/TOPIC/$topic/g;
	sql('SELECT pg_copy_logical_replication_slot(' . ($slot ? "'$slot'" : "'bench'") . ", 'run')");
	my ($user, $system) = (times)[ 2, 3 ];
	my $start = time;
	my $client = fork() // die;
	if ($client == 0)
	{
		setpgrp(0, 0);
		exec('sh', '-c', $command =~ /^mkdir|\|/ ? $command : "exec $command") or die;
	}
	while (waitpid($client, WNOHANG) == 0)
	{
		my $now = memory($client);
		$memory = $now if $now > $memory;
		sleep(0.05);
	}
	die "$name failed: $?" if $?;
	my $seconds = time - $start;
	my $cpu = (times)[2] + (times)[3] - $user - $system;
	sleep(0.05) while sql("SELECT active FROM pg_replication_slots WHERE slot_name = 'run'") eq 't';
	sql("SELECT pg_drop_replication_slot('run')");
	return { seconds => $seconds, cpu => $cpu, memory => $memory / 1024 };
}

sub median
{
	my @sorted = sort { $a <=> $b } @_;
	return $sorted[ int($#sorted / 2) ];
}

my %runs;
foreach my $time (1 .. $ENV{TIMES})
{
	push @{ $runs{ $_->[0] } }, measure($_) foreach @ways;
}
printf("%-34s %9s %9s %9s %12s\n", 'medians of ' . $ENV{TIMES}, 'seconds', 'CPU s', 'MB', 'changes/s');
foreach my $way (@ways)
{
	my %median = map { my $key = $_; ($key => median(map { $_->{$key} } @{ $runs{ $way->[0] } })) } qw(seconds cpu memory);

	printf("%-34s %9.2f %9.2f %9.1f %12d\n", $way->[0], @median{qw(seconds cpu memory)}, $ENV{ROWS} / $median{seconds});
}

# as many are not counted: a broker's Java is twice as slow at first
my $warm = 300;

# Milliseconds from the start of a statement that inserts a row, on an idle stream, to
# the row's arrival at who reads what READER prints; CLIENT delivers, if it isn't READER.
sub latency
{
	my ($name, $reader, $client) = @_;
	my @times;
	my $delivers;

	sql("SELECT pg_create_logical_replication_slot('run', 'outflow')");
	if (defined $client && !($delivers = fork() // die)) { exec('sh', '-c', "exec $client") or die; }
	# a topic is made with its first record
	sql('INSERT INTO ticks VALUES (0)');
	sleep(3) if $client;
	my $reads = open(my $in, '-|', 'sh', '-c', "exec $reader") // die;
	open(my $psql, '|-', 'psql', '-XqAt') or die;
	$psql->autoflush(1);
	foreach my $n (1 .. $ENV{LATENCY} + $warm)
	{
		my $start = time;

		print $psql "INSERT INTO ticks VALUES ($n);\n";
		my $line = '';
		while ($line !~ /"n":$n\}/)
		{
			next if defined($line = <$in>);
			kill('TERM', $delivers) if $delivers;
			die "$name: its reader has ended";
		}
		push @times, (time - $start) * 1000 if $n > $warm;
		sleep(0.005);
	}
	close($psql);
	kill('TERM', grep { defined } $reads, $delivers);
	close($in);
	waitpid($delivers, 0) if $delivers;
	my @sorted = sort { $a <=> $b } @times;
	printf("%-34s %9.2f %9.2f %9.2f\n", $name, $sorted[ $#sorted / 2 ], $sorted[ $#sorted * 0.99 ], $sorted[-1]);
	sleep(0.05) while sql("SELECT active FROM pg_replication_slots WHERE slot_name = 'run'") eq 't';
	sql("SELECT pg_drop_replication_slot('run')");
	return;
}

if ($ENV{LATENCY})
{
	sql('CREATE TABLE ticks (n int)');
	printf("\n%-34s %9s %9s %9s\n", 'milliseconds from commit', 'median', 'p99', 'most');
	latency('stdout: pg_recvlogical', "@recvlogical --file=-");
	latency('stdout: pg_outflow', "@outflow --to=stdout:");
	latency('kafka: pg_outflow', "kcat -b $kafka -C -t ticks -o beginning -u -q",
		"@outflow --to=kafka://$kafka/x --kafka-topic=ticks --kafka-partitions=1");
	latency('kafka: pg_outflow, exactly once', "kcat -b $kafka -C -t ticks1 -o beginning -u -q -X isolation.level=read_committed",
		"@outflow --to=kafka://$kafka/x --kafka-topic=ticks1 --kafka-partitions=1 --exactly-once");
	latency('... --linger=0', "kcat -b $kafka -C -t ticks2 -o beginning -u -q -X isolation.level=read_committed",
		"@outflow --to=kafka://$kafka/y --kafka-topic=ticks2 --kafka-partitions=1 --exactly-once --linger=0");
	my $port = KafkaTest::free_port();
	mkdir("$out/spool") or die;
	latency('ws: pg_outflow', "python3 '$ENV{WS_TAIL}' $port", "@outflow --to=ws://127.0.0.1:$port --ws-spool=$out/spool");
}
$broker->kill;
exit(0);
