# Promise: at whatever byte a disk is full, in a part, a manifest or a new
# directory, the export ends in an error that says so, and with room again it is
# resumed to what it would have been; in the session itself, it is none at all.
#
# The server's write() and mkdirat() below a directory fail once so many bytes
# have been written.  OUTFLOW_ROUNDS is the number of bytes that are tried for
# each sort of file, spread from nothing to all that an export writes.
use strict;
use warnings;

use FindBin;
use OutflowTest;
use ParquetTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $rounds = $ENV{OUTFLOW_ROUNDS} || 4;
my $dir = new_export_dir();
my $disk = "$dir/disk";

mkdir $disk or die;
my $module = "$FindBin::RealBin/../modules/disk/disk_preload.so";
-e $module or BAIL_OUT("$module is missing: make test-modules");
local $ENV{DISK_ROOT} = $disk;
my $node;
{
	local $ENV{LD_PRELOAD} = $module;
	$node = new_outflow_node('disk_full', conf => "outflow.retries = 0\n");
}

sub sql { return $node->safe_psql('postgres', $_[0]); }

# room(BYTES): from now on; undef: for everything
sub room
{
	my ($bytes) = @_;

	unlink "$disk.full", "$disk.used";
	append_to_file("$disk.full", "- $bytes") if defined $bytes;
	return;
}

sub used
{
	return unpack('q', slurp_file("$disk.used"));
}

# content(NAME, UNPACK): the bytes of an export's parts, in their order
sub content
{
	my ($name, $unpack) = @_;
	my $content = '';

	foreach my $file (grep { /^part-/ } files_below("$disk/$name"))
	{
		$content .= `$unpack $disk/$name/$file`;
		die "$unpack failed" if $?;
	}
	return $content;
}

system_or_bail('age-keygen', '-o', "$dir/key");
my ($recipient) = slurp_file("$dir/key") =~ /public key: (age1\w+)/;
my $age = "encrypt_to => '{$recipient}'";
my $open = "age -d -i $dir/key";

sql('CREATE TABLE t AS SELECT g AS id, md5(g::text) AS a, md5((-g)::text) AS b FROM generate_series(1, 3000) AS g;'
	  . 'CREATE TABLE u AS SELECT * FROM t WHERE id <= 100');

# [format, compression, further arguments, how a part is opened]
my @sorts = (
	[ 'csv', 'none', '', 'cat' ],
	[ 'csv', 'gzip', '', 'gzip -dc' ],
	[ 'text', 'zstd', '', 'zstd -dcq' ],
	[ 'binary', 'lz4', '', 'lz4 -dcq' ],
	[ 'jsonl', 'none', $age, $open ],
	[ 'jsonl', 'zstd', $age, "f() { $open \$1 | zstd -dcq; }; f" ],
	[ 'parquet', 'zstd', '', undef ],
	[ 'parquet', 'none', $age, undef ],
);
my $count = 0;

foreach my $sort (@sorts)
{
	my ($format, $compression, $arguments, $unpack) = @$sort;
	my $what = join(' ', $format, $compression, $arguments ? 'encrypted' : ());
	my $call = "format => '$format', compression => '$compression', part_size => '64kB'" . ($arguments ? ", $arguments" : '');
	my (%ended, @bad);

	room(1e9);
	sql("CALL outflow.export('t', 'file://$disk/whole$count', $call)");
	my $all = used();
	my $whole = defined $unpack ? content("whole$count", $unpack) : undef;
	my $files = join(' ', files_below("$disk/whole$count"));
	foreach my $round (0 .. $rounds)
	{
		# a job's number and times may take more bytes in a later manifest
		my $bytes = $round < $rounds ? int($all * $round / $rounds) : $all + 1000;
		my $name = join('_', $count, $bytes);
		my $when = "room for $bytes of $all bytes";

		room($bytes);
		my (undef, undef, $err) = $node->psql('postgres', "CALL outflow.export('t', 'file://$disk/$name', $call)");
		room();
		my ($job, $state, $error) = split(/\|/, sql('SELECT job, state, error FROM outflow.jobs ORDER BY job DESC LIMIT 1'));
		$ended{$state}++;
		if ($state eq 'failed')
		{
			push @bad, "$when: $err"
			  unless $err =~ /ERROR:  export job $job failed: could not (write to file|create directory) .*: No space left on device\n.*HINT:  Free disk space.* CALL outflow.resume\($job\)/s;
			push @bad, "$when: has _SUCCESS" if -e "$disk/$name/_SUCCESS";
			sql("CALL outflow.resume($job)");
		}
		elsif ($state ne 'done' || $err ne '')
		{
			push @bad, "$when: $state, $err";
		}
		push @bad, "$when: other files" if join(' ', files_below("$disk/$name")) ne $files;
		push @bad, "$when: other bytes" if defined $unpack && content($name, $unpack) ne $whole;
		push @bad, "$when: not what was written"
		  if sql("SELECT DISTINCT status FROM outflow.verify($job)") ne 'ok';
		check_parquet($node, 'postgres', 'compare', 't', "$disk/$name") if $format eq 'parquet' && !$arguments;
	}
	is(join("\n", @bad), '', "$what: a clear error, then the whole export");
	is($ended{failed}, $rounds, "$what: wherever room ends before the end");
	$count++;
}

