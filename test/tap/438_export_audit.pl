# Promise: an export is seen by extensions that audit reads or decide on them, as
# a SELECT of the same columns would be, in the session that asks for it and in
# the workers that read: here pgaudit.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = new_export_dir();
my $node = new_outflow_node('audit', conf => <<'EOC');
shared_preload_libraries = 'pgaudit'
pgaudit.log_catalog = off
EOC
my $exports = 0;

$node->safe_psql('postgres', <<'EOS');
CREATE ROLE auditor;
CREATE ROLE alice LOGIN IN ROLE pg_write_server_files;
CREATE TABLE plain (id int, secret text, more text);
INSERT INTO plain SELECT i, 's', repeat('m', 100) FROM generate_series(1, 2000) AS i;
CREATE TABLE parted (id int, note text) PARTITION BY LIST (id);
CREATE TABLE odd (note text, gone int, id int);
ALTER TABLE odd DROP gone;
INSERT INTO odd VALUES ('n', 1);
ALTER TABLE parted ATTACH PARTITION odd FOR VALUES IN (1);
CREATE TABLE policed AS SELECT 1 AS id;
ALTER TABLE policed ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON policed USING (id = 1);
CREATE TABLE unseen AS SELECT 1 AS id;
GRANT SELECT ON plain, parted, policed, unseen TO alice;
GRANT SELECT (secret) ON plain TO auditor;
GRANT SELECT ON parted TO auditor;
GRANT SELECT (note) ON odd TO auditor;
EOS

# seen(FROM): what the log has of reads from there on, by whom: a background
# worker's lines name no application
sub seen
{
	my ($from) = @_;
	my $log = substr(slurp_file($node->logfile), $from);
	my %seen;

	while ($log =~ /\] (\S+ )?LOG:  AUDIT: (\w+),\d+,\d+,READ,\w+,\w*,([^,]*),/g)
	{
		$seen{ ($1 ? 'session' : 'worker') . " $2 $3" }++;
	}
	return (join(', ', sort keys %seen), $log);
}

# audited(SETTINGS, ARGUMENTS): that of an export
sub audited
{
	my ($settings, $arguments) = @_;
	my $from = -s $node->logfile;

	$node->safe_psql('postgres', "ALTER ROLE alice $_") foreach @$settings;
	$exports++;
	my ($status, $stdout, $stderr) = $node->psql('postgres',
		"CALL outflow.export('$arguments->[0]', 'file://$dir/$exports'"
		  . "$arguments->[1])", extra_params => [ '-U', 'alice' ]);
	is($stderr, '', "an export of $arguments->[0]$arguments->[1]");
	$node->safe_psql('postgres', 'ALTER ROLE alice RESET ALL');
	return seen($from);
}

my $objects = ["SET pgaudit.role = 'auditor'"];
my $reads = ["SET pgaudit.log = 'read'", 'SET pgaudit.log_relation = on'];

foreach my $way (', workers => 0', '')
{
	my $worker = $way ? 'session' : 'worker';
	my $both = sub {
		return "session $_[0]" . ($way ? '' : ", worker $_[0]");
	};

	my ($seen, $log) = audited($objects, [ 'plain', $way ]);
	is($seen, $both->('OBJECT public.plain'), '... is an object that is audited');
	like($log, qr/SELECT id, secret, more FROM ONLY public\.plain/, '... with its columns');
	($seen) = audited($objects, [ 'plain', ", columns => '{id,more}'$way" ]);
	is($seen, '', '... but not by other columns');
	($seen) = audited($objects, [ 'plain', ", columns => '{id}', filter => 'secret = ''x'''$way" ]);
	is($seen, $both->('OBJECT public.plain'), '... a filter reads columns, too');
	($seen) = audited($objects, [ 'unseen', $way ]);
	is($seen, '', '... no other object');
	($seen) = audited($objects, [ 'parted', $way ]);
	like($seen, qr/session OBJECT public\.parted/, '... the root in the session');
	like($seen, qr/$worker OBJECT public\.parted/, '... the root where it is read');
	like($seen, qr/$worker OBJECT public\.odd/, '... and its leaf');
	($seen) = audited($objects, [ 'parted', ", columns => '{id}'$way" ]);
	unlike($seen, qr/public\.odd/, '... by its own numbers of columns');
	($seen) = audited($reads, [ 'unseen', $way ]);
	is($seen, $both->('SESSION public.unseen'), '... a session\'s reads');
	($seen) = audited($reads, [ 'policed', qq{, options => '{"row_security": true}'$way} ]);
	is($seen, $both->('SESSION public.policed'), '... also under row security');
	($seen) = audited([ @$reads, 'SET pgaudit.log_rows = on' ], [ 'unseen', $way ]);
	is($seen, $both->('SESSION public.unseen'), '... with numbers of rows');
}

# many in one call, and parts that are carried over
$node->safe_psql('postgres', "ALTER ROLE alice SET pgaudit.role = 'auditor'");
my $all = 'session OBJECT public.parted, session OBJECT public.plain,'
  . ' worker OBJECT public.odd, worker OBJECT public.parted, worker OBJECT public.plain';
my $from = -s $node->logfile;
my $job = $node->safe_psql('postgres',
	"CALL outflow.export_tables('{plain,parted}', 'file://$dir/many')",
	extra_params => [ '-U', 'alice' ]);
is((seen($from))[0], $all, 'export_tables');
$from = -s $node->logfile;
my $next = $node->safe_psql('postgres',
	"CALL outflow.export_tables('{plain,parted}', 'file://$dir/carried', base => $job)",
	extra_params => [ '-U', 'alice' ]);
is($node->safe_psql('postgres',
		"SELECT parts_carried FROM outflow.jobs WHERE job = $next"), 2, 'parts that are kept');
is((seen($from))[0], $all, '... are read, too');
$node->stop;
done_testing();
