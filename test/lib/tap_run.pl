# tap_run.pl: runs TAP tests in Perl and pgTAP suites in SQL through one
# harness, and leaves the sums where the caller adds them up.
#
#	tap_run.pl TALLY FILE...
#
# TALLY gets one line "passed failed" and one line per bad file.  A .sql file
# runs in the database named like it.
use strict;
use warnings;

use File::Basename qw(basename);
use TAP::Harness;

my ($tally, @files) = @ARGV;

my $harness = TAP::Harness->new(
	{
		jobs => $ENV{JOBS} || 2,
		timer => 1,
		color => 0,
		failures => 1,
		comments => 1,
		exec => sub {
			my (undef, $file) = @_;

			return undef unless $file =~ /\.sql$/;
			return [
				qw(psql --no-psqlrc --quiet --no-align --tuples-only
				  --set=ON_ERROR_STOP=1 --pset=pager=off),
				'--dbname=' . basename($file, '.sql'), "--file=$file"
			];
		}
	});
my $result = $harness->runtests(@files);

# a file that died, or broke its own plan, failed even if each test was ok
my $failed = $result->failed;
my @bad;
foreach my $parser_name ($result->descriptions)
{
	my ($parser) = $result->parsers($parser_name);

	next unless $parser->has_problems;
	push @bad, $parser_name;
	$failed++ unless $parser->failed;
}

open(my $out, '>', $tally) or die "could not write \"$tally\": $!";
print $out $result->passed + 0, ' ', $failed + 0, "\n";
print $out "$_\n" foreach @bad;
close($out) or die "could not write \"$tally\": $!";
