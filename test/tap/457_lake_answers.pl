# Promise: a catalog whose answers are wrong, or that answers nothing of use, gets an
# error that says so; it takes no server down, shows no secret, and loses no file.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use IPC::Run ();
use JSON::PP ();
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $node = new_outflow_node('catalog', conf => "autovacuum = off\noutflow.retries = 0\n");
my $dir = new_export_dir();
my $fake = PostgreSQL::Test::Utils::tempdir();
my $lake = "$dir/t";
my $config = [ 'GET', '/v1/config', 200, '{}' ];
my $namespace = [ 'GET', 'namespaces/shop$', 200, '{"namespace":["shop"]}' ];

# answers(LINE...): what the catalog answers from now on
sub answers
{
	my (@lines) = @_;

	append_to_file("$fake/new", JSON::PP->new->ascii->encode(\@lines));
	rename "$fake/new", "$fake/answers" or die $!;
	return;
}

# table(CHANGES...): how the catalog tells of a table
sub table
{
	my (%with) = @_;
	my %metadata = (
		'format-version' => 2, 'table-uuid' => 'aaaaaaaa-0000-4000-8000-000000000000', location => "file://$lake",
		'last-sequence-number' => 0, 'last-updated-ms' => 1, 'last-column-id' => 0, 'current-snapshot-id' => -1, %with);

	delete $metadata{$_} foreach grep { !defined $metadata{$_} } keys %metadata;
	return JSON::PP::encode_json({ metadata => \%metadata });
}

# answer_to(SQL): what it says, with its code
sub answer_to
{
	my $said = run_sql($node, "\\set VERBOSITY verbose\n$_[0]");

	unlike($said, qr/terminated abnormally|closed the connection/, 'the server lives');
	return $said;
}

# export(SERVER, ARGUMENTS)
sub export
{
	my ($server, $arguments) = @_;

	return answer_to("CALL outflow.export('t', 'file://$lake', format => 'iceberg', options => '{\"catalog\": \"$server:shop.t\"}'"
		  . ($arguments ? ", $arguments" : '') . ')');
}

my $process = IPC::Run::start([ 'python3', "$FindBin::RealBin/../lib/catalog_canned.py", $fake ], '<', \undef, '>', "$fake/out", '2>', "$fake/err");
END { my $status = $?; $process->kill_kill if $process; $? = $status; }
foreach my $try (1 .. 600)
{
	last if -e "$fake/out" && slurp_file("$fake/out") =~ /^port \d+$/m;
	Time::HiRes::sleep(0.1);
}
my ($port) = slurp_file("$fake/out") =~ /^port (\d+)$/m;
my $options = "uri 'http://127.0.0.1:$port', allow_private 'on', retries '0'";

answers();
$node->safe_psql('postgres', <<"EOC");
CREATE TABLE t AS SELECT i AS id FROM generate_series(1, 100) i;
CREATE SERVER cat FOREIGN DATA WRAPPER outflow_iceberg OPTIONS ($options);
CREATE USER MAPPING FOR PUBLIC SERVER cat;
CREATE SERVER login FOREIGN DATA WRAPPER outflow_iceberg OPTIONS ($options);
CREATE USER MAPPING FOR PUBLIC SERVER login OPTIONS (client_id 'me', client_secret 'CANARY/"&secret');
CREATE SERVER token FOREIGN DATA WRAPPER outflow_iceberg OPTIONS ($options);
CREATE USER MAPPING FOR PUBLIC SERVER token OPTIONS (token 'CANARY+token');
CREATE FOREIGN DATA WRAPPER unchecked;
CREATE SERVER unchecked FOREIGN DATA WRAPPER unchecked OPTIONS ($options);
CREATE USER MAPPING FOR PUBLIC SERVER unchecked;
CREATE FUNCTION permissive(text[], oid) RETURNS bool LANGUAGE sql AS 'SELECT true';
CREATE FOREIGN DATA WRAPPER permissive VALIDATOR permissive;
CREATE SERVER permissive FOREIGN DATA WRAPPER permissive OPTIONS ($options);
CREATE USER MAPPING FOR PUBLIC SERVER permissive;
EOC

