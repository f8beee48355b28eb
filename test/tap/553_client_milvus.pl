# Promise: a collection of Milvus becomes what the table is, also embeddings that the WAL
# doesn't have, through errors in answers of status 200, refusals, lost and cut answers,
# and whatever is killed.  A request never has a row twice.  No position is confirmed before
# each change up to it was answered.  Its certificate alone is trusted, by TLS.  A collection that rows don't fit in is named with the
# way out before anything is sent.
use strict;
use warnings;

use ClientTest;
use File::Basename qw(dirname);
use JSON::PP ();
use KillRounds;
use MilvusTest;
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;
use TlsTest;

my $node = new_outflow_node('main', init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ],
	conf => "wal_sender_timeout = 5s\n");
my $log = "${PostgreSQL::Test::Utils::tmp_check}/553_client_milvus";
my $json = JSON::PP->new->utf8->canonical;
my $place = new_export_dir();
my $server;

docs_setup($node, '"text"', '{"a": [1, {"b": "\"x\""}]}', '[1, 2.5]', '17', 'true');

sub kill_server
{
	return if !$server;
	$server->signal('KILL');
	$server->finish;
	undef $server;
	return;
}
END { local $?; kill_server(); }

# start_server(FAULTS): again, if it is there
sub start_server
{
	my ($faults) = @_;

	kill_server();
	write_to($place, 'faults', $faults);
	$server = start_peer('milvus_server.py', $place, "$log.server", $node->host . '/.s.PGSQL.' . $node->port);
	return;
}

sub set_collections { write_to($place, 'collections', $json->encode({@_})); return; }

set_collections(docs => { fields => docs_fields() });
start_server('0 0 0 0 0');
create_slot($node, 'slot');
kill_rounds(
	$node,
	slot => 'slot',
	before => sub { start_server("$_[0] 15 10 5 5") },
	writer => sub { start_docs_writer($node, 30) },
	client => sub { proxied_milvus_client($place, $log, $_[0] % 2 ? () : '--batch-bytes=20kB') });
start_server('99 20 0 5 5');
finish_kills($node, 'slot', proxied_milvus_client($place, $log));
ok(!-e "$place/violations", 'nothing was confirmed before it was answered, no row was twice in a request')
  or diag(slurp_file("$place/violations"));
ok(-s "$place/confirmed", 'positions were seen on the wire');
start_server('0 0 0 0 0');
check_docs('kills and faults', $node, $place);
my @log = map { $json->decode($_) } split(/\n/, slurp_file("$place/log"));
ok((grep { $_->{request}{partialUpdate} && !exists $_->{request}{data}[0]{embedding} } grep { ref $_->{request}{data} } @log),
	'embeddings that did not change were left alone');

# ---- one by one; deliver(ARGUMENT...): exit code and messages
sub deliver
{
	my (@more) = @_;
	my ($code, undef, $err) = run_client($node, 'slot', '--to=milvus://127.0.0.1:' . slurp_file("$place/milvus_port"),
		'--endpos=' . current_lsn($node), @more);

	return ($code, $err);
}

sub refused
{
	my ($what, $expected, $pattern, @more) = @_;
	my ($code, $err) = deliver(@more);

	is($code, $expected, "$what: exit code");
	like($err, $pattern, "$what: the reason");
	return;
}

sub accepted
{
	my ($what, @more) = @_;
	my ($code, $err) = deliver(@more);

	is($code, 0, $what) or diag($err);
	return;
}

sub doc_ids
{
	return join(' ', sort map { $_->{id} }
		  @{ call_milvus($place, 'entities/query', { collectionName => 'docs', filter => 'id > 0' }) });
}

