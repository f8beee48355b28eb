# Promise: with format wal2json the plugin writes what wal2json writes, byte for
# byte, for the same WAL, whatever the options and the session's settings.
#
# Two slots, one of each plugin, see the same random workload.  SEED=N repeats a
# run, SCALE=N makes it N times as long.  The promise is of wal2json 2.7; an older
# one is compared in what it knows and writes alike.  WAL2JSON=NAME compares with
# a wal2json that was built under another name, or that lies elsewhere: NAME may
# be the library's path without ".so".
use strict;
use warnings;

use OutflowTest;
use OutflowValues;
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

my $plugin = $ENV{WAL2JSON} || 'wal2json';
need_library($node, $plugin);
$node->safe_psql('postgres',
	"SELECT FROM pg_create_logical_replication_slot('theirs', '$plugin')");
create_slot($node, 'ours');

# Which one it is shows in the options that it knows.
my %came_with = (
	'numeric-data-types-as-string' => 2.6,
	'partition-root' => 2.7,
	'include-empty-transaction' => 2.7);

sub knows
{
	my ($option) = @_;

	return $node->psql('postgres',
		"SELECT FROM pg_logical_slot_peek_changes('theirs', NULL, 1, '$option', 'on')"
	) == 0;
}

my $version =
    knows('partition-root') ? 2.7
  : knows('numeric-data-types-as-string') ? 2.6
  : 2.5;
diag("comparing with wal2json $version");

my $workload = OutflowWorkload->new(
	seed => $seed,
	transactions => 150 * $scale,
	tame => $version < 2.7);
$node->safe_psql('postgres', $workload->setup);
if ($version >= 2.7)
{
	# names and defaults that an older one leaves unescaped
	$node->safe_psql('postgres', <<'EOS');
CREATE SCHEMA "w odd";
CREATE TYPE "w odd"."Odd Type" AS ENUM ('a "b"', 'c\d');
CREATE TYPE "quo""te" AS ENUM ('x');
CREATE DOMAIN "Domain]" AS "w odd"."Odd Type"[];
CREATE TABLE w.odd_types (a "w odd"."Odd Type", b "quo""te", c "char", id int DEFAULT 7,
	l "w odd"."Odd Type"[] DEFAULT '{"a \"b\"","c\\d"}', q "quo""te"[], d "Domain]",
	t text DEFAULT E'two\nlines \\ and "quotes"', PRIMARY KEY (id, a, l));
ALTER TABLE w.odd_types REPLICA IDENTITY FULL;
INSERT INTO w.odd_types VALUES ('a "b"', 'x', 'y');
INSERT INTO w.odd_types VALUES ('c\d', NULL, NULL, 8, '{"c\\d",NULL}', '{}');
UPDATE w.odd_types SET id = id + 1, d = l;
DELETE FROM w.odd_types;
EOS
	$node->safe_psql('postgres', <<'EOS') if $node->pg_version >= 18;
CREATE TABLE w.computed (id int PRIMARY KEY, v int GENERATED ALWAYS AS (id + 1) VIRTUAL,
	s int GENERATED ALWAYS AS (id + 2) STORED);
INSERT INTO w.computed VALUES (1);
UPDATE w.computed SET id = 3;
ALTER TABLE w.computed REPLICA IDENTITY FULL;
DELETE FROM w.computed;
EOS
}
# defaults of which nothing depends on what their type is now
$node->safe_psql('postgres', <<'EOS');
CREATE TYPE w.part AS (a int, b text);
CREATE DOMAIN w.parts AS w.part[];
CREATE TABLE w.listed (id int PRIMARY KEY, p w.part[] DEFAULT '{}', d w.parts DEFAULT '{}', n w.part DEFAULT NULL);
INSERT INTO w.listed VALUES (1);
UPDATE w.listed SET p = ARRAY[ROW(1, 'a')::w.part];
EOS
$workload->run($node, 'postgres');
my $end = $node->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()');

