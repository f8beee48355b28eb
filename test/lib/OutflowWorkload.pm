# OutflowWorkload.pm: a seeded random workload that writes everything a stream
# may meet: all types, odd names, every replica identity, TOAST, partitions,
# multi-inserts, savepoints, prepared transactions, truncates, messages,
# origins, and DDL between and inside of transactions.
#
#	my $workload = OutflowWorkload->new(seed => 1, transactions => 200);
#	$node->safe_psql($database, $workload->setup);
#	$workload->run($node, $database);
#
# The same parameters give the same statements.  Statements may fail, as they
# do in real life; an error ends its transaction.
#
# With replayable => 1 the workload keeps to what a stream of rows can repeat
# elsewhere: rows without identity are only inserted, and each DDL statement is
# followed by a transactional message with prefix "ddl" that holds it.
#
# With tame => 1 no default and no type's name has a character in it that
# wal2json before 2.7 doesn't escape.
package OutflowWorkload;

use strict;
use warnings;

use File::Temp ();
use IPC::Run ();
use MIME::Base64 ();
use OutflowValues;

# new(seed => N, transactions => N, sessions => N, replayable => BOOL)
sub new
{
	my ($class, %params) = @_;
	my $self = bless {
		seed => 1,
		transactions => 200,
		sessions => 2,
		replayable => 0,
		tame => 0,
		%params }, $class;

	die "a workload needs a seed that is a number"
	  unless $self->{seed} =~ /^\d+$/;
	$self->{tables} = { map { $_->{name} => $_ } $self->_tables };
	return $self;
}

my %literals = (
	'w.mood' => sub { $_[0]->pick('sad', 'ok', 'odd "label" \\', "don't") },
	'w.mood[]' => sub { $_[0]->pick('{}', '{sad,NULL}', '{"odd \"label\" \\\\"}') },
	'w.posint' => sub { $_[0]->between(1, 100000) },
	'w.posint2' => sub { $_[0]->between(1, 100) },
	'w.price' => sub { $_[0]->pick('NaN', '0.001', '-123456789.5', '10') },
	'w.short' => sub { $_[0]->text(20) =~ s/[\x80-\xff]+/~/gr },
	'w.blob' => sub { $_[0]->pick('\\x', '\\x00ff5c22') },
	'w.flag' => sub { $_[0]->pick('t', 'f') },
	'w.when_' => sub { $_[0]->timestamp(1) },
	'w.ints' => sub { $_[0]->array('int4') },
	'w.pair' => sub { $_[0]->pick('(1,a)', '(,)', '(-5,"quo""te, \\\\ and")') },
	'w.pair[]' => sub { $_[0]->pick('{}', '{"(1,\\"b c\\")",NULL}') },
	'w.nested' => sub {
		$_[0]->pick('("(1,x)","{""(2,y)""}",ok,"{""a"": [1, null]}")', '(,,,)');
	},
	'w.floatrange' => sub { $_[0]->pick('empty', '[0.1,Infinity)', '[1,1e10]') });

OutflowValues->add_type($_, $literals{$_}) foreach keys %literals;

my $odd_table = 'w.' . OutflowValues::quote_name("Odd \"tab\\le\"\t\xc3\xa9");