# servers whose options nobody has checked
foreach my $server (qw(unchecked permissive))
{
	like(export($server), qr/server "$server" is no Iceberg catalog.*outflow_iceberg/s, "a server of wrapper $server is none");
}
ok(!-e "$fake/log", 'and nothing is asked of it');

# answers that are no use
my $canary = 'CANARY';
foreach my $answer ('<html>', '', '{"access_token":"CANARY', '{"access_token":"CANARY\x"}', "{\"access_token\":\"CANARY\0\"}", "{\"a\":\"CANARY\xff\"}")
{
	answers([ 'POST', 'oauth/tokens', 200, $answer ], $config);
	my $said = export('login');
	like($said, qr/server "login" gave an answer that cannot be used.*It is not JSON/s, 'a token that is damaged') if $answer !~ /\xff/;
	unlike($said, qr/CANARY/, 'and not shown');
}
answers([ 'POST', 'oauth/tokens', 400, '{"error":"invalid_client","error_description":"{body} CANARY\/\"\u0026secret no"}' ]);
my $said = export('login');
like($said, qr/could not get a token.*400 invalid_client: grant_type=.*client_secret=\*+&.* no/s, 'what the catalog says is shown');
unlike($said, qr/CANARY/, 'but for the secret');
answers([ 'GET', '.', 403, '{"error":{"message":"{authorization} may not","type":"Forbidden"}}' ]);
$said = export('token');
like($said, qr/Forbidden: Bearer \*+ may not/, 'the same of a token');
unlike($said, qr/CANARY/, 'the token is not shown');
unlike(slurp_file($node->logfile), qr/(?:DETAIL|CONTEXT|ERROR|WARNING).*CANARY/, 'nor in the log');
answers([ 'GET', 'config', 200, '<html>' ]);
like(export('cat'), qr/server "cat" gave an answer that cannot be used/, 'a configuration that is none');

# which of its catalogs: by the server's options, unless it insists on another
$node->safe_psql('postgres', "ALTER SERVER login OPTIONS (ADD warehouse 'main one', ADD oauth2_uri 'http://127.0.0.1:$port/elsewhere/get', ADD scope 'all of it')");
answers([ 'POST', '/elsewhere/get$', 400, '{"error":"invalid_scope","error_description":"{body}"}' ]);
like(export('login'), qr/invalid_scope: .*scope=all%20of%20it/, 'a scope, and where tokens are given');
foreach my $prefix (
	[ '{"defaults":{"prefix":"default"}}', undef, 'default', 'the catalog\'s default prefix' ],
	[ '{"defaults":{"prefix":"default"}}', 'mine', 'mine', 'the server\'s prefix' ],
	[ '{"defaults":{"prefix":"default"},"overrides":{"prefix":"theirs"}}', 'mine', 'theirs', 'a prefix that the catalog insists on' ])
{
	$node->safe_psql('postgres', "ALTER SERVER login OPTIONS (ADD prefix '$prefix->[1]')") if $prefix->[1] && $prefix->[2] eq 'mine';
	unlink "$fake/log";
	answers([ 'POST', '/elsewhere/get$', 200, '{"access_token":"T"}' ], [ 'GET', '/v1/config', 200, $prefix->[0] ]);
	export('login');
	like(slurp_file("$fake/log"), qr{GET /v1/config\?warehouse=main%20one 200\nGET /v1/$prefix->[2]/namespaces/shop}, $prefix->[3]);
}

# tables that cannot be used, where something is
mkdir $_ foreach ($lake, "$lake/metadata");
append_to_file("$lake/metadata/file", "");
foreach my $damage (
	[ '[]', qr/told nothing of table/ ],
	[ '{"metadata":7}', qr/told nothing of table/ ],
	[ table('table-uuid' => undef), qr/no text "table-uuid".*metadata of an Iceberg table, "shop\.t"/s ],
	[ table('table-uuid' => 7), qr/no text "table-uuid"/ ],
	[ table(location => undef), qr/is in another place/ ],
	[ table('current-snapshot-id' => 5, snapshots => [ { 'snapshot-id' => 5, summary => { 'outflow.app' => 'outflow/1/1/1' } } ]),
		qr/no text "manifest-list"/ ],
	[ table('current-snapshot-id' => 5), qr/has no snapshot 5, the current one/ ])
{
	answers($config, $namespace, [ 'GET', 'tables/t$', 200, $damage->[0] ]);
	like(export('cat'), $damage->[1], 'a table that is damaged');
}

