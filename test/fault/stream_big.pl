# Promise: neither a transaction of ten million rows nor rows of several 255 MB
# values exhaust the walsender's memory, time out or wedge the slot.
# OUTFLOW_BIG_ROWS changes the number of rows.
use strict;
use warnings;

use FindBin;
use OutflowTest;
use POSIX qw(:sys_wait_h);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $rows = $ENV{OUTFLOW_BIG_ROWS} // 10_000_000;
my $module = "$FindBin::RealBin/../modules/null_plugin";
my $node = new_outflow_node('big', conf => <<END);
dynamic_library_path = '\$libdir:$module'
wal_sender_timeout = 5s
max_wal_size = 8GB
autovacuum = off
END

if ($node->safe_psql('postgres',
		"SELECT count(*) FROM pg_settings WHERE name = 'output_plugin_libraries'"))
{
	$node->append_conf('postgresql.conf',
		"output_plugin_libraries = 'null_plugin, outflow'");
	$node->restart;
}

# RssAnon in kB of the slot's walsender, undef without one
sub private_memory
{
	my ($slot) = @_;
	my $pid = $node->safe_psql('postgres',
		"SELECT active_pid FROM pg_replication_slots WHERE slot_name = '$slot'");

	return undef unless $pid && open(my $in, '<', "/proc/$pid/status");
	my ($kb) = map { /^RssAnon:\s+(\d+)/ ? $1 : () } <$in>;
	return $kb;
}

# The number of lines that pg_recvlogical wrote and the walsender's peak; the
# caller may look at the file.
sub stream
{
	my ($slot, $end, $look, %options) = @_;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/$slot.out";
	my ($peak, $lines) = (0, 0);
	my $pid = fork() // die "could not fork: $!";

	if ($pid == 0)
	{
		# the plugin that writes nothing reports no progress either
		$ENV{PGOPTIONS} = '-c wal_sender_timeout=0' if $slot eq 'nothing';
		exec 'pg_recvlogical', '-d', $node->connstr('postgres'), '--slot', $slot,
		  '--start', '--no-loop', '--status-interval=1', '--endpos', $end, '--file', $file,
		  map { ('-o', "$_=$options{$_}") } sort keys %options;
	}
	while (waitpid($pid, WNOHANG) == 0)
	{
		my $kb = private_memory($slot) // 0;

		$peak = $kb if $kb > $peak;
		sleep(0.1);
	}
	is($?, 0, "$slot: streamed to the end");
	open(my $in, '<', $file) or die "could not read \"$file\": $!";
	$lines++ while <$in>;
	close($in);
	$look->();
	unlink $file;
	return ($lines, $peak);
}

sub make_slot
{
	my ($slot, $plugin) = @_;

	$node->safe_psql('postgres',
		"SELECT FROM pg_create_logical_replication_slot('$slot', '$plugin')");
}

# ---- many rows
$node->safe_psql('postgres', 'CREATE TABLE many (id bigint, v text)');
make_slot('nothing', 'null_plugin');
make_slot($_, 'outflow') foreach qw(batched filtered);
$node->safe_psql('postgres',
	"INSERT INTO many SELECT g, 'value ' || g FROM generate_series(1, $rows) AS g");
my $end = $node->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()');
my ($lines, $least) = stream('nothing', $end, sub { });
my $peak;

is($lines, 0, 'nothing was written by the plugin that writes nothing');
($lines, $peak) = stream('batched', $end, sub { }, batch_bytes => 65536);
is($lines, $rows + 3, 'begin, schema, every row, commit');
cmp_ok($peak, '<=', $least + 16 * 1024,
	'batches take at most 16 MB more than writing nothing');
($lines, $peak) = stream('filtered', $end, sub { }, tables => 'public.other');
is($lines, 0, 'every row was filtered away');
cmp_ok($peak, '<=', $least + 16 * 1024, 'and took no memory');
ok(!$node->log_contains('terminating walsender process due to'),
	'no walsender gave up its client');
$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('$_')")
  foreach qw(nothing batched filtered);
$node->safe_psql('postgres', 'DROP TABLE many');

