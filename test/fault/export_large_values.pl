# Promise: values of 500 MB, and documents as large as they can be, are exported
# exactly in each format; what a format can't hold ends the job with an error
# that names column, table and row, and with that mended it is resumed.  Memory
# stays within what README.md says, and other exports go on.
use strict;
use warnings;

use OutflowTest;
use ParquetTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('large', conf => "shared_buffers = 16MB\nmax_wal_size = 10GB\n");
my $dir = new_export_dir();
my $count = 0;

# what a worker has besides, in MB
my $base = 128;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub set_rate
{
	sql("LOAD 'outflow'; ALTER SYSTEM SET outflow.rate_limit = '$_[0]'");
	sql('SELECT pg_reload_conf()');
	$node->poll_query_until('postgres', "SELECT current_setting('outflow.rate_limit', true) = '$_[0]'");
	return;
}

# peak_mb(PID): the most memory that the process has ever had; 0 if it is gone
sub peak_mb
{
	my ($pid) = @_;

	open(my $status, '<', "/proc/$pid/status") or return 0;
	while (my $line = <$status>)
	{
		return $1 / 1024 if $line =~ /^VmHWM:\s+(\d+) kB/;
	}
	return 0;
}

# watch(JOB): the worker's peak, when the job has failed or when the worker
# sleeps, since the large row is written and uses up its rate for days
sub watch
{
	my ($job) = @_;
	my $peak = 0;

	foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		my ($state, $pid, $bytes) = split(/\|/, sql("SELECT j.state, a.pid, p.bytes_processed FROM outflow.jobs AS j"
			  . " LEFT JOIN pg_stat_activity AS a ON a.backend_type = 'outflow worker'"
			  . " LEFT JOIN pg_stat_progress_copy AS p USING (pid) WHERE j.job = $job"), -1);

		if ($pid)
		{
			my $now = peak_mb($pid);

			$peak = $now if $now > $peak;
		}
		return $peak if $state eq 'failed' || $state eq 'done' || ($bytes || 0) > 10000;
		select(undef, undef, undef, 0.05);
	}
	die "export job $job does not end";
}

# start(TABLE, FORMAT, COMPRESSION): job, directory, and the worker's peak
sub start
{
	my ($table, $format, $compression) = @_;
	my $directory = "$dir/e" . ++$count;

	set_rate('1kB');
	my $job = sql("SELECT outflow.export_start('$table', 'file://$directory', format => '$format',"
		  . " compression => '$compression', part_size => '100GB', workers => 1)");
	return ($job, $directory, watch($job));
}

# same(DIRECTORY, COMPRESSION, QUERY, FORMAT, WHAT): as COPY writes it
sub same
{
	my ($directory, $compression, $query, $format, $what) = @_;
	my ($file) = grep { /^part-/ } files_below($directory);
	my $unpack = $compression eq 'none' ? 'cat' : 'zstd -dcq';

	sql("COPY ($query) TO '$dir/copy' ($format)");
	is(system("$unpack $directory/$file | cmp - $dir/copy"), 0, "$what: exact");
	unlink "$dir/copy";
	return;
}

# exact(TABLE, FORMAT, COMPRESSION, BOUND): with BOUND MB at most
sub exact
{
	my ($table, $format, $compression, $bound) = @_;
	my $what = "$table, $format, $compression";
	my ($job, $directory, $peak) = start($table, $format, $compression);

	cmp_ok($peak, '>', 0, "$what: measured");
	cmp_ok($peak, '<', $bound + $base, "$what: needs no more than $bound MB");
	is(sql("SELECT state FROM outflow.jobs WHERE job = $job"), 'running', "$what: while it is held");
	set_rate('0');
	$node->poll_query_until('postgres', "SELECT state = 'done' FROM outflow.jobs WHERE job = $job")
	  or die "$what: " . sql("SELECT error FROM outflow.jobs WHERE job = $job");
	if ($format eq 'parquet')
	{
		foreach my $column (split(/ /, sql("SELECT string_agg(attname, ' ') FROM pg_attribute"
				  . " WHERE attrelid = '$table'::regclass AND attnum > 1")))
		{
			check_parquet($node, 'postgres', 'digests', $table, $column, $directory, $table =~ /^doc/ ? '::text' : ());
		}
	}
	elsif ($format eq 'jsonl')
	{
		# the server's own JSON of a row, without white space
		same($directory, $compression, "SELECT to_json(r) FROM $table AS r", "FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02'", $what)
		  if $table !~ /^doc_object/;
		same($directory, $compression, "SELECT '{\"id\":' || id || ',\"j\":' || replace(replace(j::text, '\", \"', '\",\"'), '\": \"', '\":\"') || '}'"
			  . " FROM $table", "FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02'", $what)
		  if $table =~ /^doc_object/;
	}
	else
	{
		same($directory, $compression, "SELECT * FROM $table", "FORMAT $format", $what);
	}
	is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job)"), 'ok', "$what: verified");
	system_or_bail('rm', '-r', $directory);
	return;
}

