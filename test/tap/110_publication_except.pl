# Promise: tables that a publication FOR ALL TABLES excepts are neither streamed
# nor exported, and partitions go with their root; sequences are left to the
# server.  The oracle is the server's view of what is published.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('except');
my $export = new_export_dir();

need_version($node, 19, 'FOR ALL TABLES EXCEPT');

sub sql
{
	return $node->safe_psql('postgres', join(';', @_));
}

my @leaves = qw(kept left_out parent child rooted_1 middle_1 middle_2 whole_1);

sql(
	'CREATE TABLE kept (id int PRIMARY KEY, n int)',
	'CREATE TABLE left_out (id int PRIMARY KEY, n int)',
	'CREATE TABLE parent (id int PRIMARY KEY, n int)',
	'CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent)',
	(map { "CREATE TABLE $_ (id int PRIMARY KEY, n int) PARTITION BY RANGE (id)" } qw(rooted whole)),
	'CREATE TABLE rooted_1 PARTITION OF rooted FOR VALUES FROM (0) TO (10)',
	'CREATE TABLE middle PARTITION OF rooted FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (id)',
	'CREATE TABLE middle_1 PARTITION OF middle FOR VALUES FROM (10) TO (15)',
	'CREATE TABLE middle_2 PARTITION OF middle DEFAULT',
	'CREATE TABLE whole_1 PARTITION OF whole DEFAULT',
	'CREATE SEQUENCE counter');

my %publications = (
	everything => 'FOR ALL TABLES',
	one => 'FOR ALL TABLES EXCEPT (TABLE left_out)',
	root => 'FOR ALL TABLES EXCEPT (TABLE rooted)',
	with_children => 'FOR ALL TABLES EXCEPT (TABLE parent)',
	without_children => 'FOR ALL TABLES EXCEPT (TABLE ONLY parent)',
	several => 'FOR ALL TABLES EXCEPT (TABLE left_out, rooted, child)',
	beside_sequences => 'FOR ALL TABLES EXCEPT (TABLE kept), ALL SEQUENCES',
	sequences => 'FOR ALL SEQUENCES');
foreach my $name (sort keys %publications)
{
	sql("CREATE PUBLICATION $name $publications{$name}",
		"CREATE PUBLICATION ${name}_root $publications{$name}"
		  . ($name eq 'sequences' ? '' : ' WITH (publish_via_partition_root)'));
}
create_slot($node, 'feed');

# a row into every leaf, and a value of the sequence
my %id = (rooted_1 => 1, middle_1 => 11, middle_2 => 16);
sub write_all
{
	sql((map { "INSERT INTO $_ VALUES (" . ($id{$_} || 1) . ', 0) ON CONFLICT (id) DO UPDATE SET n = excluded.n + 1' } @leaves),
		q{SELECT nextval('counter')});
	return;
}

# streamed(PUBLICATIONS): the tables that are named, each once
sub streamed
{
	return sql(<<"EOC");
SELECT coalesce(string_agg(DISTINCT data::json->>'table', ' ' ORDER BY data::json->>'table'), '')
FROM pg_logical_slot_peek_changes('feed', NULL, NULL, 'publication_names', '$_[0]') WHERE data ~ '"op":"(insert|update|truncate)"'
EOC
}

# published(PUBLICATION): what the server says
sub published
{
	my ($names) = @_;

	return sql(<<"EOC");
SELECT coalesce(string_agg(DISTINCT tablename, ' ' ORDER BY tablename), '') FROM pg_publication_tables
WHERE pubname IN (SELECT trim(n) FROM string_to_table('$names', ',') AS n) AND schemaname <> 'outflow'
EOC
}

sub is_what_is_published
{
	my ($when, @more) = @_;

	foreach my $name ((map { ($_, "${_}_root") } sort keys %publications), @more)
	{
		is(streamed($name), published($name), "$when: $name");
	}
	return;
}

write_all();
like(published('one'), qr/kept/, 'the oracle sees tables');
unlike(published('one'), qr/left_out/, 'and what is excepted');
unlike(published('root_root'), qr/rooted|middle/, 'with partitions');
is_what_is_published('streamed', 'one, root', 'one, sequences');
is(streamed('one, beside_sequences'), published('everything'), 'what one of two excepts, the other publishes');

# a truncated root and a leaf
sql("SELECT FROM pg_logical_slot_get_changes('feed', NULL, NULL)", 'TRUNCATE rooted', 'TRUNCATE whole', 'TRUNCATE left_out');
is(streamed('several'), 'whole_1', 'truncated');
is(streamed('several_root'), 'whole', 'truncated, as roots');

# in one session what is excepted changes
sql("SELECT FROM pg_logical_slot_get_changes('feed', NULL, NULL)");
write_all();
sql('ALTER PUBLICATION one SET ALL TABLES EXCEPT (TABLE kept)');
sql('INSERT INTO kept VALUES (100)', 'INSERT INTO left_out VALUES (100)');
sql('ALTER PUBLICATION one SET ALL TABLES');
sql('INSERT INTO kept VALUES (101)', 'INSERT INTO left_out VALUES (101)');
is( sql(<<'EOC'), 'kept 1, left_out 100, kept 101, left_out 101', 'at its place in the stream');
SELECT string_agg(concat_ws(' ', data::json->>'table', data::json->'new'->>'id'), ', ' ORDER BY data::json->>'id')
FROM pg_logical_slot_peek_changes('feed', NULL, NULL, 'publication_names', 'one')
WHERE data ~ '"op":"(insert|update)"' AND data ~ '"(kept|left_out)"'
EOC
sql('ALTER PUBLICATION one SET ALL TABLES EXCEPT (TABLE left_out)');

# exports
foreach my $name (map { ($_, "${_}_root") } grep { $_ ne 'sequences' } sort keys %publications)
{
	sql("CALL outflow.export_publication('$name', 'file://$export/$name')");
	my %folders = map { m{^public\.([^/]+)/} ? ($1 => 1) : () } files_below("$export/$name");
	is(join(' ', sort keys %folders), published($name), "exported: $name");
}
my ($code, $out, $err) = $node->psql('postgres', "CALL outflow.export_publication('sequences', 'file://$export/sequences')");
like($err, qr/publication "sequences" has no tables/, 'sequences alone are no export');
is( sql(q{SELECT string_agg(item, ', ' ORDER BY item) FROM outflow_internal.preflight_tables() WHERE detail ~ 'FOR ALL SEQUENCES'}),
	'publication beside_sequences, publication beside_sequences_root, publication sequences, publication sequences_root',
	'preflight says so');

done_testing();
