# Promise: test/deps upgrades no server that is here and installs none beside it, and
# asks apt for nothing but what is missing.
use strict;
use warnings;

use FindBin;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'no server from packages is here' unless glob('/usr/lib/postgresql/*/bin/postgres');

# an apt that says what it was asked, and what would come along
my $bin = PostgreSQL::Test::Utils::tempdir();
my $asked = "$bin/asked";
my %programs = (
	'apt-cache' => 'exit 0',
	'sudo' => 'exec "$@"',
	'apt-get' => qq{echo "\$*" >>"$asked"
		case "\$*" in
			*--simulate*brings-a-server*) echo "Inst postgresql-15 [15.18] (15.19 Debian)" ;;
			*--simulate*) echo "Inst client-of-postgresql (1.0 Debian)" ;;
		esac});

foreach my $name (keys %programs)
{
	append_to_file("$bin/$name", "#!/bin/sh\n$programs{$name}\n");
	chmod(0755, "$bin/$name");
}
local $ENV{PATH} = "$bin:$ENV{PATH}";

# deps(PACKAGE...): whether it went well, what it said, what apt was asked
sub deps
{
	my $out = '';

	unlink($asked);
	my $ok = IPC::Run::run([ 'bash', "$FindBin::Bin/../deps", @_ ], '<', \undef, '>', \$out, '2>&1');
	return ($ok ? 1 : 0, $out, -e $asked ? slurp_file($asked) : '');
}

my ($ok, $said, $asked_for) = deps('perl', 'anything:perl');
is("$ok$said$asked_for", '1', 'nothing is missing: apt is not asked');
($ok, $said, $asked_for) = deps('harmless:no-such-command', 'perl');
is($ok, 1, 'what is missing is installed');
like($asked_for, qr/^install -qq .* harmless$/m, '... and nothing else');
($ok, $said, $asked_for) = deps('brings-a-server:no-such-command');
is($ok, 0, 'what would change a server is refused');
like($said, qr/would change postgresql-15/, '... with the reason');
unlike($asked_for, qr/^install -qq/m, '... and nothing is installed');

done_testing();
