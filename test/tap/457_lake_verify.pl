# Promise: verify() of a job whose version is in a lake table judges what makes it
# one: no log, metadata, list or manifest that is gone, cut off or changed is
# called ok, and none of it is an error.
use strict;
use warnings;

use File::Copy ();
use IPC::Run qw(start);
use JSON::PP ();
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('verify', conf => "autovacuum = off\n");
my $dir = new_export_dir();

sub sql { return $node->safe_psql('postgres', $_[0]); }

# export(LAKE, FORMAT): the job
sub export
{
	my ($lake, $format) = @_;

	sql("CALL outflow.export('t', 'file://$lake', format => '$format', part_size => '64kB')");
	return sql('SELECT max(job) FROM outflow.jobs');
}

# bad(JOB): what verify() finds of files that are no parts, but for what is ok
sub bad { return sql("SELECT file, status FROM outflow.verify($_[0]) WHERE status <> 'ok' ORDER BY file COLLATE \"C\""); }

# flip(FILE, AT): a bit there
sub flip
{
	my ($file, $at) = @_;
	my $text = slurp_file($file);

	substr($text, $at, 1) = chr(ord(substr($text, $at, 1)) ^ 1);
	replace_file($file, $text);
	return;
}

# harmed(JOB, FILE, HARM, FOUND, NAME)
sub harmed
{
	my ($job, $file, $harm, $found, $name) = @_;

	File::Copy::copy($file, "$dir/saved") or die;
	$harm->($file);
	like(bad($job), $found, $name);
	chmod 0600, $file;
	unlink $file if -p $file;
	replace_file($file, slurp_file("$dir/saved"));
	is(bad($job), '', "$name: ok again");
	return;
}

sql("CREATE TABLE t AS SELECT i AS id, repeat('n', 90) AS note FROM generate_series(1, 2000) i");

my $lake = "$dir/iceberg";
my $job = export($lake, 'iceberg');
sql("UPDATE t SET note = 'x' WHERE id = 1");
my $next = export($lake, 'iceberg');
is(bad($_), '', 'all of it is ok') foreach $job, $next;
my ($list) = map { s{.*/}{}r } iceberg_snapshot($lake, 1)->{'manifest-list'};
my ($first) = map { s{.*/}{}r } iceberg_snapshot($lake, 0)->{'manifest-list'};
my $uuid = iceberg_snapshot($lake, 1)->{summary}{'outflow.uuid'};
my ($manifest) = map { s{.*/}{}r } glob("$lake/metadata/$uuid-m*.avro");

like(sql("SELECT file || '|' || status FROM outflow.verify($next) WHERE file LIKE '%.avro'"),
	qr{^metadata/\Q$list\E\|ok$}m, 'a row for the list');
