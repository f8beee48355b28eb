# Promise: a part that is judged valid has exactly the rows that it had, and
# each rule is needed for that.
#
# Writers change a table at random while blocks of it are stamped, and judged
# later under another snapshot; an oracle compares the rows that both snapshots
# see.  The same stamps are judged with single rules switched off: such mutants
# must be caught, and the test goes on until they are.
#
# VALIDITY_SECONDS is how long the test goes on at least, VALIDITY_SEED starts
# the random numbers (how the writers interleave is up to the machine),
# VALIDITY_CHECKSUMS=1 switches page checksums on.
use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use ValidityTest;

my $seconds = $ENV{VALIDITY_SECONDS} || 12;
my $patience = $seconds + 300;
my $seed = $ENV{VALIDITY_SEED} || 4711;

# how the blocks are judged: with these rules off; "=" marks those that may
# never be wrong
my %judges = (
	'= page rules' => { check => 'page_rules', off => [] },
	'= digest' => { check => 'digest', off => [] },
	'= digest without its hash' =>
	  { check => 'digest', off => ['digest_hash'] },
	'no zero_page' => { check => 'page_rules', off => ['zero_page'] },
	'no lsn' => { check => 'page_rules', off => ['lsn'] },
	'no xmin' => { check => 'page_rules', off => ['xmin'] },
	'no xmax' => { check => 'page_rules', off => ['xmax'] },
	'no xid' => { check => 'page_rules', off => [ 'xmin', 'xmax' ] },
	'no multixact' => { check => 'page_rules', off => ['multixact'] },
	'no range' => { check => 'page_rules', off => ['range'] },
	'trust in PD_ALL_VISIBLE' =>
	  { check => 'page_rules', off => ['all_visible'] },
	'digest without its hash and xmin' =>
	  { check => 'digest', off => [ 'digest_hash', 'digest_xmin' ] },
	'digest without its hash and rows' =>
	  { check => 'digest', off => [ 'digest_hash', 'digest_rows' ] },
	'snapshot released before the LSN is read' =>
	  { check => 'page_rules', off => [], stamp => 'careless' });

srand($seed);
diag("VALIDITY_SEED=$seed");

my $node = new_validity_node(
	'property',
	checksums => $ENV{VALIDITY_CHECKSUMS},
	conf => "max_prepared_transactions = 20\nfsync = off\n"
	  . "deadlock_timeout = 50ms\nlog_min_messages = fatal\n");

$node->safe_psql('postgres', <<'EOC');
CREATE TABLE hit (id int PRIMARY KEY, n int, k int, pad text, big text)
	WITH (fillfactor = 95, autovacuum_enabled = off);
ALTER TABLE hit ALTER big SET STORAGE EXTERNAL;
CREATE INDEX ON hit (k);
INSERT INTO hit SELECT i, 0, i, repeat('p', 40 + i % 500), NULL
	FROM generate_series(1, 3000) i;
CREATE SEQUENCE hit_id START 3001;

-- pages that are full, so that updates leave nothing but an xmax
CREATE TABLE wide (id int PRIMARY KEY, n int, pad text) WITH (autovacuum_enabled = off);
ALTER TABLE wide ALTER pad SET STORAGE PLAIN;
INSERT INTO wide SELECT i, 0, repeat('w', 2600) FROM generate_series(1, 300) i;
CREATE TABLE still AS SELECT i, repeat('s', i % 300) FROM generate_series(1, 3000) i;
VACUUM (FREEZE) still;

