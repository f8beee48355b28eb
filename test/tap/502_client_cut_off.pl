# Promise: a transaction that is cut off is gone on with where it was, and if the
# server doesn't repeat it as it was, pg_outflow ends instead of counting on: no
# record is lost or doubled.
use strict;
use warnings;

use FindBin;
use IPC::Run ();
use Test::More;

my $program = "$FindBin::RealBin/../modules/intake_cut/intake_cut";

# taken(DELIVERY...): the exit code, what reached the queue, and what was said
sub taken
{
	my ($out, $err) = ('', '');

	IPC::Run::run([ $program, @_ ], '>', \$out, '2>', \$err);
	return ($? >> 8, $out, $err);
}

# the deliveries, and what is taken of them in the end
foreach my $case (
	[ 'not cut off', 'Bsab,cC' => 'BsabcC' ],
	[ 'amid it', 'Bab', 'BabcdC' => 'BabcdC' ],
	[ 'in other messages', 'B,a,b', 'Ba,bcC' => 'BabcC' ],
	[ 'after its beginning', 'B', 'BaC' => 'BaC' ],
	[ 'after a schema', 'Bs', 'BsaC' => 'BssaC' ],
	[ 'a schema that comes again', 'Bsab', 'BsasbcC' => 'BsabcC' ],
	[ 'twice', 'Babc', 'Ba', 'BabcdC' => 'BabcdC' ],
	[ 'behind another one', 'BaC,Eb', 'EbcC' => 'BaCBbcC' ],
	[ 'with keepalives before it comes again', 'Bab', 'k,k,BabcC' => 'BabcC' ],
	[ 'with keepalives amid it', 'Ba,K,b', 'Bab,K,cC' => 'BabcC' ],
	[ 'with keepalives after it', 'BabC,K', 'K' => 'BabC' ])
{
	my ($what, @deliveries) = @$case;
	my $expected = pop @deliveries;
	my ($code, $out, $err) = taken(@deliveries);

	is("$code $out", "0 $expected", $what) or diag($err);
}
foreach my $case (
	[ 'one more before', qr/record 3 of it is a, and the last of 3 was b\b/, 'Bab', 'BxabC' ],
	[ 'one more amid', qr/record 3 of it is x/, 'Bab', 'BaxbC' ],
	[ 'one less', qr/record 3 of it is c/, 'Bab', 'BbcC' ],
	[ 'fewer than came', qr/record 2 of it is its end, and the last of 3 was b\b/, 'Bab', 'BC' ],
	[ 'as many, with its end', qr/record 3 of it is its end/, 'Bab', 'BaC' ],
	[ 'at the second cut', qr/record 4 of it is d, and the last of 4 was c\b/, 'Babc', 'Bab', 'BabdC' ],
	[ 'another transaction', qr/its history is another one/, 'Bab', 'EabC' ],
	[ 'nothing instead', qr/doesn't repeat the transaction that commits at 0\/1000 and was cut off: it is at 0\/1001 already/, 'Bab', 'k,K' ],
	[ 'nothing instead, at the second cut', qr/it is at 0\/1001 already/, 'Bab', 'Ba', 'K' ])
{
	my ($what, $expected, @deliveries) = @$case;
	my ($code, $out, $err) = taken(@deliveries);

	is("$code $out", '5 ', "$what: refused");
	like($err, $expected, "$what: with the reason");
}
done_testing();
