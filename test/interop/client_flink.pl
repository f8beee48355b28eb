# Promise: a job of Flink SQL that reads what pg_outflow delivers keeps a grouped
# aggregate that is PostgreSQL's: event by event from Kafka, and in micro-batches from
# the rotated files; whatever is killed: pg_outflow, Kafka, PostgreSQL or Flink.
use strict;
use warnings;

use ClientTest;
use File::Path qw(make_path);
use IPC::Run ();
use KafkaTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

# OUTFLOW_KAFKA has Kafka's jars, OUTFLOW_FLINK those of Flink
my $end = 'end of the stream';
my $node = new_outflow_node('main', conf => "wal_sender_timeout = 5s\n", init => [ extra => [qw(--encoding=UTF8 --no-locale)] ]);
my $log = "${PostgreSQL::Test::Utils::tmp_check}/client";
my $broker = KafkaTest->new->start;
my $topic = 'shop.public.orders';

# debezium-json wants the old row of every update and delete
$node->safe_psql('postgres', <<'EOC');
CREATE TABLE orders (id bigint PRIMARY KEY, region text, amount numeric(12,2));
ALTER TABLE orders REPLICA IDENTITY FULL;
CREATE PROCEDURE trade(transactions int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. transactions LOOP
		INSERT INTO orders SELECT id, 'region ' || (random() * 9)::int, (random() * 10000)::numeric(12,2)
			FROM (SELECT DISTINCT (1 + random() * 500)::int AS id FROM generate_series(1, 1 + (random() * 4)::int)) AS s
			ON CONFLICT (id) DO UPDATE SET amount = orders.amount + excluded.amount, region = excluded.region;
		IF random() < 0.2 THEN
			DELETE FROM orders WHERE id = 1 + (random() * 500)::int;
		END IF;
		IF random() < 0.1 THEN
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
	END LOOP;
END $$;
EOC

my $sums = 'SELECT region, count(*) AS orders, CAST(sum(amount) AS DECIMAL(18, 2)) AS total, min(amount) AS least FROM orders GROUP BY region';

# start_flink(NAME, TABLE, QUERY, SETTING...): the job, which reads the table that these
# options of Flink's make
sub start_flink
{
	my ($name, $table, $query, @settings) = @_;
	my $directory = PostgreSQL::Test::Utils::tempdir($name);
	my $flink = { name => $name, directory => $directory, out => '', err => '', seen => 0 };

	make_path("$directory/result");
	append_to_file("$directory/script.sql",
		'CREATE TABLE orders (id BIGINT, region STRING, amount DECIMAL(12, 2), PRIMARY KEY (id) NOT ENFORCED) '
		  . "WITH ($table, 'format' = 'debezium-json');\n$query;\n");
	$flink->{harness} = IPC::Run::start(
		[
			'java', '-Xmx1g',
			(map { "--add-opens=java.base/$_=ALL-UNNAMED" }
				  qw(java.lang java.util java.net java.io java.nio java.lang.invoke java.util.concurrent java.time)),
			'-Dorg.slf4j.simpleLogger.defaultLogLevel=error', "-Djava.io.tmpdir=$directory",
			'-cp', "$ENV{OUTFLOW_FLINK}/*",
			'ReadChanges', "$directory/script.sql", $end, "$directory/result", @settings
		],
		'<', \undef, '>', \$flink->{out}, '2>', \$flink->{err}, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default * 3));
	return $flink;
}

