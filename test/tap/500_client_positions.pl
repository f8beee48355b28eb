# Promise: pg_outflow confirms exactly the end of the longest run of transactions
# that every target has acknowledged: never more, never less, in whatever order
# acknowledgements come, and those beyond that run may be forgotten.  What is told of each target's lag is as exact.
use strict;
use warnings;

use FindBin;
use IPC::Run ();
use Test::More;

my $program = "$FindBin::RealBin/../modules/ledger_property/ledger_property";
my $rounds = ($ENV{OUTFLOW_ROUNDS} || 10) * 40;
my $seed = $ENV{SEED} || 1;

sub property
{
	my (@arguments) = @_;
	my $said = '';
	my $ok = IPC::Run::run([ $program, @arguments ], '>', \$said);

	return ($ok, $said);
}

my ($ok, $said) = property($seed, $rounds);
ok($ok, "$rounds random histories, from seed $seed") or diag($said);
foreach my $mutant (qw(ahead behind lag kept))
{
	($ok, $said) = property($seed, 100, $mutant);
	ok(!$ok, "a ledger that is wrong ($mutant) is noticed");
}
done_testing();