# refused(TABLE, COLUMN, FORMAT, MESSAGE, BOUND): the job and its directory
sub refused
{
	my ($table, $column, $format, $message, $bound) = @_;
	my $what = "$table, $format";
	my ($job, $directory, $peak) = start($table, $format, 'none');

	cmp_ok($peak, '<', $bound + $base, "$what: needs no more than $bound MB");
	like(sql("SELECT error FROM outflow.jobs WHERE job = $job"),
		qr/^$message \(column "$column" of table public.$table, row with ctid \(0,2\)\)$/, "$what: says what is too large");
	is( sql("SELECT state, retries, (SELECT string_agg(concat_ws(' ', state, attempts), ',') FROM outflow.parts WHERE job = $job)"
			  . " FROM outflow.jobs WHERE job = $job"),
		'failed|0|failed 1', "$what: and that once");
	is(join(' ', grep { !/^\.outflow-/ } files_below($directory)), '', "$what: no file is there");
	set_rate('0');
	return ($job, $directory);
}

# a small row before a large one, and one after it
sub make
{
	my ($table, $type, $small, $large) = @_;

	sql("CREATE TABLE $table (id int, $type)");
	sql("ALTER TABLE $table ALTER $1 SET STORAGE EXTERNAL") while $type =~ /(\w+) \w+(\[\])?/g;
	sql("INSERT INTO $table VALUES (0, $small)");
	sql("INSERT INTO $table VALUES (1, $large)");
	sql("INSERT INTO $table VALUES (2, $small)");
	return;
}

my $mb = 1024 * 1024;

#
# Exact.  Bounds are of the value, of its text where that is another one, and of
# the row.
#
make('texts', 't text', "'x'", "repeat(md5('x'), 500 * $mb / 32)");
exact('texts', $_, 'none', 1000) foreach qw(csv text binary jsonl parquet);
exact('texts', 'csv', 'zstd', 1000);
exact('texts', 'parquet', 'zstd', 1000);

# in hexadecimal twice as long
make('bytes', 'b bytea', "'x'", "convert_to(repeat(md5('x'), 500 * $mb / 32), 'UTF8')");
exact('bytes', $_, 'none', 2500) foreach qw(csv text);
exact('bytes', 'jsonl', 'none', 1500);
exact('bytes', $_, 'none', 1000) foreach qw(binary parquet);

# a string in jsonb, and a document, can have 256 MB
make('doc_string', 'j jsonb', "'\"x\"'", "to_jsonb(repeat('x', 256 * $mb - 100))");
exact('doc_string', $_, 'none', 768) foreach qw(csv text binary jsonl parquet);
# twice as much as text, with quotes in it, and with quotes around these
make('doc_object', 'j jsonb', "'{\"a\":\"x\"}'", "jsonb_build_object('a', repeat('\"', 127 * $mb), 'b', repeat(E'\\n', 127 * $mb))");
exact('doc_object', 'csv', 'none', 254 + 762);
exact('doc_object', 'text', 'none', 254 + 508 + 1016);
exact('doc_object', $_, 'none', 254 + 508 + 508) foreach qw(binary jsonl parquet);

# several in a row, of which Parquet holds one as it is
sql("CREATE TABLE wide (id int, a text, b text, c text)");
sql("ALTER TABLE wide ALTER a SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL, ALTER c SET STORAGE EXTERNAL");
sql("INSERT INTO wide VALUES (1, repeat(md5('x'), 300 * $mb / 32))");
sql("UPDATE wide SET b = a; UPDATE wide SET c = a");
exact('wide', $_, 'none', 1800) foreach qw(csv jsonl);
exact('wide', 'parquet', 'zstd', 700);

#
# Too large.  Another export is not disturbed.
#
make('quotes', 't text', "'x'", "repeat('\"', 550 * $mb)");
my $too_large = q{a row of more than 1 GB cannot be written};
my ($job, $directory) = refused('quotes', 't', 'csv', $too_large, 550 + 1024);
refused('quotes', 't', 'jsonl', $too_large, 550 + 1024);
exact('quotes', $_, 'none', 1100) foreach qw(text binary parquet);
sql("UPDATE quotes SET t = left(t, 1000) WHERE id = 1");
sql("CALL outflow.resume($job)");
same($directory, 'none', 'SELECT * FROM quotes', 'FORMAT csv', 'quotes, mended and resumed');

make('more_bytes', 'b bytea', "'x'", "convert_to(repeat(md5('x'), 600 * $mb / 32), 'UTF8')");
refused('more_bytes', 'b', $_, 'a value of 629145600 bytes is too large to be written in hexadecimal', 600) foreach qw(csv text jsonl);
exact('more_bytes', $_, 'none', 1200) foreach qw(binary parquet);

# six characters for one
make('doc_escapes', 'j jsonb', "'\"x\"'", "to_jsonb(repeat(E'\\x01', 200 * $mb))");
refused('doc_escapes', 'j', $_, $too_large, 200 + 1024) foreach qw(csv text binary jsonl parquet);

# a small list of large numbers, whose texts no page could hold
make('lists', 'l numeric[]', "'{1}'", '(SELECT array_agg(g * 1e131000) FROM generate_series(1, 20000) AS g)');
refused('lists', 'l', 'jsonl', $too_large, 1024);
refused('lists', 'l', 'parquet', 'value of column "l" is too large for Parquet', 1100);

# while a large one is held
set_rate('1kB');
$job = sql("SELECT outflow.export_start('texts', 'file://$dir/held', workers => 1)");
watch($job);
is(sql("CALL outflow.export('quotes', 'file://$dir/other', filter => 'id = 0', workers => 0)") > $job, 1, 'another export goes on meanwhile');
is(sql("SELECT outflow.cancel($job)"), 't', 'and the large one');
$node->poll_query_until('postgres', "SELECT state = 'interrupted' FROM outflow.jobs WHERE job = $job");
is(sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'outflow%'"), '0', 'can be cancelled');

$node->stop;
done_testing();
