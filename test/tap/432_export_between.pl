# Promise: whatever is done to the table, the job's owner or the destination
# after an export was killed, resume exports what COPY would write then, keeps
# finished parts only if they still hold and says why not; or it ends with a
# clear error and can be resumed once the cause is gone.
#
# Each attack has a job of its own.  Three times some jobs are stopped at the
# same part, by a kill of a worker, of a coordinator or of the whole server.
# With OUTFLOW_ROUNDS each attack follows on each sort of kill.
use strict;
use warnings;

use OutflowTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use constant FINISHED => 4;

my $node = new_outflow_node('between', conf => <<'EOC');
restart_after_crash = on
max_worker_processes = 100
outflow.max_jobs = 50
EOC
my $dir = new_export_dir();

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub error_of
{
	my ($code, $out, $err) = $node->psql('postgres', $_[0]);

	return $err;
}

# fails(EXPORT, PATTERN): as it is now it can't be resumed
sub fails
{
	my ($export, $pattern) = @_;

	like(error_of("CALL outflow.resume($export->{job})"),
		$pattern, "$export->{name}: a clear error");
	is(sql("SELECT state FROM outflow.jobs WHERE job = $export->{job}"),
		$export->{unstarted} ? 'interrupted' : 'failed', "$export->{name}: and no success");
	return;
}

# resumes(EXPORT, CARRIED, REASON): to what COPY writes, with so many parts
# carried over and all others of those that were finished exported again
sub resumes
{
	my ($export, $carried, $reason) = @_;
	my ($job, $name, $table) = @$export{qw(job name table)};
	my $redone = FINISHED - $carried;
	my $said = error_of("CALL outflow.resume($job)");

	is(sql("SELECT state, parts_carried, parts_redone FROM outflow.jobs WHERE job = $job"),
		"done|$carried|$redone", "$name: done, $carried parts carried over, $redone exported again");
	like($said, qr/NOTICE:  export job $job: $carried parts carried over, $redone exported again/,
		"$name: and says so");
	like($said, qr/Exported again because: $reason \($redone\)/, "$name: and why") if $redone;
	is_whole($export);
	return;
}

sub is_whole
{
	my ($export) = @_;
	my ($job, $name, $table) = @$export{qw(job name table)};
	my @files = files_below("$dir/$name");
	my $columns = $export->{columns} ? '(' . join(', ', @{ $export->{columns} }) . ')' : '';

	sql("COPY $table $columns TO '$dir/copy' (FORMAT csv)");
	ok(join('', map { slurp_file("$dir/$name/$_") } grep { /^part-/ } @files) eq slurp_file("$dir/copy"),
		"$name: equals COPY");
	unlink "$dir/copy";
	is(sql("SELECT string_agg(DISTINCT status, ' ') FROM outflow.verify($job)"), 'ok', "$name: verified");
	is(join(' ', grep { !/^(part-\d{6}\.csv|_manifest\.json|_SUCCESS)$/ } @files),
		'', "$name: nothing is left over");
	like(slurp_file("$dir/$name/_manifest.json"), qr/"job": ?$job\b/, "$name: the manifest is its own");
	return;
}

sub is_forgotten
{
	my ($export) = @_;

	sql("SELECT outflow.forget($export->{job})");
	is(join(' ', files_below("$dir/$export->{name}")), '', "$export->{name}: forget leaves no file");
	is(sql("SELECT count(*) FROM outflow.part WHERE job = $export->{job}"),
		'0', "$export->{name}: and no record");
	return;
}

my $rewritten = 'the table was rewritten';
my $redefined = 'the definition of the output was changed';

