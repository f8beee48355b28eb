# Promise: what ends the session at the target, whatever the reason it gives, blames no
# record: nothing goes to the dead letters, and all of it is applied once; and the
# target's limit of a transaction's time isn't ours.
use strict;
use warnings;

use ClientTest;
use IPC::Run ();
use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use ReplicaTest;
use Test::More;

my $source = new_outflow_node('source');
my $target = new_target();
my $log = "${PostgreSQL::Test::Utils::tmp_check}/544_client_postgres_fatal";
my $letters = "$log.letters";
my $place = new_export_dir();
my $off = 'sslmode=disable&gssencmode=disable';

$_->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY, v text)') foreach $source, $target;
create_slot($source, 'feed');
my $proxy = start_peer('apply_proxy.py', $place, "$log.proxy", map { $_->host . '/.s.PGSQL.' . $_->port } $source, $target);

sub run
{
	my ($url) = @_;
	my ($code, undef, $err) = run_client($source, 'feed', "--to=$url", '--endpos=' . current_lsn($source),
		'--on-reject=dead-letter', "--dead-letter=$letters");

	return ($code, $err);
}

my $id = 0;

# transaction_timeout, idle_in_transaction_session_timeout, a value that is wrong, and
# what nobody has heard of
foreach my $fatal ('25P04', '25P03', '22P02', 'ZZ999', '25P04 start', 'ZZ999 start')
{
	my ($sqlstate) = split / /, $fatal;

	write_to($place, 'fatal', $fatal);
	$source->safe_psql('postgres', "INSERT INTO t SELECT $id + g, 'x' FROM generate_series(1, 2) AS g");
	$id += 2;
	my ($code, $err) = run('postgresql://127.0.0.1:' . slurp_file("$place/target_port") . "/postgres?$off");

	is($code, 0, "a session that ends with $fatal is made again") or diag($err);
	like($err, qr/terminating connection: $sqlstate.*; trying again/s, 'and the reason told');
	is($target->safe_psql('postgres', 'SELECT count(*) FROM t'), $id, 'each row is there once');
	is(-s $letters || 0, 0, 'and none among the dead letters');
}

SKIP:
{
	skip 'there is no transaction_timeout before 17', 2 if $target->safe_psql('postgres', 'SHOW server_version_num') < 170000;
	$target->safe_psql('postgres', q{ALTER DATABASE postgres SET transaction_timeout = '1s';
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_catalog.pg_sleep(2); RETURN NEW; END $$;
CREATE TRIGGER slow BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION slow();
ALTER TABLE t ENABLE ALWAYS TRIGGER slow});
	$source->safe_psql('postgres', q{INSERT INTO t VALUES (0, 'slow')});
	my ($code, $err) = run(target_url($target));

	is($code, 0, 'a transaction that is longer than transaction_timeout') or diag($err);
	unlike($err, qr/trying again/, 'is not cut off');
}
$proxy->kill_kill;
done_testing();
