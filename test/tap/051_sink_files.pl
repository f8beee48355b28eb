# Promise: a destination is one directory that nothing leads out of and that is
# none of the server's own; a file in it is whole and durable, or absent, at
# whatever system call an attempt ends.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use Cwd qw(realpath);
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SinkTest;
use Test::More;

my $node = new_sink_node('files');
my $top = realpath(new_export_dir());
my $data = realpath($node->data_dir);
my $libraries = realpath(qx{pg_config --pkglibdir} =~ s/\n//r);

sub query
{
	return $node->safe_psql('postgres', "SELECT $_[0]");
}

# opens(PATH, EXPORT_ROOT, CREATE): the SQL that opens a root
sub opens
{
	my ($path, $export_root, $create) = @_;

	return sprintf("sink.open_root('%s', '%s', %s, false)",
		$path, $export_root // '', $create // 'true');
}

sub mode_of
{
	return sprintf('%04o', (stat($_[0]))[2] & 07777);
}

sub put_link
{
	my ($target, $link) = @_;

	symlink($target, $link) or die "could not make link \"$link\": $!";
	return $link;
}

sub make_dir
{
	mkdir($_[0]) or die "could not make directory \"$_[0]\": $!";
	return $_[0];
}

#
# Which directories
#
is(query(opens("$top/a/b/c")), "$top/a/b/c", 'makes missing directories');
is(mode_of("$top/$_"), '0700', "$_ is the owner's alone") foreach qw(a a/b a/b/c);
is(query(opens("$top//a/./b///c/")), "$top/a/b/c", 'a path has one spelling');
refused($node, opens("$top/none", '', 'false'), qr/No such file/,
	'a missing directory is an error');
is(query("sink.open_root('$top/none/x', '', false, true) IS NULL"),
	't', 'unless it may be missing');
ok(!-e "$top/none", 'and nothing was made');

refused($node, opens('relative/path'), qr/not an absolute path/, 'a relative path');
refused($node, opens(''), qr/not an absolute path/, 'no path');
refused($node, opens('/'), qr/cannot be the root directory/, 'the root directory');
refused($node, opens('//./'), qr/cannot be the root directory/, 'in disguise too');
refused($node, opens("$top/a/../b"), qr/must not contain "\.\."/, 'a way up');
refused($node, opens("$top/.."), qr/must not contain "\.\."/, 'a way up at the end');
refused($node, opens($top . '/x' x 3000), qr/path of directory is too long/,
	'a path too long');
refused($node, opens("$top/" . 'x' x 300), qr/is too long/, 'a name too long');
append_to_file("$top/file", 'no directory');
refused($node, opens("$top/file"), qr/Not a directory/, 'a file');
refused($node, opens("$top/file/below"), qr/Not a directory/, 'below a file');

put_link("$top/a", "$top/link");
refused($node, opens("$top/link"), qr/is a symbolic link/, 'a link in the end');
put_link("$top/nowhere", "$top/dangling");
refused($node, opens("$top/dangling"), qr/is a symbolic link/, 'a dangling link');
is(query(opens("$top/link/b")), "$top/link/b",
	'a link on the way is the administrator\'s');

#
# Not the server's own
#
my $lies_in = qr/cannot hold exports.*lies in a directory of the server/s;
my $contains = qr/cannot hold exports.*contains a directory of the server/s;
my $elsewhere = make_dir("$top/tablespace");
$node->safe_psql('postgres', "CREATE TABLESPACE ts LOCATION '$elsewhere'");
foreach my $case (
	[ $data, $lies_in ],
	[ "$data/base", $lies_in ],
	[ "$data/new/deep", $lies_in ],
	[ "$data/pg_wal", $lies_in ],
	[ realpath("$data/..") , $contains ],
	[ $elsewhere, $lies_in ],
	[ "$elsewhere/exports", $lies_in ],
	[ $top, $contains ],
	[ put_link($data, "$top/sly") . '/exports', $lies_in ],
	[ '/proc/self/cwd/exports', $lies_in ],
	[ '/proc/self/cwd/base', $lies_in ],
	[ $libraries, $lies_in ])
{
	my ($path, $why) = @$case;

	refused($node, opens($path), $why, "refuses $path");
}
is_deeply([ grep { /new|exports/ } files_below($data), files_below($elsewhere) ],
	[], 'and made nothing there');
ok(!-d "$data/new" && !-d "$elsewhere/exports", 'no directory either');
is(query(opens(realpath("$data/..") . '/beside')),
	realpath("$data/..") . '/beside',
	'beside the data directory is fine');
$node->safe_psql('postgres', 'DROP TABLESPACE ts');

#
# Beneath an export root
#
make_dir("$top/root");
my $beneath = qr/is not beneath the export root/;
is(query(opens("$top/root/x/y", "$top/root")), "$top/root/x/y", 'beneath it');
is(query(opens("$top/root/x", "$top/root/")), "$top/root/x",
	'however it is spelled');
refused($node, opens("$top/root", "$top/root"), $beneath, 'not itself');
refused($node, opens("$top/rootless", "$top/root"), $beneath, 'no mere prefix');
refused($node, opens("$top/a", "$top/root"), $beneath, 'not elsewhere');
refused($node, opens("$top/root/../a", "$top/root"), qr/must not contain/, 'not up');
put_link("$top/a", "$top/root/out");
refused($node, opens("$top/root/out", "$top/root"), qr/is a symbolic link/,
	'no link beneath it');
refused($node, opens("$top/root/out/b", "$top/root"), qr/is a symbolic link/,
	'not on the way either');
put_link("$top/root", "$top/root_link");
is(query(opens("$top/root_link/x", "$top/root_link")), "$top/root_link/x",
	'the root itself may be reached by a link');
refused($node, opens("$top/x", "$top/missing"), $beneath, 'elsewhere again');
refused($node, opens("$top/missing/x", "$top/missing"), qr/No such file/,
	'a missing export root is not made');

is(query("sink.open_subdir('$top/a', 'public.t', true)"),
	"$top/a/public.t", 'a folder of a table');
refused($node, "sink.open_subdir('$top', 'link', true)",
	qr/is a symbolic link/, 'is no link');
refused($node, "sink.open_subdir('$top/a', '$_', true)",
	qr/invalid name/, "and not called \"$_\"")
  foreach ('', '.', '..', 'b/c', '/', '.hidden', 'x' x 201);

#
# Files
#
my $out = "$top/out";
write_file($node, $out, 'part', bytes => 100);
is(mode_of("$out/part"), '0600', 'a file is the owner\'s alone');
is_deeply([ files_below($out) ], ['part'], 'no temporary directory is left');

write_file($node, $out, 'kept', bytes => 1000, ending => 'keep');
is(query("sink.list('$out', true)"), 'kept 1000', 'finished, not published');
is(mode_of("$out/.outflow-test"), '0700', 'its directory is the owner\'s alone');
is(query("sink.list('$out', false)"), 'part 100', 'and is no foreign entry');
write_file($node, $out, 'kept', bytes => 2000, ending => 'keep');
is(query("sink.list('$out', true)"), 'kept 2000', 'a redone part replaces it');

is(query("sink.publish('$out', 'kept', false)"), 't', 'published');
is(query("sink.publish('$out', 'kept', false)"), 'f', 'once');
is(query("sink.list('$out', false)"), "kept 2000\npart 100", 'with its name');
refused($node, "sink.publish('$out', 'never', false)", qr/No such file/,
	'what was never written');
write_file($node, $out, 'part', bytes => 300, ending => 'keep');
refused($node, "sink.publish('$out', 'part', false)",
	qr/"\Q$out\E\/part" already exists/, 'not over another file');
is(query("sink.list('$out', false)"), "kept 2000\npart 100", 'which stays');
is(query("sink.publish('$out', 'part', true)"), 't', 'unless it is to be replaced');
is(query("sink.list('$out', false)"), "kept 2000\npart 300", 'which it is');

put_link("$top/file", "$out/trap");
write_file($node, $out, 'trap', bytes => 10, ending => 'keep');
refused($node, "sink.publish('$out', 'trap', false)", qr/already exists/,
	'a link is in the way');
is(query("sink.publish('$out', 'trap', true)"), 't', 'replaced, not followed');
is(slurp_file("$top/file"), 'no directory', 'its target is untouched');

query("sink.put('$out', '_manifest.json', '{}', false)");
is(query("sink.get('$out', '_manifest.json', 100)"), '{}', 'a small file');
refused($node, "sink.put('$out', '_manifest.json', '[]', false)",
	qr/already exists/, 'is not overwritten');
query("sink.put('$out', '_manifest.json', '[1]', true)");
is(query("sink.get('$out', '_manifest.json', 3)"), '[1]', 'unless wanted');
refused($node, "sink.get('$out', '_manifest.json', 2)",
	qr/is longer than 2 bytes/, 'no more is read than allowed');
query("sink.put('$out', '_SUCCESS', '', false)");
is(-s "$out/_SUCCESS", 0, 'an empty file');
is(query("sink.get('$out', '_SUCCESS', 0)"), '', 'reads as empty');
is(query("sink.remove('$out', '_SUCCESS')"), 't', 'removed');
is(query("sink.remove('$out', '_SUCCESS')"), 'f', 'once');

#
# What is no regular file is not read
#
put_link("$out/part", "$out/link");
make_dir("$out/directory");
system('mkfifo', "$out/fifo") == 0 or die 'mkfifo failed';
is(query("sink.get('$out', '$_', 100) IS NULL"), 't', "$_ is not read")
  foreach qw(link directory fifo missing);
is(query("sink.list('$out', false)"),
	"_manifest.json 3\ndirectory -\nfifo -\nkept 2000\nlink -\npart 300\ntrap 10",
	'a list says what is no file');
refused($node, "sink.get('$out', '../file', 100)", qr/invalid name/,
	'no name leads out');

#
# Carrying a finished file over
#
my $next = "$top/next";
is(query("sink.carry('$next', 'part', '$out', 'part')"), 't', 'carried');
is(query("sink.publish('$next', 'part', false)"), 't', 'and published');
is((stat("$next/part"))[1], (stat("$out/part"))[1], 'as a hard link');
is(query("sink.carry('$next', 'part', '$out', 'part')"), 't', 'once more');
is(query("sink.publish('$next', 'part', false)"), 't', 'onto itself');
is(query("sink.list('$next', true)"), '', 'nothing remains');
is(query("sink.carry('$next', 'x', '$out', '$_')"), 'f', "$_ is not carried")
  foreach qw(link directory fifo missing);
is(query("sink.list('$next', true)"), '', 'nor anything of it');
is( $node->safe_psql('postgres',
		"SELECT sink.fail_at(1, 'EXDEV', 'linkat');"
		  . "SELECT sink.carry('$next', 'copied', '$out', 'kept')"),
	"\nt",
	'from another file system');
query("sink.publish('$next', 'copied', false)");
is(sha256_of("cat $next/copied"), sha256_of("cat $out/kept"), 'as a copy');
isnt((stat("$next/copied"))[1], (stat("$out/kept"))[1], 'and no link');

#
# Every system call fails once: the attempt is an error, or its effect is
# complete; it leaves no file of its own and no descriptor.
#
my $faults = "$top/faults";
$node->safe_psql('postgres', <<"EOQ");
CREATE TABLE outcome (operation text, error text, number int, call text,
	message text, hint text, leftover text[], files text[], descriptors int);
CREATE FUNCTION state_of(dir text) RETURNS text LANGUAGE sql AS \$\$
	SELECT string_agg(name || ' ' || (pg_stat_file(dir || '/' || name)).size,
		', ' ORDER BY name)
	FROM pg_ls_dir(dir, true, false) AS name WHERE name NOT LIKE '.%'
\$\$;
CREATE PROCEDURE sweep(op text, err text, only_call text) LANGUAGE plpgsql AS \$\$
DECLARE
	n int := 0;
	o outcome;
BEGIN
	LOOP
		n := n + 1;
		PERFORM sink.write_file('$faults', 'target', 'text', 1000, 0, 1, 'none',
			NULL, 'publish');
		o := NULL;
		o.operation := op; o.error := err; o.number := n;
		BEGIN
			PERFORM sink.fail_at(n, err, only_call);
			EXECUTE 'SELECT ' || op;
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS o.message = MESSAGE_TEXT,
				o.hint = PG_EXCEPTION_HINT;
		END;
		o.call := sink.failed_call();
		o.leftover := ARRAY(
			SELECT name FROM pg_ls_dir('$faults/.outflow-test', true, true)
				AS name WHERE name LIKE '.%' AND name NOT IN ('.', '..'));
		o.files := ARRAY(SELECT state_of('$faults'));
		o.descriptors := sink.open_files('$faults');
		INSERT INTO outcome SELECT o.*;
		EXIT WHEN o.call IS NULL OR n > 3000;
	END LOOP;
END \$\$;
EOQ

my %operations = (
	write => "sink.write_file('$faults', 'target', 'random', 600000, 0, 1,"
	  . " 'none', NULL, 'publish')",
	put => "sink.put('$faults', 'target', repeat('x', 600000), true)",
	carry => "sink.carry('$faults', 'target', '$out', 'kept'),"
	  . " sink.publish('$faults', 'target', true)");
my %calls = (
	write => 'fstat fsync mkdirat openat renameat write',
	put => 'fstat fsync mkdirat openat renameat write',
	carry => 'fstat fsync linkat mkdirat openat renameat');
my %errors =
  (write => [qw(EIO ENOSPC)], put => ['ENOSPC'], carry => ['EIO']);
my %sizes = (write => 600_000, put => 600_000, carry => 2_000);
foreach my $operation (sort keys %operations)
{
	my $op = $operations{$operation};

	foreach my $error (@{ $errors{$operation} })
	{
		my $title = "$operation, $error";

		$node->safe_psql('postgres', 'TRUNCATE outcome');
		$node->safe_psql('postgres',
			'CALL sweep($$' . $op . "\$\$, '$error', '')");
		is( $node->safe_psql('postgres',
				"SELECT string_agg(DISTINCT call, ' ' ORDER BY call) FROM outcome"
			),
			$calls{$operation},
			"$title: calls that failed");
		# the file, and the directories before and after
		cmp_ok(
			$node->safe_psql('postgres',
				"SELECT count(*) FROM outcome WHERE call = 'fsync'"),
			'>=', 3, "$title: syncs that failed");
		is( $node->safe_psql('postgres',
				'SELECT * FROM outcome WHERE (call IS NULL) <> (message IS NULL)'
			),
			'',
			"$title: each is reported");
		is( $node->safe_psql('postgres',
				'SELECT * FROM outcome WHERE cardinality(leftover) > 0'
				  . ' OR descriptors > 0'),
			'',
			"$title: nothing is left");
		is( $node->safe_psql('postgres',
				'SELECT * FROM outcome WHERE files[1] NOT IN'
				  . " ('target 1000', 'target $sizes{$operation}')"),
			'',
			"$title: the old file or the new one, never a part");
		is( $node->safe_psql('postgres',
				'SELECT files[1] FROM outcome WHERE call IS NULL'),
			"target $sizes{$operation}",
			"$title: without a fault it works");
		is( $node->safe_psql('postgres',
				q{SELECT bool_and(hint LIKE 'Free disk space%') FROM outcome
				WHERE call IN ('write', 'mkdirat')}),
			't',
			"$title: a full disk is explained")
		  if $error eq 'ENOSPC';
	}
}

# what is no error: a short write or read, an interrupted call
foreach my $case (
	[ 'write', 'short', 'write' ],
	[ 'write', 'EINTR', 'write' ],
	[ 'write', 'EINTR', 'openat' ],
	[ 'put', 'short', 'write' ],
	[ 'write', 'EINVAL', 'renameat2' ])
{
	my ($operation, $error, $call) = @$case;
	my $op = $operations{$operation};

	$node->safe_psql('postgres', 'TRUNCATE outcome');
	$node->safe_psql('postgres',
		'CALL sweep($$' . $op . "\$\$, '$error', '$call')");
	is( $node->safe_psql('postgres',
			'SELECT * FROM outcome WHERE message IS NOT NULL'
			  . " OR files[1] <> 'target $sizes{$operation}'"),
		'',
		"$error from $call is no error");
}
my $sum = sha256_of("cat $faults/target");
is( $node->safe_psql('postgres',
		"SELECT sink.fail_at(2, 'short', 'read');"
		  . "SELECT split_part(sink.read_file('$faults', 'target', 'none'), ' ', 3)"
	),
	"\n$sum",
	'a short read loses nothing');

# a file system without renames that fail when the name is taken
write_file($node, $faults, 'target', ending => 'keep');
my ($code, $stdout, $stderr) = $node->psql('postgres',
	"SELECT sink.fail_at(1, 'EINVAL', 'renameat2');"
	  . "SELECT sink.publish('$faults', 'target', false)");
like($stderr, qr/already exists/, 'not over another file there either');

# a disk that is full after so many bytes, which the kernel itself enforces
foreach my $compression (qw(none gzip zstd lz4))
{
	foreach my $limit (0, 1, 524_287, 524_288, 2_000_000)
	{
		($code, $stdout, $stderr) = $node->psql('postgres',
			"SELECT sink.limit_file_size($limit);"
			  . "SELECT sink.write_file('$faults', 'full', 'random', 5000000, 7000, 1,"
			  . " '$compression', NULL, 'publish')");
		like(
			$stderr,
			qr/could not write to file ".*full": File too large/,
			"$compression: no room after $limit bytes");
	}
}
is_deeply([ grep { /full/ } files_below($faults) ], [], 'which leaves nothing');

#
# However an attempt ends
#
sub attempts
{
	return grep { m{/\.[^/]*-long$} } files_below($faults);
}

# start_long(): a session that writes for as long as the test may last
sub start_long
{
	my ($in, $out, $err) = ('', '', '');
	my $session = IPC::Run::start(
		[
			'psql', '-XAt', '-d', $node->connstr('postgres'), '-c',
			"SELECT sink.write_file('$faults', 'long', 'random', 1000000000000,"
			  . " 100, 1, 'zstd:19', NULL, 'publish')"
		],
		'<', \$in, '>', \$out, '2>', \$err);

	$node->poll_query_until('postgres',
		"SELECT count(*) > 2 FROM pg_ls_dir('$faults/.outflow-test', true, true)"
	) or die 'the attempt did not begin';
	my $pid = $node->safe_psql('postgres',
		q{SELECT pid FROM pg_stat_activity WHERE query LIKE '%''long''%'
		AND pid <> pg_backend_pid()});
	return ($session, $pid, \$err);
}

write_file($node, $faults, 'done', bytes => 10, ending => 'keep');
my ($session, $pid, $err);
foreach my $how (qw(cancel terminate))
{
	query("sink.temp('$faults', 'remove')");
	($session, $pid, $err) = start_long();
	is(scalar(attempts()), 1, "an attempt runs until $how");
	query("pg_${how}_backend($pid)");
	$session->finish;
	is_deeply([ attempts() ], [], "nothing is left of it after $how");
}
foreach my $ending (qw(error exit))
{
	$node->psql('postgres',
		"SELECT sink.write_file('$faults', 'long', 'text', 2000000, 0, 1, 'lz4',"
		  . " NULL, '$ending')");
	is_deeply([ attempts() ], [], "nothing is left after $ending");
}

# only a kill leaves something, which a sweep removes, and nothing else
query("sink.temp('$faults', 'remove')");
($session, $pid, $err) = start_long();
kill 'KILL', $pid;
$session->finish;
$node->poll_query_until('postgres', 'SELECT true') or die 'no restart';
is(scalar(attempts()), 1, 'a kill leaves the attempt');
write_file($node, $faults, 'done', bytes => 10, ending => 'keep');
query("sink.temp('$faults', 'sweep')");
is_deeply([ attempts() ], [], 'a sweep removes it');
is(query("sink.list('$faults', true)"), 'done 10', 'and keeps what is finished');
query("sink.temp('$faults', 'remove')");
is_deeply([ files_below($faults) ], ['target'], 'removal takes the rest');
ok(!-d "$faults/.outflow-test", 'and the directory');

$node->stop;
done_testing();