# pgoptions(SLOT, SETTINGS): for a session that reads the slot.  Theirs may not
# have to spill: from 18 on the server calls a plugin's stream_abort for a
# transaction that was aborted after it was spilled, and wal2json has none.
sub pgoptions
{
	my ($slot, @settings) = @_;

	push @settings, 'logical_decoding_work_mem=1GB' if $slot eq 'theirs';
	return join(' ', map { "-c $_" } @settings);
}

# stream(SLOT, {OPTION => VALUE}, SETTINGS): lsn, xid and data of all records.
# Without a record of the commit, ours has the transaction's end as the LSN of
# its last message: who confirms that of the last change may lose it.
sub stream
{
	my ($slot, $options, $settings) = @_;
	my $columns =
	  is_on($options->{'include-transaction'} // 'on') ? '*' : 'xid, data';
	my %options = (%$options, $slot eq 'ours' ? (format => 'wal2json') : ());
	my $list = join('',
		map { ", '$_', '" . ($options{$_} =~ s/'/''/gr) . "'" }
		  sort keys %options);

	local $ENV{PGOPTIONS} = pgoptions($slot, @{ $settings || [] });
	return repair(
		$node->safe_psql('postgres',
			"SELECT $columns FROM pg_logical_slot_peek_changes('$slot', '$end', NULL$list)"
		));
}

# What wal2json 2.5 writes and isn't JSON: a comma in front of the only item,
# when the last transaction had more than one.
sub repair
{
	my ($text) = @_;

	$text =~ s/("change": ?\[\s*),(\{)/$1$2/g if $version < 2.6;
	return $text;
}

# comparable(OPTIONS): the options, as far as the installed version knows them and
# does the same with them
sub comparable
{
	my (%options) = @_;

	delete @options{ grep { $version < ($came_with{$_} || 0) } keys %options };
	if (($options{'format-version'} || 1) == 1)
	{
		# only of tables with the default replica identity
		delete $options{'include-pk'} if $version < 2.6;
		# empty without types
		delete $options{'include-not-null'}
		  if $version < 2.7 && !is_on($options{'include-types'} // 'on');
	}
	return \%options;
}

sub is_on
{
	my ($value) = @_;
	return $value =~ /^(on|1|t|true|yes)$/;
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
  include-column-positions include-not-null include-default include-pk);
my @settings = (
	'TimeZone=America/St_Johns', 'DateStyle=German',
	'IntervalStyle=sql_standard', 'extra_float_digits=0');

# each option alone and beside others, in both versions
my %flags = (
	(map { $_ => 'off' }
		  qw(include-transaction include-schemas include-types include-typmod
		  include-empty-transaction)),
	(map { $_ => 'on' } keys %all,
		  qw(include-domain-data-type numeric-data-types-as-string pretty-print
		  write-in-chunks partition-root)));
my %lists = (
	'actions' => [ 'insert, truncate', 'update,delete', '' ],
	'add-tables' => [ 'w.narrow, *.toast,w.made_*', 'w.parted, public.*', '' ],
	'filter-tables' => [
		"*.parted_mid, w.Odd\\ \"tab\\\\le\"\\\t\xc3\xa9, public.*",
		'w.parted,*.wide', '*.*' ],
	'add-msg-prefixes' => [ 'audit,x', '' ],
	'filter-msg-prefixes' => [ 'x', '' ],
	'filter-origins' => [ '1', '2,1', '0', '0, 1', '' ]);

sub combinations
{
	my @combinations = (
		[ 'other settings', {%all}, \@settings ],
		[ 'types on the search path', {},
			[ 'search_path=w', 'DateStyle=SQL,DMY', 'TimeZone=UTC' ] ],
		[ 'no types, no schemas, no transactions',
			{ %all, map { $_ => 0 }
				qw(include-types include-schemas include-transaction) } ],
		[ 'types of domains without modifiers',
			{ 'include-domain-data-type' => 1, 'include-typmod' => 'false' } ],
		[ 'types of domains but no types',
			{ %all, 'include-domain-data-type' => 't', 'include-types' => 'no' } ],
		[ 'everything in chunks, pretty',
			{ %all, 'pretty-print' => 'true', 'write-in-chunks' => 'yes' } ],
		[ 'some messages',
			{ 'add-msg-prefixes' => 'audit,x', 'filter-msg-prefixes' => 'x' } ],
		[ 'one table without empty transactions',
			{ 'add-tables' => 'w.parted', 'partition-root' => 1,
				'include-empty-transaction' => 0, 'actions' => 'insert,update' } ]);

	push @combinations, [ 'defaults', {} ], [ 'everything', {%all} ];
	foreach my $flag (sort keys %flags)
	{
		push @combinations, [ "$flag alone", { $flag => $flags{$flag} } ],
		  [ "$flag and all", { %all, $flag => $flags{$flag} } ];
	}
	foreach my $list (sort keys %lists)
	{
		push @combinations, [ "$list $_", { $list => $_ } ]
		  foreach @{ $lists{$list} };
	}

	# and any of them together
	my $values = OutflowValues->new($seed);
	foreach my $n (1 .. 10 * $scale)
	{
		my %options = map { $_ => $values->pick($flags{$_}, 'on', 'off') }
		  grep { $values->chance(40) } sort keys %flags;
		my @some = grep { $values->chance(20) } sort keys %lists;

		$options{$_} = $values->pick(@{ $lists{$_} }) foreach @some;
		push @combinations, [ "random $n", \%options ];
	}
	return @combinations;
}

my %seen;
foreach my $combination (combinations())
{
	my ($name, $options, $settings) = @$combination;

	foreach my $format (1, 2)
	{
		my $asked = comparable(%$options, 'format-version' => $format);
		my $key = join("\0", @{ $settings || [] }, map { ($_, $asked->{$_}) } sort keys %$asked);

		# an older wal2json makes some of them the same
		next if $seen{$key}++;
		is_same(stream('ours', $asked, $settings),
			stream('theirs', $asked, $settings),
			"$name, version $format");
	}
}

# An older one without the transactions that are empty is what 2.7 writes, save
# the LSNs under which the SQL functions show what begins a transaction.
sub data_of
{
	my ($slot, %options) = @_;

	return stream($slot, \%options) =~ s/^[^|]*\|[^|]*\|//mgr;
}

if ($version < 2.7)
{
	my @empty = (undef, qr/^\{"change":\[\]\}(\n|\z)/m, qr/^\{"action":"B"\}\n\{"action":"C"\}(\n|\z)/m);

	foreach my $options ({}, { 'add-tables' => 'w.narrow', 'add-msg-prefixes' => 'x' })
	{
		foreach my $format (1, 2)
		{
			my %asked = (%$options, 'format-version' => $format);
			my $theirs = data_of('theirs', %asked);

			$theirs =~ s/$empty[$format]//g;
			chomp $theirs;
			is_same(data_of('ours', %asked, 'include-empty-transaction' => 'off'),
				$theirs, join(' ', 'without empty transactions', %asked));
		}
	}
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

# through a walsender, where options may come without a value
foreach my $version (1, 2)
{
	my %got;

	foreach my $slot ('ours', 'theirs')
	{
		my $file = "${PostgreSQL::Test::Utils::tmp_check}/$slot.$version";
		my @options = (
			$version == 1 ? 'format-version=1' : 'format-version',
			'include-timestamp', 'actions', 'filter-origins', 'filter-tables',
			'add-msg-prefixes', 'filter-msg-prefixes');

		push @options, 'format=wal2json' if $slot eq 'ours';
		local $ENV{PGOPTIONS} = pgoptions($slot);
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
		  . ($_ eq 'ours' ? 'outflow' : $plugin) . "')")
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
