# Promise: what servers say besides, on whichever connection, comes by pg_outflow's own log: with its levels and in its
# form, with nothing that moves a terminal's cursor, and what is said of each row does not fill it.
use strict;
use warnings;
use utf8;

use ClientTest;
use IPC::Run ();
use JSON::PP ();
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('main', init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);
my $json = JSON::PP->new->utf8;
my $to = '--to=postgresql:///copy?host=' . $node->host . '&port=' . $node->port;
my @tables = ('CREATE TABLE odd (id int PRIMARY KEY, v text)', 'CREATE TABLE words (id int PRIMARY KEY, q tsquery)', 'CREATE TABLE nokey (a int)');

sub here { return $node->safe_psql('postgres', $_[0]); }

$node->safe_psql('postgres', 'CREATE DATABASE copy');
foreach my $database (qw(postgres copy))
{
	$node->safe_psql($database, $_) foreach @tables;
}
# a trigger that speaks of its rows, as it may at a target
$node->safe_psql('copy', <<'EOC');
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE E'a row\n%\npg_outflow: error: all is lost \x1b[31m', NEW.v USING HINT = 'Let it be.';
	RAISE WARNING 'seen';
	RAISE DEBUG 'nobody asked for it';
	RETURN NEW;
END $$;
CREATE TRIGGER tell BEFORE INSERT ON odd FOR EACH ROW EXECUTE FUNCTION tell();
ALTER TABLE odd ENABLE ALWAYS TRIGGER tell;
EOC
create_slot($node, 'feed');

# run(ARGUMENT...): exit code, and the lines of stderr
sub run
{
	my ($code, undef, $err) = run_client($node, 'feed', $to, '--endpos=' . current_lsn($node), @_);

	return ($code, split(/\n/, $err));
}