# what an attack does, the SQL as a superuser, and what must come of it
my @attacks = (
	{ name => 'nothing', attack => sub { resumes($_[0], FINISHED) } },
	{
		name => 'clustered',
		sql => ['CLUSTER clustered USING clustered_pkey'],
		attack => sub { resumes($_[0], 0, $rewritten) }
	},
	{
		name => 'vacuumed',
		sql => ['VACUUM FULL vacuumed'],
		attack => sub { resumes($_[0], 0, $rewritten) }
	},
	{
		name => 'reloaded',
		sql => [ 'CREATE TABLE kept AS TABLE reloaded; TRUNCATE reloaded; INSERT INTO reloaded TABLE kept; DROP TABLE kept' ],
		attack => sub { resumes($_[0], 0, $rewritten) }
	},
	{
		name => 'add_column',
		sql => ['ALTER TABLE add_column ADD COLUMN more int'],
		attack => sub { resumes($_[0], 0, $redefined) }
	},
	{
		name => 'add_default',
		sql => [q{ALTER TABLE add_default ADD COLUMN more text DEFAULT 'more'}],
		attack => sub { resumes($_[0], 0, $redefined) }
	},
	{
		name => 'add_unlisted',
		columns => [qw(id t)],
		sql => [q{ALTER TABLE add_unlisted ADD COLUMN more text DEFAULT 'more'}],
		attack => sub { resumes($_[0], FINISHED) }
	},
	{
		name => 'alter_type',
		sql => ['ALTER TABLE alter_type ALTER COLUMN id TYPE bigint'],
		attack => sub { resumes($_[0], 0, $rewritten) }
	},
	{
		name => 'widen_type',
		sql => ['ALTER TABLE widen_type ALTER COLUMN n TYPE varchar(40)'],
		attack => sub { resumes($_[0], 0, $redefined) }
	},
	{
		name => 'drop_column',
		sql => ['ALTER TABLE drop_column DROP COLUMN n'],
		attack => sub { resumes($_[0], 0, $redefined) }
	},
	{
		name => 'rename_column',
		sql => ['ALTER TABLE rename_column RENAME COLUMN n TO m'],
		attack => sub { resumes($_[0], 0, $redefined) }
	},
	{
		name => 'drop_listed',
		columns => [qw(id n)],
		sql => ['ALTER TABLE drop_listed DROP COLUMN n'],
		attack => sub {
			fails($_[0], qr/column "n" of relation "drop_listed" does not exist/);
			sql('ALTER TABLE drop_listed ADD COLUMN n text');
			resumes($_[0], 0, $redefined);
		}
	},
	{
		name => 'revoked',
		owner => 'exporter',
		sql => ['REVOKE SELECT (t) ON revoked FROM exporter'],
		attack => sub {
			fails($_[0], qr/permission denied for table revoked/);
			sql('GRANT SELECT (t) ON revoked TO exporter');
			resumes($_[0], FINISHED);
		}
	},
	{
		name => 'no_member',
		owner => 'exporter',
		sql => ['REVOKE pg_write_server_files FROM exporter'],
		attack => sub {
			fails($_[0], qr/permission denied to export to files of the server/);
			sql('GRANT pg_write_server_files TO exporter');
			resumes($_[0], FINISHED);
		}
	},
	{
		name => 'dropped_owner',
		owner => 'leaver',
		unstarted => 1,
		sql => [ 'DROP OWNED BY leaver', 'DROP ROLE leaver' ],
		attack => sub {
			fails($_[0], qr/the job's owner does not exist any more.*HINT:  Forget the job\./s);
			is_forgotten($_[0]);
		}
	},
	{
		name => 'reassigned',
		owner => 'giver',
		unstarted => 1,
		sql => [
			'ALTER TABLE reassigned OWNER TO giver', 'REASSIGN OWNED BY giver TO exporter',
			'DROP OWNED BY giver', 'DROP ROLE giver'
		],
		attack => sub {
			fails($_[0], qr/the job's owner does not exist any more/);
			is_forgotten($_[0]);
		}
	},
	{
		name => 'locked_out',
		owner => 'sleeper',
		unstarted => 1,
		sql => ['ALTER ROLE sleeper NOLOGIN'],
		attack => sub {
			fails($_[0], qr/role "sleeper" is not permitted to log in/);
			sql('ALTER ROLE sleeper LOGIN');
			resumes($_[0], FINISHED);
		}
	},
	{
		name => 'stale_manifest',
		attack => sub {
			my ($export) = @_;

			replace_file("$dir/stale_manifest/_manifest.json", slurp_file("$dir/earlier/_manifest.json"));
			fails($export, qr/is not empty.*It holds "_manifest.json"/s);
			unlink "$dir/stale_manifest/_manifest.json";
			resumes($export, FINISHED);
		}
	},
	{
		name => 'foreign_manifest',
		options => '{"overwrite": true}',
		attack => sub {
			replace_file("$dir/foreign_manifest/_manifest.json", slurp_file("$dir/earlier/_manifest.json"));
			replace_file("$dir/foreign_manifest/_SUCCESS", '');
			replace_file("$_[0]->{hidden}/_manifest.json", '{"job": 1, "parts": [');
			resumes($_[0], FINISHED);
		}
	},
	{
		name => 'linked_manifest',
		options => '{"overwrite": true}',
		attack => sub {
			symlink "$dir/precious", "$dir/linked_manifest/$_" foreach qw(_manifest.json _SUCCESS part-000000.csv);
			symlink "$dir/precious", "$_[0]->{hidden}/$_" foreach qw(_manifest.json _SUCCESS part-000005.csv);
			fails($_[0], qr/holds something that is not known to be an export of this database/);
			unlink "$dir/linked_manifest/$_" foreach qw(_manifest.json _SUCCESS part-000000.csv);
			resumes($_[0], FINISHED);
			is(slurp_file("$dir/precious"), "mine\n", 'linked_manifest: what they point to is as it was');
		}
	},
	{
		name => 'manifest_directory',
		options => '{"overwrite": true}',
		attack => sub {
			mkdir "$dir/manifest_directory/_manifest.json";
			fails($_[0], qr/holds something that is not known to be an export of this database/);
			rmdir "$dir/manifest_directory/_manifest.json";
			unlike(error_of("CALL outflow.resume($_[0]->{job})"), qr/ERROR/, 'manifest_directory: resumed');
			is_whole($_[0]);
		}
	},
	{
		name => 'foreign_parts',
		attack => sub {
			replace_file("$dir/foreign_parts/part-000001.csv", slurp_file("$dir/earlier/part-000001.csv"));
			fails($_[0], qr/is not empty.*It holds "part-000001\.csv"/s);
			unlink "$dir/foreign_parts/part-000001.csv";
			resumes($_[0], FINISHED);
		}
	},
	{
		name => 'foreign_hidden',
		attack => sub {
			my ($export) = @_;
			my $theirs = "$dir/foreign_hidden/.outflow-00000000-0000-0000-0000-000000000000";

			# another server's job
			mkdir $theirs;
			replace_file("$theirs/_owner", 'another server');
			fails($export, qr/another export is writing to destination/);
			unlink "$theirs/_owner";
			rmdir $theirs;
			# theirs under our names: a finished part, an unfinished one, one too many
			replace_file("$export->{hidden}/part-00000$_.csv", slurp_file("$dir/earlier/part-000002.csv")) foreach 1, 5;
			replace_file("$export->{hidden}/part-000099.csv", slurp_file("$dir/earlier/part-000002.csv"));
			resumes($export, FINISHED - 1, 'its file is missing or was changed');
		}
	});

sub wait_for
{
	my ($query, $what) = @_;

	$node->poll_query_until('postgres', $query) or die "not seen: $what";
	return;
}

# begin(EXPORT): its table, and a job that does not get beyond some parts
sub begin
{
	my ($export) = @_;
	my $columns = $export->{columns} ? ", columns => '{" . join(',', @{ $export->{columns} }) . "}'" : '';
	my $options = $export->{options} ? ", options => '$export->{options}'" : '';

	$export->{job} = sql(($export->{owner} ? "SET SESSION AUTHORIZATION $export->{owner}; " : '')
		  . "SELECT outflow.export_start('$export->{table}', 'file://$dir/$export->{name}',"
		  . " part_size => '128kB', workers => 1$columns$options)");
	return;
}

sub make_table
{
	my ($export) = @_;
	my $table = $export->{table} = $export->{name};

	sql(<<EOC);
DROP TABLE IF EXISTS $table;
CREATE TABLE $table (id int PRIMARY KEY, t text, n varchar(20));
INSERT INTO $table SELECT g, md5(g::text), g % 100 FROM generate_series(1, 12000) AS g;
EOC
	if ($export->{owner})
	{
		sql("DO \$\$ BEGIN CREATE ROLE $export->{owner} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END \$\$;"
			  . "GRANT pg_write_server_files TO $export->{owner};"
			  . "GRANT SELECT (id, t, n) ON $table TO $export->{owner}");
	}
	return;
}

sub kill_process
{
	my ($type) = @_;

	kill('KILL', sql("SELECT pid FROM pg_stat_activity WHERE backend_type = '$type' ORDER BY pid LIMIT 1"));
	wait_for("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type LIKE 'outflow%')", 'the restart');
	return;
}

my @kills = (
	[ 'kill -9 of a worker' => sub { kill_process('outflow worker') } ],
	[ 'kill -9 of a coordinator' => sub { kill_process('outflow coordinator') } ],
	[ 'stop -m immediate' => sub { $node->stop('immediate'); $node->start } ]);

replace_file("$dir/precious", "mine\n");
make_table({ name => 'earlier' });
sql("CALL outflow.export('earlier', 'file://$dir/earlier', part_size => '128kB')");

foreach my $round (0 .. $#kills)
{
	my ($kill, $strike) = @{ $kills[$round] };
	my @exports = map { { %{ $attacks[$_] } } }
	  grep { $ENV{OUTFLOW_ROUNDS} || $_ % @kills == $round } 0 .. $#attacks;

	note($kill);
	make_table($_) foreach @exports;
	sql('VACUUM');
	hold_exports($node, FINISHED);
	begin($_) foreach @exports;
	wait_for('SELECT count(*) = ' . @exports . ' FROM outflow.jobs'
		  . " WHERE state = 'running' AND parts_done = " . FINISHED, 'all jobs, held');
	$strike->();
	release_exports($node);
	is(sql("SELECT string_agg(DISTINCT state, ' ') FROM outflow.jobs WHERE job = ANY ('{"
			  . join(',', map { $_->{job} } @exports) . "}')"),
		'interrupted', "$kill: all jobs are interrupted");
	foreach my $export (@exports)
	{
		note("$kill: $export->{name}");
		$export->{hidden} = "$dir/$export->{name}/.outflow-" . sql("SELECT uuid FROM outflow.job WHERE job = $export->{job}");
		sql($_) foreach @{ $export->{sql} || [] };
		$export->{attack}->($export);
		PostgreSQL::Test::Utils::system_or_bail('rm', '-r', "$dir/$export->{name}");
	}
}
is(sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), '0', 'no lock is left');
is(sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'outflow%'"), '0', 'and no process');
is(sql("SELECT count(*) FROM outflow.jobs WHERE state <> 'done'"), '0', 'and no unfinished job');

done_testing();
