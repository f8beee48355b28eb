# Promise: a file of a secret that others may read or write is refused, whichever option names it; of a configuration
# file with a password in it there is a warning.
use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use TlsTest;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $closed = 'http://127.0.0.1:9/';
my @source = ('-d', 'dbname=none host=/nowhere', '-S', 's');

sub outflow
{
	my (@arguments) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'pg_outflow', @arguments ], '<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(60));
	return ($? >> 8, $out, $err);
}

# a file of that mode; its path
sub file
{
	my ($name, $text, $mode) = @_;

	unlink "$dir/$name";
	append_to_file("$dir/$name", $text);
	chmod($mode, "$dir/$name") or die;
	return "$dir/$name";
}

# ---- files of secrets

new_authority($dir, 'mine');
my $pem = slurp_file("$dir/mine.cert") . slurp_file("$dir/mine.key");
my @cases = (
	[ 'http-secret-file', "whsec_Q0FOQVJZ\n", "--to=$closed" ],
	[ 'http-header-file', "Authorization: Bearer CANARY\n", "--to=$closed" ],
	[ 'http-key', $pem, "--to=$closed", "--http-cert=$dir/mine.cert" ],
	[ 'http-cert', $pem, "--to=$closed" ], # it has the key, as nothing else does
	[ 'milvus-token-file', "root:CANARY\n", '--to=milvus://127.0.0.1:9/db' ],
	[ 'http-header-file', "Authorization: Bearer CANARY\n", '--to=milvus://127.0.0.1:9/db' ],
	[ 'mqtt-key', $pem, '--to=mqtts://127.0.0.1:9/shop', "--mqtt-cert=$dir/mine.cert" ],
	[ 'ws-token-file', "0123456789abcdefCANARY\n", '--to=ws://127.0.0.1:9', "--ws-spool=$dir" ],
	[ '-X', $pem, '--to=kafka://127.0.0.1:9/shop', '-X', 'security.protocol=ssl', '-X', "ssl.certificate.location=$dir/mine.cert" ]);

# the arguments of a case, with its file
sub arguments
{
	my ($option, $path, @more) = @_;

	return (@more, $option eq '-X' ? ('-X', "ssl.key.location=$path") : "--$option=$path");
}

foreach my $case (@cases)
{
	my ($option, $text, @more) = @$case;
	my $what = join(' ', $option, $more[0] =~ /=(\w+)/);
	my $refusal = qr{others may read or write "\Q$dir\E/secret": its mode must be 0600 or 0640};
	my ($code, $out, $err) = outflow('stream', @source, arguments($option, file('secret', $text, 0644), @more));

	is($code, 2, "$what, mode 0644: exit code");
	like($err, qr/^pg_outflow: error: $refusal$/m, "$what: the reason");
	unlike($out . $err, qr/CANARY|Q0FO/, "$what: no secret");
	foreach my $mode (0604, 0660, 0602, 0650)
	{
		($code, $out, $err) = outflow('check', @source, arguments($option, file('secret', $text, $mode), @more));
		like($out, qr/^NOT  target \S+: $refusal ?$/m, sprintf('%s, mode %04o: check says so', $what, $mode));
	}
	foreach my $mode (0600, 0640, 0400)
	{
		($code, $out, $err) = outflow('check', @source, arguments($option, file('secret', $text, $mode), @more));
		like($out, qr/^(?:ok  |NOT ) target /m, sprintf('%s, mode %04o: check tries the target', $what, $mode));
		unlike($out . $err, qr/others may/, '... with that file');
	}
}

# a certificate by itself is for everybody
{
	my ($code, $out, $err) = outflow('check', @source, "--to=$closed", '--http-cert=' . file('cert', slurp_file("$dir/mine.cert"), 0644), '--http-key=' . file('secret', $pem, 0600));

	unlike($out . $err, qr/others may/, 'a certificate of mode 0644, whose key is elsewhere');
}
# what is no file keeps nothing
{
	my $said = qx{bash -c 'pg_outflow check -d host=/nowhere -S s --to=$closed --http-secret-file <(echo secret)' 2>&1};

	like($said, qr/^NOT  target http:.*connect/mi, 'a pipe: check tries the target');
}

# ---- passwords in a configuration

sub config
{
	my ($text, $mode) = @_;

	return ('-c', file('conf', "# mine\n$text\n", $mode));
}

my $warning = qr{others may read or write "\Q$dir\E/conf", which has a password: its mode should be 0600 or 0640};
my @passwords = (
	"dbname = host=/nowhere password=CANARY", "dbname = host=/nowhere password = 'CANARY'", 'dbname = postgresql://me:CANARY@/db?host=/nowhere',
	'dbname = postgresql:///db?host=/nowhere&password=CANARY', "to = postgresql://me:CANARY\@127.0.0.1:9/db", 'to = https://me:CANARY@host/',
	'to = milvus://CANARY@host/db', 'to = mqtts://me:CANARY@host/x', "to = stdout:\nkafka-option = ssl.key.password=CANARY");
foreach my $line (@passwords)
{
	my ($code, undef, $err) = outflow('stream', config($line, 0644), '--endpos=nonsense');

	is($code, 2, 'what else is wrong is still told');
	like($err, qr/^pg_outflow: warning: $warning$/m, "a warning of: $line");
	unlike($err, qr/CANARY/, '... and no secret');
	(undef, undef, $err) = outflow('stream', config($line, 0600), '--endpos=nonsense');
	unlike($err, qr/others may/, '... none with mode 0600');
}
foreach my $line ('dbname = host=/nowhere user=password dbname=me', 'to = postgresql://me@host:9/db', 'to = kafka://me@a:1,b:2/p', "to = stdout:\nhttp-secret-file = /password", 'dbname = service=shop passfile=/etc/secret')
{
	my (undef, undef, $err) = outflow('stream', config($line, 0644), '--endpos=nonsense');

	unlike($err, qr/others may/, "none of: $line");
}
my (undef, undef, $err) = outflow('stream', config("log-format = json\n$passwords[0]", 0666));
like($err, qr/^\{"ts":"[^"]*","level":"warning","message":"others may/m, 'in the form of the log');
(undef, undef, $err) = outflow('stream', config("log-level = error\n$passwords[0]", 0644));
unlike($err, qr/others may/, 'and at its level');
(undef, undef, $err) = outflow('verify', config($passwords[4], 0644), $dir);
like($err, qr/$warning/, 'also of what another command takes from it');

foreach my $command (qw(stream replay check))
{
	my (undef, $out) = outflow($command, '--help');

	like($out, qr/^Secrets:\n.*0600 or 0640.*--http-secret-file/ms, "$command --help has the rule");
}
done_testing();
