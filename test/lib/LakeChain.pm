# LakeChain.pm: a table that changes at random, rows, columns and partitions, and lake
# tables that follow it while their making is killed.
#
# The same seed gives the same changes; at which step a kill comes, nobody knows.
# What each version is to be is kept aside in DIRECTORY/NAME/FORMAT/VERSION.
package LakeChain;

use strict;
use warnings;

use FailpointTest;
use File::Path qw(rmtree);
use LakeTest;
use OutflowTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my @formats = qw(delta iceberg);

# how a value is made of a number i, how keep_rows() shows it, and what it may widen to
my $text = '%s::text';
my $moment = q{to_char(%s, 'YYYY-MM-DD"T"HH24:MI:SS.US')};
my %kind = (
	int2 => { value => 'i % 100', wider => 'int4' },
	int4 => { value => 'i % 10000', wider => 'int8' },
	int8 => { value => 'i * 1234567890123' },
	oid => { value => '4294967295 - i', show => '%s::bigint' },
	float4 => { value => 'i / 8.0', wider => 'float8' },
	float8 => { value => 'i / 8.0 - 100' },
	numeric => { value => 'i / 7.0', show => $text },
	'numeric(8,2)' => { value => '(i - 1500) / 100.0', show => $text, wider => 'numeric(16,2)' },
	'numeric(16,2)' => { value => '(i - 1500) / 100.0', show => $text, wider => 'numeric(38,2)' },
	'numeric(38,2)' => { value => '-i * 1234567890123456789.01', show => $text },
	text => { value => q{'né "' || i || E'" \n\\\\'} },
	'char(5)' => { value => q('x' || i % 10) },
	timestamptz => { value => q(timestamptz '1700-01-01Z' + i * interval '31.000001 d'), show => $moment },
	timestamp => { value => q(timestamp '1969-12-01' + i * interval '1.000001 min'), show => $moment },
	date => { value => q(date '1600-01-01' + (i * 20 % 100000)::int) },
	time => { value => q(time '10:00' + i * interval '1 s'), show => $text },
	interval => { value => q(i * interval '1 day'), show => $text },
	jsonb => { value => q(jsonb_build_object('a', i)), show => $text },
	json => { value => q(json '{"a": 1, "a": 2}'), show => $text },
	uuid => { value => 'md5(i::text)::uuid' },
	bytea => { value => q(decode(md5(i::text), 'hex')), show => q{'\x' || encode(%s, 'hex')} },
	boolean => { value => 'i % 3 = 0' },
	mood => { value => q((ARRAY['sad', 'ok'])[1 + i % 2]::mood) },
	'text[]' => { value => 'ARRAY[i::text, NULL]' },
	'int4[]' => { value => 'ARRAY[i, NULL]', wider => 'int8[]' },
	'int8[]' => { value => 'ARRAY[i, NULL]' },
	'numeric(9,3)[]' => { value => 'ARRAY[i / 8.0, NULL]', show => '%s::text[]' },
	pair => {});

# what may happen, as often as it is here
my @changes = (
	qw(insert insert update update update empty remove remove vacuum rewrite truncate),
	qw(widen widen rename swap add add drop drop require comment attribute),
	qw(refusal refusal));
my @of_partitions = qw(attach attach detach detach back move move leave);

