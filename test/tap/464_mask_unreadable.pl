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
# where any bytes are text
$node->safe_psql('postgres', "CREATE DATABASE latin1 ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'");
$node->safe_psql('latin1', qq{CREATE EXTENSION outflow; SET client_encoding = 'LATIN1'; CREATE TABLE "caf\xe9" (id int, "pr\xe9" text)});
create_slot($node, 'latin1', 'latin1');
$node->safe_psql('latin1', qq{SET client_encoding = 'LATIN1'; INSERT INTO "caf\xe9" VALUES (1, 'secret')});
foreach my $bytes ("public.caf\xc3\xa9.pr\xc3\xa9=redact", "public.caf\xe9.pr\xe9=redact", "public.*.pr?\xa9=redact, public.caf?.pr?=redact")
{
	my $statement = "SET outflow.mask_columns = '$bytes'; SET client_encoding = 'SQL_ASCII';";

	like($node->safe_psql('latin1', "LOAD 'outflow'; $statement SELECT data FROM pg_logical_slot_peek_changes('latin1', NULL, NULL)"), qr/"pr\\u00e9":"\*\*\*"/, 'a name in UTF-8 or LATIN1, in LATIN1: masked');
	$node->safe_psql('latin1', "LOAD 'outflow'; $statement CALL outflow.export(U&'\"caf\\00e9\"', 'file://$dir/" . ++$places . "', workers => 0)");
	like(exported_parts("$dir/$places"), qr/^1,\*\*\*$/m, '... and in a file');
}
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

#
# A role's own, which nothing checks before the library is loaded
#
$node->safe_psql('postgres', 'ALTER SYSTEM RESET outflow.mask_columns');
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->restart;
$node->safe_psql('postgres', q{ALTER ROLE rep SET outflow.mask_columns = 'public.people.mail=redacted'});
$node->safe_psql('postgres', q{ALTER DATABASE euc SET outflow.mask_columns = 'mail'});
refused('postgres', 'rep', 'a typo of a role');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'outflow'\n");
$node->restart;
refused('postgres', 'rep', 'a typo of a role, library preloaded');
like(($node->psql('postgres', 'SELECT 1', extra_params => [ '-U', 'rep' ]))[2],
	qr/WARNING:.*"outflow\.mask_columns"\nDETAIL:  Streams and exports are refused.*\n.*A mask looks like/, '... of which a login is warned');
refused('euc', $superuser, 'a typo of a database, library preloaded');
is($node->safe_psql('euc', q{SELECT ok FROM outflow.preflight() WHERE item = 'outflow.mask_columns'}), 'f', '... of which preflight tells');
$node->safe_psql('postgres', 'ALTER DATABASE euc RESET outflow.mask_columns; ALTER ROLE rep RESET outflow.mask_columns');
foreach my $statement ("ALTER ROLE rep SET outflow.mask_columns = 'public.people.mail=redacted'",
	"ALTER DATABASE euc SET outflow.mask_columns = 'mail'", "SET outflow.mask_columns = 'mail'",
	"ALTER SYSTEM SET outflow.mask_columns = 'mail'")
{
	like(($node->psql('postgres', $statement))[2], qr/ERROR:  invalid value for parameter "outflow\.mask_columns"/, $statement);
}
$node->safe_psql('postgres', "ALTER ROLE rep SET outflow.mask_columns = '$utf8'");
refused('euc', 'rep', 'a role\'s setting of another encoding');
$node->safe_psql('postgres', 'ALTER ROLE rep RESET outflow.mask_columns');

# a brother of a role that is not what holds it: the server's own is in force
$node->stop;
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\noutflow.export_root = '$dir/root'\n");
$node->start;
foreach my $setting ("rate_limit = '20XB'", "mask_key_file = '/none'", "part_memory = 'much'")
{
	$node->safe_psql('postgres', "ALTER ROLE rep SET outflow.$setting");
}
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'outflow'\noutflow.rate_limit = '3MB'\n");
$node->restart;
like(($node->psql('postgres', q{SELECT name, setting FROM pg_settings WHERE name LIKE 'outflow.%'}, extra_params => [ '-U', 'rep' ]))[1],
	qr/outflow\.part_memory\|65536\noutflow\.rate_limit\|3072/, 'other settings that cannot be a role\'s leave the server\'s in force');
like((answers('postgres', 'rep'))[1], qr/is not beneath the export root/, '... and the export root');
$node->safe_psql('postgres', 'ALTER ROLE rep RESET ALL');

$node->stop;
done_testing();