# pump(FLINK, TEST): until the test of what it has said is true
sub pump
{
	my ($flink, $test) = @_;

	while (!$test->())
	{
		$flink->{harness}->pumpable or die "Flink ended: $flink->{err}";
		$flink->{harness}->pump;
		while ($flink->{out} =~ s/\A\d+ ([^\n]*)\n//) { $flink->{seen}++ if $1 ne 'sum'; }
	}
	return;
}

sub kill_flink { $_[0]{harness}->kill_kill(grace => 0); return; }

# check(FLINK, QUERY): it ends, with what the source gives
sub check
{
	my ($flink, $query) = @_;

	$flink->{harness}->finish;
	is($flink->{harness}->result(0), 0, "$flink->{name}: Flink accepts every event") or diag($flink->{err});
	is($node->safe_psql('postgres', <<SQL), '0|0|t', "$flink->{name}: what Flink has is what PostgreSQL has");
CREATE TEMP TABLE lines (line text);
COPY lines FROM '$flink->{directory}/result/0' (FORMAT csv, DELIMITER E'\\x01', QUOTE E'\\x02', ESCAPE E'\\x02');
CREATE TEMP VIEW s AS $query;
CREATE TEMP TABLE here AS SELECT r::text AS row FROM s AS r;
CREATE TEMP TABLE there AS SELECT r::text AS row FROM lines, json_populate_record(NULL::s, line::json) AS r;
SELECT (SELECT count(*) FROM (TABLE here EXCEPT ALL TABLE there) AS x),
	(SELECT count(*) FROM (TABLE there EXCEPT ALL TABLE here) AS x), (SELECT count(*) > 5 FROM here)
SQL
	return;
}

# both streams, with everything killed now and then
my $files = new_export_dir();
my @kafka = ('--to=kafka://' . $broker->address . '/shop', '--exactly-once', '--kafka-partitions=1', '--batch-bytes=20kB', '-o', 'tables=public.orders');
my @file = ("--to=file://$files", '--file-rotate-bytes=100kB', '-o', 'format=debezium', '-o', 'tables=public.orders');
my $table = join(', ', "'connector' = 'kafka'", "'topic' = '$topic'", "'properties.bootstrap.servers' = '" . $broker->address . "'",
	"'properties.group.id' = 'flink'", "'properties.isolation.level' = 'read_committed'", "'scan.startup.mode' = 'earliest-offset'");
my $flink;

create_slot($node, 'kafka');
create_slot($node, 'files');
srand(4711);
foreach my $round (1 .. 4)
{
	my ($writer) = start_psql($node, 'CALL trade(400)');
	my @clients = (start_client($node, 'kafka', "$log.kafka", @kafka), start_client($node, 'files', "$log.files", @file));

	# its topic must be there
	if ($round == 2) { $flink = start_flink('kafka', $table, $sums); }
	Time::HiRes::sleep(1 + rand(2));
	if ($round == 3)
	{
		# from the beginning again: the job keeps nothing elsewhere
		pump($flink, sub { $flink->{seen} > 50 });
		kill_flink($flink);
		$flink = start_flink('kafka', $table, $sums);
		$node->stop('immediate');
		$node->start;
	}
	if ($round % 2)
	{
		$broker->kill;
		$broker->start;
	}
	kill_client($_) foreach @clients;
	$writer->finish;
}
$node->safe_psql('postgres', "INSERT INTO orders VALUES (0, '$end', 0)");
foreach my $case ([ 'kafka', @kafka ], [ 'files', @file ])
{
	my ($slot, @target) = @$case;
	my ($code, undef, $err) = run_client($node, $slot, @target, '--endpos=' . current_lsn($node));
	is($code, 0, "$slot: comes to the end") or diag($err);
}
check($flink, $sums);

# the files, one after the other, as Flink doesn't sort them; and from the first one
# again when it was killed
my @files = sort glob("$files/*.ndjson");
my $rows = "SELECT 'row' AS kind, id, region, CAST(NULL AS BIGINT) AS orders, amount AS total, amount AS least FROM orders WHERE region <> '$end'"
  . ' UNION ALL '
  . "SELECT 'sum', CAST(NULL AS BIGINT), region, count(*), CAST(sum(amount) AS DECIMAL(12, 2)), min(amount) FROM orders GROUP BY region";
my %entries = (c => 1, u => 2, d => 1);

cmp_ok(scalar(@files), '>', 2, 'files: ' . @files . ' of them');
foreach my $last (1, $#files)
{
	my $directory = PostgreSQL::Test::Utils::tempdir("files_$last");
	my $given = 0;

	$flink = start_flink('files', "'connector' = 'filesystem', 'path' = 'file://$directory', 'source.monitor-interval' = '20 ms'", $rows,
		'table.exec.mini-batch.enabled=true', 'table.exec.mini-batch.allow-latency=200 ms', 'table.exec.mini-batch.size=5000');
	foreach my $file (@files[ 0 .. $last ])
	{
		my $text = slurp_file($file);
		my ($name) = $file =~ m{([^/]+)$};

		append_to_file("$directory/.$name", $text);
		rename("$directory/.$name", "$directory/$name") or die;
		next if $text =~ /\Q$end\E/;
		$given += $entries{$_} foreach $text =~ /,"op":"(\w)","ts_ms"/g;
		pump($flink, sub { $flink->{seen} >= $given });
	}
	kill_flink($flink) if $last != $#files;
}
check($flink, $rows);
$broker->kill;
done_testing();
