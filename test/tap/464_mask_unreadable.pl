# Promise: outflow.mask_columns never fails open.  Where its text can't be read,
# in a database of another encoding, or as a role's own that was never checked,
# streams and exports are refused, and say so.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = new_export_dir();
my $node = new_outflow_node('unreadable', init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ]);
my $lost = qr/ERROR:  setting "outflow\.mask_columns" has a value that cannot be used/;
my $places = 0;

$node->safe_psql('postgres', "CREATE DATABASE euc ENCODING 'EUC_JP' TEMPLATE template0 LOCALE 'C'");
$node->safe_psql('postgres', 'CREATE ROLE rep LOGIN REPLICATION IN ROLE pg_write_server_files');
$node->safe_psql('euc', 'CREATE EXTENSION outflow');
foreach my $database ('postgres', 'euc')
{
	$node->safe_psql($database, <<'EOS');
CREATE TABLE people (id int, mail text);
GRANT SELECT ON people TO rep;
EOS
	create_slot($node, $database, $database);
}

# answers(DATABASE, ROLE): what a stream, by both ways, and exports say
sub answers
{
	my ($database, $role) = @_;

	$node->safe_psql($database, q{TRUNCATE people; INSERT INTO people VALUES (1, 'secret@example.com')});
	my $end = $node->safe_psql($database, 'SELECT pg_current_wal_flush_lsn()');
	my $peek = "FROM pg_logical_slot_peek_changes('$database', NULL, NULL)";
	my @answers;

	foreach my $statement ("SELECT data $peek", "CALL outflow.export('people', 'file://$dir/" . ++$places . "', workers => 0)",
		"CALL outflow.export('people', 'file://$dir/" . ++$places . "')",
		"CALL outflow.export_query('SELECT * FROM people', 'file://$dir/" . ++$places . "')")
	{
		my (undef, $out, $err) = $node->psql($database, $statement, extra_params => [ '-U', $role ]);

		push @answers, $out . $err;
	}
	IPC::Run::run([ 'pg_recvlogical', '--start', '--no-loop', '--file=-', "--slot=$database", "--endpos=$end",
			'--status-interval=0', '-d', $node->connstr($database) . " user=$role" ],
		'>', \my $out, '2>', \my $err, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return (@answers, $out . $err);
}

# refused(DATABASE, ROLE, WHAT)
sub refused
{
	my ($database, $role, $what) = @_;
	my $before = $places;
	my @answers = answers($database, $role);

	is(scalar(grep { /$lost/ } @answers), 5, "$what: all are refused") or diag(join("\n--\n", @answers));
	unlike("@answers", qr/secret@/, "$what: no value leaves");
	is(join(' ', map { -d "$dir/$_" ? exported_parts("$dir/$_") : () } $before + 1 .. $places), '', "$what: nor in a file");
	return;
}

# set_masks(BYTES): the configuration file's
sub set_masks
{
	$node->append_conf('postgresql.conf', "outflow.mask_columns = '$_[0]'\n");
	return;
}

my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
my $utf8 = "public.\xe5\x90\x8d.x=null, public.people.mail=redact";
my $latin1 = "public.caf\xe9.x=null, public.people.mail=redact";

#
# The configuration's, in a database of another encoding
#
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'outflow'\n");
set_masks($utf8);
$node->restart;
refused('euc', $superuser, 'UTF-8 in EUC_JP');
like((answers('postgres', $superuser))[0], qr/"mail":"\*\*\*"/, '... a mask where it is text');
$node->safe_psql('postgres', q{ALTER DATABASE euc SET outflow.mask_columns = 'public.people.mail=redact'});
like((answers('euc', $superuser))[0], qr/"mail":"\*\*\*"/, 'a database\'s own setting is a way out');
$node->safe_psql('postgres', 'ALTER DATABASE euc RESET outflow.mask_columns');

set_masks($latin1);
$node->restart;
refused('postgres', $superuser, 'LATIN1 in UTF8');
refused('euc', $superuser, 'LATIN1 in EUC_JP');

# a rule that ends within a character, and one that is the last
foreach my $bytes ("public.people.mail\xe5=null, public.people.mail=redact", "public.people.mail=redact, public.people.\xf0=null")
{
	set_masks($bytes);
	$node->restart;
	refused('postgres', $superuser, 'a rule that ends within a character');
}

# ALTER SYSTEM and a reload
set_masks('');
$node->safe_psql('postgres', "ALTER SYSTEM SET outflow.mask_columns = '$utf8'");
$node->reload;
wait_until($node, q{SELECT current_setting('outflow.mask_columns') <> ''}, 'a reload', 'euc');
refused('euc', $superuser, 'ALTER SYSTEM in a database of another encoding');

$node->stop;
done_testing();