# many tables, with folders of their own
room(1e9);
my $many = "CALL outflow.export_tables('{t,u}', 'file://$disk/";
sql("${many}many', part_size => '256kB')");
my $all = used();
my $files = join(' ', files_below("$disk/many"));
my @bad;
foreach my $round (0 .. $rounds - 1)
{
	my $bytes = int($all * $round / $rounds);
	my $name = "many$bytes";

	room($bytes);
	my (undef, undef, $err) = $node->psql('postgres', "${many}$name', part_size => '256kB')");
	room();
	my $job = sql('SELECT max(job) FROM outflow.jobs');
	push @bad, "$bytes bytes: $err" unless $err =~ /export job $job failed: .*No space left on device/;
	sql("CALL outflow.resume($job)");
	push @bad, "$bytes bytes: other files" if join(' ', files_below("$disk/$name")) ne $files;
	push @bad, "$bytes bytes: not what was written" if sql("SELECT DISTINCT status FROM outflow.verify($job)") ne 'ok';
}
is(join("\n", @bad), '', 'many tables: a clear error, then the whole export');

# in the session itself
room(1e9);
sql("CALL outflow.export('t', 'file://$disk/inline', workers => 0)");
$all = used();
my $before = sql('SELECT max(job) FROM outflow.jobs');
@bad = ();
foreach my $round (0 .. $rounds - 1)
{
	my $bytes = int($all * $round / $rounds);

	room($bytes);
	my (undef, undef, $err) = $node->psql('postgres', "CALL outflow.export('t', 'file://$disk/inline$bytes', workers => 0)");
	room();
	push @bad, "$bytes bytes: $err" unless $err =~ /ERROR:  could not .*No space left on device/;
	push @bad, "$bytes bytes: something is left" if files_below("$disk/inline$bytes");
	sql("CALL outflow.export('u', 'file://$disk/inline$bytes', workers => 0)");
}
is(join("\n", @bad), '', 'workers => 0: a clear error, and room for another export');
is(sql("SELECT count(*) FROM outflow.jobs WHERE job > $before"), $rounds, 'and no job but that one');

# the token that says whose a hidden directory is
foreach my $bytes (0, 1, 36, 60)
{
	foreach my $call ('CALL outflow.resume', 'SELECT outflow.forget')
	{
		room();
		append_to_file("$disk.full", "_owner $bytes");
		my (undef, undef, $err) = $node->psql('postgres', "CALL outflow.export('u', 'file://$disk/token')");
		like($err, qr/could not write file ".*_owner": No space left on device\n.*HINT:  Free disk space/s, "room for $bytes bytes of a token");
		like(join(' ', files_below("$disk/token")), qr{^\.outflow-[0-9a-f-]+/_owner$}, '... which is left');
		room();
		(undef, undef, $err) = $node->psql('postgres', "$call(" . sql('SELECT max(job) FROM outflow.jobs') . ')');
		unlike($err, qr/ERROR/, "... $call");
		is(scalar(() = glob "$disk/token/.outflow-*"), 0, '... nothing hidden is left');
		is(-e "$disk/token/_SUCCESS" ? 1 : 0, $call =~ /resume/ ? 1 : 0, '... published by resume alone');
		system_or_bail('rm', '-rf', "$disk/token");
	}
}

# one that begins like another is not ours
foreach my $case (
	[ 'another token', sub { "x$_[0]" } ],
	[ 'a longer token', sub { "$_[0]x" } ],
	[ 'a part of ours and a file', sub { substr($_[0], 0, 10) }, 'mine' ],
	[ 'zeros of a crash', sub { "\0" x length $_[0] } ])
{
	my ($what, $change, $file) = @$case;

	room();
	append_to_file("$disk.full", 'part- 0');
	$node->psql('postgres', "CALL outflow.export('u', 'file://$disk/token')");
	room();
	my $job = sql('SELECT max(job) FROM outflow.jobs');
	my ($hidden) = glob "$disk/token/.outflow-*";
	my $token = slurp_file("$hidden/_owner");
	system_or_bail('sh', '-c', "rm -f '$hidden'/* '$hidden'/.[a-z]*");
	append_to_file("$hidden/_owner", $change->($token));
	append_to_file("$hidden/$file", '') if $file;
	my (undef, undef, $err) = $node->psql('postgres', "SELECT outflow.forget($job)");
	if ($what =~ /zeros/)
	{
		is($err . join(' ', glob "$disk/token/.outflow-*"), '', "$what are forgotten");
		next;
	}
	like($err, qr/is not known to be this server's/, "$what is not claimed");
	is(slurp_file("$hidden/_owner"), $change->($token), '... and stays');
	system_or_bail('rm', '-rf', "$disk/token");
	sql("SELECT outflow.forget($job)");
}

$node->stop;
done_testing();
