# Promise: no export goes where the server, or a person's hidden files, lie: not
# by name, not through links, not with overwrite; and none is made there first.
# A place is one place, whatever it is called.
use strict;
use warnings;

use OutflowTest;
use Cwd qw(realpath);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = realpath(new_export_dir());
my $log = "$dir/server-log";
my $node = new_outflow_node('places',
	conf => "logging_collector = on\nlog_directory = '$log'\nmax_worker_processes = 16\n");
my $data = $node->data_dir;
my $socket = $node->host;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# error_of(SQL): with its SQLSTATE
sub error_of
{
	my ($out, $err);

	$node->psql('postgres', "SET ROLE writer; $_[0]", stdout => \$out, stderr => \$err,
		extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	return $err;
}

sub call
{
	my ($path, $options) = @_;

	return "CALL outflow.export('t', 'file://$path', options => '" . ($options || '{}') . "')";
}

sub names_in { return join(' ', map { s{.*/}{}r } sort glob "$_[0]/* $_[0]/.[!.]*"); }

sql('CREATE ROLE writer LOGIN; GRANT pg_write_server_files TO writer');
sql('CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 1000) AS g; GRANT SELECT ON t TO writer');

# the server's own, and hidden ones
my $own = qr/ERROR:  42501: .*cannot hold exports\nDETAIL:  It (lies in|contains) a directory of the server itself/;
my $hidden = qr/ERROR:  42501: .*cannot hold exports\nDETAIL:  Nothing is exported to a directory whose name begins with a dot/;
mkdir "$dir/$_" foreach qw(.ssh plain a other);
my $another = qr/ERROR:  42501: .*cannot hold exports\nDETAIL:  It lies in the data directory of another server/;
make_path("$dir/cluster/pg_replslot");
append_to_file("$dir/cluster/PG_VERSION", "15\n");
symlink "$dir/.ssh", "$dir/to-hidden" or die;
symlink $socket, "$dir/to-socket" or die;
symlink $log, "$dir/to-log" or die;
my $share = dirname(realpath(scalar qx{pg_config --sharedir} =~ s/\n//r));
foreach my $case (
	[ $socket, $own ],
	[ "$socket/x", $own ],
	[ "$socket/x/y", $own ],
	[ "$dir/to-socket/x", $own ],
	[ $log, $own ],
	[ "$log/x", $own ],
	[ "$dir/to-log/x", $own ],
	[ $data, $own ],
	[ "$data/x", $own ],
	[ "$data/pg_wal/x", $own ],
	[ '/proc/self/cwd/x', $own ],
	[ '/etc/postgresql/x', $own ],
	[ '/etc/x', $own ],
	[ scalar(qx{pg_config --pkglibdir}) =~ s/\n//r . '/x', $own ],
	[ scalar(qx{pg_config --sharedir}) =~ s/\n//r . '/x', $own ],
	[ scalar(qx{pg_config --bindir}) =~ s/\n//r . '/x', $own ],
	[ "$dir/cluster", $another ],
	[ "$dir/cluster/pg_replslot/x", $another ],
	[ "$dir/.ssh", $hidden ],
	[ "$dir/.ssh/x", $hidden ],
	[ "$dir/.new/x", $hidden ],
	[ "$dir/plain/.x/y", $hidden ],
	[ "$dir/to-hidden/x", $hidden ],
	[ "$dir/to-hidden/x/y", $hidden ],
	[ "$dir/a/.outflow-x", $hidden ])
{
	my ($path, $why) = @$case;

	like(error_of(call($path)), $why, "refused: $path");
	like(error_of(call($path, '{"overwrite": true}')), $why, "refused with overwrite: $path");
	foreach my $other (
		"SELECT * FROM outflow.lake_versions('file://$path')",
		"SELECT * FROM outflow.lake_vacuum('file://$path')",
		call("$dir/based", qq({"base": "file://$path"})))
	{
		like(error_of($other), qr/ERROR:  (42501|42704|22023|42809|58P01|02000)/, "nor does it read there: $other");
	}
}
is(names_in($socket) =~ /(^| )x( |$)/, '', 'nothing is made beside the sockets');
is(names_in("$dir/.ssh"), '', 'nor in a hidden directory');
is(names_in("$dir/a"), '', 'nor under a reserved name');
ok(!-e "$dir/.new" && !-e "$dir/plain/.x" && !-e "$log/x", 'nor are directories above them');
unlike(error_of(call("$dir/a")), qr/ERROR/, 'which blocks nobody');

# what a new user comes to has its way out, and check_destination() says so
mkdir "$dir/locked", 0555;
mkdir "$dir/shut", 0000;
my $user = getpwuid($<);
foreach my $case (
	[ "$dir/locked/new/x", qq(The server's operating system user must be able to write there: as root, install -d -o $user '$dir/locked/new') ],
	[ "$dir/locked/\$(id)''s", qq(The server's operating system user must be able to write there: as root, install -d -o $user '$dir/locked/\$(id)'\\''s') ],
	[ "$dir/locked", q(The server's operating system user must be able to write there.) ],
	[ "$dir/shut/x", q(The server's operating system user must be able to write there.) ],
	[ $socket, 'Name a directory elsewhere.' ],
	[ dirname($data), 'Name a new directory below it, or one elsewhere.' ],
	[ "$data/x", 'Name a directory elsewhere.' ],
	[ "$dir/.ssh/x", 'Name a directory elsewhere.' ],
	[ '/', 'Name a directory below it.' ],
	[ "$dir/a/../b", 'Write the path that it means.' ])
{
	my ($path, $hint) = @$case;

	like(error_of(call($path)), qr/HINT:  \Q$hint\E\n/, "a hint: $path");
	is(sql("SELECT ok, fix FROM outflow.check_destination('file://$path') WHERE NOT ok LIMIT 1"), "f|$hint", "and a fix: $path");
}

# no directories at all
foreach my $case (
	[ '/dev/null', qr/ERROR:  42809: / ],
	[ '/proc/self/fd/1', qr/ERROR:  \d{5}: / ],
	[ 'relative/path', qr/is not an absolute path/ ],
	[ 'host/x', qr/is not an absolute path/ ],
	[ '', qr/is not an absolute path/ ],
	[ "$dir/a/../b", qr/must not contain ".."/ ],
	[ "$dir/" . 'n' x 256, qr/ERROR:  22023: a name in the path of directory is too long/ ],
	[ "$dir/plain/" . 'n' x 256 . '/x', qr/ERROR:  22023: a name in the path of directory is too long/ ],
	[ $dir . '/deeper' x 600, qr/ERROR:  22023: path of directory is too long/ ])
{
	my ($path, $why) = @$case;

	like(error_of(call($path)), $why, 'refused: ' . substr($path, 0, 60));
}
unlike(error_of(call("$dir/" . 'n' x 255)), qr/ERROR/, 'a name of 255 bytes is one');

# a trial of a place writes and removes trials alone
my $before = names_in("$dir/a");
foreach my $path ("$dir/a", "$dir/tried/deep")
{
	is(sql("SET ROLE writer; SELECT string_agg(concat(step, ' ', ok, ' ' || fix), ', ')"
			. " FROM outflow.check_destination('file://$path')"),
		'reach t, write t, list t, read t, remove t', "a place is tried: $path");
}
is(names_in("$dir/a"), $before, 'and an export there stays as it was');
ok(!-e "$dir/tried", 'nothing stays of the trial');
foreach my $path ($socket, "$log/x", "$data/x", "$dir/.ssh/x", "$dir/to-log/x", 'relative', "$dir/a/../b", '/dev/null')
{
	unlike(sql("SET ROLE writer; SELECT string_agg(concat(step, ' ', ok), ', ')"
			. " FROM outflow.check_destination('file://$path')"),
		qr/write t/, "what no export may have is not tried: $path");
}
foreach my $name ('_manifest.json', '_SUCCESS', '../plain', '_outflow_check_/../../plain', '_outflow_check_/')
{
	foreach my $step (qw(write remove checksum))
	{
		like(error_of("SELECT outflow_internal.preflight_destination('file://$dir/a', '$step', '$name')"),
			qr/ERROR:  42602: invalid name .* for a trial/, "but not by the name $name: $step");
	}
}
is(names_in("$dir/a"), $before, 'and all the export has stays');
ok(-d "$dir/plain", 'as does what lies beside it');

# a setting allows what lies above it
mkdir "$dir/.exports";
sql("LOAD 'outflow'; ALTER SYSTEM SET outflow.export_root = '$dir/.exports'");
$node->reload;
unlike(error_of(call("$dir/.exports/x")), qr/ERROR/, 'an export root may be hidden');
like(error_of(call("$dir/.exports/.x")), $hidden, 'what lies below it may not');
sql("LOAD 'outflow'; ALTER SYSTEM RESET outflow.export_root");
$node->reload;

# one place by two names
symlink "$dir/other", "$dir/alias" or die;
symlink "$dir/other/running", "$dir/straight" or die;
hold_exports($node, 0);
my $job = sql("SELECT outflow.export_start('t', 'file://$dir/other/running')");
foreach my $path ('alias/running', 'alias/running/deep', 'straight/deep', 'alias')
{
	like(error_of(call("$dir/$path", '{"overwrite": true}')),
		qr/is in use by export job $job\b/, "a running job's, by another name: $path");
}
release_exports($node);
$node->poll_query_until('postgres', "SELECT state = 'done' FROM outflow.jobs WHERE job = $job") or die;
ok(!-e "$dir/other/running/deep", 'and nothing is made there');
like(sql("SELECT location FROM outflow.job WHERE job = $job"), qr{/other/running$}, 'it is known by its own name');

# without a collector the log is the file that the server was started with
my $started = new_outflow_node('started');
my $beside = dirname($started->logfile);
$started->safe_psql('postgres', 'CREATE TABLE t AS SELECT 1 AS id');
like(($started->psql('postgres', call($beside)))[2], qr/cannot hold exports\nDETAIL:  It lies in a directory of the server itself/, "a log file's directory is refused");
is(($started->psql('postgres', call("$beside/export")))[0], 0, '... and one below it is not');

done_testing();
