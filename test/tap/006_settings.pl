# Promise: README.md's table of settings is true: who may set each, where, and when
# it takes effect; what cannot be set is refused at once.
use strict;
use warnings;

use FindBin;
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('main');
my $connection = $node->connstr('postgres');
my ($table) = slurp_file("$FindBin::Bin/../../README.md") =~ /^(\| setting \| default \|.*?)\n\n/ms;
my %told;

$told{"outflow.$1"} = { default => $2, who => $3, where => $4 }
  while $table =~ /^\| `outflow\.(\w+)` \| (.*?) \| (.*?) \| (.*?) \|/mg;
$node->safe_psql('postgres', 'CREATE ROLE anybody LOGIN');

my %context = (
	'superusers; configuration only' => 'sighup',
	'superusers; anywhere' => 'superuser',
	'anybody; anywhere' => 'user');
foreach my $setting (split(/\n/, $node->safe_psql('postgres',
	q{LOAD 'outflow'; SELECT name, context, boot_val, current_setting(name) FROM pg_settings WHERE name LIKE 'outflow.%'})))
{
	my ($name, $context, undef, $default) = split(/\|/, $setting, -1);
	my $row = $told{$name};

	ok($row, "$name is in the table") or next;
	is($row->{default}, $default eq '' ? 'none' : $default, "default of $name, as SHOW has it");
	is($context{"$row->{who}; $row->{where}"}, $context, "who may set $name, and where");
}

# set(ROLE, SQL): what psql says; each statement is one query
sub set
{
	my ($role, @statements) = @_;
	my ($out, $err) = run_command(
		[ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', "$connection user=$role", map { ('-c', $_) } @statements ]);

	return $out . $err;
}
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');

foreach my $name (sort keys %told)
{
	my $only = $told{$name}{where} eq 'configuration only';
	my $value = $name =~ /root|file/ ? "'/srv'" : $name =~ /mask/ ? "'a.b.c=null'" : $name =~ /memory/ ? "'2000'" : "'900'";

	like(set($superuser, "LOAD 'outflow'", "SET $name = $value"), $only ? qr/cannot be changed now/ : qr/^$/, "SET $name");
	like(set($superuser, "LOAD 'outflow'", "ALTER SYSTEM SET $name = $value", "ALTER SYSTEM RESET $name"),
		qr/^$/, "ALTER SYSTEM SET $name");
	like(set('anybody', 'SELECT FROM outflow.preflight()', "SET $name = $value"),
		$told{$name}{who} eq 'anybody' ? qr/^\n*$/ : qr/permission denied|cannot be changed now/, "SET $name by anybody");
}

# the unit
is(set($superuser, "LOAD 'outflow'", q{ALTER SYSTEM SET outflow.rate_limit = 20480}, 'SELECT pg_reload_conf()'), 't', 'a number without a unit');
wait_until($node, q{SELECT count(*) > 0 FROM pg_file_settings WHERE name = 'outflow.rate_limit'}, 'reloaded');
is(set($superuser, "LOAD 'outflow'", 'SHOW outflow.rate_limit'), '20MB', '... is in kB, and SHOW has the unit');

# with the library loaded first, in a fresh session
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'outflow'\n");
$node->restart;
like(set($superuser, 'SET outflow.rate_limit = 0'), qr/cannot be changed now/, 'with shared_preload_libraries nothing needs LOAD');
is(set($superuser, "ALTER SYSTEM SET outflow.rate_limit = '1MB'"), '', '... nor does ALTER SYSTEM');

$node->stop;
done_testing();
