# Promise: with format wal2json the plugin writes what wal2json writes, byte for
# byte, for the same WAL, whatever the options and the session's settings.
#
# Two slots, one of each plugin, see the same random workload.  SEED=N repeats a
# run, SCALE=N makes it N times as long.
use strict;
use warnings;

use OutflowTest;
use OutflowWorkload;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{SEED} || 4711;
my $scale = $ENV{SCALE} || 1;

diag("SEED=$seed SCALE=$scale");

my $node = new_outflow_node(
	'wal2json',
	init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ],
	conf => <<'EOC');
logical_decoding_work_mem = 64kB
max_prepared_transactions = 10
autovacuum = off
EOC

need_library($node, 'wal2json');
$node->safe_psql('postgres',
	"SELECT FROM pg_create_logical_replication_slot('theirs', 'wal2json')");
create_slot($node, 'ours');

my $workload = OutflowWorkload->new(seed => $seed, transactions => 150 * $scale);
$node->safe_psql('postgres', $workload->setup);
$workload->run($node, 'postgres');
my $end = $node->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()');

# stream(SLOT, {OPTION => VALUE}, SETTINGS): lsn, xid and data of all records
sub stream
{
	my ($slot, $options, $settings) = @_;
	my %options = (%$options, $slot eq 'ours' ? (format => 'wal2json') : ());
	my $list = join('',
		map { ", '$_', '" . ($options{$_} =~ s/'/''/gr) . "'" }
		  sort keys %options);

	local $ENV{PGOPTIONS} = join(' ', map { "-c $_" } @{ $settings || [] });
	return repair(
		$node->safe_psql('postgres',
			"SELECT * FROM pg_logical_slot_peek_changes('$slot', '$end', NULL$list)"
		));
}

# What wal2json writes and isn't JSON: a comma in front of the only item, when
# the last transaction had more than one.
sub repair
{
	my ($text) = @_;

	$text =~ s/("change": ?\[\s*),(\{)/$1$2/g;
	return $text;
}

# is_same(OURS, THEIRS, NAME): as is(), but tells where long texts part
sub is_same
{
	my ($ours, $theirs, $name) = @_;

	return pass($name) if $ours eq $theirs;
	fail("$name (SEED=$seed SCALE=$scale)");
	my $at = length(($ours ^ $theirs) =~ s/[^\0].*//rs);
	my $from = $at > 600 ? $at - 600 : 0;
	diag("they part at byte $at of " . length($ours) . ' and ' . length($theirs));
	diag('ours:   ...' . substr($ours, $from, 900));
	diag('theirs: ...' . substr($theirs, $from, 900));
	return 0;
}

my %all = map { $_ => 'on' }
  qw(include-xids include-timestamp include-origin include-lsn include-type-oids
  include-column-positions include-not-null include-default);

# Debian has wal2json 2.5 for 15 alone; from 2.6 on include-pk shows the keys
# of tables whose replica identity isn't their key, too, and include-not-null
# no longer depends on include-types in version 1
my @pk = $node->pg_version < 16 ? ('include-pk' => 'on') : ();
my %untyped = $node->pg_version < 16 ? (%all, @pk) : (%all, 'include-not-null' => 'off');
%all = (%all, @pk);
my @settings = (
	'TimeZone=America/St_Johns', 'DateStyle=German',
	'IntervalStyle=sql_standard', 'extra_float_digits=0');
my @combinations = (
	[ 'defaults', {} ],
	[ 'version 2', { 'format-version' => 2 } ],
	[ 'everything', {%all} ],
	[ 'everything, version 2', { %all, 'format-version' => 2 } ],
	[ 'everything, pretty', { %all, 'pretty-print' => 1 } ],
	[ 'pretty chunks', { 'pretty-print' => 1, 'write-in-chunks' => 1 } ],
	[ 'everything in chunks', { %all, 'write-in-chunks' => 'true' } ],
	[ 'no types, no schemas',
		{ %untyped, 'include-types' => 'off', 'include-schemas' => 'off' } ],
	[ 'no types, no schemas, no transactions, version 2',
		{
			%all,
			'format-version' => 2,
			'include-types' => 0,
			'include-schemas' => 0,
			'include-transaction' => 0 } ],
	[ 'types without modifiers',
		{ 'include-typmod' => 'off', @pk } ],
	[ 'types without modifiers, version 2',
		{ 'include-typmod' => 'off', 'format-version' => 2 } ],
	[ 'types of domains',
		{ %all, 'include-domain-data-type' => 'on' } ],
	[ 'types of domains without modifiers',
		{ 'include-domain-data-type' => 'on', 'include-typmod' => 'off' } ],
	[ 'types of domains but no types',
		{ %untyped, 'include-domain-data-type' => 1, 'include-types' => 0 } ],
	[ 'types of domains, version 2',
		{ %all, 'include-domain-data-type' => 1, 'format-version' => 2 } ],
	[ 'other settings', {%all}, \@settings ],
	[ 'other settings, version 2',
		{ %all, 'format-version' => 2 }, \@settings ],
	[ 'types on the search path', { 'format-version' => 2 },
		[ 'search_path=w', 'DateStyle=SQL,DMY', 'TimeZone=UTC' ] ],
	[ 'wanted tables', { 'add-tables' => 'w.narrow, *.toast,w.made_*' } ],
	[ 'unwanted tables',
		{
			'filter-tables' =>
			  "*.parted_mid, w.Odd\\ \"tab\\\\le\"\\\t\xc3\xa9, public.*",
			'format-version' => 2 } ],
	[ 'no table', { 'add-tables' => '' } ],
	[ 'some actions', { actions => 'insert, truncate', 'format-version' => 2 } ],
	[ 'no action', { actions => '' } ],
	[ 'some messages',
		{ 'add-msg-prefixes' => 'audit,x', 'filter-msg-prefixes' => 'x' } ],
	[ 'one origin less',
		{ 'filter-origins' => '1', 'include-origin' => 1, 'format-version' => 2 } ]);

foreach my $combination (@combinations)
{
	my ($name, $options, $settings) = @$combination;

	is_same(stream('ours', $options, $settings),
		stream('theirs', $options, $settings), $name);
}

# what is written is JSON, also where wal2json's isn't
my $records = '';
foreach my $version (1, 2)
{
	$records = $node->safe_psql('postgres',
			"SELECT count(*) > 0 AND count(*) = count(data::json)"
		  . " FROM pg_logical_slot_peek_changes('ours', '$end', NULL,"
		  . " 'format', 'wal2json', 'format-version', '$version')");
	is($records, 't', "version $version is JSON");
}

# through a walsender
foreach my $version (1, 2)
{
	my %got;

	foreach my $slot ('ours', 'theirs')
	{
		my $file = "${PostgreSQL::Test::Utils::tmp_check}/$slot.$version";
		my @options = ("format-version=$version", 'include-timestamp');

		push @options, 'format=wal2json' if $slot eq 'ours';
		$node->safe_psql('postgres',
			"SELECT FROM pg_copy_logical_replication_slot('$slot', 'copy')");
		$node->command_ok(
			[
				'pg_recvlogical', '--dbname', $node->connstr('postgres'),
				'--slot', 'copy', '--start', '--no-loop', '--endpos', $end,
				'--file', $file, map { ('--option', $_) } @options
			],
			"pg_recvlogical from $slot, version $version");
		$node->safe_psql('postgres', "SELECT pg_drop_replication_slot('copy')");
		$got{$slot} = repair(slurp_file($file));
	}
	is_same($got{ours}, $got{theirs}, "pg_recvlogical, version $version");
}

# in other encodings the text stays in the server's
foreach my $encoding ('LATIN1', 'SQL_ASCII')
{
	my $database = lc $encoding;
	my %got;

	local $ENV{PGCLIENTENCODING} = $encoding;
	$node->safe_psql('postgres',
		"CREATE DATABASE $database TEMPLATE template0 ENCODING '$encoding'");
	$node->safe_psql($database,
		"SELECT FROM pg_create_logical_replication_slot('${_}_$database', '"
		  . ($_ eq 'ours' ? 'outflow' : 'wal2json') . "')")
	  foreach qw(ours theirs);
	$node->safe_psql($database, <<"EOS");
CREATE TYPE mood AS ENUM ('gl\xfccklich');
CREATE TABLE "gr\xfc\xdfe" (id int PRIMARY KEY, "\xe4" text DEFAULT '\xe9t\xe9', m mood, j json);
INSERT INTO "gr\xfc\xdfe" VALUES (1, 'na\xefve "quotes"', 'gl\xfccklich', '{"\xe4": 1}');
SELECT FROM pg_logical_emit_message(true, 'pr\xe4fix', 'stra\xdfe');
EOS
	foreach my $version (1, 2)
	{
		foreach my $slot ('ours', 'theirs')
		{
			my $format = $slot eq 'ours' ? ", 'format', 'wal2json'" : '';

			$got{$slot} = $node->safe_psql($database,
				"SELECT data FROM pg_logical_slot_peek_changes('${slot}_$database', NULL, NULL, 'include-default', '1', 'format-version', '$version'$format)"
			);
		}
		like($got{theirs}, qr/\xfc\xdf/, "bytes of $encoding come through");
		is_same($got{ours}, $got{theirs}, "version $version in $encoding");
	}
}

# the comparison is worth as much as the workload
my $errors = $workload->{errors} // '';
unlike($errors, qr/syntax|malformed|cannot cast|is of type/,
	'the workload is made of good statements');
is( $node->safe_psql('postgres',
		"SELECT string_agg(DISTINCT data::json ->> 'action', '') FROM "
		  . "pg_logical_slot_peek_changes('ours', '$end', NULL, 'format', 'wal2json', 'format-version', '2')"
	),
	'BCDIMTU', 'the workload has changes of every sort');

$node->stop;
done_testing();