CREATE FUNCTION churn(picked int, clash boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 0 .. 3 LOOP
		BEGIN
			UPDATE hit SET n = n + 1 WHERE id = picked + i;
			INSERT INTO hit VALUES (nextval('hit_id'), 0, i, repeat('c', 100));
			IF clash AND i % 2 = 1 THEN
				RAISE division_by_zero;
			END IF;
		EXCEPTION WHEN division_by_zero THEN
			NULL;
		END;
	END LOOP;
END $$;

-- generations of stamps, block by block, and the rows seen with them
CREATE TABLE probe (gen int, rel regclass, block bigint, stamp text, careless text)
	WITH (autovacuum_enabled = off);
CREATE TABLE oracle (gen int, rel regclass, block bigint, rows text)
	WITH (autovacuum_enabled = off);
CREATE FUNCTION oracle(rel regclass, OUT block bigint, OUT rows text) RETURNS SETOF record
LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format(
		'SELECT (ctid::text::point)[0]::bigint, md5(string_agg(ctid || t::text, '','' ORDER BY ctid)) FROM %s t GROUP BY 1', rel);
END $$;
EOC

# what writers do, and how often
my %scripts = (
	insert => [ 10, <<'EOC' ],
INSERT INTO hit SELECT nextval('hit_id'), 0, :client_id, repeat('i', :len) FROM generate_series(1, 3);
EOC
	hot_update => [ 20, "UPDATE hit SET n = n + 1 WHERE id = :id;\n" ],
	update => [ 20, "UPDATE hit SET k = k + 1, pad = repeat('u', :len) WHERE id = :id;\n" ],
	toast => [ 5, "UPDATE hit SET big = repeat(md5(n::text), 100) WHERE id = :id;\n" ],
	delete => [ 10, "DELETE FROM hit WHERE id = :id OR id = :last;\n" ],
	savepoint => [ 10, <<'EOC' ],
BEGIN;
SAVEPOINT a;
UPDATE hit SET n = n + 1 WHERE id = :id;
ROLLBACK TO a;
SAVEPOINT b;
UPDATE hit SET k = 0 WHERE id = :last;
RELEASE b;
END;
EOC
	subtransactions => [ 5, "SELECT churn(:id, :coin = 1);\n" ],
	rollback => [ 10, <<'EOC' ],
BEGIN;
UPDATE hit SET n = n + 1 WHERE id BETWEEN :id AND :id + 5;
INSERT INTO hit VALUES (nextval('hit_id'), 0, 0, repeat('r', :len));
DELETE FROM hit WHERE id = :last;
\sleep :nap ms
ROLLBACK;
EOC
	key_share => [ 3, <<'EOC' ],
BEGIN;
SELECT FROM wide WHERE id BETWEEN :id / 13 AND :id / 13 + 1 FOR KEY SHARE;
\sleep :nap ms
END;
EOC
	wide_update => [ 5, "UPDATE wide SET n = n + 1 WHERE id = :id / 13;\n" ],
	wide_multixact => [ 5, <<'EOC' ],
BEGIN;
SELECT FROM wide WHERE id = :id / 13 FOR KEY SHARE;
SAVEPOINT a;
UPDATE wide SET n = n + 1 WHERE id = :id / 13;
END;
EOC
	for_update => [ 5, <<'EOC' ],
BEGIN;
SELECT FROM hit WHERE id = :id FOR UPDATE;
\sleep :nap ms
END;
EOC
	prepared => [ 5, <<'EOC' ],
BEGIN;
UPDATE hit SET k = k + 1 WHERE id = :id;
DELETE FROM hit WHERE id = :last;
PREPARE TRANSACTION 'p:client_id-:id-:last-:len';
\sleep :nap ms
\if :coin
COMMIT PREPARED 'p:client_id-:id-:last-:len';
\else
ROLLBACK PREPARED 'p:client_id-:id-:last-:len';
\endif
EOC
	seqscan => [ 5, "SELECT count(*) FROM hit WHERE n > 3;\n" ],
	vacuum => [ 1, "VACUUM (TRUNCATE off) hit, wide;\n" ],
	freeze => [ 1, "VACUUM (FREEZE, TRUNCATE off) hit, wide;\n" ]);

my $dir = PostgreSQL::Test::Utils::tempdir();
my @files;
foreach my $name (sort keys %scripts)
{
	my ($weight, $text) = @{ $scripts{$name} };

	append_to_file("$dir/$name.sql",
		"\\set id random(1, 4000)\n\\set last random(2500, 6000)\n"
		  . "\\set len random(1, 600)\n\\set nap random(1, 30)\n"
		  . "\\set coin random(0, 1)\n$text\\sleep :nap ms\n");
	push @files, '-f', "$dir/$name.sql\@$weight";
}

my $writers;
my $written = '';

# writers stop at errors that can't be retried, so they are started again
sub keep_writing
{
	return if $writers && $writers->pumpable;
	$writers->finish if $writers;
	$writers = IPC::Run::start(
		[
			'pgbench', '-n', '-c', '4', '-j', '1', '-T', $patience,
			'--max-tries', '20', "--random-seed=$seed", @files,
			$node->connstr('postgres')
		],
		'<', \undef, '>', \$written, '2>', \$written);
	return;
}

# what happens to the table before it is judged
sub maintain
{
	my $what = int(rand(7));
	my $grow = q{INSERT INTO hit SELECT nextval('hit_id'), 1, 1, repeat('b', 300)
		FROM generate_series(1, 500)};

	return ('VACUUM hit, wide') if $what == 0;
	return ('VACUUM (FREEZE) hit, wide') if $what == 1;
	return ('CHECKPOINT') if $what == 2;
	return ('SELECT count(*) FROM hit') if $what == 3;
	return ('VACUUM hit', $grow) if $what == 4;

	# the tail is emptied, cut off, and grown again ahead of its rows
	return (
		q{SET lock_timeout = '1s';
		DELETE FROM hit WHERE ctid >= format('(%s,0)',
			pg_relation_size('hit') / 8192 * 3 / 4)::tid},
		'VACUUM hit', q{SELECT validity.extend('hit', 3)}) if $what == 5;
	return ();
}

my %total;
my %valid;
my %wrong;
my %same;
my $still_lost = 0;
my $judged = '';

# digests come last, because scans for rows also prune pages
foreach my $name (sort { $judges{$b}->{check} cmp $judges{$a}->{check} } keys %judges)
{
	my $judge = $judges{$name};
	my $stamp = $judge->{stamp} || 'stamp';
	my $off = join(', ', map { "'$_'" } @{ $judge->{off} });

	$judged .= 'SELECT validity.switch_off('
	  . ($off || 'VARIADIC ARRAY[]::text[]') . ");\n"
	  . "INSERT INTO judged SELECT '$name', gen, rel, block, "
	  . "validity.check_$judge->{check}($stamp) FROM probe;\n";
}

sub one_round
{
	my ($gen) = @_;
	my $pause = rand() * 0.1;
	my $later = rand() * 0.3;
	my $oracle = "INSERT INTO oracle SELECT $gen, rel, o.* FROM (VALUES ('hit'::regclass), ('wide'), ('still')) r(rel), oracle(rel) o;";
	my ($before, $after) = rand() < 0.5 ? ($oracle, '') : ('', $oracle);
	my $output;

	$node->safe_psql('postgres', <<EOC);
BEGIN ISOLATION LEVEL REPEATABLE READ;
$before
INSERT INTO probe SELECT $gen, rel, b, validity.scan(rel, b, b + 1)
	FROM (VALUES ('hit'::regclass), ('wide'), ('still')) r(rel), generate_series(0, pg_relation_size(rel) / 8192 - 1) b;
$after
SELECT pg_sleep($pause);
UPDATE probe SET stamp = validity.finish(stamp), careless = stamp WHERE gen = $gen;
COMMIT;
SELECT pg_sleep($pause), count(*) FROM hit;
UPDATE probe SET careless = validity.finish_carelessly(careless) WHERE gen = $gen;
EOC
	# some of it must give way to the writers
	$node->psql('postgres', $_, timeout => 60) foreach maintain();
	$output = $node->safe_psql('postgres', <<EOC);
SELECT pg_sleep($later);
BEGIN ISOLATION LEVEL REPEATABLE READ;
CREATE TEMP TABLE judged (judge text, gen int, rel regclass, block bigint, valid boolean)
	ON COMMIT DROP;
$judged
SELECT validity.switch_off(VARIADIC ARRAY[]::text[]);
INSERT INTO judged SELECT 'all', gen, rel, block, (validity.check_stamp(stamp)).valid FROM probe;
SELECT judge, count(*), count(*) FILTER (WHERE valid), count(*) FILTER (WHERE valid AND NOT same),
	count(*) FILTER (WHERE same), count(*) FILTER (WHERE rel = 'still'::regclass AND NOT valid)
FROM (SELECT j.*, o.rows IS NOT DISTINCT FROM n.rows AS same FROM judged j
	LEFT JOIN oracle o USING (gen, rel, block)
	LEFT JOIN (SELECT rel, (oracle(rel)).* FROM
		(VALUES ('hit'::regclass), ('wide'), ('still')) r(rel)) n USING (rel, block)) j
GROUP BY judge;
COMMIT;
DELETE FROM probe WHERE gen <= $gen - 2;
DELETE FROM oracle WHERE gen <= $gen - 2;
EOC

	foreach my $line (split(/\n/, $output))
	{
		my ($name, @counts) = split(/\|/, $line);

		next unless @counts == 5;
		$total{$name} += $counts[0];
		$valid{$name} += $counts[1];
		$wrong{$name} += $counts[2];
		$same{$name} += $counts[3];
		$still_lost += $counts[4] if $name =~ /^=/;
	}
	return;
}

my $start = time;
my $rounds = 0;
while (1)
{
	my $elapsed = time - $start;
	my $uncaught = grep { !/^=/ && !$wrong{$_} } keys %judges;

	last if $elapsed > $patience;
	last if $elapsed > $seconds && $uncaught == 0;
	keep_writing();
	one_round(++$rounds);

	# what a writer left that had to stop
	foreach my $gid (split(/\n/, $node->safe_psql('postgres',
			"SELECT gid FROM pg_prepared_xacts WHERE prepared < now() - interval '3 s'")))
	{
		$node->psql('postgres', "ROLLBACK PREPARED '$gid'");
	}

	# not forever larger
	$node->safe_psql('postgres',
		'DELETE FROM hit WHERE id % 3 = 0 AND id > 3000; VACUUM hit, wide, probe, oracle')
	  if $rounds % 20 == 0;
}
$writers->kill_kill if $writers;
note($written);

diag(sprintf('%d rounds in %d s; %d of %d blocks with the same rows proven so',
		$rounds, time - $start, $valid{all}, $same{all}));
foreach my $name (sort keys %judges)
{
	my $result =
	  sprintf('%d of %d verdicts valid, %d of them wrong',
		$valid{$name}, $total{$name}, $wrong{$name});

	diag("$name: $result");
	if ($name =~ /^=/)
	{
		is($wrong{$name}, 0, "$name: never wrong");
		cmp_ok($valid{$name}, '>', 0, "$name: proves some blocks");
	}
	else
	{
		cmp_ok($wrong{$name}, '>', 0, "$name: caught");
	}
}
is($still_lost, 0, 'all blocks of an untouched table stay valid');
is($wrong{all}, 0, 'the whole check is never wrong');
cmp_ok($valid{all}, '>', $same{all} / 2, 'unchanged blocks are proven, most of all');

done_testing();
