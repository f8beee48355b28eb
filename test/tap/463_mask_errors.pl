# Promise: no error shows a value of a masked column, to whomever: also where the
# column is left out of what is sent, where a policy meets it, and in the views.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('errors', init => [ extra => [ '--encoding=UTF8', '--no-locale' ] ],
	conf => "outflow.mask_columns = 'public.people.salary=redact'\n");
my $dir = new_export_dir();
my $secret = qr/2000000123/;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# said(SQL, ROLE): all that a session gets to see
sub said
{
	my ($sql, $role) = @_;
	my (undef, $out, $err) = $node->psql('postgres', $sql, $role ? (extra_params => [ '-U', $role ]) : ());

	return $out . $err;
}

# a filter that fails, and tells of the value
my $filter = "chr(salary) <> 'x'";

sql(<<"EOS");
CREATE TABLE people (id int PRIMARY KEY, salary int, note text);
ALTER TABLE people REPLICA IDENTITY FULL;
CREATE PUBLICATION filtered FOR TABLE people WHERE ($filter);
CREATE PUBLICATION listed FOR TABLE people (id) WHERE ($filter);
CREATE ROLE exporter LOGIN IN ROLE pg_write_server_files;
CREATE ROLE monitor LOGIN IN ROLE pg_monitor;
GRANT SELECT ON people TO exporter;
EOS
create_slot($node, 'feed');
sql('INSERT INTO people VALUES (1, 2000000123)');

#
# Streams
#
my $peek = "SELECT data FROM pg_logical_slot_peek_changes('feed', NULL, NULL, 'publication_names'";
foreach my $options ("'filtered'", "'filtered', 'exclude_columns', 'public.people.salary'", "'listed'",
	"'filtered', 'exclude_columns', 'public.people.*'")
{
	my $said = said("$peek, $options)");

	like($said, qr/ERROR:  could not apply a row filter of table "public.people"/, "a stream of $options: the filter fails");
	unlike($said, $secret, "a stream of $options: and tells nothing");
}

# ... nor of a column that is left out, where nothing is masked
sql(<<"EOS");
CREATE TABLE unmasked (id int, salary int);
CREATE PUBLICATION unmasked_listed FOR TABLE unmasked (id) WHERE ($filter) WITH (publish = 'insert');
CREATE PUBLICATION unmasked_whole FOR TABLE unmasked WHERE ($filter) WITH (publish = 'insert');
SELECT pg_drop_replication_slot('feed');
EOS
create_slot($node, 'feed');
sql('INSERT INTO unmasked VALUES (1, 2000000123)');
foreach my $options ("'unmasked_listed'", "'unmasked_whole', 'exclude_columns', '*.*.salary'")
{
	my $said = said("$peek, $options)");

	like($said, qr/ERROR:  could not apply a row filter of table "public.unmasked"/, "a stream of $options: the filter fails");
	unlike($said, $secret, "a stream of $options: and tells nothing");
}
like(said("$peek, 'unmasked_whole')"), $secret, 'what is sent anyway may be told');

#
# Exports
#
foreach my $publication ('filtered', 'listed')
{
	foreach my $workers (0, 1)
	{
		my $said = said("CALL outflow.export_publication('$publication', 'file://$dir/$publication$workers', workers => $workers)");

		like($said, qr/could not apply a row filter of table "public.people"/, "an export of $publication, workers $workers: the filter fails");
		unlike($said, $secret, "an export of $publication, workers $workers: and tells nothing");
	}
}

sql("ALTER TABLE people ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON people USING ($filter)");
my $places = 0;
foreach my $arguments ('', ", columns => '{id}'", ', workers => 0', ", columns => '{id}', workers => 0")
{
	my $said = said("CALL outflow.export('people', 'file://$dir/policy" . ++$places . "', options => '{\"row_security\": true}'$arguments)", 'exporter');

	like($said, qr/could not apply a row filter of table "public.people"/, "a policy$arguments: it fails");
	unlike($said, $secret, "a policy$arguments: and tells nothing");
}

# one that passes, and says something on its way
sql(<<'EOS');
CREATE FUNCTION tells(salary int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'it is %', salary; RETURN true; END $$;
ALTER POLICY p ON people USING (tells(salary));
EOS
my $noticed = said("CALL outflow.export('people', 'file://$dir/noticed', options => '{\"row_security\": true}', workers => 0)", 'exporter');
like($noticed, qr/NOTICE:  a row filter of table "public.people" has something to report/, 'a policy that says something');
unlike($noticed, qr/$secret|could not/, '... tells nothing, and nothing went wrong');

# what comes after the policies still says what it is
sql('ALTER POLICY p ON people USING (true)');
my $later = said("CALL outflow.export('people', 'file://$dir/later', format => 'csv', options => '{\"row_security\": true, \"encoding\": \"LATIN1\"}')", 'exporter');
unlike($later, qr/ERROR/, 'a policy that passes: the export is made');
sql('DROP PUBLICATION listed');
sql("UPDATE people SET note = U&'\\0416'");
$later = said("CALL outflow.export('people', 'file://$dir/encoding', options => '{\"row_security\": true, \"encoding\": \"LATIN1\"}')", 'exporter');
like($later, qr/has no equivalent in encoding "LATIN1"/, 'an error of a row that has passed: it is shown');

#
# Views
#
unlike(sql('SELECT * FROM outflow.jobs; SELECT * FROM outflow.parts'), $secret, 'the views show no masked value');

# of a table without masks, whose values the owner of the job may read, but not everybody who watches
sql("CREATE TABLE plain (id int, salary int); INSERT INTO plain VALUES (1, 2000000123); GRANT SELECT ON plain TO exporter");
my $failed = "CALL outflow.export('plain', 'file://$dir/plain', filter => '" . ($filter =~ s/'/''/gr) . "')";
like(said($failed, 'exporter'), $secret, 'the owner of a job is told what failed');
my $views = "SELECT * FROM outflow.jobs; SELECT * FROM outflow.parts";
like(said($views, 'exporter'), $secret, 'and reads it in the view');
my $watched = said($views, 'monitor');
unlike($watched, $secret, 'a member of pg_monitor doesn\'t');
is(said("SELECT state, error FROM outflow.jobs WHERE source = 'public.plain'", 'monitor'), 'failed|SQLSTATE 54000',
	'but sees the state, and which sort of error');
is(said("SELECT DISTINCT p.error FROM outflow.parts AS p JOIN outflow.jobs AS j USING (job) WHERE j.source = 'public.plain'", 'monitor'),
	'<insufficient privilege>', 'and that a part has one');
sql('GRANT exporter TO monitor');
like(said($views, 'monitor'), $secret, 'a member of the owner\'s role reads it');

done_testing();
