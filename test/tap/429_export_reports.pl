# Promise: names that the client's encoding lacks stop no export, nor anything that is
# called for one: a NOTICE or WARNING shows their bytes, and what is to be done is done.
use strict;
use warnings;

use FakeS3;
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $node = new_outflow_node('main', init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ], conf => "autovacuum = off\nmax_prepared_transactions = 2\n");
my $store = start_fake_s3();
my $dir = new_export_dir();

# a Cyrillic letter, an emoji and one that most have: as files have them, in SQL, and
# as a client of each encoding is shown them
my $letters = "\xd0\xb6\xf0\x9f\x98\x80\xc3\xa4";
my $sql = '\0436\+01F600\00E4';
my %shown = (
	LATIN1 => "\\xd0\\xb6\\xf0\\x9f\\x98\\x80\xe4",
	EUC_JP => "\xa7\xd8\\xf0\\x9f\\x98\\x80\x8f\xab\xa3",
	SQL_ASCII => $letters);
my ($encoding, $place);

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub last_job { return sql('SELECT max(job) FROM outflow.jobs'); }
# file(NAME): such a destination, in SQL
sub file { return "U&'file://$place/$_[0]$sql'"; }

# told(SQL, PATTERN, NAME): ends well, and tells that in the client's encoding
sub told
{
	my ($statement, $pattern, $name) = @_;

	local $ENV{PGCLIENTENCODING} = $encoding;
	my ($code, $out, $err) = $node->psql('postgres', $statement);
	is($code, 0, "$encoding, $name: ends well") or diag($err);
	return is_told($err, $pattern, $name);
}

# failed(SQL): a call that does, with its error
sub failed
{
	my ($statement) = @_;

	local $ENV{PGCLIENTENCODING} = $encoding;
	my ($code, $out, $err) = $node->psql('postgres', $statement);
	isnt($code, 0, "$encoding, it fails: $statement");
	return $err;
}

# is_told(TEXT, PATTERN, NAME): with ~ for the letters
sub is_told
{
	my ($said, $pattern, $name) = @_;

	$pattern =~ s/~/quotemeta($shown{$encoding})/ge;
	return like($said, qr/$pattern/, "$encoding, $name: told");
}

# begun(SQL): a session of that encoding
sub begun
{
	local $ENV{PGCLIENTENCODING} = $encoding;
	return start_psql($node, $_[0]);
}

