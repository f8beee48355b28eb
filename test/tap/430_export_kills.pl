# Promise: whichever process of an export is killed, terminated or cancelled,
# and whenever, resume ends with exactly the rows of the job's last snapshot,
# verified, and nothing is left over.
#
# Two writers never stop.  What the export must hold is computed from a history
# of all changes, with that snapshot.
#
# OUTFLOW_ROUNDS is how many exports are attacked, KILLS_SEED starts the random
# numbers.
use strict;
use warnings;

use File::Path qw(rmtree);
use IPC::Run ();
use List::Util qw(shuffle);
use OutflowTest;
use ParquetTest ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $rounds = $ENV{OUTFLOW_ROUNDS} || 10;
my $seed = $ENV{KILLS_SEED} || 20260711;

diag("KILLS_SEED=$seed OUTFLOW_ROUNDS=$rounds");

# slow enough that there is something left to kill
my $node = new_outflow_node('kills', conf => <<'EOC');
restart_after_crash = on
autovacuum_naptime = '1s'
max_worker_processes = 12
outflow.rate_limit = '1MB'
EOC
my $dir = new_export_dir();
my %unpack = (none => 'cat', gzip => 'gzip -dc', zstd => 'zstd -dc', lz4 => 'lz4 -dc');
# each comes once in ten rounds
my %attacks = (
	'kill -9 of a worker' => [ 'KILL', 'outflow worker' ],
	'kill -9 of the coordinator' => [ 'KILL', 'outflow coordinator' ],
	'kill -9 of the session' => [ 'KILL', 'client backend' ],
	'kill -9 of the postmaster' => ['postmaster'],
	'stop -m immediate' => ['immediate'],
	'a terminated worker' => [ 'TERM', 'outflow worker' ],
	'a terminated coordinator' => [ 'TERM', 'outflow coordinator' ],
	'a terminated session' => [ 'TERM', 'client backend' ],
	'a cancelled session' => [ 'INT', 'client backend' ],
	'statement_timeout' => ['timeout']);

system_or_bail('age-keygen', '-o', "$dir/key");
my ($recipient) = slurp_file("$dir/key") =~ /public key: (age1\w+)/;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub pick { return $_[ int(rand(@_)) ]; }

sql(<<'EOC');
CREATE TABLE t (id int PRIMARY KEY, n int, note text);
INSERT INTO t SELECT i, 0, CASE i % 40 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN
	(SELECT string_agg(md5(i || ' ' || j), E'\n') FROM generate_series(1, 300) AS j)
	ELSE repeat(md5(i::text), 5) END FROM generate_series(1, 6000) AS i;
CREATE TABLE loaded (LIKE t);
CREATE TABLE history (seq bigserial, xid xid8 DEFAULT pg_current_xact_id(), deleted boolean, id int, n int, note text);
INSERT INTO history (deleted, id, n, note) SELECT false, * FROM t;
CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'DELETE' THEN
		INSERT INTO history (deleted, id) VALUES (true, OLD.id);
	ELSE
		INSERT INTO history (deleted, id, n, note) VALUES (false, NEW.id, NEW.n, NEW.note);
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER remember AFTER INSERT OR UPDATE OR DELETE ON t
	FOR EACH ROW EXECUTE FUNCTION remember();
EOC
append_to_file("$dir/write.sql", <<'EOC');
\set id random(1, 6000)
\set other random(1, 6000)
BEGIN;
UPDATE t SET n = n + 1 WHERE id = :id;
SAVEPOINT a;
DELETE FROM t WHERE id = :other;
SAVEPOINT b;
INSERT INTO t VALUES (:other, 1, 'new') ON CONFLICT (id) DO NOTHING;
ROLLBACK TO b;
INSERT INTO t VALUES (:other, 2, repeat('newer ', 20)) ON CONFLICT (id) DO NOTHING;
RELEASE a;
SAVEPOINT c;
UPDATE t SET note = 'never' WHERE id BETWEEN :id AND :id + 3;
ROLLBACK TO c;
END;
\sleep 4 ms
EOC

my $writers;
my $written = '';

sub stop_writers
{
	return unless $writers;
	$writers->kill_kill;
	undef $writers;
	return;
}

sub start_writers
{
	stop_writers();
	$written = '';
	$writers = IPC::Run::start(
		[
			'pgbench', '-n', '-c', '2', '-T', '3600', '--max-tries', '100',
			'-f', "$dir/write.sql", $node->connstr('postgres')
		],
		'<', \undef, '>', \$written, '2>', \$written);
	return;
}

# parts(EXPORT): the plain content of each part, in order
sub parts
{
	my ($export) = @_;
	my $open = $export->{age} ? "age -d -i $dir/key" : 'cat';
	my @parts;

	foreach my $file (grep { /^part-/ } files_below($export->{dir}))
	{
		push @parts, scalar qx{$open '$export->{dir}/$file' >'$dir/packed' && $unpack{$export->{compression}} <'$dir/packed'};
		die "could not unpack \"$file\"" if $?;
	}
	return @parts;
}