# What DML knows of the tables: the key's columns, and others with types.  Tables
# that "shift" are known by what the generator has done to them so far.
sub _tables
{
	my ($self) = @_;
	my $replayable = $self->{replayable};
	# objects have other numbers in other databases, a jsonb array of JSON arrays
	# looks like one of more dimensions, and vectors are arrays that start at 0
	my @types =
	  grep { !$replayable || !/^reg|^jsonb\[\]|vector$/ || /^ts/ }
	  OutflowValues::types();
	my @builtin = grep { !/^w\./ } @types;
	my $n = 0;
	my @all = map { [ 'c' . ++$n, $_ ] } @builtin;
	my @user = map { [ 'u' . ++$n, $_ ] } sort keys %literals;

	return (
		{ name => 'w.narrow', weight => 6, key => [ [ 'id', 'int4' ] ],
			columns => [ [ 'k', 'int4' ], [ 'v', 'text' ] ], copy => 1 },
		{ name => 'w.all_types', weight => 12, key => [ [ 'id', 'int4' ] ],
			columns => \@all, at_once => 12 },
		{ name => 'w.all_full', weight => 4, key => [ [ 'id', 'int4' ] ],
			columns => \@all, at_once => 12 },
		{ name => 'w.user_types', weight => 8, key => [ [ 'id', 'int4' ] ],
			columns => \@user, at_once => 8 },
		{ name => 'w.full', weight => 4, key => [ [ 'id', 'int4' ] ],
			columns => [ [ 'a', 'text' ], [ 'b', 'numeric' ], [ 'c', 'jsonb' ],
				[ 'f', 'float8' ] ] },
		{ name => 'w.full_with_key', weight => 3, key => [ [ 'id', 'int4' ] ],
			columns => [ [ 'a', 'text' ], [ 'b', 'timestamptz' ] ] },
		{ name => 'w.by_index', weight => 3, key => [ [ 'id', 'int4' ] ],
			columns => [ [ 'k1', 'int4' ], [ 'k2', 'text' ], [ 'v', 'text' ] ],
			required => 1 },
		{ name => 'w.no_key', weight => 3, key => [ [ 'id', 'int4' ] ],
			columns => [ [ 'b', 'text' ] ], only_insert => $replayable },
		{ name => 'w.nothing', weight => 2, key => [ [ 'id', 'int4' ] ],
			columns => [ [ 'v', 'text' ] ], only_insert => $replayable },
		{ name => 'w.deferred', weight => 1, key => [ [ 'id', 'int4' ] ],
			columns => [ [ 'v', 'text' ] ], only_insert => $replayable },
		{ name => 'w.composite_key', weight => 3,
			key => [ [ 'id', 'int4' ], [ 'b', 'timestamptz' ], [ 'a', 'text' ] ],
			columns => [ [ 'v', 'float8' ] ] },
		{ name => 'w.toast', weight => 4, key => [ [ 'id', 'int4' ] ],
			columns => [ [ 'small', 'int4' ] ], large => 1 },
		{ name => 'w.toast_full', weight => 3, key => [ [ 'id', 'int4' ] ],
			columns => [ [ 'small', 'int4' ] ], large => 1 },
		{ name => 'w.large_key', weight => 1, key => [ [ 'id', 'int4' ] ],
			columns => [ [ 'v', 'int4' ] ], large_key => 1 },
		{ name => 'w.defaults', weight => 3, key => [ [ 'id', 'int4' ] ],
			columns => [ [ 'a', 'int4' ], [ 'b', 'text' ], [ 'c', 'timestamptz' ] ],
			at_once => 1 },
		{ name => 'w.parted', weight => 5, key => [ [ 'id', 'int4' ] ],
			columns => [ [ 'v', 'text' ], [ 'n', 'numeric(10,2)' ] ] },
		{ name => 'w.parent', weight => 1, key => [ [ 'id', 'int4' ] ],
			columns => [ [ 'v', 'text' ] ] },
		{ name => 'w.child', weight => 1, key => [ [ 'id', 'int4' ] ],
			columns => [ [ 'v', 'text' ], [ 'more', 'bool' ] ] },
		{ name => $odd_table, weight => 3, key => [ [ 'id', 'int4' ] ],
			columns => [ [ '"Odd ""col"', 'text' ], [ '" "', 'int4' ],
				[ '"select"', 'bool' ], [ "\"\xc3\xa4\\n\"", 'text' ],
				[ '"a.b*c"', 'numeric' ] ] },
		{ name => 'w.wide', weight => 1, key => [ [ 'id', 'int4' ] ],
			columns => [ map { [ "c$_", 'int4' ] } 1 .. 120 ], at_once => 30 },
		{ name => 'w.unlogged', weight => 1, key => [ [ 'id', 'int4' ] ],
			columns => [ [ 'v', 'text' ] ] },
		map { { name => "w.shift$_", weight => 3, key => [ [ 'id', 'int4' ] ],
				columns => [ [ 'a', 'int4' ], [ 'b', 'text' ] ], shifts => 1 } }
		  1 .. 3);
}

