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

done_testing();
