# Promise: an export whose directory, or one above or below it, is exchanged for
# a symbolic link again and again while it runs writes nothing where the link
# points to.  It ends exact or with an error.
#
# OUTFLOW_ROUNDS is how many exports run in each of the races.
use strict;
use warnings;

use File::Path qw(make_path);
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use POSIX qw(uname);
use Test::More;

# renameat2(2), which exchanges two names at once
my %renameat2 = (x86_64 => 316, aarch64 => 276);
use constant { AT_FDCWD => -100, RENAME_EXCHANGE => 2 };

my $rounds = $ENV{OUTFLOW_ROUNDS} || 12;
my $node = new_outflow_node('races');
my $dir = new_export_dir();
my $number = $renameat2{ (uname())[4] } or die 'this machine\'s number of renameat2(2) is not known';

sub sql { return $node->safe_psql('postgres', $_[0]); }

mkdir "$dir/$_" foreach qw(root outside);
sql("CREATE TABLE t AS SELECT g AS id, md5(g::text) AS t FROM generate_series(1, 6000) AS g");
sql("COPY t TO '$dir/copy' (FORMAT csv)");
my $copy = slurp_file("$dir/copy");

# all names below a directory, those of directories too
sub names_below { return split(/\n/, scalar qx{find '$_[0]' -mindepth 1}); }

sub exchange
{
	my ($a, $b) = @_;

	return syscall($number, AT_FDCWD, $a, AT_FDCWD, $b, RENAME_EXCHANGE) == 0;
}

# flip(NAME, SECONDS): a process that exchanges NAME for a link to outside, and
# back, then rests so long or less, until it is told to stop; the answer to that
# is how often
sub flip
{
	my ($name, $seconds) = @_;

	unlink "$dir/link";
	symlink "$dir/outside", "$dir/link" or die;
	pipe(my $from, my $to) or die;
	my $pid = fork();
	die "could not fork: $!" unless defined $pid;
	if ($pid == 0)
	{
		my ($stop, $flips) = (0, 0);

		local $SIG{TERM} = sub { $stop = 1; };
		while (!$stop || $flips % 2)
		{
			exchange($name, "$dir/link") or die "could not exchange \"$name\": $!";
			$flips++;
			select(undef, undef, undef, rand($seconds)) if $seconds && $flips % 2 == 0;
		}
		syswrite($to, $flips);
		POSIX::_exit(0);
	}
	close($to);
	return sub {
		kill('TERM', $pid);
		sysread($from, my $flips, 100);
		waitpid($pid, 0);
		return $flips;
	};
}

# race(WHAT, CALL, FLIPPED, PLACE): exports by CALL, whose files belong to PLACE,
# while FLIPPED is exchanged; afterwards each of them can be resumed or forgotten
sub race
{
	my ($what, $call, $flipped, $place) = @_;
	my ($flips, $done, $bad) = (0, 0, '');

	foreach my $round (1 .. $rounds)
	{
		my ($name, $there, $statement) = map { s/%/$round/r } $flipped, $place, $call;
		my $last = sql('SELECT coalesce(max(job), 0) FROM outflow.jobs');

		make_path($name);
		# all the time, or seldom enough that some exports get far
		my $stop = flip($name, (0, 0.002, 0.02, 0.2)[ $round % 4 ]);
		my ($code, $out, $err) = $node->psql('postgres', $statement);
		$flips += $stop->();
		my $job = sql("SELECT coalesce(max(job), 0) FROM outflow.jobs WHERE job > $last");

		$done++ if $code == 0;
		$err =~ s/"[^"]*"/.../g;
		note("$what, $round: " . ($code == 0 ? 'done' : $err =~ s/.*ERROR: +(.*?)\n.*/$1/sr));
		next unless $job;
		if ($code != 0 && $round % 2)
		{
			sql("SELECT outflow.forget($job)");
			next;
		}
		sql("CALL outflow.resume($job)") if $code != 0;
		$bad .= "$round: not what COPY writes\n"
		  if join('', map { slurp_file("$there/$_") } grep { /^part-/ } files_below($there)) ne $copy;
		my $faults = sql("SELECT concat_ws(' ', part, file, status, detail) FROM outflow.verify($job) WHERE status <> 'ok'");
		$bad .= "$round: not verified: $faults\n" if $faults ne '';
	}
	diag("$what: $flips exchanges, $done of $rounds exports were done at once");
	cmp_ok($flips, '>', $rounds, "$what: was exchanged");
	is($bad, '', "$what: each export is exact, then or when resumed");
	is(join(' ', names_below("$dir/outside")), '', "$what: nothing was written outside");
	is(join(' ', grep { m{/\.} } names_below("$dir/root")), '', "$what: nothing hidden is left");
	return;
}

race('the destination', "CALL outflow.export('t', 'file://$dir/root/last%', part_size => '64kB')",
	"$dir/root/last%", "$dir/root/last%");
race('a table\'s folder',
	"CALL outflow.export_tables('{t}', 'file://$dir/root/many%', part_size => '64kB', options => '{\"overwrite\": true}')",
	"$dir/root/many%/public.t", "$dir/root/many%/public.t");

# a link above the destination is the administrator's own, unless it is below
sql("LOAD 'outflow'; ALTER SYSTEM SET outflow.export_root = '$dir/root'");
sql('SELECT pg_reload_conf()');
race('a directory below the export root', "CALL outflow.export('t', 'file://$dir/root/middle/e%', part_size => '64kB')",
	"$dir/root/middle", "$dir/root/middle/e%");

done_testing();