# load(EXPORT): its rows into table loaded
sub load
{
	my ($export) = @_;
	my %options = (csv => 'FORMAT csv', text => 'FORMAT text', binary => 'FORMAT binary',
		parquet => 'FORMAT csv, HEADER');

	sql('TRUNCATE loaded');
	foreach my $part (parts($export))
	{
		open(my $out, '>:raw', "$dir/rows") or die "could not write \"$dir/rows\": $!";
		print $out $part;
		close($out) or die "could not write \"$dir/rows\": $!";
		if ($export->{format} eq 'jsonl')
		{
			# a format in which no byte of JSON is special
			sql(q{CREATE TEMP TABLE line (line text);}
				  . qq{COPY line FROM '$dir/rows' (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02');}
				  . q{INSERT INTO loaded SELECT r.* FROM line, jsonb_populate_record(NULL::loaded, line::jsonb) AS r});
			next;
		}
		if ($export->{format} eq 'parquet')
		{
			system_or_bail($ENV{OUTFLOW_PYTHON}, '-c',
				'import sys, pyarrow.parquet as p, pyarrow.csv as c; c.write_csv(p.read_table(sys.argv[1]), sys.argv[2])',
				"$dir/rows", "$dir/csv");
			rename("$dir/csv", "$dir/rows") or die "could not rename \"$dir/csv\": $!";
		}
		sql("COPY loaded FROM '$dir/rows' ($options{$export->{format}})");
	}
	return;
}

sub is_exact
{
	my ($export, $job, $name) = @_;

	load($export);
	is(sql(<<EOC), '0 missing, 0 too many, true', "$name: exact");
WITH last AS (
	SELECT DISTINCT ON (id) id, n, note, deleted FROM history
	WHERE pg_visible_in_snapshot(xid, (SELECT snapshot::pg_snapshot FROM outflow.jobs WHERE job = $job))
	ORDER BY id, seq DESC
), expected AS (SELECT id, n, note FROM last WHERE NOT deleted)
SELECT (SELECT count(*) FROM (SELECT * FROM expected EXCEPT ALL SELECT * FROM loaded) AS a) || ' missing, '
	|| (SELECT count(*) FROM (SELECT * FROM loaded EXCEPT ALL SELECT * FROM expected) AS b) || ' too many, '
	|| (SELECT count(*) > 5000 FROM loaded)
EOC

	# what no later snapshot needs
	sql(<<'EOC');
WITH old AS (
	SELECT id, max(seq) AS seq FROM history
	WHERE xid < pg_snapshot_xmin(pg_current_snapshot()) GROUP BY id
)
DELETE FROM history AS h USING old WHERE h.id = old.id AND h.seq < old.seq
EOC
	return;
}

sub is_clean
{
	my ($export, $job, $name) = @_;
	my $out = $export->{dir};

	is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job)"), 'ok', "$name: verified");
	opendir(my $handle, $out) or die "could not open \"$out\": $!";
	is( join(' ', grep { !/^(\.|\.\.|part-\d{6}\.[a-z0-9.]+|_manifest\.json|_SUCCESS)$/ } readdir($handle)),
		'', "$name: no other file or directory");
	closedir($handle);
	is( join(' ', glob($node->data_dir . '/base/pgsql_tmp/*')), '', "$name: no temporary file");
	is( sql("SELECT (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory') || ' locks, '"
			  . " || (SELECT count(*) FROM pg_replication_slots) || ' slots'"),
		'0 locks, 0 slots', "$name: no lock, no slot");
	return;
}

sub wait_until_quiet
{
	$node->poll_query_until('postgres',
		"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type LIKE 'outflow%')")
	  or die 'the processes of the export do not end';
	return;
}

# wait_for_moment(JOBS, PARTS): until a job after those has so many new parts,
# or has ended
sub wait_for_moment
{
	my ($job, $parts) = @_;

	sql(<<EOC);
DO \$\$
BEGIN
	FOR i IN 1 .. 3000 LOOP
		EXIT WHEN EXISTS (SELECT FROM outflow.jobs WHERE job > $job
			AND (state IN ('done', 'failed', 'interrupted')
				OR state = 'running' AND parts_done - parts_carried >= $parts));
		PERFORM pg_sleep(0.01);
	END LOOP;
END \$\$
EOC
	return;
}

# its processes notice that their postmaster is gone
sub kill_postmaster
{
	my ($postmaster) = split(/\n/, slurp_file($node->data_dir . '/postmaster.pid'));
	my @processes = split(' ', scalar qx{ps -o pid= --ppid $postmaster});

	$node->kill9;
	foreach my $try (1 .. 1800)
	{
		@processes = grep { kill(0, $_) } @processes;
		return unless @processes;
		select(undef, undef, undef, 0.1);
	}
	die "processes without a postmaster go on: @processes";
}

# strike(ATTACK): returns whether the server dies of it
sub strike
{
	my ($signal, $type) = @{ $attacks{ $_[0] } };

	if ($signal eq 'immediate' || $signal eq 'postmaster')
	{
		$signal eq 'immediate' ? $node->stop('immediate') : kill_postmaster();
		$node->start;
		return 1;
	}
	return 0 if $signal eq 'timeout';
	my @pids = split(/\n/,
		sql("SELECT pid FROM pg_stat_activity WHERE backend_type = '$type'"
			  . " AND (backend_type <> 'client backend' OR query LIKE 'CALL outflow.%')"));
	return 0 unless @pids;
	return kill('KILL', pick(@pids)) if $signal eq 'KILL';
	sql('SELECT ' . ($signal eq 'INT' ? 'pg_cancel_backend' : 'pg_terminate_backend') . '(' . pick(@pids) . ')');
	return 0;
}

my $struck = 0;

# attack(CALL, ATTACK, JOBS): runs the CALL and strikes at a random moment;
# jobs are later than JOBS
sub attack
{
	my ($call, $attack, $jobs) = @_;
	my ($said, $died) = ('', 0);
	my $timeout = $attack eq 'statement_timeout' ? 200 + int(rand(1200)) : 0;
	my $psql = IPC::Run::start(
		[
			'psql', '-XAtq', '-d', $node->connstr('postgres'),
			'-c', "SET statement_timeout = $timeout", '-c', $call
		],
		'<', \undef, '>', \$said, '2>', \$said);

	wait_for_moment($jobs, int(rand(16))) unless $timeout;
	select(undef, undef, undef, rand(0.1));
	$died = strike($attack);
	# in vain a kill of what has ended already
	eval { $psql->finish };
	$struck++ if $said =~ /ERROR|FATAL|connection/;
	if ($died)
	{
		$node->poll_query_until('postgres', 'SELECT true') or die 'the server does not come back';
		start_writers();
	}
	wait_until_quiet();
	return;
}

my ($base, $base_export);
srand($seed);
my @order = map { shuffle(sort keys %attacks) } 0 .. $rounds / keys %attacks;
start_writers();

foreach my $round (1 .. $rounds)
{
	# whatever random numbers others have taken meanwhile
	srand($seed + $round);
	my %export = (
		dir => "$dir/e$round",
		format => pick(qw(csv text binary jsonl parquet)),
		compression => pick(qw(none gzip zstd lz4)),
		age => rand() < 0.3);
	my $base_argument = '';

	my $attack = shift @order;
	# what an export can be the base of has the same form
	if ($base && rand() < 0.5)
	{
		%export = (%$base_export, dir => $export{dir});
		$base_argument = ", base => $base";
	}
	# it compresses inside of its files, and has no file named .gz
	$export{compression} = 'none' if $export{format} eq 'parquet';
	my $workers = 1 + int(rand(3));
	my $part_size = pick(qw(32kB 64kB 128kB));
	my $arguments = "format => '$export{format}', workers => $workers, part_size => '$part_size'"
	  . ", compression => '$export{compression}'$base_argument"
	  . ($export{age} ? ", encrypt_to => '{$recipient}'" : '');
	my $name = "$round: $attack ($export{format}, $export{compression}"
	  . ($export{age} ? ', age' : '') . "$base_argument, $workers workers)";
	my $call = "CALL outflow.export('t', 'file://$export{dir}', $arguments)";
	my $jobs = sql('SELECT coalesce(max(job), 0) FROM outflow.jobs');
	my $left = rand() < 0.4 ? 2 : 1;
	my ($job, $state) = ('', '');

	note($name);
	while ($state ne 'done')
	{
		my $next = $job eq '' ? $call : "CALL outflow.resume($job)";

		if ($left-- > 0)
		{
			attack($next, $attack, $jobs);
			$attack = pick(sort keys %attacks);
		}
		else
		{
			sql($next);
		}
		$job = sql("SELECT coalesce(max(job)::text, '') FROM outflow.jobs WHERE job > $jobs");
		$state = $job eq '' ? '' : sql("SELECT state FROM outflow.jobs WHERE job = $job");
	}
	is($state, 'done', "$name: done");
	wait_until_quiet();
	is_exact(\%export, $job, $name);
	is_clean(\%export, $job, $name);

	# forgotten jobs leave nothing behind either
	if ($base)
	{
		sql("SELECT outflow.forget($base)");
		rmtree($base_export->{dir});
	}
	($base, $base_export) = ($job, \%export);
}
stop_writers();
cmp_ok($struck, '>', $rounds / 20, 'attacks hit running exports');
is(sql('SELECT count(*) FROM outflow.jobs WHERE state NOT IN (\'done\')'), '0', 'no job is left unfinished');

done_testing();