# setup(): the statements that make what the workload writes to
sub setup
{
	my ($self) = @_;
	my $list = sub {
		my ($table) = @_;
		join(', ', map { "$_->[0] $_->[1]" } @{ $table->{columns} });
	};
	my $tables = $self->{tables};

	return <<"EOS" . join('', map { _shift_table($_) } 1 .. 3);
SET client_min_messages = warning;
CREATE SCHEMA w;
CREATE TYPE w.mood AS ENUM ('sad', 'ok', 'odd "label" \\', 'don''t');
CREATE DOMAIN w.posint AS int CHECK (VALUE > 0);
CREATE DOMAIN w.posint2 AS w.posint;
CREATE DOMAIN w.price AS numeric(12,3);
CREATE DOMAIN w.short AS varchar(20);
CREATE DOMAIN w.blob AS bytea;
CREATE DOMAIN w.flag AS bool;
CREATE DOMAIN w.when_ AS timestamptz(3);
CREATE DOMAIN w.ints AS int[];
CREATE TYPE w.pair AS (a int, b text);
CREATE TYPE w.nested AS (p w.pair, ps w.pair[], m w.mood, j jsonb);
CREATE TYPE w.floatrange AS RANGE (subtype = float8);
CREATE TABLE w.narrow (id serial PRIMARY KEY, k int, v text);
CREATE TABLE w.all_types (id int PRIMARY KEY, @{[ $list->($tables->{'w.all_types'}) ]});
CREATE TABLE w.all_full (id int, @{[ $list->($tables->{'w.all_full'}) ]});
ALTER TABLE w.all_full REPLICA IDENTITY FULL;
CREATE TABLE w.user_types (id int PRIMARY KEY, @{[ $list->($tables->{'w.user_types'}) ]});
CREATE TABLE w.full (id int, a text, b numeric, c jsonb, f float8);
ALTER TABLE w.full REPLICA IDENTITY FULL;
CREATE TABLE w.full_with_key (id int PRIMARY KEY, a text, b timestamptz);
ALTER TABLE w.full_with_key REPLICA IDENTITY FULL;
CREATE TABLE w.by_index (id int PRIMARY KEY, k1 int NOT NULL, k2 text NOT NULL, v text);
CREATE UNIQUE INDEX by_index_k ON w.by_index (k2, k1, id);
ALTER TABLE w.by_index REPLICA IDENTITY USING INDEX by_index_k;
CREATE TABLE w.no_key (id int, b text);
CREATE TABLE w.nothing (id int PRIMARY KEY, v text);
ALTER TABLE w.nothing REPLICA IDENTITY NOTHING;
CREATE TABLE w.deferred (id int PRIMARY KEY DEFERRABLE, v text);
CREATE TABLE w.composite_key (v float8, a text, b timestamptz, id int, PRIMARY KEY (id, b, a));
CREATE TABLE w.toast (id int PRIMARY KEY, small int, big text, bin bytea, doc jsonb);
ALTER TABLE w.toast ALTER big SET STORAGE EXTERNAL;
CREATE TABLE w.toast_full (id int PRIMARY KEY, small int, big text, bin bytea, doc jsonb);
ALTER TABLE w.toast_full REPLICA IDENTITY FULL;
CREATE TABLE w.large_key (id int, v int, k text, PRIMARY KEY (id, k));
ALTER TABLE w.large_key ALTER k SET STORAGE EXTERNAL;
CREATE TABLE w.defaults (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
	a int DEFAULT 42, b text DEFAULT 'it''s', c timestamptz DEFAULT now(),
	d float8 NOT NULL DEFAULT random() * (2)::float8, e int GENERATED ALWAYS AS (a / 2) STORED,
	f text GENERATED ALWAYS AS (upper(b)) STORED, g serial, h int[] DEFAULT '{1,2}');
CREATE TABLE w.parted (id int PRIMARY KEY, v text, n numeric(10,2)) PARTITION BY RANGE (id);
CREATE TABLE w.parted_low PARTITION OF w.parted FOR VALUES FROM (MINVALUE) TO (100);
CREATE TABLE w.parted_mid (gone int, n numeric(10,2), v text, id int NOT NULL);
ALTER TABLE w.parted_mid DROP gone;
ALTER TABLE w.parted ATTACH PARTITION w.parted_mid FOR VALUES FROM (100) TO (200);
CREATE TABLE w.parted_high PARTITION OF w.parted FOR VALUES FROM (200) TO (MAXVALUE) PARTITION BY HASH (id);
CREATE TABLE w.parted_high_0 PARTITION OF w.parted_high FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE w.parted_high_1 PARTITION OF w.parted_high FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE w.parent (id int PRIMARY KEY, v text);
CREATE TABLE w.child (more bool, PRIMARY KEY (id)) INHERITS (w.parent);
CREATE TABLE $odd_table (id int PRIMARY KEY, @{[ $list->($tables->{$odd_table}) ]});
CREATE TABLE w.wide (id int PRIMARY KEY, @{[ $list->($tables->{'w.wide'}) ]});
CREATE UNLOGGED TABLE w.unlogged (id int PRIMARY KEY, v text);
CREATE TABLE w.no_columns ();
EOS
}