# new_chain(NODE, NAME, DIRECTORY, SEED, partitioned => 1): the table as it begins
sub new
{
	my ($class, $node, $name, $dir, $seed, %how) = @_;
	my $self = bless { node => $node, name => $name, dir => $dir, state => $seed, partitioned => $how{partitioned},
		count => 0, next => 10000, dropped => [], away => {}, partitions => {}, pair => [ [qw(a int4)], [qw(b text)] ] }, $class;

	$self->sql("CREATE TYPE mood AS ENUM ('sad', 'ok')") if $self->sql(q(SELECT to_regtype('mood'))) eq '';
	$self->sql("CREATE TYPE ${name}_pair AS (a int4, b text)");
	mkdir "$dir/$_" foreach (@formats, $name, map { "$name/$_" } @formats);
	$self->{columns} = [ { name => 'id', kind => 'int8', filled => 1 } ];
	foreach my $kind (sort keys %kind)
	{
		next if $kind =~ /^(int8\[\]|numeric\(16)/;
		push @{ $self->{columns} }, { name => 'c' . ++$self->{count}, kind => $kind, filled => $kind eq 'int2' };
	}
	$self->create;
	return $self;
}

sub sql { return $_[0]{node}->safe_psql('postgres', $_[1]) }

# pick(LIST): one of them; none of none
sub pick
{
	my ($self, @list) = @_;

	return undef if !@list;
	$self->{state} = ($self->{state} * 1103515245 + 12345) & 0x7FFFFFFF;
	return $list[ ($self->{state} >> 8) % @list ];
}

# ---- columns

sub type { return $_[1] eq 'pair' ? "$_[0]{name}_pair" : $_[1] }
sub key { return qq("$_[0]{columns}[0]{name}") }

# value(KIND, I): SQL of what a row has
sub value
{
	my ($self, $kind, $i) = @_;
	my $value = $kind eq 'pair' ? 'ROW(' . join(', ', map { $self->value($_->[1], 'i') } @{ $self->{pair} }) . ')' : $kind{$kind}{value};

	return '(' . ($value =~ s/\bi\b/$i/gr) . ')::' . $self->type($kind);
}

# value_or_null(COLUMN, I): of some rows nothing, where that may be
sub value_or_null
{
	my ($self, $column, $i) = @_;
	my $value = $self->value($column->{kind}, $i);

	return $column->{filled} ? $value : "CASE WHEN $i % 5 > 0 THEN $value END";
}

# some(PATTERN): a column of such a kind that is not the key; undef for none
sub some
{
	my ($self, $pattern) = @_;
	my @found = grep { $_->{kind} =~ ($pattern // qr//) } @{ $self->{columns} }[ 1 .. $#{ $self->{columns} } ];

	return @found ? $self->pick(@found) : undef;
}

# free_name(): now and then one that a column had before
sub free_name
{
	my ($self) = @_;
	my $old = $self->pick(0, 1) ? shift @{ $self->{dropped} } : undef;

	return $old // $self->pick('c', 'Ä') . ++$self->{count};
}

sub definitions
{
	my ($self, @columns) = @_;

	return join(', ', map { qq("$_->{name}" ) . $self->type($_->{kind}) . ($_->{filled} ? ' NOT NULL' : '') } @columns);
}

# alter(ACTION): of the table, and of partitions that may come back
sub alter
{
	my ($self, $action) = @_;

	$self->sql("ALTER TABLE $_ $action") foreach ($self->{name}, sort keys %{ $self->{away} });
	return;
}

# ---- the table

sub create
{
	my ($self) = @_;
	my $name = $self->{name};

	$self->sql("CREATE TABLE $name (" . $self->definitions(@{ $self->{columns} }) . ')' . ($self->{partitioned} ? ' PARTITION BY RANGE (id)' : ''));
	if ($self->{partitioned})
	{
		$self->sql("CREATE TABLE ${name}_rest PARTITION OF $name DEFAULT");
		$self->attach foreach (1 .. 3);
	}
	$self->insert(2500);
	return;
}

sub insert
{
	my ($self, $rows) = @_;
	my $first = $self->{next};

	$self->insert_into($self->{name}, $first, $first + ($rows // 60));
	$self->{next} += 100;
	return;
}

sub insert_into
{
	my ($self, $table, $first, $last) = @_;

	$self->sql(sprintf('INSERT INTO %s (%s) SELECT i, %s FROM generate_series(%d::bigint, %d) i', $table,
		join(', ', map { qq("$_->{name}") } @{ $self->{columns} }),
		join(', ', map { $self->value_or_null($_, 'i') } @{ $self->{columns} }[ 1 .. $#{ $self->{columns} } ]), $first, $last));
	return;
}

sub update
{
	my ($self) = @_;
	my $column = $self->some;
	my $i = $self->key . ' + ' . $self->pick(0 .. 99);

	$self->sql(sprintf('UPDATE %s SET "%s" = %s WHERE %s %% 97 = %d', $self->{name}, $column->{name},
		$self->value($column->{kind}, "($i)"), $self->key, $self->pick(0 .. 96)));
	return;
}

# empty(): a column of the first rows
sub empty
{
	my ($self) = @_;
	my $column = $self->some;

	$self->sql(sprintf('UPDATE %s SET "%s" = NULL WHERE %s < 10040', $self->{name}, $column->{name}, $self->key)) if !$column->{filled};
	return;
}

sub remove
{
	my ($self) = @_;

	$self->sql(sprintf('DELETE FROM %s WHERE %s %% 89 = %d', $self->{name}, $self->key, $self->pick(0 .. 88)));
	return;
}

sub vacuum { $_[0]->sql("VACUUM $_[0]{name}"); return }
sub rewrite { $_[0]->sql("VACUUM (FULL) $_[0]{name}"); return }
sub truncate { $_[0]->sql("TRUNCATE $_[0]{name}") if $_[0]->pick(0, 1); $_[0]->insert(500); return }

sub widen
{
	my ($self) = @_;
	my $column = $self->some(qr/^(int[24](\[\])?|float4|numeric\((8|16),2\))$/) // return;

	$column->{kind} = $kind{ $column->{kind} }{wider};
	$self->alter(qq(ALTER "$column->{name}" TYPE $column->{kind}));
	return;
}

sub rename
{
	my ($self) = @_;
	my $column = $self->pick(@{ $self->{columns} });
	my $name = $self->free_name;

	$self->alter(qq(RENAME "$column->{name}" TO "$name"));
	$column->{name} = $name;
	return;
}

# swap(): two columns change their names
sub swap
{
	my ($self) = @_;
	my ($one, $two) = ($self->some, $self->some);
	my ($first, $second) = ($one->{name}, $two->{name});

	return if $one == $two;
	$self->alter($_) foreach (qq(RENAME "$first" TO swapped), qq(RENAME "$second" TO "$first"), qq(RENAME swapped TO "$second"));
	($one->{name}, $two->{name}) = ($second, $first);
	return;
}

sub add
{
	my ($self) = @_;
	my $kind = $self->pick(sort keys %kind);
	my $name = $self->free_name;

	$self->alter(qq(ADD "$name" ) . $self->type($kind) . ($self->pick(0, 1) ? ' DEFAULT ' . $self->value($kind, 7) : ''));
	push @{ $self->{columns} }, { name => $name, kind => $kind };
	return;
}

sub drop
{
	my ($self) = @_;
	my $column = $self->some;

	return if @{ $self->{columns} } < 10;
	$self->alter(qq(DROP "$column->{name}"));
	$self->{columns} = [ grep { $_ != $column } @{ $self->{columns} } ];
	push @{ $self->{dropped} }, $column->{name};
	return;
}

# require(): a column becomes NOT NULL, or that no more
sub require
{
	my ($self) = @_;
	my $column = $self->some;

	if (!$column->{filled})
	{
		$self->sql(sprintf('UPDATE %s SET "%s" = %s WHERE "%2$s" IS NULL', $_, $column->{name}, $self->value($column->{kind}, 3)))
		  foreach ($self->{name}, sort keys %{ $self->{away} });
	}
	$self->alter(sprintf('ALTER "%s" %s NOT NULL', $column->{name}, $column->{filled} ? 'DROP' : 'SET'));
	$column->{filled} = !$column->{filled};
	return;
}

sub comment
{
	my ($self) = @_;

	$self->sql(sprintf('COMMENT ON COLUMN %s."%s" IS \'a "comment" of é, %d\'', $self->{name}, $self->some->{name}, ++$self->{count}));
	return;
}

# attribute(): the composite type gets one, loses one, or renames one
sub attribute
{
	my ($self) = @_;
	my $pair = $self->{pair};
	my $type = $self->type('pair');
	my $name = 'a' . ++$self->{count};
	my $at = $self->pick(0 .. $#$pair);

	if (@$pair < 3)
	{
		push @$pair, [ $name, $self->pick(qw(int8 date text)) ];
		$self->sql("ALTER TYPE $type ADD ATTRIBUTE $name $pair->[-1][1]");
	}
	elsif ($self->pick(0, 1)) { $self->sql("ALTER TYPE $type DROP ATTRIBUTE " . (splice(@$pair, $at, 1))->[0]) }
	else
	{
		$self->sql("ALTER TYPE $type RENAME ATTRIBUTE $pair->[$at][0] TO $name");
		$pair->[$at][0] = $name;
	}
	return;
}

# ---- partitions

sub attached { return sort keys %{ $_[0]{partitions} } }

# attach(): one of whose columns some lie elsewhere, and that may have partitions itself
sub attach
{
	my ($self) = @_;
	my $number = ++$self->{count};
	my $table = "$self->{name}_$number";
	my ($first, $last) = (20000 + $number * 1000, 20000 + ($number + 1) * 1000);
	my $columns = 'gone int, ' . $self->definitions(reverse @{ $self->{columns} });
	my $split = $self->pick(0, 0, 1);

	$self->sql("CREATE TABLE $table ($columns)" . ($split ? ' PARTITION BY RANGE (' . $self->key . ')' : '') . "; ALTER TABLE $table DROP gone");
	$self->sql("CREATE TABLE ${table}_a PARTITION OF $table FOR VALUES FROM ($first) TO (" . ($first + 300) . "); CREATE TABLE ${table}_b PARTITION OF $table DEFAULT")
	  if $split;
	$self->insert_into($table, $first, $first + 600);
	$self->{away}{$table} = [ $first, $last ];
	$self->back($table);
	return;
}

sub back
{
	my ($self, $table) = @_;
	my @away = sort keys %{ $self->{away} };

	return if !@away;
	$table //= $self->pick(@away);
	my ($first, $last) = @{ $self->{partitions}{$table} = delete $self->{away}{$table} };

	# rows that have come meanwhile
	$self->sql(sprintf('DELETE FROM %s WHERE %s >= %d AND %2$s < %d', $self->{name}, $self->key, $first, $last));
	$self->sql("ALTER TABLE $self->{name} ATTACH PARTITION $table FOR VALUES FROM ($first) TO ($last)");
	return;
}

sub detach
{
	my ($self) = @_;
	my $table = $self->pick($self->attached) // return;

	$self->{away}{$table} = delete $self->{partitions}{$table};
	$self->sql("ALTER TABLE $self->{name} DETACH PARTITION $table");
	return;
}

# move(): rows go from one to another
sub move
{
	my ($self) = @_;

	$self->sql(sprintf('UPDATE %s SET %s = (%2$s + 1000) %% 30000 WHERE %2$s %% 31 = %d', $self->{name}, $self->key, $self->pick(0 .. 30)));
	return;
}

# leave(): one is emptied, or is no more
sub leave
{
	my ($self) = @_;
	my $table = $self->pick($self->attached) // return;

	return $self->sql("TRUNCATE $table") if $self->pick(0, 1);
	delete $self->{partitions}{$table};
	return $self->sql("DROP TABLE $table");
}

# ---- versions

sub place { return "$_[0]{dir}/$_[1]/$_[0]{name}" }
sub kept { return "$_[0]{dir}/$_[0]{name}/$_[1]" }

# export_call(FORMAT, WORKERS, OPTIONS)
sub export_call
{
	my ($self, $format, $workers, $options) = @_;

	return sprintf(q(CALL outflow.export('%s', 'file://%s', format => '%s', part_size => '64kB', workers => %d, options => '%s')),
		$self->{name}, $self->place($format), $format, $workers, $options // '{}');
}

# keep(FORMAT): the versions that have come are what the table is; how many those are
sub keep
{
	my ($self, $format) = @_;
	my $columns = join(', ', map { sprintf($kind{ $_->{kind} }{show} // '%s', qq("$_->{name}")) } @{ $self->{columns} });
	my $last = lake_last($self->place($format));
	my $new = 0;

	for (my $version = ($self->{last}{$format} // -1) + 1; $version <= $last; $version++, $new++)
	{
		keep_rows($self->{node}, "$columns) FROM $self->{name}", $self->kept($format) . "/$version");
	}
	$self->{last}{$format} = $last;
	return $new;
}

sub last_job { return split(/\|/, $_[0]->sql('SELECT job, state FROM outflow.jobs ORDER BY job DESC LIMIT 1') || '0|done') }

# version(): one in each format, however often its making is killed
sub version
{
	my ($self) = @_;

	foreach my $format (@formats)
	{
		my $workers = $self->pick(0, 1, 2);
		my @kill = ($self->pick(qw(caller worker server)), $self->pick(1 .. 110), $self->pick(qw(resume forget again)));

		if ($self->pick(0, 1)) { $self->killed($format, $workers, @kill) }
		else { $self->exported($format, $workers, "$self->{name}, $format: a version") }
	}
	return;
}

# exported(FORMAT, WORKERS, NAME, OPTIONS)
sub exported
{
	my ($self, $format, $workers, $name, $options) = @_;
	my $start = Time::HiRes::time();

	is(call($self->{node}, $self->export_call($format, $workers, $options)), '', $name);
	is($self->keep($format), 1, "$name, one and no more");
	$self->{took}{$format} = Time::HiRes::time() - $start;
	return;
}

# killed(FORMAT, WORKERS, WHO, WHEN, THEN): the making of a version, at some percent of
# the time that it takes; and what makes it all the same
sub killed
{
	my ($self, $format, $workers, $who, $when, $then) = @_;
	my $node = $self->{node};
	my $name = "$self->{name}, $format: $who of $workers workers killed at $when %, then $then";
	my ($before) = $self->last_job;
	my ($session) = start_psql($node, $self->export_call($format, $workers));

	Time::HiRes::sleep(($self->{took}{$format} // 2) * $when / 100);
	$self->kill_one($who);
	$session->finish;
	$self->restart;
	$self->clear($format) if !$workers;
	my $came = $self->keep($format);
	cmp_ok($came, '<=', 1, "$name: at most one version");
	# finish() looks at all, but after what mends
	versions_are('plain', $self->place($format), $self->kept($format), [ $self->{last}{$format} ], "$name: the last version is whole")
	  if $self->{last}{$format} >= 0 && $when % 3 == 0;

	my ($job, $state) = $self->last_job;
	my $is_open = $job > $before && $state ne 'done';

	is($is_open && !$workers, '', "$name: no job is left of one without workers");
	if ($is_open && $then eq 'resume')
	{
		is(call($node, "CALL outflow.resume($job)"), '', "$name: resumed");
		is($came + $self->keep($format), 1, "$name: one version of the job");
		return;
	}
	is(call($node, "SELECT outflow.forget($job)"), '', "$name: forgotten") if $is_open && $then eq 'forget';
	$self->exported($format, $workers, $name);
	return;
}

# clear(FORMAT): what a call without workers leaves, of which no job knows
sub clear
{
	my ($self, $format) = @_;
	my $place = $self->place($format);

	return if !-d $place;
	my %named = map { $_ => 1 } files_of_versions($place);

	rmtree($_) foreach glob("$place/.outflow-*");
	unlink("$place/$_") foreach grep { !$named{$_} } lake_files($place);
	return;
}

# kill_one(WHO): nobody, if the job has ended
sub kill_one
{
	my ($self, $who) = @_;
	my $node = $self->{node};
	my $pid;

	if ($who eq 'server')
	{
		($pid) = split(/\n/, slurp_file($node->data_dir . '/postmaster.pid'));
		$node->kill9;
		Time::HiRes::sleep(0.1) while kill(0, $pid);
		return;
	}
	$pid = $self->sql(q(SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND )
		  . ($who eq 'worker' ? q(backend_type LIKE 'outflow%') : q(query LIKE 'CALL outflow.export%')) . ' ORDER BY random() LIMIT 1');
	kill('KILL', $pid) if $pid ne '';
	return;
}

# restart(): as soon as no orphan has the shared memory any more
sub restart
{
	my ($self) = @_;
	my $node = $self->{node};

	$node->stop('immediate', fail_ok => 1);
	foreach my $try (1 .. 60)
	{
		return if $node->start(fail_ok => 1);
		sleep(1);
	}
	die 'the server does not start';
}

# ---- what cannot become a version

# refused(FORMAT, PATTERN, HINT): and the last version stays
sub refused
{
	my ($self, $format, $pattern, $hint) = @_;
	my ($before) = $self->last_job;
	my $said = call($self->{node}, $self->export_call($format, 1));
	my ($job, $state) = $self->last_job;

	like($said, $pattern, "$self->{name}, $format: refused");
	like($said, $hint, "$self->{name}, $format: with what mends it");
	is($self->keep($format), 0, "$self->{name}, $format: no version");
	return $job > $before ? $job : 0;
}

sub refusal
{
	my ($self) = @_;
	my $which = $self->pick(qw(refuse_case refuse_space refuse_type refuse_type refuse_value), $self->{partitioned} ? () : 'refuse_other');

	# the versions to stay
	$self->version;
	$self->$which;
	return;
}

# refuse_name(NAME, FORMAT...)
sub refuse_name
{
	my ($self, $column, $name, @refusing) = @_;

	$self->alter(qq(RENAME "$column->{name}" TO "$name"));
	$self->refused($_, qr/column ".*" cannot be in an? (Delta|Iceberg) table/, qr/HINT:  Rename it/) foreach @refusing;
	$self->alter(qq(RENAME "$name" TO "$column->{name}"));
	return;
}

sub refuse_case
{
	my ($self) = @_;
	my ($one, $two) = ($self->some, $self->pick(grep { lc ne uc } map { $_->{name} } @{ $self->{columns} }));

	$self->refuse_name($one, uc $two eq $two ? lc $two : uc $two, @formats) if lc $two ne lc $one->{name};
	return;
}

sub refuse_space { return $_[0]->refuse_name($_[0]->some, 'a name', 'delta') }

# refuse_type(): what is known by its id can't become another; a column beside it can
sub refuse_type
{
	my ($self) = @_;
	my $column = $self->some(qr/^(int[248]|date|uuid|boolean)$/) // return;
	my $name = $self->free_name;

	$self->alter(qq(ALTER "$column->{name}" TYPE text USING "$column->{name}"::text));
	$column->{kind} = 'text';
	$self->refused('iceberg', qr/column ".*" of the Iceberg table cannot become what it is now/, qr/HINT:.* add a column for it, or .*overwrite/s);
	return $self->exported('iceberg', 1, "$self->{name}, iceberg: overwritten", '{"overwrite": true}') if $self->pick(0, 1);
	$self->alter(qq(ADD "$name" text));
	$self->sql(qq(UPDATE $_ SET "$name" = "$column->{name}")) foreach ($self->{name}, sort keys %{ $self->{away} });
	$self->alter(qq(DROP "$column->{name}"));
	push @{ $self->{dropped} }, $column->{name};
	$self->{columns} = [ (grep { $_ != $column } @{ $self->{columns} }), { name => $name, kind => 'text' } ];
	return;
}

# refuse_value(): which is seen while the table is read
sub refuse_value
{
	my ($self) = @_;
	my $column = $self->some(qr/^(timestamp|timestamptz|date)$/) // return;

	$self->insert;
	foreach my $format (@formats)
	{
		$self->sql(sprintf(q(UPDATE %s SET "%s" = 'infinity' WHERE %s = (SELECT max(%3$s) FROM %1$s)), $self->{name}, $column->{name}, $self->key));
		my $job = $self->refused($format, qr/has a value that Parquet cannot hold\nDETAIL:  .* infinite/, qr/HINT:.*lossy/);
		$self->sql(sprintf(q(UPDATE %s SET "%s" = '2000-01-01' WHERE "%2$s" = 'infinity'), $self->{name}, $column->{name}));
		is(call($self->{node}, "CALL outflow.resume($job)"), '', "$self->{name}, $format: mended, and resumed");
		is($self->keep($format), 1, "$self->{name}, $format: a version of it");
	}
	return;
}

# refuse_other(): a table made anew is another one
sub refuse_other
{
	my ($self) = @_;
	my $name = $self->{name};

	$self->sql("CREATE TABLE other (LIKE $name INCLUDING ALL); INSERT INTO other SELECT * FROM $name; DROP TABLE $name; ALTER TABLE other RENAME TO $name");
	foreach my $format (@formats)
	{
		$self->refused($format, qr/version \d+ of the \w+ table in ".*" is not of an export of table public\.$name/, qr/HINT:  .*overwrite/);
		$self->exported($format, 1, "$name, $format: of the new table", '{"overwrite": true}');
	}
	return;
}

# ---- the chain

# step(): up to three changes, and a version in each format
sub step
{
	my ($self) = @_;
	my @may = (@changes, $self->{partitioned} ? @of_partitions : ());

	foreach (0 .. $self->pick(0 .. 2))
	{
		my $change = $self->pick(@may);

		note("$self->{name}: $change");
		$self->$change;
	}
	$self->version;
	return;
}

# finish(): what is left when all has ended, and each version as it was
sub finish
{
	my ($self) = @_;
	my $open = $self->sql(qq(SELECT string_agg(job::text, ' ') FROM outflow.jobs WHERE state <> 'done' AND destination ~ '/$self->{name}\$'));

	is(call($self->{node}, "SELECT outflow.forget($_)"), '', "$self->{name}: job $_ is forgotten") foreach split(/ /, $open);
	foreach my $format (@formats)
	{
		my $place = $self->place($format);

		versions_are('plain', $place, $self->kept($format), $self->versions($format), "$self->{name}, $format: each version is what it was");
		is_deeply([ iceberg_returned($place) ], [], "$self->{name}: no file is deleted and comes back") if $format eq 'iceberg';
		is_deeply([ lake_files($place) ], [ files_of_versions($place) ], "$self->{name}, $format: each file is a version's");
		is_deeply([ grep { /outflow/ && $_ ne '_delta_log/_outflow_state' } files_below($place) ], [], "$self->{name}, $format: nothing else is left");
	}
	return;
}

sub versions { return [ 0 .. $_[0]{last}{ $_[1] } ] }

1;
