# Promise: pg_outflow verify says of an export whether each of its files is what was
# written, without a server; whatever a manifest says, it neither reads elsewhere
# nor fails.  Where the server's verify() judges the same, both agree.
use strict;
use warnings;

use File::Copy ();
use File::Path ();
use IPC::Run ();
use OutflowTest;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('verify');
my $dir = new_export_dir();
my $elsewhere = new_export_dir();

sub sql { return $node->safe_psql('postgres', $_[0]); }

# verify(ARGUMENT...): exit code, stdout, stderr
sub verify
{
	my (@arguments) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'pg_outflow', 'verify', @arguments ], '<', \undef, '>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return ($? & 127 ? "signal $?" : $? >> 8, $out, $err);
}

sql('CREATE TABLE t AS SELECT g AS id, md5(g::text) AS t FROM generate_series(1, 20000) AS g; VACUUM t');
sql('CREATE TABLE u AS SELECT 1 AS id');
sql("CALL outflow.export('t', 'file://$dir/one', part_size => '512kB')");
my $one = sql('SELECT max(job) FROM outflow.jobs');
sql("CALL outflow.export('t', 'file://$dir/sha', part_size => '512kB', compression => 'zstd', options => '{\"checksum\": \"sha256\"}')");
sql("CALL outflow.export_tables('{t,u}', 'file://$dir/many', part_size => '512kB')");
my $many = sql('SELECT max(job) FROM outflow.jobs');
sql("CALL outflow.export('t', 'file://$dir/refers', part_size => '512kB', base => $one, options => '{\"carry\": \"reference\"}')");

foreach my $case ([ 'one', "$dir/one" ], [ 'its manifest', "$dir/one/_manifest.json" ], [ 'sha256', "$dir/sha" ],
	[ 'many tables', "$dir/many" ], [ 'references', '--references', "$dir/one/", "$dir/refers" ])
{
	my ($what, @arguments) = @$case;
	my ($code, $out, $err) = verify(@arguments);

	is("$code $out", '0 ', "$what: right") or diag($err);
	like($err, qr/\d+ files, all of them right/, "$what: it says so");
}
my (undef, undef, $said) = verify("$dir/many");
my @files = files_below("$dir/many");
is($said =~ /(\d+) files/ && $1, @files, 'each file is counted');

# what the server's verify() finds, too; both are asked
my $manifest = slurp_file("$dir/one/_manifest.json");
foreach my $case (
	[ 'one', $one, '_manifest.json', sub { replace_file($_[0], '') }, qr/wrong content/ ],
	[ 'one', $one, '_manifest.json', sub { replace_file($_[0], substr($manifest, 0, -4)) }, qr/wrong content: it is not JSON/ ],
	[ 'one', $one, '_manifest.json', sub { replace_file($_[0], $manifest =~ s/"rows": 20000/"rows": 20001/r) }, qr/wrong content: its rows or bytes/ ],
	[ 'one', $one, '_manifest.json', sub { unlink $_[0] }, qr/missing/ ],
	[ 'one', $one, '_SUCCESS', sub { replace_file($_[0], 'x') }, qr/wrong size/ ],
	[ 'one', $one, '_SUCCESS', sub { unlink $_[0] }, qr/missing/ ],
	[ 'one', $one, 'part-000001.csv', sub { replace_file($_[0], '') }, qr/wrong size/ ],
	[ 'one', $one, 'part-000001.csv', sub { my $t = slurp_file($_[0]); substr($t, 5, 1) ^= "\1"; replace_file($_[0], $t) }, qr/wrong checksum: xxh128 was [0-9a-f]{32}, is/ ],
	[ 'one', $one, 'part-000001.csv', sub { unlink $_[0] }, qr/missing/ ],
	[ 'one', $one, 'part-000001.csv', sub { unlink $_[0]; symlink 'part-000000.csv', $_[0] }, qr/unreadable: it is a symbolic link/ ],
	[ 'one', $one, 'part-000001.csv', sub { unlink $_[0]; POSIX::mkfifo($_[0], 0600) }, qr/unreadable: it is no regular file/ ],
	[ 'one', $one, 'extra', sub { replace_file($_[0], 'x') }, qr/left over/ ],
	[ 'one', $one, "evil\n\e[2J", sub { replace_file($_[0], 'x') }, qr/left over/ ],
	[ 'many', $many, 'public.t/part-000000.csv', sub { unlink $_[0] }, qr/missing/ ],
	[ 'many', $many, 'public.u/_manifest.json', sub { File::Copy::copy("$dir/many/public.t/_manifest.json", $_[0]) }, qr/wrong content: it is not the one/ ],
	[ 'many', $many, 'public.t/_SUCCESS', sub { replace_file($_[0], '') }, qr/left over/ ],
	[ 'many', $many, 'public.v', sub { mkdir $_[0] }, qr/left over/ ])
{
	my ($export, $job, $file, $damage, $expected) = @$case;
	my $path = "$dir/$export/$file";

	File::Path::remove_tree("$dir/kept");
	system('cp', '-a', "$dir/$export", "$dir/kept") == 0 or die;
	$damage->($path);
	my ($code, $out) = verify("$dir/$export");
	my $line = join('', map { ord($_) < 32 ? sprintf('\x%02x', ord($_)) : $_ } split(//, $file));

	is($code, 9, "$line: exit code");
	like($out, qr/\A\Q$line\E: $expected[^\n]*\n/m, "$line: one line of it");
	isnt(sql("SELECT count(*) FROM outflow.verify($job) WHERE status <> 'ok'"), '0', "$line: the server agrees")
	  unless $file =~ /evil/;
	File::Path::remove_tree("$dir/$export");
	rename("$dir/kept", "$dir/$export") or die;
}
my ($code, $out, $err) = verify("$dir/refers");
is($code, 9, 'references that nobody allowed');
like($out, qr/one\/part-000000\.csv: not read: it lies elsewhere: --references/, 'are not read');

# Hostile manifests, in a directory of their own.  A file outside, whose size and
# sum are right, would be called right if it were read.
my ($part) = $manifest =~ /(\{"part": 0,[^}]*\})/;
my $outside = "$elsewhere/part-000000.csv";
File::Copy::copy("$dir/one/part-000000.csv", $outside);
symlink $elsewhere, "$dir/link";

sub hostile
{
	my ($what, $text, $pattern, @arguments) = @_;
	my $place = "$dir/hostile";

	mkdir $place;
	replace_file("$place/_manifest.json", $text);
	replace_file("$place/_SUCCESS", '');
	my ($code, $out) = verify(@arguments, $place);
	is($code, 9, "$what: exit code");
	like($out, $pattern, "$what: refused");
	return;
}

sub with_file
{
	my ($name) = @_;
	my ($rows) = $part =~ /"rows": (\d+)/;
	my ($bytes) = $part =~ /"bytes_stored": (\d+)/;
	my $own = $part =~ s/"file": "[^"]*"/"file": "$name"/r;

	return qq({"uuid": "u", "rows": $rows, "bytes_stored": $bytes, "parts": [$own]});
}

