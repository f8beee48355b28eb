# Promise: the extension's script names nothing that a search_path could lead
# elsewhere.  Functions, types and relations are qualified everywhere, operators
# too where no pinned search_path decides on them: in views, tables and indexes.
use strict;
use warnings;

use FindBin;
use PostgreSQL::Test::Utils;
use Test::More;

# words of the grammar that an opening parenthesis may follow
my %syntax = map { $_ => 1 } qw(all and any array as by check coalesce exists
  filter from greatest in key operator lateral least limit loop materialized not nullif
  on or over privileges return returning row select table then using values when
  where with primary else);
# types that the grammar itself knows
my %grammar_types = map { $_ => 1 } qw(bigint bit boolean char decimal double
  float int integer interval numeric real smallint time timestamp varchar);
# types that it looks for
my %types = map { $_ => 1 } qw(bytea event_trigger float8 jsonb name oid
  pg_lsn regclass regnamespace regproc text tid timestamptz trigger uuid
  void xid);
# what finds its operator by a bare name
my %finds_operator = map { $_ => 1 } qw(between distinct in like ilike nullif
  similar);

# tokens(SQL): [text, line] of each; a literal is '', a comment nothing, and
# what stands between $$ is code
sub tokens
{
	my ($sql) = @_;
	my @tokens;
	my $line = 1;

	while ($sql =~ m{\G(?:
			(?<skip> \s+ | --[^\n]* | /\*.*?\*/ | \$\$ | ^\\[^\n]*)
			| (?<literal> E?'(?:[^']|'')*')
			| (?<word> [a-zA-Z_][a-zA-Z0-9_]* | "[^"]+")
			| (?<number> [0-9.]*[0-9])
			| (?<operator> :: | := | => | [-+*/<>=~!@\#%^&|`?]+)
			| (?<other> .))}gcsxm)
	{
		my $text =
			defined $+{word} ? lc $+{word}
		  : defined $+{literal} ? q{''}
		  : $+{number} // $+{operator} // $+{other};

		push @tokens, [ $text, $line, defined $+{operator} ] unless defined $+{skip};
		$line += $& =~ tr/\n//;
	}
	return @tokens;
}

# statements(SQL): one ends with a semicolon at the end of a line, but not
# between $$ and $$
sub statements
{
	my ($sql) = @_;
	my @statements;

	while ($sql =~ /\G(.*?(?:;[ \t]*(?=--[^\n]*\n|\n|\z)|\z))/gs)
	{
		my $part = $1;

		last if $part eq '' && pos($sql) >= length $sql;
		if (@statements && (() = $statements[-1] =~ /\$\$/g) % 2)
		{
			$statements[-1] .= $part;
		}
		else
		{
			push @statements, $part;
		}
	}
	return @statements;
}

# bare_names(SQL): "line: name" for each name of the script that isn't qualified
sub bare_names
{
	my ($sql) = @_;
	my @found;
	my $line = 0;

	foreach my $statement (statements($sql))
	{
		my @tokens = tokens($statement);
		my $is_function = $statement =~ /^\s*(?:--[^\n]*\s+)*CREATE FUNCTION/;
		my $is_do = $statement =~ /^\s*(?:--[^\n]*\s+)*DO\b/;
		my $is_code = $is_function && $statement =~ /LANGUAGE (?:sql|plpgsql)\b/;
		my $depends = $statement =~ /^\s*(?:--[^\n]*\s+)*CREATE (?:UNIQUE )?(?:VIEW|TABLE|INDEX)\b/;

		push @found, $line + ($statement =~ /^(\s*)/ ? $1 =~ tr/\n// : 0) + 1 . ": search_path isn't pinned"
		  if $is_code && $statement !~ /SET search_path = pg_catalog, pg_temp/;
		foreach my $i (0 .. $#tokens)
		{
			my ($token, $at, $is_operator) = @{ $tokens[$i] };
			my $before = $i > 0 ? $tokens[ $i - 1 ][0] : '';
			my $after = $i < $#tokens ? $tokens[ $i + 1 ][0] : '';
			my $bare = 0;

			push @found, $line + $at . ': case'
			  if $depends && $before eq 'case' && $token ne 'when';
			next if $before eq '.' || $after eq '.';
			if ($is_operator)
			{
				# "*" of count(*), "." and ":=" find nothing
				$bare = ($depends || $is_do)
				  && $token !~ /^(?:::|:=|=>)$/
				  && !($token eq '*' && ($before eq '(' || $before eq 'select'));
			}
			elsif ($depends && $finds_operator{$token})
			{
				$bare = 1;
			}
			elsif ($token =~ /^pg_/)
			{
				$bare = $token !~ /^pg_(?:catalog|temp|exception_(?:detail|hint))$/ && $before !~ /^(?:as|with)$/;
			}
			elsif ($before eq '::')
			{
				$bare = !$grammar_types{$token};
			}
			elsif ($after eq '(' && $token =~ /^[a-z_]/)
			{
				$bare = !$syntax{$token} && !$grammar_types{$token}
				  && $before ne 'as';
			}
			elsif ($types{$token})
			{
				# not a name that a type follows, or a word of the grammar
				$bare = $after ne 'pg_catalog' && $before !~ /^(?:create|always)$/
				  && $after !~ /^(?:int|bigint|boolean)$/
				  && $before ne 'as' && !($token eq 'name' && $after =~ /^[,;=]$/);
			}
			push @found, $line + $at . ": $token" if $bare;
		}
		$line += $statement =~ tr/\n//;
	}
	return @found;
}

# the scan finds what it is for
is_deeply(
	[ bare_names(<<'EOS') ],
CREATE VIEW outflow.v AS
SELECT format('%s', x.a), x.b = 1, x.c::text, nullif(x.d, 1)
FROM pg_class AS x;
CREATE FUNCTION outflow.f() RETURNS void LANGUAGE sql
AS $$ SELECT FROM pg_catalog.pg_class WHERE upper(relname) = '' $$;
EOS
	[
		'2: format', '2: =', '2: text', '2: nullif', '3: pg_class',
		'4: search_path isn\'t pinned',
		'4: void', '5: upper'
	],
	'bare names are found');

my $found = join("\n", bare_names(slurp_file("$FindBin::Bin/../../control/outflow--1.0.sql")));
is($found, '', 'the script has none');
done_testing();
