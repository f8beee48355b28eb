# Promise: format binary has all text in the database's encoding, whatever the
# caller's, a role's or a database's client_encoding is: byte for byte what COPY
# writes where that is the same; and restore_script loads it in a database and a
# session of another encoding.
use strict;
use warnings;

use JSON::PP;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('binary', init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);
my $export = new_export_dir();
my $types = "CREATE TYPE mood AS ENUM ('gâté'); CREATE TYPE pair AS (a text, b mood)";
my $row = q{VALUES (1, 'é', 'gâté'::mood, '"é"'::json, '"é"'::jsonb, '{é,ÿ}'::text[], '(é,gâté)'::pair, '''é'':1'::tsvector, 'é'::tsquery, '$."é"'::jsonpath)};
my @jobs;

# in_session(ENCODING, DATABASE, SQL): what it returns, or the error
sub in_session
{
	my ($encoding, $database, $sql) = @_;
	local $ENV{PGCLIENTENCODING} = $encoding;
	my (undef, $out, $err) = $node->psql($database, $sql);

	return $err || $out;
}

# is_copy(DIRECTORY, DATABASE, TITLE): its one file is what COPY wrote
sub is_copy
{
	my ($directory, $database, $title) = @_;
	my ($file) = glob("$export/$directory/*.bin*");

	ok($file && slurp_file($file) eq slurp_file("$export/$database.copy"), "$database: $title");
	return;
}

$node->safe_psql('postgres', q{CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0});
$node->safe_psql('latin', 'CREATE EXTENSION outflow');
foreach my $database ('postgres', 'latin')
{
	my $own = $database eq 'latin' ? 'LATIN1' : 'UTF8';
	my $other = $database eq 'latin' ? 'UTF8' : 'LATIN1';

	is(in_session('UTF8', $database, "$types; CREATE TABLE t AS SELECT * FROM ($row) AS v (id, x, e, j, jb, texts, c, v, q, p)"), '', "$database: a table");
	is(in_session($own, $database, qq{COPY t TO '$export/$database.copy' (FORMAT binary)}), '', "$database: copied");
	push @jobs, in_session($other, $database, qq{CALL outflow.export('t', 'file://$export/$database-inline', format => 'binary', workers => 0)});
	is_copy("$database-inline", $database, 'inline');
	in_session($other, $database, qq{CALL outflow.export_query('TABLE t', 'file://$export/$database-query', format => 'binary')});
	is_copy("$database-query", $database, 'a query');
	in_session($other, 'postgres', "ALTER DATABASE $database SET client_encoding = '$other'");
	in_session($own, $database, qq{CALL outflow.export('t', 'file://$export/$database-worker', format => 'binary')});
	is_copy("$database-worker", $database, 'by a worker');
	in_session($other, 'postgres', "ALTER DATABASE $database RESET client_encoding");
	like(slurp_file("$export/$database-inline/_manifest.json"), qr/"encoding": "$own"/, "$database: the manifest names it");
}

# ---- an encoding that would have no effect
foreach my $database ('postgres', 'latin')
{
	my ($own, $other) = $database eq 'latin' ? ('LATIN1', 'UTF8') : ('UTF8', 'LATIN1');
	my $call = sub { qq{CALL outflow.export('t', 'file://$export/$database-named', format => 'binary', options => '{"encoding": "$_[0]"}')} };

	like(in_session('UTF8', $database, $call->($other)), qr/ERROR:  format "binary" cannot have text in encoding "$other"\nDETAIL: .*"$own"\.\nHINT:/,
		"$database: another encoding is refused");
	ok(!-e "$export/$database-named", '... and nothing is made');
	like(in_session('UTF8', $database, $call->($own)), qr/^\d+$/, '... the own is not');
}

# ---- one that the server cannot make
{
	my $call = sub { qq{CALL outflow.export('t', 'file://$export/none-made-$_[0]', format => '$_[0]', options => '{"encoding": "WIN1252"}')} };

	foreach my $format ('csv', 'text')
	{
		like(in_session('UTF8', 'latin', $call->($format)),
			qr/ERROR:  format "$format" cannot have text in encoding "WIN1252"\nDETAIL:  .*"LATIN1"\.\nHINT:/, "$format: an encoding without a conversion is refused");
		ok(!-e "$export/none-made-$format", '... and nothing is made');
	}
}

# ---- all text of a manifest is UTF-8
$node->safe_psql('postgres', q{CREATE DATABASE none ENCODING 'SQL_ASCII' TEMPLATE template0});
$node->safe_psql('none', 'CREATE EXTENSION outflow; CREATE TABLE t (id int, x text); INSERT INTO t VALUES (1, NULL)');
foreach my $database ('postgres', 'latin', 'none')
{
	in_session('UTF8', $database, qq{CALL outflow.export('t', 'file://$export/$database-options', columns => '{id,x}', filter => 'x IS DISTINCT FROM ''é''', options => '{"null": "é"}')});
	my $manifest = slurp_file("$export/$database-options/_manifest.json");
	my $read = eval { JSON::PP->new->utf8->decode($manifest) } || {};

	ok(utf8::decode($manifest), "$database: the manifest is UTF-8");
	is($read->{options}{null}, "\x{e9}", "$database: an option in it");
	like($read->{filter}, qr/\x{e9}/, "$database: the filter in it");
	like(in_session('UTF8', $database, 'SELECT outflow.restore_script(max(job)) FROM outflow.jobs'), qr/NULL '+é'/, "$database: and restore_script reads it");
}

# bytes that are no UTF-8, and a character that takes two escapes
in_session('SQL_ASCII', 'none', qq{CALL outflow.export('t', 'file://$export/none-bytes', filter => 'x IS DISTINCT FROM E''\\xff''', options => '{"null": "a\xff😀\\\\b"}')});
like(in_session('SQL_ASCII', 'none', 'SELECT outflow.restore_script(max(job)) FROM outflow.jobs'), qr/NULL E'+a\xff😀\\+b'/, 'restore_script has the bytes');
ok(utf8::decode(my $bytes = slurp_file("$export/none-bytes/_manifest.json")), 'which the manifest has as UTF-8');

# ---- an error of a type's own function leaves the session's encoding as it was
{
	local $ENV{PGCLIENTENCODING} = 'LATIN1';
	my (undef, $out, $err) = $node->psql('postgres', qq{
		CREATE TYPE rights AS (a aclitem);
		CALL outflow.export_query('SELECT ROW((acldefault(''r'', 10))[1])::rights AS r', 'file://$export/failed', format => 'binary');
		SELECT chr(233)}, on_error_stop => 0);

	like($err, qr/no binary output function available for type aclitem/, 'a value that can have no binary form');
	is($out, "\xe9", '... and what the client is sent after it');
}

# ---- and back
foreach my $session ('UTF8', 'LATIN1')
{
	my $database = lc "restored_$session";
	my $script = in_session($session, 'latin', "SELECT outflow.restore_script($jobs[1])");

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	in_session('UTF8', $database, $types);
	unlike(in_session($session, $database, $script), qr/ERROR|WARNING/, "restored, in $session");
	is(in_session('UTF8', $database, 'SELECT t::text FROM t'), in_session('UTF8', 'postgres', 'SELECT t::text FROM t'), '... the same row');
}
done_testing();