# entries(WHAT, LINE...): as objects, of lines that all are such
sub entries
{
	my ($what, @lines) = @_;
	my @entries = map { scalar(eval { $json->decode($_) }) } @lines;

	is_deeply([ grep { !defined $entries[$_] } 0 .. $#entries ], [], "$what: each line of stderr is an object") or diag(join("\n", @lines));
	return grep { defined } @entries;
}

sub levels
{
	my ($pattern, @entries) = @_;

	return join(' ', map { $_->{level} } grep { $_->{message} =~ $pattern } @entries);
}

# ---- a stream: both servers speak
sub speak
{
	my ($id) = @_;

	here("INSERT INTO odd VALUES ($id, 'secret'); INSERT INTO nokey VALUES (1)");
	return;
}

here('INSERT INTO nokey VALUES (1)');
speak(1);
here('UPDATE nokey SET a = 2');
my @reject = ('--on-reject=dead-letter', '--dead-letter=' . new_export_dir() . '/rejected');
my ($code, @lines) = run('--log-format=json', @reject);
is($code, 0, 'a stream of a table without identity, to one with a trigger') or diag(join("\n", @lines));
my @entries = entries('JSON', @lines);
is(levels(qr/^table "public.nokey" has no replica identity\nDETAIL:  .*\nHINT:  Give it/s, @entries), 'warning', "the source's warning is one, with detail and hint");
is(levels(qr{^postgresql:\S*: a row\nsecret\n.*all is lost \e\[31m\nHINT:  Let it be\.$}s, @entries), 'info', "the target's notice is told of, with the target's name");
is(levels(qr{^postgresql:\S*: seen$}, @entries), 'warning', 'and so is its warning');
is(levels(qr/nobody asked/, @entries), '', 'what its client_min_messages leaves out is not told');

speak(2);
here('UPDATE nokey SET a = 3');
($code, @lines) = run(@reject);
is($code, 0, 'the same in text');
is_deeply([ grep { !/^(?:pg_outflow: |\t)/ } @lines ], [], 'each line is ours, or what follows one after a tab');
is(scalar(grep { /^pg_outflow: error/ } @lines), 0, 'none looks like an error of ours');
is(scalar(grep { /\e/ } @lines), 0, 'a control character is shown, not sent');
ok((grep { /\\x1b\[31m/ } @lines), '... as its number');

speak(3);
here('UPDATE nokey SET a = 4');
($code, @lines) = run('--log-level=error', @reject);
is_deeply(\@lines, [], 'with --log-level=error there is none of it');
speak(4);
($code, @lines) = run('--log-level=warning', @reject);
is_deeply([ grep { !/^pg_outflow: warning: / } @lines ], [], 'with --log-level=warning there are the warnings');
ok((grep { /seen/ } @lines), '... also a server\'s');

# ---- what is said of each row
here("INSERT INTO words SELECT g, '' FROM generate_series(1, 2000) AS g");
($code, @lines) = run();
is($code, 0, '2,000 rows that bring the same notice');
is(scalar(grep { /text-search query doesn't contain lexemes/ } @lines), 1, '... which is told of once');
here("INSERT INTO odd SELECT g, 'row ' || g FROM generate_series(1001, 3000) AS g");
($code, @lines) = run('--log-format=json');
is($code, 0, '2,000 rows that bring a notice each');
@entries = entries('many', @lines);
is(scalar(grep { $_->{message} =~ /: seen$/ } @entries), 1, '... the warning that they share is there');
my $told = grep { $_->{message} =~ /: a row/ } @entries;
ok($told >= 10 && $told <= 100, '... some are told of, not all') or diag($told);
here("INSERT INTO odd VALUES (5000, repeat('ä', 5000))");
($code, @lines) = run('--log-format=json');
@entries = entries('a long one', @lines);
is(scalar(grep { $_->{message} =~ /ää/ } @entries), 1, '... is cut, and is UTF-8');

# ---- while a connection is made: a warning of each new session
here($_) foreach q{ALTER DATABASE postgres SET default_text_search_config = 'gone'}, q{ALTER DATABASE copy SET default_text_search_config = 'gone'};
my $gone = qr/invalid value for parameter "default_text_search_config"/;
($code, @lines) = run('--log-format=json');
is($code, 0, 'servers that warn each session');
@entries = entries('sessions', @lines);
is(levels(qr/^$gone/, @entries), 'warning', '... the source');
is(levels(qr/^postgresql:\S*: $gone/, @entries), 'warning', '... the target');

# outflow(ARGUMENT...): exit code, stdout, the lines of stderr
sub outflow
{
	my ($command, @arguments) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'pg_outflow', $command, '-d', $node->connstr('postgres'), @arguments ], '<', \undef, '>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return ($? >> 8, $out, split(/\n/, $err));
}

my $place = new_export_dir();
($code, my $out, @lines) = outflow('export', '--log-format=json', 'odd', "file://$place/odd");
is($code, 0, 'an export') or diag(join("\n", @lines));
# its progress is lines of their own form
like(levels($gone, entries('export', grep { !/^job \d+/ } @lines)), qr/^warning\b/, '... a warning is in the log');
chomp(my $job = $out);
($code, $out, @lines) = outflow('verify', '--log-format=json', "--job=$job");
is($code, 0, 'a verification');
like(levels($gone, entries('verify', @lines)), qr/^warning\b/, '... a warning is in the log');
($code, $out, @lines) = outflow('verify', '--log-level=error', "--job=$job");
is_deeply(\@lines, [], '... or is not, as it is told');
($code, $out, @lines) = outflow('check', '-S', 'feed', '--log-format=json', $to);
like($out, qr/^ok   target postgresql:.*: it can be reached$/m, 'check: a target that warns can be reached');
like(levels($gone, entries('check', @lines)), qr/^warning\b/, '... a warning is in the log');
($code, $out, @lines) = outflow('check', '-S', 'feed', '--log-level=error', "$to&user=nobody");
like($out, qr/^NOT  target postgresql:[^:]*: .*role "nobody" does not exist/m, '... what it says of one that cannot be is not the warning');
is_deeply(\@lines, [], '... which is left out when that is wanted');

done_testing();
