# Promise: a statement cancelled at any moment leaves a job that can be
# resumed to an exact export, or no job at all; no process goes on, no file is
# left over.
#
# The moments are spread over the time that an undisturbed run takes.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $moments = $ENV{OUTFLOW_ROUNDS} || 12;
my $node = new_outflow_node('cancel');
my $dir = new_export_dir();

sub sql { return $node->safe_psql('postgres', $_[0]); }

# cancelled(MS, CALL): what psql says about a statement with so much time
sub cancelled
{
	my ($ms, $call) = @_;
	my ($code, $out, $err) =
	  $node->psql('postgres', "SET statement_timeout = $ms;\n$call");

	return $err;
}

# moments(CALL): milliseconds, from the first one to after the CALL's end
sub moments
{
	my ($call) = @_;
	my $begun = time();

	sql($call);
	my $ms = 1000 * (time() - $begun);
	return map { 1 + int($ms * $_ / ($moments - 2)) } 0 .. $moments - 1;
}

# newest job and its state
sub newest
{
	return split(/\|/,
		sql('SELECT job, state FROM outflow.jobs ORDER BY job DESC LIMIT 1'));
}

sub running_processes
{
	return sql("SELECT count(*) FROM pg_stat_activity"
		  . " WHERE backend_type LIKE 'outflow%'");
}

sub parts_of
{
	my ($name) = @_;

	return join('',
		map { slurp_file("$dir/$name/$_") }
		  grep { /^part-/ } files_below("$dir/$name"));
}

sub others_of
{
	my ($name) = @_;

	return join(' ', grep { !/^part-\d{6}\.csv$/ } files_below("$dir/$name"));
}

sql("CREATE TABLE t AS SELECT g AS id, md5(g::text) AS t"
	  . " FROM generate_series(1, 60000) AS g");
sql("COPY t TO '$dir/copy' (FORMAT csv)");
my $copy = slurp_file("$dir/copy");

sub call
{
	my ($name, $workers) = @_;

	return "CALL outflow.export('t', 'file://$dir/$name',"
	  . " part_size => '64kB', workers => $workers)";
}

# with workers: interrupted, and resumed once more in vain
my @ms = moments(call('whole', 2));
my ($last, $state) = newest();
my $interrupted = 0;
my $bad = '';
foreach my $number (0 .. $#ms)
{
	my $name = "export$number";
	my $said = cancelled($ms[$number], call($name, 2));
	my $when = "after $ms[$number] ms";

	$bad .= "$when: $said\n"
	  unless $said =~ /canceling statement due to statement timeout/
	  or $said !~ /ERROR/;
	$bad .= "$when: processes go on\n" if running_processes() ne '0';
	my ($job, $state) = newest();
	if ($job == $last)
	{
		next;
	}
	$last = $job;
	my $expected = $said =~ /ERROR/ ? 'interrupted' : 'done';
	$bad .= "$when: $state, not $expected\n" if $state ne $expected;
	if ($state ne 'done')
	{
		$interrupted++;
		# cancelled after the last file, before the record
		$bad .= "$when: visible before it is whole\n"
		  if -e "$dir/$name/_SUCCESS" && parts_of($name) ne $copy;
		cancelled($ms[ ($number * 5) % @ms ], "CALL outflow.resume($job)");
		$bad .= "$when: processes of the resume go on\n"
		  if running_processes() ne '0';
		sql("CALL outflow.resume($job)")
		  if (newest())[1] ne 'done';
	}
	$bad .= "$when: not what COPY writes\n" if parts_of($name) ne $copy;
	$bad .= "$when: left over: " . others_of($name) . "\n"
	  if others_of($name) ne '_SUCCESS _manifest.json';
}
is($bad, '', 'cancelled at any moment, resumed to an exact export');
cmp_ok($interrupted, '>', 0, 'some of them were interrupted');
is(sql("SELECT DISTINCT v.status FROM outflow.jobs AS j,"
		  . " outflow.verify(j.job) AS v"),
	'ok', 'all of them are verified');

# in the calling session: all or nothing
@ms = moments(call('inline', 0));
($last) = newest();
my $nothing = 0;
$bad = '';
foreach my $number (0 .. $#ms)
{
	my $name = "inline$number";
	my $said = cancelled($ms[$number], call($name, 0));
	my $when = "after $ms[$number] ms";
	my ($job, $state) = newest();
	my @files = -d "$dir/$name" ? files_below("$dir/$name") : ();

	# the time may also have come when all was done and only the answer missing
	if ($said =~ /ERROR/ && !($job != $last && $state eq 'done'))
	{
		$nothing++;
		$bad .= "$when: a job without its export\n" if $job != $last;
		$bad .= "$when: left over: @files\n" if @files;
	}
	else
	{
		$bad .= "$when: no job\n" if $job == $last;
		$bad .= "$when: not what COPY writes\n" if parts_of($name) ne $copy;
	}
	$last = $job;
}
is($bad, '', 'in the calling session: the whole export or nothing');
cmp_ok($nothing, '>', 0, 'some of them were cancelled');

done_testing();