sub _shift_table
{
	my ($n) = @_;
	return "CREATE TABLE w.shift$n (id int PRIMARY KEY, a int, b text);\n";
}

# ---- statements

sub _literal_key
{
	my ($self, $table, $id) = @_;
	my @rest = @{ $table->{key} }[ 1 .. $#{ $table->{key} } ];

	return ("$id", map { $self->{values}->present($_->[1]) } @rest);
}

sub _some_columns
{
	my ($self, $table) = @_;
	my @columns = @{ $table->{columns} };
	my $wanted = $table->{at_once};

	return @columns if !$wanted || $wanted >= @columns;
	my $from = $self->{values}->below(@columns - $wanted + 1);
	return @columns[ $from .. $from + $wanted - 1 ];
}

sub _value_of
{
	my ($self, $table, $column) = @_;

	return $self->{values}->present($column->[1]) if $table->{required};
	return $self->{values}->value($column->[1]);
}

# Values that are stored out of line, and some that aren't.
sub _large_assignments
{
	my ($self) = @_;
	my $values = $self->{values};
	my $repeat = $values->between(1, 4);
	my $noise = OutflowValues::quote($values->noise(700));
	my @large = (
		[ 'big', $values->chance(20) ? 'NULL' : "repeat($noise, $repeat)" ],
		[ 'bin', "decode(repeat('00ff5c', @{[ 40 * $repeat ]}), 'hex')" ],
		[ 'doc', "jsonb_build_object('a', repeat($noise, $repeat), 'b', 1.50)" ]);

	return grep { $values->chance(60) } @large;
}

sub _where
{
	my ($self) = @_;
	my $id = $self->_id;

	return "id = $id" if $self->{values}->chance(80);
	return "id BETWEEN $id AND $id + " . $self->{values}->between(1, 20);
}

# Sessions write the same rows, though mostly others.
sub _id
{
	my ($self) = @_;
	return $self->{values}->between(1, 300);
}

sub _insert
{
	my ($self, $table) = @_;
	my $values = $self->{values};
	my @columns = $self->_some_columns($table);
	my @names = ((map { $_->[0] } @{ $table->{key} }), map { $_->[0] } @columns);
	my @rows;
	my @large = $table->{large} ? $self->_large_assignments : ();

	foreach (1 .. ($values->chance(20) ? $values->between(2, 6) : 1))
	{
		push @rows,
		  '('
		  . join(', ',
			$self->_literal_key($table, $self->_id),
			(map { $self->_value_of($table, $_) } @columns),
			(map { $_->[1] } @large),
			$table->{large_key}
			? OutflowValues::quote($values->noise($values->pick(10, 2100)))
			: ())
		  . ')';
	}
	push @names, map { $_->[0] } @large;
	push @names, 'k' if $table->{large_key};
	my $conflict =
	  $values->chance(90) && $table->{name} ne 'w.deferred'
	  ? ' ON CONFLICT DO NOTHING'
	  : '';
	$conflict = ' ON CONFLICT (id) DO UPDATE SET '
	  . "$columns[0][0] = excluded.$columns[0][0]"
	  if $conflict && $table->{name} =~ /narrow|all_types|toast|parted/
	  && $values->chance(20);
	return "INSERT INTO $table->{name} ("
	  . join(', ', @names)
	  . ') VALUES '
	  . join(', ', @rows)
	  . "$conflict;";
}

sub _update
{
	my ($self, $table) = @_;
	my $values = $self->{values};
	my @columns = $self->_some_columns($table);
	my @set;
	my $where = $self->_where;

	@columns = ($values->pick(@columns)) if $values->chance(70);
	@set = map { "$_->[0] = " . $self->_value_of($table, $_) } @columns;
	push @set, map { "$_->[0] = $_->[1]" } $self->_large_assignments
	  if $table->{large} && $values->chance(30);
	if ($values->chance(10))
	{
		my $new = $self->_id;

		push @set, "id = $new";
		$where = 'id = '
		  . $self->_id
		  . " AND NOT EXISTS (SELECT FROM $table->{name} WHERE id = $new)";
	}
	return "UPDATE $table->{name} SET " . join(', ', @set) . " WHERE $where;";
}

sub _delete
{
	my ($self, $table) = @_;
	return "DELETE FROM $table->{name} WHERE " . $self->_where . ';';
}

sub _copy_field
{
	my ($text) = @_;

	$text =~ s/\\/\\\\/g;
	$text =~ s/\t/\\t/g;
	$text =~ s/\n/\\n/g;
	$text =~ s/\r/\\r/g;
	return $text;
}

# Many rows in few WAL records
sub _multi_insert
{
	my ($self) = @_;
	my $values = $self->{values};
	my $count = $values->between(2, 60);

	return "INSERT INTO w.narrow (k, v) SELECT g, repeat(g::text, g % 20)"
	  . " FROM generate_series(1, $count * 10) g ON CONFLICT DO NOTHING;"
	  if $values->chance(20);
	my @lines = map {
		join("\t", $values->integer(32),
			$values->chance(10) ? '\\N' : _copy_field($values->text(60)))
	} 1 .. $count;
	my $table = $values->chance(30) ? 'w.no_key (id, b)' : 'w.narrow (k, v)';
	my $data = join('', map { "$_\n" } @lines);

	# one statement: psql takes the rows of a COPY that is refused for statements
	utf8::encode($data) if utf8::is_utf8($data);
	return "COPY $table FROM PROGRAM 'echo " . MIME::Base64::encode_base64($data, '') . " | base64 -d';";
}

sub _truncate
{
	my ($self) = @_;
	my $values = $self->{values};
	my @tables = grep { $values->chance(40) }
	  qw(w.narrow w.no_key w.full w.parted w.child w.deferred);

	push @tables, 'w.nothing' unless @tables;
	return 'TRUNCATE '
	  . join(', ', @tables)
	  . $values->pick('', ' RESTART IDENTITY', ' CASCADE') . ';';
}

sub _message
{
	my ($self) = @_;
	my $values = $self->{values};
	my $prefix = OutflowValues::quote($values->pick('audit', 'odd "\\', 'x'));
	my $transactional = $values->pick('true', 'true', 'false');
	my $content =
	  $values->chance(20)
	  ? "'\\x610062'::bytea"
	  : OutflowValues::quote($values->text(100));

	return "SELECT pg_logical_emit_message($transactional, $prefix, $content);";
}

# DDL, with the message that tells whoever replays it
sub _ddl
{
	my ($self, $sql) = @_;

	return "$sql;" unless $self->{replayable};
	return "$sql; SELECT pg_logical_emit_message(true, 'ddl', "
	  . OutflowValues::quote($sql) . ');';
}

sub _default
{
	my ($self, $type) = @_;

	foreach (1 .. 20)
	{
		my $value = $self->{values}->present($type);

		return " DEFAULT $value"
		  unless $self->{tame} && $value =~ /["\\[:cntrl:]]/;
	}
	return '';
}

# A table that shifts: what is done to it is remembered, so that DML meets it as
# it is, provided that the transaction doesn't fail.
sub _shift
{
	my ($self, $table) = @_;
	my $values = $self->{values};
	my $name = $table->{name};
	my @columns = @{ $table->{columns} };
	my $kind = $values->below(12);
	my $victim = $values->below(scalar @columns);
	my $column = $columns[$victim];

	if ($kind < 3 || @columns < 2)
	{
		my $type = $values->pick('int4', 'text', 'numeric(10,2)', 'timestamptz',
			'w.mood', 'w.pair', 'int4[]', 'w.price', 'varchar(40)', 'jsonb');
		my $default = $values->chance(40) ? $self->_default($type) : '';
		my $new = 'c' . ++$self->{columns_made};

		$table->{columns} = [ @columns, [ $new, $type ] ];
		return $self->_ddl("ALTER TABLE $name ADD $new $type$default");
	}
	if ($kind == 3)
	{
		$table->{columns} = [ grep { $_ != $column } @columns ];
		return $self->_ddl("ALTER TABLE $name DROP $column->[0]");
	}
	if ($kind == 4)
	{
		my $new = 'r' . ++$self->{columns_made};

		$table->{columns} =
		  [ map { $_ == $column ? [ $new, $_->[1] ] : $_ } @columns ];
		return $self->_ddl("ALTER TABLE $name RENAME $column->[0] TO $new");
	}
	if ($kind == 5 && $column->[1] =~ /^(int4|text|varchar.*)$/)
	{
		my $type = $1 eq 'int4' ? 'int8' : $1 eq 'text' ? 'varchar(900)' : 'text';

		$table->{columns} =
		  [ map { $_ == $column ? [ $_->[0], $1 eq 'int4' ? 'int8' : 'text' ] : $_ }
			  @columns ];
		return $self->_ddl("ALTER TABLE $name ALTER $column->[0] TYPE $type");
	}
	return $self->_ddl("ALTER TABLE $name ALTER $column->[0] "
		  . $values->pick('SET DEFAULT NULL', 'DROP DEFAULT', 'DROP NOT NULL'))
	  if $kind == 6;
	return $self->_ddl("ALTER TABLE $name REPLICA IDENTITY "
		  . $values->pick('DEFAULT', 'FULL', 'FULL'))
	  if $kind < 9;
	return "TRUNCATE $name;" if $kind == 9;
	# the primary key goes and comes; without it, updates lose their identity
	return $self->_ddl("ALTER TABLE $name DROP CONSTRAINT IF EXISTS "
		  . ($name =~ s/^w\.//r)
		  . "_pkey, ADD CONSTRAINT "
		  . ($name =~ s/^w\.//r)
		  . '_pkey PRIMARY KEY (id)')
	  if $kind == 10;
	return $self->_ddl("COMMENT ON TABLE $name IS 'x'");
}

# DDL beside the tables that shift
sub _other_ddl
{
	my ($self) = @_;
	my $values = $self->{values};
	my $n = ++$self->{objects_made} . 's' . $self->{session};
	my $kind = $values->below(8);

	return $self->_ddl("CREATE TABLE w.made_$n (id int PRIMARY KEY, m w.mood, v text)")
	  . " INSERT INTO w.made_$n VALUES (1, 'ok', 'new'), (2, NULL, 'x');"
	  . " UPDATE w.made_$n SET v = 'changed' WHERE id = 1; "
	  . ($values->chance(60) ? $self->_ddl("DROP TABLE w.made_$n") : '')
	  if $kind < 2;
	return $self->_ddl("ALTER TYPE w.mood ADD VALUE 'new $n' BEFORE 'ok'")
	  if $kind == 2;
	return $self->_ddl("ALTER TYPE w.mood RENAME VALUE 'sad' TO 'sad $n'") . ' '
	  . "UPDATE w.user_types SET id = id WHERE id % 10 = 1; "
	  . $self->_ddl("ALTER TYPE w.mood RENAME VALUE 'sad $n' TO 'sad'")
	  if $kind == 3;
	return $self->_ddl("ALTER TYPE w.pair RENAME ATTRIBUTE b TO b_$n") . ' '
	  . $self->_ddl("ALTER TYPE w.pair RENAME ATTRIBUTE b_$n TO b")
	  if $kind == 4;
	return $self->_ddl('ALTER TABLE w.parted DETACH PARTITION w.parted_mid')
	  . " INSERT INTO w.parted_mid (id, v) VALUES (" . $self->_id . " % 100 + 100, 'alone')"
	  . ' ON CONFLICT DO NOTHING; '
	  . $self->_ddl('ALTER TABLE w.parted ATTACH PARTITION w.parted_mid FOR VALUES FROM (100) TO (200)')
	  if $kind == 5;
	return 'CREATE TEMP TABLE IF NOT EXISTS mine (id int PRIMARY KEY, v text);'
	  . ' INSERT INTO mine VALUES (' . $self->_id . ", 'x') ON CONFLICT DO NOTHING;"
	  if $kind == 6;
	return "CREATE TABLE w.made_$n AS SELECT g AS id, g::text AS v"
	  . ' FROM generate_series(1, 20) g;'
	  if $kind == 7 && !$self->{replayable};
	return 'INSERT INTO w.no_columns DEFAULT VALUES;';
}

sub _statement
{
	my ($self) = @_;
	my $values = $self->{values};
	my $kind = $values->below(100);

	return $self->_message if $kind < 4;
	return $self->_truncate if $kind < 6;
	return $self->_multi_insert if $kind < 11;
	return $self->_other_ddl if $kind < 14;
	my $table = $values->pick(@{ $self->{choices} });
	return $self->_shift($table) if $table->{shifts} && $values->chance(25);
	$kind = $table->{only_insert} ? 0 : $values->below(100);
	return $self->_insert($table) if $kind < 45;
	return $self->_update($table) if $kind < 85;
	return $self->_delete($table);
}

# ---- transactions

# The columns of tables that shift, to go back to
sub _remember
{
	my ($self) = @_;
	return { map { $_ => $self->{tables}{$_}{columns} } keys %{ $self->{tables} } };
}

sub _forget
{
	my ($self, $remembered) = @_;

	$self->{tables}{$_}{columns} = $remembered->{$_} foreach keys %$remembered;
	return;
}

# The statements of a transaction, some of them in subtransactions
sub _body
{
	my ($self, $depth) = @_;
	my $values = $self->{values};
	my @statements;

	foreach (1 .. $values->between(1, 8))
	{
		if ($depth < 3 && $values->chance(12))
		{
			my $before = $self->_remember;
			my $name = "s$depth";

			push @statements, "SAVEPOINT $name;", $self->_body($depth + 1);
			if ($values->chance(40))
			{
				push @statements, "ROLLBACK TO $name;";
				$self->_forget($before);
			}
			push @statements, "RELEASE $name;" if $values->chance(50);
		}
		else
		{
			push @statements, $self->_statement;
		}
	}
	return @statements;
}

sub _transaction
{
	my ($self) = @_;
	my $values = $self->{values};
	my $before = $self->_remember;
	my $end = $values->below(100);

	if ($values->chance(25))
	{
		my $statement = $self->_statement;

		# what follows a statement that failed must not be done
		return $self->{replayable} ? "BEGIN;\n$statement\nCOMMIT;" : $statement;
	}
	my @statements = ('BEGIN;', $self->_body(0));
	if ($end < 75)
	{
		push @statements, 'COMMIT;';
	}
	elsif ($end < 85)
	{
		push @statements, 'ROLLBACK;';
		$self->_forget($before);
	}
	else
	{
		my $gid = "'g$self->{session}_" . ++$self->{prepared} . q{ "odd"'};

		push @statements, "PREPARE TRANSACTION $gid;";
		if ($end < 95)
		{
			push @statements, "COMMIT PREPARED $gid;";
		}
		else
		{
			push @statements, "ROLLBACK PREPARED $gid;";
			$self->_forget($before);
		}
	}
	return join("\n", @statements);
}

# What stands alone, outside of any transaction
sub _interlude
{
	my ($self) = @_;
	my $kind = $self->{values}->below(6);
	my $origin = "w_origin_$self->{session}";

	return 'VACUUM w.narrow;' if $kind == 0;
	return 'VACUUM FULL w.toast;' if $kind == 1;
	return 'CLUSTER w.by_index USING by_index_pkey;' if $kind == 2;
	return "SELECT pg_replication_origin_session_setup('$origin');" if $kind < 5;
	return 'SELECT pg_replication_origin_session_reset();';
}

# script(N): the statements of session N
sub script
{
	my ($self, $session) = @_;
	my @choices;

	$self->{session} = $session;
	$self->{values} = OutflowValues->new($self->{seed} * 101 + $session);
	$self->{values}{portable} = $self->{replayable};
	foreach my $table (map { $self->{tables}{$_} } sort keys %{ $self->{tables} })
	{
		# what shifts belongs to one session
		next if $table->{shifts} && $table->{name} !~ /[@{[ $session % 3 + 1 ]}]$/;
		push @choices, ($table) x $table->{weight};
	}
	$self->{choices} = \@choices;

	my @parts = (
		'\set VERBOSITY terse',
		"SET lock_timeout = '1s';",
		"SELECT pg_replication_origin_create('w_origin_$session');");
	foreach (1 .. $self->{transactions})
	{
		push @parts, $self->_interlude if $self->{values}->chance(3);
		push @parts, $self->_transaction;
	}
	return join("\n", @parts) . "\n";
}

# run(NODE, DATABASE): all sessions at a time, to their ends
sub run
{
	my ($self, $node, $database) = @_;
	my @running;

	foreach my $session (1 .. $self->{sessions})
	{
		my $script = $self->script($session);
		my ($out, $err) = ('', '');
		my @command = (
			'psql', '--no-psqlrc', '--quiet', '--no-align', '--tuples-only',
			'--dbname', $node->connstr($database), '--file', '-');

		push @running,
		  {
			out => \$out,
			err => \$err,
			harness => IPC::Run::start(
				\@command, '<', \$script, '>', \$out, '2>', \$err)
		  };
	}
	foreach my $session (@running)
	{
		IPC::Run::finish($session->{harness});
		$self->{errors} .= ${ $session->{err} };
	}
	return;
}

1;