foreach my $name ($list, $manifest)
{
	my $file = "$lake/metadata/$name";
	my $size = -s $file;
	my $row = qr{^metadata/\Q$name\E\|};

	harmed($next, $file, sub { unlink $_[0] }, qr/${row}missing$/, "$name is gone");
	harmed($next, $file, sub { chmod 0, $_[0] }, qr/${row}unreadable$/, "$name can't be read");
	harmed($next, $file, sub { truncate($_[0], $size - 20) }, qr/${row}wrong content$/, "$name is cut off");
	harmed($next, $file, sub { truncate($_[0], 0) }, qr/${row}wrong content$/, "$name is empty");
	harmed($next, $file, sub { replace_file($_[0], "\0" x $size) }, qr/${row}wrong content$/, "$name is zeros");
	foreach my $place (map { int($size * $_ / 20) } 0 .. 19)
	{
		harmed($next, $file, sub { flip($_[0], $place) }, qr{^metadata/\S+\|(wrong content|missing)$}, "$name differs at $place");
	}
}
harmed($next, "$lake/metadata/$list", sub { replace_file($_[0], slurp_file("$lake/metadata/$first")) }, qr/wrong content/, "another version's list");
my $metadata = "$lake/metadata/v2.metadata.json";
harmed($next, $metadata, sub { truncate($_[0], 100) }, qr{^metadata/\|wrong content$}, 'metadata that is cut off');
harmed($next, $metadata, sub { chmod 0, $_[0] }, qr{^metadata/\|unreadable$}, "metadata that can't be read");
# metadata(HARM): the file with another one of these
sub metadata
{
	my ($harm) = @_;

	return sub {
		my $whole = iceberg_metadata($lake);

		$harm->($whole);
		replace_file($_[0], JSON::PP::encode_json($whole));
	};
}
my $told = qr{^metadata/v2\.metadata\.json\|wrong content$};
is(sql("SELECT status FROM outflow.verify($next) WHERE file = 'metadata/v2.metadata.json'"), 'ok', 'a row for the metadata');
harmed($next, $metadata, metadata(sub { $_[0]{snapshots}[1]{'manifest-list'} =~ s{.*/}{file:///nowhere/} }), $told, 'metadata with a list elsewhere');
harmed($next, $metadata, metadata(sub { $_[0]{schemas} = [] }), $told, '... without schemas');
harmed($next, $metadata, metadata(sub { $_[0]{'current-schema-id'} = 7 }), $told, '... with a current one that is not there');
harmed($next, $metadata, metadata(sub { $_[0]{schemas}[0]{fields}[1]{name} = 'nota' }), $told, '... with a column of another name');
harmed($next, $metadata, metadata(sub { $_[0]{schemas}[0]{fields}[0]{type} = 'string' }), $told, '... or type');
harmed($next, $metadata, sub { unlink $_[0]; system('mkfifo', $_[0]) == 0 or die }, qr{^metadata/\|unreadable$}, 'a FIFO');
rename("$lake/metadata", "$dir/away") or die $!;
like(bad($job), qr{\|missing$}, 'no metadata at all');
rename("$dir/away", "$lake/metadata") or die $!;

$lake = "$dir/delta";
$job = export($lake, 'delta');
sql("UPDATE t SET note = 'y' WHERE id = 1");
$next = export($lake, 'delta');
is(bad($_), '', 'all of it is ok') foreach $job, $next;
my $log = "$lake/_delta_log/" . sprintf('%020d.json', 1);
my $text = slurp_file($log);
my $row = qr{^_delta_log/0+1\.json\|};
my $table = qr{^_delta_log/\|};
harmed($next, $log, sub { truncate($_[0], length($text) - 20) }, qr/${table}wrong content$/, 'a log that is cut off');
harmed($next, $log, sub { replace_file($_[0], $text =~ s/[^\n]*\n\z//r) }, qr/${row}wrong content$/, '... at the end of a line');
harmed($next, $log, sub { truncate($_[0], 0) }, qr/\|missing$/, '... and is empty');
harmed($next, $log, sub { chmod 0, $_[0] }, qr/${table}unreadable$/, "a log that can't be read");
harmed($next, $log, sub { unlink $_[0]; system('mkfifo', $_[0]) == 0 or die }, qr/${table}unreadable$/, 'a FIFO as log');
harmed($next, $log, sub { unlink $_[0] }, qr/\|missing$/, 'a log that is gone');
harmed($next, $log, sub { replace_file($_[0], "\0" x length($text)) }, qr/${table}wrong content$/, 'zeros');
foreach my $place (map { int(length($text) * $_ / 40) } 0 .. 39)
{
	harmed($next, $log, sub { flip($_[0], $place) }, qr/\|(wrong content|missing)$/, "a log that differs at $place");
}
# the versions before, which it takes its state from
my $start = "$lake/_delta_log/" . sprintf('%020d.json', 0);
my $before = qr{^_delta_log/0+\.json\|wrong content$}m;
like(sql("SELECT file || '|' || status FROM outflow.verify($next) WHERE file LIKE '%/0%0.json'"), qr{^_delta_log/0+\.json\|ok$}, 'a row for the version before');
is(sql("SELECT count(*) FROM outflow.verify($job) WHERE file LIKE '\_delta\_log/%'"), '1', 'but none for the one after');
foreach my $damage (
	[ 'a file that it does not name', sub { s/part-000003/part-000033/ } ],
	[ 'other bounds', sub { s/(\\"minValues\\":\{\\"id\\":)\d+/${1}999999/ } ],
	[ 'a column with another name', sub { s/\\"name\\":\\"note\\"/\\"name\\":\\"nota\\"/ } ])
{
	my ($name, $harm) = @$damage;
	my $damaged = sub { local $_ = slurp_file($_[0]); $harm->() or die $name; replace_file($_[0], $_); };

	harmed($next, $start, $damaged, $before, "the version before has $name");
	harmed($job, $start, $damaged, $before, "... which is a job's own");
}
# what others make of the table later is not the job's
append_to_file("$lake/_delta_log/" . sprintf('%020d.json', 2),
	qq({"remove":{"path":"x","dataChange":true}}\n) . ($text =~ /("add":\{"path":"[^"]*")/ ? '{"remove":{"path":' . ($1 =~ /"path":(.*)/)[0] . "}}\n" : ''));
is(bad($_), '', "ok, whatever comes after it") foreach $job, $next;

# the checkpoint that readers begin at, and what outflow keeps beside it
$lake = "$dir/long";
$job = export($lake, 'delta');
foreach (2 .. 10)
{
	sql("UPDATE t SET note = note || '.' WHERE id = 1; CALL outflow.export('t', 'file://$lake', format => 'delta', part_size => '64kB', workers => 0)");
}
sql("UPDATE t SET note = 'z' WHERE id = 1");
$next = export($lake, 'delta');
my $checkpoint = "$lake/_delta_log/" . sprintf('%020d.checkpoint.parquet', 10);
my $named = "$lake/_delta_log/_last_checkpoint";
my $length = -s $checkpoint;
my $bad_checkpoint = qr{^_delta_log/0+10\.checkpoint\.parquet\|wrong content$}m;
like(slurp_file($named), qr/"sizeInBytes":$length\b/, 'the size of a checkpoint is told');
is(bad($_), '', 'all of it is ok') foreach $job, $next;
is(sql("SELECT status FROM outflow.verify($next) WHERE file LIKE '%.checkpoint.parquet'"), 'ok', 'a row for the checkpoint');
is(sql("SELECT count(*) FROM outflow.verify($job) WHERE file LIKE '%.checkpoint.parquet'"), '0', 'but not of a version before it');
harmed($next, $checkpoint, sub { truncate($_[0], 500) }, $bad_checkpoint, 'a checkpoint that is cut off');
harmed($next, $checkpoint, sub { truncate($_[0], 0) }, $bad_checkpoint, 'an empty one');
harmed($next, $checkpoint, sub { unlink $_[0] }, qr{^_delta_log/0+10\.checkpoint\.parquet\|missing$}m, 'one that is gone');
harmed($next, $checkpoint, sub { flip($_[0], int($length * $_ / 10)) }, $bad_checkpoint, "one that differs at $_ tenths") foreach 0 .. 9;
harmed($next, $named, sub { truncate($_[0], 10) }, qr{^_delta_log/_last_checkpoint\|wrong content$}, 'the name of it is cut off');
foreach my $content ('{"size":3}', '{"version":"10"}', '[]')
{
	harmed($next, $named, sub { replace_file($_[0], $content) }, qr{^_delta_log/_last_checkpoint\|wrong content$}, "it names no version: $content");
}
unlink(map { sprintf('%s/_delta_log/%020d.json', $lake, $_) } 0 .. 9);
is(bad($next), '', 'without the versions before it is ok');
harmed($next, $checkpoint, sub { flip($_[0], 500) }, $bad_checkpoint, '... but for its checkpoint');
harmed($next, "$lake/_delta_log/_outflow_state", sub { replace_file($_[0], slurp_file($_[0]) =~ s/part-000001/part-000031/r) }, qr{^_delta_log/\|missing$}, 'and for the state');
# as another program makes one
replace_file($named, '{"version":10,"size":3}');
replace_file($checkpoint, slurp_file($checkpoint) =~ s/outflow\.crc32c/another.crc32c/r);
is(bad($next), '', "another's checkpoint that can be read");
harmed($next, $checkpoint, sub { truncate($_[0], 500) }, $bad_checkpoint, '... and is cut off');

# the log of an older version goes while it is read, and comes back
$lake = "$dir/delta";
$job = sql("SELECT min(job) FROM outflow.jobs WHERE destination = 'file://$lake'");
my $goes = start([ $^X, '-MTime::HiRes=sleep', '-e',
	'my ($log, $away) = @ARGV; while (rename($log, $away)) { sleep(0.0004 * rand()); rename($away, $log); sleep(0.002 * rand()) }',
	"$lake/_delta_log", "$lake/away" ]);
is(sql("SELECT DISTINCT status FROM generate_series(1, 1500) AS i, outflow.verify($job + 0 * i) WHERE file ~ '^_delta_log' AND status NOT IN ('ok', 'missing')"),
	'', 'a log that goes meanwhile is missing at most');
$goes->kill_kill;

$node->stop;
done_testing();
