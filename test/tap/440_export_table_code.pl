# Promise: who exports a table runs no code of its owner's, whatever the owner has
# built into it: the planner would compute what an index, statistics, a constraint
# or a partition's bounds call, and COPY doesn't ask it.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_outflow_node('table_code', conf => "outflow.retries = 0\nautovacuum = off\n");
my $dir = new_export_dir();
my $exports = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# for whom code ran since the last time that this was asked
my $seen = 0;

sub victims
{
	my $log = slurp_file($node->logfile, $seen);
	my %roles = map { $_ => 1 } $log =~ /payload runs as (\w+)/g;

	$seen = -s $node->logfile;
	return join(', ', sort keys %roles);
}

# says(SQL): errors of a superuser's call
sub says
{
	my ($sql) = @_;
	my ($stdout, $stderr);

	$node->psql('postgres', $sql, stdout => \$stdout, stderr => \$stderr);
	return join("\n", $stderr =~ /^.*(?:ERROR|LINE \d).*/mg);
}

sub last_job { return sql('SELECT max(job) FROM outflow.jobs'); }

sql('CREATE ROLE boss SUPERUSER LOGIN; CREATE ROLE mallory LOGIN; CREATE SCHEMA m AUTHORIZATION mallory');
# an owner's functions, which are harmless while the tables are made
sql(<<'EOS');
SET SESSION AUTHORIZATION mallory;
CREATE FUNCTION m.payload() RETURNS void LANGUAGE plpgsql AS $f$
BEGIN RAISE LOG 'payload runs as %', current_user; END $f$;
CREATE FUNCTION m.evil(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END';
CREATE DOMAIN m.small AS int CHECK (VALUE > m.evil(2) - 1);
CREATE TABLE m.t (id int PRIMARY KEY DEFAULT m.evil(3), s m.small, v text DEFAULT 'v' || m.evil(4),
	g int GENERATED ALWAYS AS (m.evil(5)) STORED, CHECK (id > m.evil(6) - 1));
CREATE INDEX ON m.t ((id + m.evil(7)));
CREATE INDEX ON m.t (id) WHERE id > m.evil(8);
CREATE STATISTICS m.st ON (id + m.evil(9)), v FROM m.t;
INSERT INTO m.t (id, s) SELECT g, g FROM generate_series(1, 5000) AS g;
CREATE TABLE m.parted (id int, v text) PARTITION BY RANGE ((id + m.evil(10)));
CREATE TABLE m.leaf PARTITION OF m.parted FOR VALUES FROM (0) TO (10000);
CREATE INDEX ON m.parted ((id + m.evil(11)));
INSERT INTO m.parted SELECT g, 'p' FROM generate_series(1, 5000) AS g;
CREATE TABLE m.policed (id int);
CREATE INDEX ON m.policed ((id + m.evil(12)));
INSERT INTO m.policed VALUES (1);
CREATE POLICY own ON m.policed USING (id > m.evil(13));
ALTER TABLE m.policed ENABLE ROW LEVEL SECURITY;
ALTER TABLE m.policed FORCE ROW LEVEL SECURITY;
ANALYZE m.t, m.parted, m.leaf;
CREATE OR REPLACE FUNCTION m.evil(int) RETURNS int LANGUAGE plpgsql IMMUTABLE
	AS 'BEGIN PERFORM m.payload(); RETURN 1; END';
EOS
sql('CREATE PUBLICATION feed FOR TABLE m.t, m.parted, m.policed');
$node->safe_psql('postgres', 'EXPLAIN SELECT * FROM m.t', extra_params => [ '-U', 'boss' ]);
is(victims(), 'boss', 'a SELECT runs it: the trap is one');
sql("COPY m.t TO '$dir/copied'");
is(victims(), '', 'COPY does not');

foreach my $format ('csv', 'jsonl', 'parquet', 'delta', 'iceberg')
{
	foreach my $workers (0, 2)
	{
		my $place = "'file://$dir/" . ++$exports . "'";
		my $more = "format => '$format', workers => $workers, part_size => '64kB'";
		my $tables = "'{m.t,m.parted,m.policed}'";

		is(says("CALL outflow.export_tables($tables, $place, $more)"), '', "an export as $format, workers => $workers");
		my $base = last_job();
		next if $format =~ /delta|iceberg/ && $workers == 0;
		is(says($format =~ /delta|iceberg/
				? "CALL outflow.export_tables($tables, $place, $more)"
				: "CALL outflow.export_tables($tables, 'file://$dir/" . ++$exports . "', $more, base => $base)"),
			'', '... and one with a base');
		cmp_ok(sql("SELECT parts_carried FROM outflow.jobs WHERE job = " . last_job()), '>', 0, '... of which parts were kept');
	}
	is(victims(), '', "$format: the owner's code does not run");
}

is(says("CALL outflow.export_schema('m', 'file://$dir/schema')"), '', 'a schema');
my $job = last_job();
is(says("CALL outflow.export_publication('feed', 'file://$dir/feed', slot => 'feed')"), '', 'a publication');
is(says("CALL outflow.export('m.t', 'file://$dir/filtered', filter => 'id > 7', columns => '{id,v}')"), '', 'a filter');
is(says("CALL outflow.export('m.parted', 'file://$dir/by_policy', options => '{\"row_security\": true}')"), '',
	'row security that no policy is of');
is(victims(), '', "the owner's code does not run for them");
says($_) foreach "SELECT * FROM outflow.verify($job)", "SELECT outflow.restore_script($job)", 'SELECT * FROM outflow.preflight()',
	"SELECT outflow.check_destination('file://$dir/checked')", 'SELECT * FROM outflow.jobs', "SELECT outflow.forget($job)";
is(victims(), '', '... nor when they are verified, restored or forgotten');
sql('INSERT INTO m.t SELECT g FROM generate_series(9001, 9002) AS g; UPDATE m.t SET v = id WHERE id < 5');
victims();
is(scalar(grep { $_->{op} && $_->{op} eq 'update' } slot_records($node, 'feed')), 4, 'a stream of changes');
is(victims(), '', '... runs none either');

# what is wrong with the table is not a place in the caller's statement
sql('CREATE ROLE alice LOGIN IN ROLE pg_write_server_files; GRANT SELECT ON m.t TO alice');
my ($status, $stdout, $stderr) = $node->psql('postgres', "CALL outflow.export(" . sql(q{SELECT 'm.t'::regclass::oid}) . "::regclass, 'file://$dir/alice')", extra_params => [ '-U', 'alice' ]);
like($stderr, qr/permission denied for schema m$/m, 'a schema must be usable');
unlike($stderr, qr/^LINE \d/m, '... and the error points to nothing');
$node->stop;
done_testing();