# spoil(WHEN, BODY, TABLE): that is done when a row of outflow.TABLE becomes so
sub spoil
{
	my ($when, $body, $table) = @_;

	sql("CREATE OR REPLACE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN $body RETURN NEW; END \$\$;
		CREATE OR REPLACE TRIGGER spoil BEFORE UPDATE ON outflow.$table FOR EACH ROW WHEN ($when) EXECUTE FUNCTION spoil()");
	return;
}

sub unspoiled
{
	sql("DROP TRIGGER spoil ON outflow.$_[0]");
	return;
}

# asked(PATTERN): once the store was
sub asked
{
	foreach my $try (1 .. 300)
	{
		return if $store->asked($_[0]);
		Time::HiRes::sleep(0.1);
	}
	die "not asked: $_[0]\n" . ${ $_[1] };
}

sql(<<EOS);
CREATE TABLE t AS SELECT i AS id, repeat('f', 90) AS note FROM generate_series(1, 4000) i;
CREATE TABLE U&"t$sql" AS SELECT * FROM t;
CREATE FUNCTION noisy(id int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN IF id = 7 THEN RAISE NOTICE \$\$seven\$\$; END IF; RETURN true; END';
CREATE ROLE U&"r$sql" LOGIN IN ROLE pg_write_server_files;
CREATE SCHEMA U&"s$sql" CREATE TABLE seen (id int) CREATE TABLE hidden (id int);
GRANT USAGE ON SCHEMA U&"s$sql" TO U&"r$sql";
GRANT SELECT ON U&"s$sql".seen TO U&"r$sql";
EOS
sql(qq(CREATE PUBLICATION U&"p$sql" FOR TABLE U&"t$sql" WHERE (id > 1 / 0)));
sql($store->server_sql('lake', stall_timeout => 3600, retries => 0));
sql(qq(ALTER SERVER lake RENAME TO U&"lake$sql"));

foreach (sort keys %shown)
{
	$encoding = $_;
	$place = "$dir/$encoding";
	mkdir($place) or die $!;

	# ---- as it begins
	my $base = sql("CALL outflow.export('t', 'file://$place/base')");
	mkdir("$place/mode$letters", 0700) or die $!;
	told("CALL outflow.export('t', @{[file('mode')]}, options => '{\"mode\": \"0644\"}')", 'WARNING:  not everyone .* directory ".*/mode~"', 'a directory with its own mode');
	told(qq{CALL outflow.export(U&'"t$sql"', @{[file('other')]}, base => $base)}, 'WARNING:  nothing of table .*t~.* can be carried over', 'a base of another table');
	told("CALL outflow.export('t', @{[file('last')]}, format => 'text', options => '{\"base\": \"last\"}')", 'NOTICE:  no finished export .*\nDETAIL: .* beside ".*/last~"', 'no base');
	told(qq{SET ROLE U&"r$sql"; CALL outflow.export_schema(U&'"s$sql"', @{[file('schema')]})}, 'WARNING:  the export leaves out 1 tables of schema "s~"\nDETAIL:  Role "r~"', 'a schema');
	told("CALL outflow.export('t', @{[file('mode')]}, options => '{\"overwrite\": true}')", '^$', 'overwritten');
	append_to_file("$place/mode$letters/theirs$letters", '');
	told("CALL outflow.export('t', @{[file('mode')]}, options => '{\"overwrite\": true}')", 'WARNING:  "overwrite" leaves .*\nDETAIL:  In directory ".*/mode~": "theirs~"', 'files of others');
	# ---- as it goes on
	told(qq{SET client_min_messages = notice; CALL outflow.export(U&'"t$sql"', @{[file('noisy')]}, filter => 'noisy(id)', workers => 0)}, 'NOTICE:  seven', 'a report of a filter, and of which table');
	told("CALL outflow.export('t', @{[file('noisy_there')]}, filter => 'noisy(id)')", '^$', 'one of a worker');
	sql('CREATE SEQUENCE tries');
	spoil("NEW.state = 'done'", "IF nextval('public.tries') <= 3 THEN RAISE EXCEPTION USING MESSAGE = U&'no room for $sql', ERRCODE = 'disk_full'; END IF;", 'part');
	told("CALL outflow.export('t', @{[file('again')]})", 'WARNING:  export job \d+ tries again\nDETAIL: .*no room for ~', 'a step that is tried again');
	unspoiled('part');
	sql('DROP SEQUENCE tries');
	hold_exports($node, 0);
	my ($session, $said) = begun(qq{CALL outflow.export(U&'"t$sql"', @{[file('behind')]})});
	wait_until($node, q(SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted)), 'the export waits');
	my ($alter) = start_psql($node, qq{SET client_encoding = 'UTF8'; ALTER TABLE U&"t$sql" ADD COLUMN $encoding int});
	IPC::Run::pump($session) until $$said =~ /\w:  /;
	is_told($$said, 'WARNING:  export job \d+: somebody waits for a lock\nDETAIL: .*t~', 'who waits for it');
	release_exports($node);
	$session->finish;
	$alter->finish;
	is($session->result(0), 0, "$encoding, who waits for it: ends well") or diag($$said);

	# ---- as it ends otherwise
	spoil("NEW.state = 'done'", "RAISE EXCEPTION 'not now';", 'job');
	my $end = failed("CALL outflow.export('t', @{[file('gone')]}, slot => 'gone')");
	like($end, qr/not now/, "$encoding, an export that fails");
	my $job = last_job();
	unspoiled('job');
	told("SELECT outflow.forget($job)", 'NOTICE:  files in ".*/gone~" stay', 'an export that is there but for its record');
	is(sql("SELECT count(*) FROM outflow.jobs WHERE job = $job") . sql('SELECT count(*) FROM pg_replication_slots'), '00', "$encoding, and it is forgotten");

	spoil("NEW.state = 'done'", "RAISE EXCEPTION 'not now';", 'part');
	failed("CALL outflow.export('t', @{[file('left')]})");
	$job = last_job();
	unspoiled('part');
	told("SELECT outflow.forget($job, abandon => true)", 'WARNING:  what export job \d+ has left at ".*/left~" stays', 'an export that is abandoned');

	spoil("NEW.state = 'done'", "COPY (SELECT) TO PROGRAM 'cat >/dev/null; chmod 500 $place/clean*/.outflow*'; RAISE EXCEPTION 'not now';", 'part');
	$end = failed("CALL outflow.export('t', @{[file('clean')]}, workers => 0)");
	unspoiled('part');
	system_or_bail('chmod', '700', glob("$place/clean*/.outflow*"));
	is_told($end, 'WARNING:  unfinished files may be left in ".*/clean~"\nDETAIL: .*/clean~', 'a clean-up that fails');
	like($end, qr/ERROR:  not now/, "$encoding, a clean-up that fails: and why it was made");

	# ---- what comes afterwards
	told("CALL outflow.export('t', @{[file('clean')]})", 'NOTICE:  what an export had left in ".*/clean~" is removed', 'what is left');
	foreach my $name ('old1', 'old2')
	{
		told("CALL outflow.export('t', @{[file($name)]})", '^$', 'an export');
		append_to_file("$place/$name$letters/theirs", '');
	}
	told("SELECT count(*) FROM outflow.prune('file://$place/old', 1)", 'WARNING:  directory ".*/old1~" stays', 'prune');
	is(sql(q(SELECT count(*) FROM outflow.jobs WHERE destination ~ 'old')), '1', "$encoding, prune: has removed one");
	sql(q(SELECT outflow.forget(job) FROM outflow.jobs WHERE destination ~ 'old'));

	# ---- an ERROR, whose place what is around it doesn't take
	is_told(failed(qq{CALL outflow.export_publication(U&'p$sql', @{[file('published')]})}), 'ERROR:  division by zero\nCONTEXT: .*a table of publication "p~"', 'a row filter that fails');

	# ---- a lake table, and another writer over a version that may have been the job's
	my $lake = "$place/lake$letters";
	my $iceberg = "CALL outflow.export('t', @{[file('lake')]}, format => 'iceberg')";
	told($iceberg, '^$', 'a lake table');
	sql('UPDATE t SET id = id + 1');
	hold_publications($node);
	($session, $said) = begun($iceberg);
	wait_until($node, q(SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4712 AND NOT granted)), 'all parts are there');
	my $metadata = iceberg_metadata($lake);
	push @{ $metadata->{snapshots} },
	  { %{ $metadata->{snapshots}[-1] }, 'snapshot-id' => 77, 'parent-snapshot-id' => 999, 'sequence-number' => 9,
		summary => { operation => 'append', 'engine-name' => 'Other' } };
	$metadata->{'current-snapshot-id'} = 77;
	append_to_file("$lake/metadata/v2.metadata.json", JSON::PP::encode_json($metadata));
	release_exports($node);
	$session->finish;
	told('SELECT outflow.forget(max(job)) FROM outflow.jobs', 'NOTICE:  files of export job \d+ in ".*/lake~" stay', 'a lake table that another has changed');

	# ---- a store that does not answer
	my $there = "U&'lake$sql:" . lc($encoding) . $sql;
	foreach my $step ([ "CALL outflow.export('t', ${there}a', workers => 0)", 'hold copy', ' copy$', 'WARNING:  unfinished files may be left in "lake~:.*~.?"' ],
		[ "CALL outflow.export('t', ${there}b', workers => 0, format => 'delta')", 'hold PUT .json', '^PUT \S*0000\.json', 'WARNING:  files of an export that may be unfinished stay in "lake~:.*~.?"' ],
		[ "CALL outflow.export_query('SELECT * FROM t', ${there}c')", 'hang PUT _SUCCESS', '^PUT \S*_SUCCESS', 'NOTICE:  export job \d+ is interrupted' ])
	{
		my ($call, $fault, $pattern, $message) = @$step;

		$store->forget_requests;
		$store->faults($fault);
		($session, $said) = begun($call);
		asked($pattern, $said);
		$store->faults('hang') if $fault eq 'hold copy';
		sql(q(SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL%'));
		$session->finish;
		$store->faults();
		is_told($$said, $message, $fault);
		unlike($$said, qr/no equivalent/, "$encoding, $fault: and why");
		told('SELECT outflow.forget(max(job)) FROM outflow.jobs', 'NOTICE:  file "_SUCCESS" may still appear in "lake~:.*~.?"', 'the last step') if $message =~ /NOTICE/;
	}
}

$node->stop;
done_testing();