hostile('..', with_file("../one/part-000000.csv"), qr/not read/);
hostile('only ..', with_file('..'), qr/not read/);
hostile('an absolute path', with_file($outside), qr/not read: it lies elsewhere/);
hostile('out of the references', with_file("$dir/one/../../" . ($outside =~ s{.*/(?=[^/]*/)}{}r)), qr/no plain path/, '--references', "$dir/one");
hostile('a link in the references', with_file("$dir/link/part-000000.csv"), qr/not read|unreadable/, '--references', $dir);
hostile('beside the references', with_file("${dir}x/part-000000.csv"), qr/lies elsewhere/, '--references', $dir);
hostile('a zero byte', with_file('\u0000'), qr/not read/);
hostile('a device', with_file('/dev/zero'), qr/not read/);
hostile('escapes', with_file('\u001b[2J\n'), qr/\\x1b\[2J\\x0a: missing/);
hostile('twice', qq({"uuid": "u", "rows": 0, "bytes_stored": 0, "parts": [$part, $part]}), qr/names it twice/);
hostile('huge numbers', with_file('x') =~ s/"rows": \d+/"rows": 99999999999999999999999999/r, qr/wrong content/);
hostile('numbers that overflow together', '{"uuid": "u", "rows": 1, "bytes_stored": 1, "parts": ['
	. join(',', map { qq({"part": $_, "file": "p$_", "rows": 999999999999999999, "bytes_stored": 1, "xxh128": "0"}) } 1 .. 20) . ']}', qr/not the sum of its parts/);
hostile('negative numbers', with_file('x') =~ s/"bytes_stored": \d+,/"bytes_stored": -1,/r, qr/wrong content/);
hostile('deep', '[' x 10_000_000, qr/not JSON/);
hostile('deep and whole', '{"a": ' . '[' x 5_000_000 . ']' x 5_000_000 . ', "uuid": "u", "rows": 0, "bytes_stored": 0, "parts": [{}]}', qr/number 1 of its parts/);
hostile('quotes and backslashes', '{"a": "' . '\\' x 5_000_001, qr/not JSON/);
hostile('no checksum', with_file('part') =~ s/, "xxh128": "[^"]*"//r, qr/missing/);
hostile('tables in itself', '{"uuid": "u", "rows": 0, "bytes_stored": 0, "tables": [{"folder": "../many/public.u", "parts": 1, "rows": 0, "bytes_stored": 0}]}', qr/not read/);
hostile('itself as a table', '{"uuid": "u", "rows": 0, "bytes_stored": 0, "tables": [{"folder": ".", "parts": 1, "rows": 0, "bytes_stored": 0}]}', qr/not read/);
hostile('not UTF-8', "\xff\xfe{", qr/not JSON/);
unlink "$dir/hostile/_manifest.json";
open(my $sparse, '>', "$dir/hostile/_manifest.json") or die;
truncate($sparse, 2**30) or die;
close($sparse);
($code, $out) = verify("$dir/hostile");
is($code, 9, 'a gigabyte: exit code');
like($out, qr/no manifest is larger/, 'a gigabyte: refused');
replace_file("$dir/hostile/_manifest.json", '');
truncate("$dir/hostile/_manifest.json", 100_000_000);
($code, $out) = verify("$dir/hostile");
is($code, 9, 'zeros: exit code');
like($out, qr/not JSON/, 'zeros: refused');

# by the server
my @server = ('-d', $node->connstr('postgres'));
($code, $out, $err) = verify(@server, '--job', $one);
is("$code $out", '0 ', 'by the server: right') or diag($err);
unlink "$dir/one/part-000001.csv";
($code, $out, $err) = verify(@server, "--job=$one");
is($code, 9, 'by the server: wrong');
is($out, "part-000001.csv: missing\n", 'by the server: a line for it');
($code, $out, $err) = verify(@server, '--job=4711');
is($code, 3, 'no such job');
foreach my $bad ([], ['a', 'b'], [@server], ['--job=1'], [ @server, '--job=1', 'x' ], ["$dir/nothing"])
{
	is((verify(@$bad))[0], 2, "not understood: @$bad");
}
done_testing();