unlink "$lake/metadata/file";
rmdir $_ foreach ("$lake/metadata", $lake);
like(export('cat', 'workers => 0'), qr/an export to a catalog needs workers/, 'a job is needed for what may be left');

# a commit that nobody knows the end of
my @new = ($config, $namespace, [ 'POST', 'tables$', 200, table() ]);
answers(@new, [ 'POST', 'tables/t$', 504, '{}' ]);
like(export('cat'), qr/could not commit to|could not learn whether/, 'no answer that says anything');
my @there = files_below($lake);
like(answer_to('SELECT outflow.forget(max(job)) FROM outflow.jobs'),
	qr/not known yet whether export job \d+ has changed table "shop\.t".*try again/s, 'forget waits for what may still come');
is_deeply([ files_below($lake) ], \@there, 'and removes nothing');
my ($sent) = grep { /^_outflow_sent_/ } @there;
unlink "$lake/$sent";
append_to_file("$lake/$sent", '1000');
is(answer_to('SELECT outflow.forget(max(job)) FROM outflow.jobs'), '', 'later it does');
is_deeply([ files_below($lake) ], [], 'with all files');
answers(@new, [ 'POST', 'tables/t$', 400, '{}' ]);
like(export('cat'), qr/could not commit to/, 'a refusal');
is(answer_to('SELECT outflow.forget(max(job)) FROM outflow.jobs'), '', 'is known at once');
is_deeply([ files_below($lake) ], [], 'and nothing is left of it');

# what is in the way of a new table, and a place that is written another way
answers($config, $namespace, [ 'POST', 'tables$', 409, '{"error":{"message":"a view of that name","type":"AlreadyExists"}}' ]);
like(export('cat'), qr/could not create table "shop\.t".*AlreadyExists: a view of that name/s, 'a conflict with something else');
$node->safe_psql('postgres', 'SELECT outflow.forget(max(job)) FROM outflow.jobs');
answers($config, $namespace, [ 'POST', 'tables$', 200, table('table-uuid' => undef) ]);
like(export('cat'), qr/no text "table-uuid"/, 'a table without a uuid');
$node->safe_psql('postgres', 'SELECT outflow.forget(max(job)) FROM outflow.jobs');
answers($config, $namespace, [ 'POST', 'tables$', 200, table(location => "file://$lake/") ], [ 'POST', 'tables/t$', 200, '{}' ]);
unlike(export('cat'), qr/ERROR/, 'a place with a slash at its end');
$lake = "$dir/other";

# a table that is there gets registered: none of its files is written anew
unlike(answer_to("CALL outflow.export('t', 'file://$lake', format => 'iceberg')"), qr/ERROR/, 'a table without a catalog');
my $there = slurp_file("$lake/metadata/v1.metadata.json");
answers($config, $namespace, [ 'GET', 'tables/t$', 200, qq({"metadata":$there}) ], [ 'POST', 'tables/t$', 200, '{}' ]);
like(export('cat'), qr/1 parts carried over, 0 exported again/, 'which a catalog has from then on');

# a vacuum that nobody knows the end of
$node->safe_psql('postgres', "UPDATE t SET id = -id");
$node->safe_psql('postgres', "CALL outflow.export('t', 'file://$lake', format => 'iceberg')");
$there = slurp_file("$lake/metadata/v2.metadata.json");
answers($config, $namespace, [ 'GET', 'tables/t$', 200, qq({"metadata":$there}) ], [ 'POST', 'tables/t$', 504, '{}' ]);
@there = files_below($lake);
like(answer_to("SELECT outflow.lake_vacuum('file://$lake', '0', 'cat:shop.t')"),
	qr/could not learn whether.*No file has been removed\.  Try again later/s, 'it is to be tried again');
is_deeply([ files_below($lake) ], \@there, 'and removes nothing');

$node->stop;
done_testing();
