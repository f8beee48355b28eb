# Promise: whatever is wrong with the arguments or the configuration, the program
# says where, and nothing that may be a secret.
use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $secret = 'geheim-CANARY';

# refused(TITLE, PATTERN, ARGUMENT...): exit code 2, the reason, and no secret
sub refused
{
	my ($title, $pattern, @arguments) = @_;
	my ($out, $err);

	IPC::Run::run([ 'pg_outflow', 'stream', '-d', 'dbname=none host=/nowhere', '-S', 's', @arguments ],
		'<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(60));
	is($? >> 8, 2, "$title: exit code");
	like($err, $pattern, "$title: the reason");
	unlike("$out$err", qr/CANARY/, "$title: no secret");
	return;
}

sub config
{
	my ($text) = @_;

	unlink "$dir/config";
	append_to_file("$dir/config", $text);
	return ('-c', "$dir/config");
}

refused('a URL in capitals', qr/"HTTPS" is no URL of a target/, '--to', "HTTPS://user:$secret\@host/x");
refused('no URL at all', qr/is no URL of a target/, '--to', "/user=$secret");
refused('an unknown kind', qr/no target "ftp:"|"ftp/, '--to', "ftp://user:$secret\@host/x");
refused('a directory with a host', qr{"file://host/x" must be}, '--to', "file://user:$secret\@host/x");
# a delimiter in a password would end it early
foreach my $to ("kafka://user:$secret/x\@broker/p", "kafka://user/$secret:x\@broker/p", "kafka://user:x\@$secret\@broker/p", "milvus://root:12/$secret\@host/db", "mqtt://user:x\@$secret\@host/", "mqtt://user:x\@y/$secret\@host/t", "http://user:$secret/x\@host/", "ws://user:$secret?\@host", "postgresql://u:$secret/x\@host/db")
{
	refused("a delimiter in a password: $to", qr/URL of --to|\btarget\b|must be/, '--to', $to);
}
refused('a pair without a value', qr/--kafka-option takes NAME=VALUE/, '-X', "sasl.password:$secret", '--to', 'stdout:');
refused('a pair with no name', qr/--option takes NAME=VALUE/, '-o', "=$secret", '--to', 'stdout:');
refused('a connection string without quotes', qr/takes no argument "password"/, '--to', 'stdout:', "password=$secret", 'first');
refused('one argument too many', qr/stream takes no argument "password"/, '--to', 'stdout:', "password=$secret");
refused('a secret as configuration', qr{line 2 of "\Q$dir\E/config" is not name = value}, config("# mine\n$secret\n"));
refused('an unknown name', qr/there is no option "password"/, config("password = $secret\n"));
refused('a directory as configuration', qr/could not read file "\Q$dir\E": Is a directory/, '-c', $dir);

refused('a directory as headers', qr/could not read file "\Q$dir\E": Is a directory/, '--http-header-file', $dir, '--to', 'http://127.0.0.1:9/');
refused('a directory as secret', qr/could not read a secret/, '--http-secret-file', $dir, '--to', 'http://127.0.0.1:9/');
my ($out, $err);
IPC::Run::run([ 'pg_outflow', 'replay', '--to', 'stdout:', $dir ], '<', \undef, '>', \$out, '2>', \$err);
is($? >> 8, 2, 'a directory as dead-letter file: exit code');
like($err, qr/could not read file "\Q$dir\E": Is a directory/, '... the reason');

# ---- what libpq can't read or use: no server is asked, and nothing is tried again
my %commands = (stream => [ '-S', 's', '--to', 'stdout:' ], export => [ 't', 'file:///nowhere' ], verify => ['--job=1'], check => []);

# unusable(TITLE, PATTERN, CONNINFO): by each command, and of a configuration file
sub unusable
{
	my ($title, $pattern, $conninfo) = @_;

	foreach my $command (sort keys %commands)
	{
		foreach my $from ([ '-d', $conninfo ], $command eq 'stream' ? [ config("dbname = $conninfo\n") ] : ())
		{
			IPC::Run::run([ 'pg_outflow', $command, @$from, @{ $commands{$command} } ],
				'<', \undef, '>', \my $said, '2>', \my $errors, IPC::Run::timeout(60));
			is($? >> 8, 2, "$title: $command $from->[0]: exit code");
			like($errors, $pattern, "$title: $command $from->[0]: the reason");
			unlike("$said$errors", qr/CANARY|geheim|marker/i, "$title: $command $from->[0]: nothing of it is shown");
		}
	}
	return;
}

my $unread = qr/error: the connection string of -d is none that libpq can read/;
unusable('a bracket that is not closed', $unread, "postgresql://app:$secret\@[::1/shop");
unusable('a percent sign', $unread, "postgresql://app:geheim%marker\@db.example/shop");
unusable('a slash', $unread, 'postgresql://u:geheim/CANARY@h/db');
unusable('a slash after digits', $unread, 'postgresql://u:12/CANARY@h/db');
unusable('an @', $unread, 'postgresql://u:x@CANARY@h/db');
unusable('a slip in the scheme', $unread, "postgres:/u:$secret\@h/db");
unusable('another scheme', $unread, "postgress://u:$secret\@h/db?sslmode=require");
unusable('a space without quotes', $unread, "host=h password=one $secret");
unusable('ports and hosts', $unread, 'host=marker port=1,2');
unusable('a port beyond all', $unread, 'host=marker port=99999');
unusable('no number', $unread, 'host=marker keepalives_idle=marker');
unusable('a mode of TLS', qr/error: libpq refuses the connection string of -d: invalid sslmode value: "\.\.\."$/m, 'host=/marker sslmode=marker');
unusable('a service', qr/libpq refuses .*: definition of service "\.\.\." not found$/m, 'service=marker');
refused('a mode of TLS of a target', qr/libpq refuses a postgresql: URL of --to: invalid sslmode value: "\.\.\."$/m, '--to', 'postgresql://h/db?sslmode=CANARY');
refused('a percent sign for a target', qr/URL of --to is none that libpq can read/, '--to', 'postgresql://u:%marker-CANARY@h/db');

# what only looks odd is a server that is away
append_to_file("$dir/services", "[lists]\nhost=/nowhere,/nowhere\nport=1,2\n[addresses]\nhostaddr=127.0.0.1,127.0.0.1\nport=1,1\n");

# is_asked(CONNINFO, NAME => VALUE...): with that in the environment
sub is_asked
{
	my ($conninfo, %environment) = @_;
	my $what = join(' ', "'$conninfo'", map { "$_=$environment{$_}" } sort keys %environment);
	local %ENV = (%ENV, PGSERVICEFILE => "$dir/services", PGHOST => '/nowhere', %environment);

	IPC::Run::run([ 'pg_outflow', 'export', '-d', $conninfo, 't', 'file:///nowhere' ], '<', \undef, '>', \my $said, '2>', \my $errors, IPC::Run::timeout(60));
	is($? >> 8, 3, "$what: a server is asked") or diag($errors);
	like($errors, qr/No such file|refused/, "$what: ... and is away");
	return;
}

is_asked($_)
  foreach ('postgres', 'postgresql://u:a?b@localhost:1/db', 'postgresql:///db?host=/nowhere,/nowhere&port=1,2&user=a@b', 'host=/nowhere,/nowhere port=,5 connect_timeout=-1',
	'postgresql://localhost:1?sslrootcert=/nowhere&user=a@b', 'postgresql://?host=/nowhere&user=a@b', 'service=lists');
is_asked('service=addresses', PGHOST => '');
is_asked($_, PGHOST => '/nowhere,/nowhere', PGPORT => '1,2') foreach ('', 'dbname=db', 'host=/nowhere,/nowhere');
is_asked('', PGHOST => 'a,b', PGHOSTADDR => '127.0.0.1,127.0.0.1', PGPORT => '1');

done_testing();