# An update without its embedding, and the delete after it, come again to a collection
# that has neither.
my $insert = 'INSERT INTO docs SELECT id, 1, NULL, NULL, NULL, NULL, new_embedding() FROM generate_series(%s) AS id';
$node->safe_psql('postgres', 'TRUNCATE docs; ' . sprintf($insert, '1, 3'));
accepted('rows to begin with');
$node->safe_psql('postgres', 'UPDATE docs SET n = 2 WHERE id = 1');
write_to($place, 'log', '');
my $to = '--to=milvus://127.0.0.1:' . slurp_file("$place/milvus_port");
my $client = start_client($node, 'slot', $log, $to, '--status-interval=1h');
wait_for_line("$place/log", qr/partialUpdate": true/);
$node->safe_psql('postgres', 'DELETE FROM docs WHERE id = 1');
wait_for_line("$place/log", qr/"filter": "id in \[1\]"/);
kill_client($client);
is(doc_ids(), '2 3', 'the row is gone');
write_to($place, 'log', '');
accepted('an update of a row that what follows deletes', '--batch-bytes=1');
ok(slurp_file("$place/log") =~ m{entities/query.*filter": "id in \[1\]", "output}, 'it was looked for');
check_docs('what comes again', $node, $place);

# A row that isn't there, and that nothing explains.
call_milvus($place, 'entities/delete', { collectionName => 'docs', filter => 'id in [2]' });
$node->safe_psql('postgres', 'UPDATE docs SET n = 3 WHERE id = 2');
refused('an update of a row that is not there', 7,
	qr/rejected record \S+: the WAL has only a part of the row, and collection "docs" has no row 2: load the table first/);
my ($code, $err) = deliver('--on-reject=dead-letter', "--dead-letter=$place/dead");
is($code, 0, 'or goes into a file') or diag($err);
unlink "$place/dead";
$node->safe_psql('postgres', 'UPDATE docs SET n = 4, embedding = new_embedding() WHERE id = 2');
accepted('the whole row is put');
check_docs('the whole row', $node, $place);

# A key that changes without the WAL's having the embedding.
$node->safe_psql('postgres', 'UPDATE docs SET id = 9 WHERE id = 3');
refused('a new key without the embedding', 7, qr/its key changed, and the WAL has no value of \["embedding"\]: ALTER TABLE public.docs REPLICA IDENTITY FULL/);
pass_over($node, 'slot');
# An update that a row filter makes an insert, while the collection has a row of that key.
$node->safe_psql('postgres', 'CREATE PUBLICATION low FOR TABLE docs WHERE (id < 9); UPDATE docs SET id = 3 WHERE id = 9');
refused('an insert without the embedding', 7, qr/became an insert by a row filter, and the WAL has no value of \["embedding"\]: ALTER TABLE public.docs REPLICA IDENTITY FULL/,
	'-o', 'publication_names=low');
pass_over($node, 'slot');
$node->safe_psql('postgres', 'DROP PUBLICATION low; UPDATE docs SET id = 9 WHERE id = 3');
pass_over($node, 'slot');
$node->safe_psql('postgres', 'ALTER TABLE docs REPLICA IDENTITY FULL; TRUNCATE docs; ' . sprintf($insert, '3, 5')
	  . '; UPDATE docs SET id = 9 WHERE id = 3; UPDATE docs SET n = 2');
accepted('with REPLICA IDENTITY FULL');
check_docs('REPLICA IDENTITY FULL', $node, $place);

# A server without partial updates.
write_to($place, 'old', 'yes');
$node->safe_psql('postgres', 'UPDATE docs SET n = 3');
accepted('an old server, with REPLICA IDENTITY FULL');
check_docs('an old server', $node, $place);
$node->safe_psql('postgres', 'ALTER TABLE docs REPLICA IDENTITY DEFAULT; UPDATE docs SET n = 4');
refused('an old server', 6, qr/knows no partial updates \(Milvus 2.6.2 does\).*ALTER TABLE public.docs REPLICA IDENTITY FULL/);
unlink "$place/old";
accepted('a new one');
check_docs('a new server', $node, $place);

# What Milvus rejects, alone and in a batch.
$node->safe_psql('postgres', 'UPDATE docs SET n = n + 1; '
	  . sprintf($insert, '20, 22') . "; UPDATE docs SET title = repeat('y', 600) WHERE id = 21; UPDATE docs SET n = 7");
refused('a text that is too long', 7, qr/rejected record \S+: code 1100: length of varchar field title/);
($code, $err) = deliver('--on-reject=dead-letter', "--dead-letter=$place/dead");
is($code, 0, 'or goes into a file') or diag($err);
my @dead = map { $json->decode($_) } split(/\n/, slurp_file("$place/dead"));
is(join(' ', map { "$_->{record}{new}{id}/$_->{record}{new}{n}" } @dead), '21/1 21/7', 'the records that have it alone');
$node->safe_psql('postgres', "UPDATE docs SET title = NULL WHERE id = 21");
accepted('afterwards');
check_docs('rejected records', $node, $place);
set_collections(docs => { fields => [ map { $_->{name} eq 'title' ? { %$_, params => [ { key => 'max_length', value => 700 } ] } : $_ } @{ docs_fields() } ] });
my ($out, $replay_err) = run_command([ 'pg_outflow', 'replay', $to, "$place/dead" ]);
like($replay_err, qr/sent 2 records again/, 'dead letters are sent again');
is((grep { $_->{id} == 21 } @{ call_milvus($place, 'entities/query', { collectionName => 'docs', filter => 'id > 0' }) })[0]{title},
	'y' x 600, 'and have their effect');
$node->safe_psql('postgres', "UPDATE docs SET title = 'short'");
write_to($place, 'answer', '200 100 short');
refused('a collection that is gone', 6, qr/code 100/);
write_to($place, 'answer', '403 65535 short');
refused('no right', 6, qr/code 65535/);
write_to($place, 'answer', '200 101 short');
$client = start_client($node, 'slot', $log, $to);
wait_for_line($log, qr/code 101: by the test; the request is sent again/);
write_to($place, 'answer', '');
is(stop_client($client), 0, 'what may mend itself is waited for');
check_docs('after that', $node, $place);

# Errors without a code of their own: those of values are rejected at once, others after five tries.
$node->safe_psql('postgres', "UPDATE docs SET title = 'shorter'");
sub tries { return scalar(() = slurp_file("$place/log") =~ /"answer": "\{\\"code\\": $_[0]/g); }
foreach my $message ("value 'NaN' is not a number or infinity", 'unsorted or same indices in sparse float vector',
	'the length(5) of float data should divide the dim(3)')
{
	write_to($place, 'answer', '200 65535 shorter');
	write_to($place, 'message', $message);
	write_to($place, 'log', '');
	refused("65535: $message", 7, qr/rejected record \S+: code 65535: \Q$message\E/, '--batch-bytes=1');
	is(tries(65535), 1, '... at once');
}
foreach my $code (65535, 1001)
{
	write_to($place, 'answer', "200 $code shorter");
	write_to($place, 'message', 'something went wrong');
	write_to($place, 'log', '');
	refused("$code: something", 7, qr/rejected record \S+: code $code: something went wrong/, '--batch-bytes=1');
	is(tries($code), 5, '... after five tries');
}
write_to($place, 'answer', '');
unlink "$place/message";
accepted('when it has passed');
check_docs('after errors without a code', $node, $place);

# TLS.
{
	my $here = 'IP:127.0.0.1,DNS:localhost';

	new_authority($place, $_) foreach qw(trusted unknown);
	new_certificate($place, 'tls', 'trusted', $here, '-days', 2);
	start_server('0 0 0 0 0');
	my $by_tls = '--to=milvuss://127.0.0.1:' . slurp_file("$place/milvus_tls_port");
	my @ca = ("--http-ca=$place/trusted.cert");
	my @ours = ("--http-cert=$place/pg_outflow.cert", "--http-key=$place/pg_outflow.key");
	my $refused_tls = sub {
		my ($what, $pattern, @arguments) = @_;
		my ($exit, undef, $said) = run_client($node, 'slot', @arguments, '--endpos=' . current_lsn($node));

		is($exit, 6, "TLS: $what: exit code");
		like($said, $pattern, "TLS: $what: the reason");
	};

	write_to($place, 'log', '');
	$node->safe_psql('postgres', 'UPDATE docs SET n = n + 1');
	$refused_tls->('an authority that is not trusted', qr/issuer certificate|self.signed/i, $by_tls, "--http-ca=$place/unknown.cert");
	$refused_tls->('none that is named', qr/issuer certificate|self.signed/i, $by_tls);
	my $name = $by_tls =~ s/127.0.0.1/[::ffff:127.0.0.1]/r;
	$refused_tls->('another name', qr/no alternative certificate subject name/i, $name, @ca);
	is(slurp_file("$place/log"), '', 'TLS: nothing was sent');
	($code, undef, $err) = run_client($node, 'slot', $by_tls, @ca, '--endpos=' . current_lsn($node));
	is($code, 0, 'TLS: a certificate of our authority') or diag($err);
	check_docs('TLS', $node, $place);

	# a Milvus that wants a certificate of ours
	new_authority($place, 'clients');
	new_certificate($place, 'pg_outflow', 'clients', 'DNS:nobody', '-days', 2);
	start_server('0 0 0 0 0');
	$by_tls = '--to=milvuss://127.0.0.1:' . slurp_file("$place/milvus_tls_port");
	$node->safe_psql('postgres', 'UPDATE docs SET n = n + 1');
	($code, undef, $err) = run_client($node, 'slot', $by_tls, @ca, @ours, '--endpos=' . current_lsn($node));
	is($code, 0, 'TLS: a certificate of ours') or diag($err);
	check_docs('TLS on both sides', $node, $place);
	like(join('', run_command([ 'pg_outflow', 'check', '-d', $node->connstr('postgres'), '-S', 'slot', $by_tls, @ca, @ours ])),
		qr{ok   target milvuss://}, 'TLS: check finds it right');
	like(join('', run_command([ 'pg_outflow', 'check', '-d', $node->connstr('postgres'), '-S', 'slot', $by_tls, @ca ])),
		qr{NOT  target milvuss://}, 'TLS: and notices what is missing');
	$to = '--to=milvus://127.0.0.1:' . slurp_file("$place/milvus_port");
}

# The login.
write_to($place, 'token', "root:Milvus\n");
chmod(0600, "$place/token");
$node->safe_psql('postgres', 'UPDATE docs SET n = 8');
refused('no login', 6, qr/code 1800/);
accepted('a token in a file', "--milvus-token-file=$place/token");
my $with_login = $to =~ s{//}{//root:Milvus@}r;
$node->safe_psql('postgres', 'UPDATE docs SET n = 9');
($code, undef, $err) = run_client($node, 'slot', $with_login, '--endpos=' . current_lsn($node));
is($code, 0, 'a login in the URL') or diag($err);
unlike($err, qr/Milvus@/, 'which no message shows');
like(join('', run_command([ 'pg_outflow', 'check', '-d', $node->connstr('postgres'), '-S', 'slot', $to ])),
	qr{NOT  target milvus://.*code 1800}, 'check tries the login');
like(join('', run_command([ 'pg_outflow', 'check', '-d', $node->connstr('postgres'), '-S', 'slot', $with_login ])),
	qr{ok   target milvus://}, 'check finds it right');
unlink "$place/token";

# Collections that rows don't fit in.
sub other_fields
{
	my ($name, %changes) = @_;

	return { fields => [ map { $_->{name} eq $name ? (%changes ? { %$_, %changes } : ()) : $_ } @{ docs_fields() } ] };
}
$node->safe_psql('postgres', 'UPDATE docs SET n = 10');
set_collections();
refused('no collection', 6, qr/collection "docs", for table public.docs: code 100.*create it, or leave the table out/);
set_collections(docs => other_fields('title'));
refused('no field', 6, qr/collection "docs" has no field for column "title" \(text\) of table public.docs: add it, or .*exclude_columns/);
set_collections(docs => other_fields('n', type => 'Int16'));
refused('a narrower field', 6, qr/field "n" of collection "docs" is Int16, which can't hold all of column public.docs."n", integer/);
set_collections(docs => other_fields('embedding', type => 'JSON', params => []));
accepted('JSON holds anything');
$node->safe_psql('postgres', 'UPDATE docs SET n = 11');
set_collections(docs => other_fields('id', autoId => JSON::PP::true));
refused('keys that Milvus makes', 6, qr/makes its primary keys itself/);
set_collections(docs => { fields => [ @{ docs_fields() }, { name => 'other', type => 'Int64', primaryKey => JSON::PP::false } ] });
refused('a field without a column', 6, qr/has no column for field "other"/);
set_collections(docs => other_fields('embedding', params => [ { key => 'dim', value => '3' } ]));
$node->safe_psql('postgres', 'UPDATE docs SET n = 12, embedding = new_embedding() WHERE id = 4');
refused('another dimension', 7, qr/rejected record \S+: code 1100: the dim of field embedding is 3, not 600/);
pass_over($node, 'slot');
$node->safe_psql('postgres', 'CREATE SCHEMA s; CREATE TABLE s.docs (LIKE docs INCLUDING ALL); '
	  . 'INSERT INTO s.docs SELECT * FROM docs WHERE id = 4; UPDATE docs SET n = 13 WHERE id = 4');
set_collections(docs => { fields => docs_fields() });
refused('two tables for a collection', 6, qr/would share collection "docs"; tell them apart by --milvus-collection/);
set_collections(public_docs => { fields => docs_fields() }, s_docs => { fields => docs_fields() });
accepted('which they need not', '--milvus-collection={schema}_{table}', '--on-reject=dead-letter', "--dead-letter=$place/dead");
is(scalar(@{ call_milvus($place, 'entities/query', { collectionName => 's_docs', filter => 'id > 0' }) }), 1, 'each has its own');
$node->safe_psql('postgres', 'CREATE TABLE two (a int, b int, PRIMARY KEY (a, b)); INSERT INTO two VALUES (1, 2)');
set_collections(two => { fields => [ { name => 'a', type => 'Int64', primaryKey => JSON::PP::true }, { name => 'b', type => 'Int64' } ] });
refused('a key of two columns', 6, qr/the key of table public.two is \["a","b"\] and not \["a"\].*generate one/);
pass_over($node, 'slot');

# Kinds of vectors, and a dynamic field.
my $module = dirname(__FILE__) . '/../modules/vector/vector_test.so';
$node->safe_psql('postgres', <<"EOC");
CREATE TYPE vector;
CREATE FUNCTION vector_in(cstring) RETURNS vector AS '$module' LANGUAGE c STRICT;
CREATE FUNCTION vector_out(vector) RETURNS cstring AS '$module' LANGUAGE c STRICT;
CREATE TYPE vector (INPUT = vector_in, OUTPUT = vector_out, STORAGE = external);
CREATE TABLE kinds (k text PRIMARY KEY, v vector, b bit(16), i int[], big bigint, more jsonb, dated date);
INSERT INTO kinds VALUES (E'a "b"\\n\\u00e9]', '[1,2.5,-1e-7]', B'1000000100000010', '{1,-2}', 9223372036854775807, '{"x": [1]}', '2026-01-02'),
	('gone', '[1,2,3]', NULL, NULL, 1, NULL, NULL), ('', '[1,2,3]', NULL, NULL, 1, NULL, NULL);
UPDATE kinds SET k = 'other' WHERE k = ''; DELETE FROM kinds WHERE k = 'gone';
EOC
set_collections(kinds => { enableDynamicField => JSON::PP::true, fields => [
	{ name => 'k', type => 'VarChar', primaryKey => JSON::PP::true, params => [ { key => 'max_length', value => 100 } ] },
	{ name => 'v', type => 'FloatVector', params => [ { key => 'dim', value => '3' } ] },
	{ name => 'b', type => 'BinaryVector', nullable => JSON::PP::true, params => [ { key => 'dim', value => '16' } ] },
	{ name => 'i', type => 'Array', elementType => 'Int64', nullable => JSON::PP::true },
	{ name => 'big', type => 'Int64' }, { name => 'dated', type => 'VarChar', nullable => JSON::PP::true } ] });
accepted('kinds of vectors', '--batch-bytes=1');
my %kinds = map { $_->{k} => $_ } @{ call_milvus($place, 'entities/query', { collectionName => 'kinds', filter => 'k >= ""' }) };
is_deeply([ sort keys %kinds ], [ "a \"b\"\n\x{e9}]", 'other' ], 'keys of any text');
my $kind = $kinds{"a \"b\"\n\x{e9}]"};
is_deeply([ @$kind{qw(b i big more dated)} ], [ 'gQI=', [ 1, -2 ], '9223372036854775807', { x => [1] }, '2026-01-02' ], 'their values');
is(join(' ', map { sprintf('%.9g', $_) } @{ $kind->{v} }), '1 2.5 -1.00000001e-07', 'a vector of pgvector');

# The example of README.md.
set_collections(docs => { fields => docs_fields() });
my $example = start_readme_command($node, "$log.example", 'pg_outflow stream -d dbname=shop -S docs', '-S docs', '-S example',
	'milvus://milvus:19530', 'milvus://127.0.0.1:' . slurp_file("$place/milvus_port"));
wait_for_line("$log.example", qr/streaming slot "example"/);
$node->safe_psql('postgres', sprintf($insert, '7000, 7000'));
wait_confirmed($node, 'example', current_lsn($node));
is(stop_client($example), 0, "README.md's example delivers");
like(doc_ids(), qr/\b7000\b/, 'the row');

# Arguments.
refused('a bad template', 2, qr/may have \{schema\} and \{table\} in it/, '--milvus-collection={tbl}');
refused('another format', 2, qr/in format json only/, '-o', 'format=debezium');
refused('no schema records', 2, qr/needs schema records/, '-o', 'include_schemas=off');
($code, undef, $err) = run_client($node, 'slot', 'milvus://localhost/a/b' =~ s/^/--to=/r);
is($code, 2, 'a URL with too much');
done_testing();