# ---- large values: text that escapes make six times as long, and bytes
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE large (id int PRIMARY KEY, a text, b text, c bytea);
ALTER TABLE large ALTER a SET STORAGE EXTERNAL;
SQL
my %formats = (
	json => { format => 'json' },
	json_64kb => { format => 'json', batch_bytes => 65536 },
	debezium => { format => 'debezium' });
make_slot($_, 'outflow') foreach sort keys %formats, qw(refused whole wal2json);
$node->safe_psql('postgres', <<'SQL');
INSERT INTO large VALUES (1, 'before', 'before', 'before');
INSERT INTO large VALUES (2, repeat(E'\x01', 255 * 1024 * 1024), repeat('"', 255 * 1024 * 1024),
	decode(repeat('ab', 255 * 1024 * 1024), 'hex'));
INSERT INTO large SELECT g, 'after', 'after', 'after' FROM generate_series(3, 1002) AS g;
SQL
my $large_end = $node->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()');

# The stream goes on after the rows, so that the walsender stays to be looked at.
foreach my $slot (sort keys %formats)
{
	my %options = %{ $formats{$slot} };
	my $file = "$PostgreSQL::Test::Utils::tmp_check/$slot.out";
	my $text = '';
	my $client = IPC::Run::start(
		[ 'pg_recvlogical', '-d', $node->connstr('postgres'), '--slot', $slot, '--start',
			'--no-loop', '--status-interval=1', '--fsync-interval=0', '--file', $file,
			map { ('-o', "$_=$options{$_}") } sort keys %options ],
		'2>', \my $stderr);
	$node->poll_query_until('postgres',
		"SELECT confirmed_flush_lsn >= '$large_end' FROM pg_replication_slots WHERE slot_name = '$slot'")
	  or die "$slot did not reach the end";
	my $kb = private_memory($slot);

	cmp_ok($kb, '<', 32 * 1024, "$slot: memory falls back after a large row");
	$client->signal('INT');
	$client->finish;
	cmp_ok(-s $file, '<', 10_000_000, "$slot: the large values were left out");
	$text = slurp_file($file);
	like($text, qr/"id":1002\b/,
		"$slot: the rows that follow came");
	my @after = $text =~ /"after"/g;
	cmp_ok(scalar @after, '>=', 2000, "$slot: with all their values");
	unlink $file;
}

# ---- the same as an error, which one option lifts
my ($status, $out, $err) = $node->psql('postgres',
	"SELECT count(*) FROM pg_logical_slot_get_changes('refused', NULL, NULL, 'oversize', 'error')");
isnt($status, 0, 'oversize=error refuses the row');
like($err, qr/value of column "a" of table "public\.large" is too large for the stream/,
	'and names the column');
is($node->safe_psql('postgres',
		"SELECT count(*) FROM pg_logical_slot_get_changes('refused', NULL, NULL)
		WHERE data LIKE '{\"op\":\"insert\"%'"), '1002', 'the slot is not wedged');

# ---- values of 510 MB, once written, are sent whole where limits let them
my %wide = (
	whole => { max_value_bytes => '1000MB', max_record_bytes => '1000MB' },
	wal2json => { format => 'wal2json', 'format-version' => 2 });

foreach my $slot (sort keys %wide)
{
	my $quotes = 0;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/$slot.out";

	($lines, $peak) = stream($slot, $large_end, sub {
		open(my $in, '<', $file) or die "could not read \"$file\": $!";
		while (read($in, my $piece, 16 * 1024 * 1024))
		{
			$quotes += () = $piece =~ /\\"/g;
			# an escape that the border of two pieces cuts
			$quotes++ if substr($piece, -1) eq '\\' && read($in, $piece, 1);
		}
	}, %{ $wide{$slot} });
	is($quotes, 255 * 1024 * 1024, "$slot: every character came");
	diag "$slot: the walsender took $peak kB";
	cmp_ok($peak, '<=', 4 * 1024 * 1024, "$slot: in bounded memory");
}
like(slurp_file($node->logfile),
	qr/value of column "a" of table "public\.large" is too large/,
	'what was left out is in the log');

$node->stop;
done_testing();
